"""What CatBoost is told so that a loss trains as a built-in objective does, and its own file predicts right.

CatBoost calls Python for every thousand rows or so, several times a tree, so that its own objective is used where it has the same loss.
Where it has not, objective and metric add the start score to raw predictions while it trains. Then it is the model's bias.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import catboost
import numpy as np
from numpy.typing import NDArray

from matchloss.boosting.curvature import Given, curvature_of
from matchloss.boosting.losses import check_target
from matchloss.boosting.start import start_scores
from matchloss.boosting.versions import say_if_unknown
from matchloss.catboost._objective import CatClassObjective, CatMetric, CatObjective
from matchloss.losses import Loss, SimplexLoss
from matchloss.losses.families import Tweedie
from matchloss.losses.regression import Expectile, Pinball

KNOWN = (1, 2), (1, 2)
OBJECTIVE = ("loss_function", "objective")
OWN_ITERATIONS = {"logistic": 10}  # Newton steps a leaf, of CatBoost's own objective; every other loss takes 1

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Plan:
    """How to train a loss: CatBoost's parameters, our objective unless CatBoost's own does it, and the start score, if ours to give."""

    params: dict[str, Any]
    objective: CatObjective | CatClassObjective | None
    start: Array | None

    def run(self, model: catboost.CatBoost, fit: Callable[[], object]) -> None:
        """Fits the model with these parameters, which it forgets again, and gives it its start score."""
        own = model._init_params
        model._init_params = {name: value for name, value in own.items() if name not in ("loss", "curvature")} | self.params
        model._canonized_params = None
        try:
            fit()
        except catboost.CatBoostError:
            if self.objective is not None and self.objective.errors:
                raise self.objective.errors[0] from None
            raise
        finally:
            model._init_params, model._canonized_params = own, None
        if self.start is not None:
            model.set_scale_and_bias(1.0, self.start.tolist() if len(self.start) > 1 else float(self.start[0]))


def host_objective(loss: Loss, classes: int | None, labels: bool) -> tuple[str, bool] | None:
    """CatBoost's own objective of the same loss, and whether it starts at the average by itself; None where it has none."""
    if isinstance(loss, Pinball):
        return f"Quantile:alpha={loss.alpha!r}", True
    if isinstance(loss, Expectile):
        return f"Expectile:alpha={loss.alpha!r}", False
    if isinstance(loss, Tweedie) and 1 < loss.power < 2:
        return f"Tweedie:variance_power={loss.power!r}", False
    known = {"squared_error": ("RMSE", True), "absolute_error": ("MAE", True), "poisson": ("Poisson", False)}
    if labels:  # these take no shares
        known |= {"logistic": ("Logloss", False), "cross_entropy": ("MultiClass", False)}
    return known.get(loss.name)


def plan(
    params: Mapping[str, Any], loss: Loss, given: Given, target: Array, weight: Any, classes: int | None, starts: bool, labels: bool
) -> Plan:
    """How to train this loss on these targets. starts: whether rows start at the start score, and at nothing that a person gave; labels:
    whether it is a classifier.

    DomainError for a target outside the loss's domain; ValueError for parameters that do not go with the loss, a loss that cannot train.
    """
    say_if_unknown("CatBoost", catboost.__version__, *KNOWN)
    for name in OBJECTIVE:
        if params.get(name) is not None:
            raise ValueError(f"the model has the {name} {params[name]!r} beside the loss {loss!r}; give one of them")
    check_target(loss, target, weight, classes)
    starts = starts and params.get("boost_from_average") is not False
    own = host_objective(loss, classes, labels) if given is None else None
    if own is not None:
        name, averages = own
        start = start_scores(loss, target, weight, classes) if starts and not averages else None
        return Plan({"loss_function": name}, None, start)
    curvature = curvature_of(loss, {}, given)
    assert curvature is not None
    start = start_scores(loss, target, weight, classes)
    made: dict[str, Any] = {"leaf_estimation_method": "Newton", "leaf_estimation_iterations": OWN_ITERATIONS.get(loss.name, 1)}
    made = {name: value for name, value in made.items() if name not in params}
    if isinstance(loss, SimplexLoss):
        raw = np.tile(start, (len(target), 1))
        objective = CatClassObjective(loss, curvature, start if starts else None, target)
        made["classes_count"] = classes
    else:
        raw = np.full(len(target), start[0])
        objective = CatObjective(loss, curvature, float(start[0]) if starts else 0.0, target)
    objective.objective.check_trains(raw, target, weight)
    metric = _metric(params.get("eval_metric"), loss, start if starts else None)
    off = {"boost_from_average": False}  # CatBoost knows it for its own objectives only
    return Plan(made | {"loss_function": objective, "eval_metric": metric} | off, objective, start if starts else None)


def _metric(given: Any, loss: Loss, start: Array | None) -> Any:
    """The metric to watch: the loss's mean, or the one given, which must know where rows start."""
    shift: Any = 0.0 if start is None else start if isinstance(loss, SimplexLoss) else start[0]
    if given is None:
        return CatMetric(loss, shift)
    if isinstance(given, CatMetric):
        return CatMetric(given.loss, shift)
    if start is not None:
        raise ValueError(
            f"CatBoost would compute {given!r} from raw predictions without the start score; pass matchloss.catboost.metric(...) or "
            "boost_from_average=False"
        )
    return given
