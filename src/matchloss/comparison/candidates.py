"""Which losses are compared, and what each is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from matchloss.comparison.questions import Question, asked_of
from matchloss.losses import Loss
from matchloss.tables.errors import DataError
from matchloss.tables.losses import candidates, check_suits, get_loss, named, parameters_in
from matchloss.tables.target import Target

ARGUMENT = "argument"  # a name for the losses that the argument sets beside squared error


@dataclass(frozen=True)
class Candidate:
    """A loss to compare, and the kind of model that it trains."""

    name: str  # the catalogue's, with the parameters where a person chose them; among several kinds of models that of the kind before it
    loss: Loss
    note: str  # how a parameter was chosen, "" if there was none to choose
    asked: Question | str  # what it answers, or why it answers nothing that is judged
    model: str = "linear"


def choose(target: Target, names: Sequence[str | Loss] | None, quantiles: Sequence[float] = ()) -> list[Candidate]:
    """The losses to compare; DataError for one that does not fit the target, and for a quantile level that is none.

    Names alone stand for classes, whose parameters may be tuned to the target; names with parameters and losses are taken as they are.
    quantiles: the levels to compare quantiles at, instead of the losses that are usual for the target.
    """
    if quantiles:
        if names:
            raise DataError("--quantile and --losses both say what to compare: give one of them")
        if target.classes:
            raise DataError(f"--quantile is for numbers; {target.name} is a label")
        wrong = [level for level in quantiles if not 0 < level < 1]
        if wrong:
            raise DataError(f"--quantile is {wrong[0]:g}; a level lies between 0 and 1, such as 0.9")
        names = [f"pinball(alpha={level})" for level in sorted(set(quantiles))]
    if names is not None and not list(names):
        raise DataError("--losses names no loss")
    chosen: dict[str, Candidate] = {}
    for name in _spelled_out(names, target):
        loss, note = get_loss(name), ""
        check_suits(loss, target)
        written = isinstance(name, str) and bool(parameters_in(name)[1])
        by_class = isinstance(name, str) and not written and named(name) is not loss
        if by_class:
            loss, note = loss.tuned_to(np.asarray(target.values))
        called = loss.name if by_class or (not written and loss == type(loss)()) else called_with(loss)
        chosen.setdefault(called, Candidate(called, loss, note, asked_of(loss, target)))
    return list(chosen.values())


def with_models(losses: Sequence[Candidate], kinds: Sequence[str]) -> list[Candidate]:
    """Each loss with each kind of model; where these are several, the kind stands in the name."""
    return [replace(c, name=f"{kind}:{c.name}" if len(kinds) > 1 else c.name, model=kind) for kind in kinds for c in losses]


def called_with(loss: Loss) -> str:
    """A loss's name with its parameters, as a person writes it.

    >>> import matchloss as ml
    >>> called_with(ml.Pinball(0.9))
    'pinball(alpha=0.9)'
    """
    given = ", ".join(f"{name}={value:g}" for name, value in loss.parameters.items())
    return f"{loss.name}({given})" if given else loss.name


def _spelled_out(names: Sequence[str | Loss] | None, target: Target) -> list[str | Loss]:
    """The names, with the usual ones for none and the argument's for its name."""
    if names is None:
        return [*candidates(target)]
    made: list[str | Loss] = []
    for name in names:
        made += candidates(target, None if target.classes else ARGUMENT) if name == ARGUMENT else [name]
    return made
