"""What a fit found: plain data, for tables, pages and tests alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matchloss.models.tree_model import TreeModel

if TYPE_CHECKING:
    from matchloss.linear.inference.table import Table
    from matchloss.linear.model import Model
    from matchloss.losses import TargetKind
    from matchloss.scoring import Reliability
    from matchloss.tables.scores import Score


@dataclass(frozen=True)
class Effect:
    """A coefficient and what it does: its size times the standard deviation of its column over the training rows."""

    name: str  # "distance", "carrier = AA", "dep_delay is missing"
    coef: float
    effect: float  # |coef| times the column's standard deviation, in units of the raw prediction
    toward: str  # the class it speaks for, "" where there is one column of raw predictions
    share: float  # of training rows in which the column is not 0


@dataclass(frozen=True)
class Importance:
    """What a column is worth to trees: by how much the mean loss of rows that a model did not see rises when its values are shuffled."""

    name: str
    rise: float  # in the loss's own units; below 0 where the column does harm


@dataclass(frozen=True)
class Step:
    """One pass over the rows, as the solver saw it."""

    objective: float
    gradient_norm: float
    rows: int  # a subsample, or all


@dataclass(frozen=True)
class FitResult:
    """A fit to a table, and how models like it did on rows that they did not see."""

    source: str
    kind: TargetKind
    why: str  # why this loss, in a sentence
    model: Model | TreeModel
    rows: int  # in the table
    dropped: int  # rows left out, for want of a target or because --missing drop
    scored: int  # rows that are predicted by models that did not see them; the model itself is fitted to all that are not dropped
    how: str  # how these come about, in a sentence
    alerts: tuple[str, ...]  # what to know first: columns left out because of what they are
    messages: tuple[str, ...]  # everything else decided on the person's behalf, a sentence each
    warnings: tuple[str, ...]  # what the person should look at: no convergence, collinear columns
    passes: int  # over the rows; of trees how many there are
    seconds: float
    method: str
    converged: bool
    objective: float
    gradient_norm: float  # NaN of trees
    trace: tuple[Step, ...]  # empty for trees
    effects: tuple[Effect, ...]  # by size of effect, the greatest first; empty for trees
    scores: dict[str, Score]  # of rows that a model did not see, by name
    constant: dict[str, Score]  # the same scores of the best constant prediction
    reliability: tuple[Reliability, ...]  # one for a number or two classes; for more classes, of the most frequent ones
    importance: tuple[Importance, ...] = ()  # of the columns of trees, the greatest first
    summary: Table | None = None  # standard errors of the coefficients, where they were asked for
    watched: tuple[float, ...] = ()  # of trees: the mean loss of the rows watched after so many trees, from none on

    @property
    def linear(self) -> bool:
        """Whether the model is linear."""
        return not isinstance(self.model, TreeModel)
