"""The model of a fit, linear or of trees, and all that is said of how it came about."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.fit import measure
from matchloss.fit.facts import known, of_solution
from matchloss.fit.result import Effect, Importance, Step
from matchloss.linear.model import Model
from matchloss.models.linear import LinearModels
from matchloss.models.trees import TreeModels
from matchloss.tables.crossfit import describe_ridge, ridge
from matchloss.tables.words import plural

if TYPE_CHECKING:
    from matchloss.fit.errors import Errors
    from matchloss.losses import Loss
    from matchloss.models.found import Tell
    from matchloss.models.tree_model import TreeModel
    from matchloss.tables.options import Study

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trained:
    """A model of all rows, and raw predictions by models that did not see the rows."""

    raw: Floats  # (repeats, rows) or (repeats, rows, K)
    model: Model | TreeModel
    about: dict[str, Any]  # for the model's file
    notes: tuple[str, ...]
    method: str
    passes: int
    seconds: float
    objective: float
    converged: bool = True
    gradient_norm: float = math.nan
    warnings: tuple[str, ...] = ()
    trace: tuple[Step, ...] = ()
    effects: tuple[Effect, ...] = ()
    importance: tuple[Importance, ...] = ()
    watched: tuple[float, ...] = ()
    errors: Errors | None = None


def train_linear(
    study: Study, loss: Loss, l2: float | None, tell: Tell, summary: bool = False, exposed: bool = False, l1: float = 0.0
) -> Trained:
    """A linear model; `l2` replaces the usual ridge; `summary`: with standard errors; `exposed`: weights are exposures."""
    ready, wanted = study.ready, study.ready.target
    penalty = (0.0 if l1 else ridge(loss, wanted)) if l2 is None else l2
    models = LinearModels.of(study)
    cross = models.crossed(loss, tell, penalty, l1)
    found = cross.whole()
    about = of_solution(found, penalty, l1)
    errors = None
    if summary:
        from matchloss.fit.errors import errors_of  # which imports scipy.stats: most of a second, and 40 MB

        errors = errors_of(models, found, loss, penalty, wanted, ready.weight, exposed)
    if errors is not None:
        about["inference"] = errors.as_facts()
    return Trained(
        raw=cross.raw,
        errors=errors,
        model=Model(
            loss,
            models.design,
            found.intercept,
            found.coef,
            wanted.name,
            wanted.kind,
            wanted.classes,
            {},
            ready.readings,
            study.terms,
            study.offset_column,
        ),
        about=about,
        notes=(*models.notes(), *([describe_ridge()] if l2 is None and penalty else []), *([_left(found.coef, l1)] if l1 else [])),
        method=found.method,
        passes=found.passes,
        seconds=found.seconds,
        objective=found.objective + found.penalty,
        converged=found.converged,
        gradient_norm=found.gradient_norm,
        warnings=tuple(found.messages),
        trace=tuple(Step(*step) for step in found.trace),
        effects=measure.effects(models.rows, found.coef, models.design.names, wanted.classes, loss, ready.weight),
    )


def _left(coef: Floats, l1: float) -> str:
    return f"--l1 {l1:g} leaves {np.count_nonzero(coef):,} of {plural(coef.size, 'coefficient')} other than 0."


def train_trees(kind: str, study: Study, loss: Loss, seed: int, tell: Tell) -> Trained:
    """A model of trees."""
    models = TreeModels.of(kind, study.ready, study.split, seed)
    grove = models.grove(loss, tell)
    grown, seconds = grove.whole()
    objective = models.objective(loss, grown)
    settings = models.settings
    about = {
        "library": models.called,
        "trees": grown.forest.trees,
        "learning rate": settings.learning_rate,
        "depth": settings.depth,
        "leaves": settings.leaves,
        "seconds": round(seconds, 3),
        "objective": known(objective),
    }
    tell("shuffling columns")
    return Trained(
        raw=grove.raw,
        model=models.model(loss, grown),
        about=about,
        notes=tuple(models.notes()),
        method=f"boosted trees of {models.called}",
        passes=grown.forest.trees,
        seconds=seconds,
        objective=objective,
        importance=measure.importance(models, grove, loss),
        watched=grown.watched,
    )
