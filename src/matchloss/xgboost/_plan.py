"""What XGBoost is told so that a loss trains as a built-in objective does, and its own file predicts right.

The parameter `objective` stays one of XGBoost's, with the loss's link: it turns raw predictions into predictions, also in a process
without matchloss, and says in which units `base_score`, the start score, is. Gradients come from us.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost

from matchloss.boosting.curvature import Curvature, Given, Table, curvature_of
from matchloss.boosting.links import Link, link_of
from matchloss.boosting.losses import check_target
from matchloss.boosting.start import start_scores
from matchloss.boosting.versions import say_if_unknown
from matchloss.losses import Loss, SimplexLoss
from matchloss.losses.families import Poisson, Tweedie
from matchloss.losses.regression import Pinball
from matchloss.xgboost._objective import XGBMetric, XGBObjective, rows_of

KNOWN = (3, 2), (3, 2)
STEP = 0.7  # max_delta_step of count:poisson, whose curvature is mu e^step
CURVATURES: Table = {  # of XGBoost 3.2; later releases divide softmax by |p - y| and Poisson by (mu + y) / 2
    "cross_entropy": Curvature("majorizer"),
    "poisson": Curvature("exact", math.exp(STEP)),
}
LINKS: dict[Link | None, str] = {
    "identity": "reg:squarederror",
    "logit": "binary:logistic",
    "log": "reg:gamma",
    "softmax": "multi:softprob",
    None: "reg:squarederror",  # raw
}


@dataclass(frozen=True, eq=False)
class Plan:
    """What `xgboost.train` gets: parameters, and the objective and metric, each None where XGBoost's own does it."""

    params: dict[str, Any]
    objective: XGBObjective | None
    metric: XGBMetric | None


def host_objective(loss: Loss) -> dict[str, Any]:
    """XGBoost's objective with the loss's link."""
    if isinstance(loss, Pinball):
        return {"objective": "reg:quantileerror", "quantile_alpha": loss.alpha}
    if loss.name == "absolute_error":
        return {"objective": "reg:absoluteerror"}
    if isinstance(loss.simplified, Poisson):
        return {"objective": "count:poisson"}
    if isinstance(loss, Tweedie) and loss.power < 2:
        return {"objective": "reg:tweedie", "tweedie_variance_power": loss.power}
    return {"objective": LINKS[link_of(loss)]}


def curvature_in(loss: Loss, params: Mapping[str, Any], given: Given) -> Curvature | None:
    """The curvature to train with; Poisson's factor follows max_delta_step, as XGBoost's own does."""
    step = params.get("max_delta_step")
    table = CURVATURES if step is None else CURVATURES | {"poisson": Curvature("exact", math.exp(float(step)))}
    return curvature_of(loss, table, given)


def outputs_of(loss: Loss, params: Mapping[str, Any], matrix: Any) -> tuple[int, ...]:
    """The shape of raw predictions: (n,), or (n, K) for K classes or targets. ValueError where it does not go with the loss."""
    n, labels = matrix.num_row(), matrix.get_label()
    if labels.size == 0:
        raise ValueError("the DMatrix has no labels: DMatrix(X, label=y)")
    columns, classes = labels.size // max(n, 1), int(params.get("num_class") or 0)
    if not isinstance(loss, SimplexLoss):
        if classes > 1:
            raise ValueError(f"num_class is {classes}, and {loss.name} is a loss of one raw prediction a row")
        return (n,) if columns == 1 else (n, columns)
    if columns > 1:
        if classes not in (0, columns):
            raise ValueError(f"num_class is {classes}, and the labels are distributions over {columns} classes")
        return n, columns
    if classes < 2:
        raise ValueError(f'{loss.name} needs the number of classes: params["num_class"]')
    return n, classes


def plan(params: Mapping[str, Any], matrix: Any, loss: Loss, given: Given, goes_on: bool) -> Plan:
    """How to train this loss on this matrix. goes_on: a model goes on training, which has its start score already.

    DomainError for a target outside the loss's domain; ValueError for labels that do not go with num_class, a loss that cannot train.
    """
    say_if_unknown("XGBoost", xgboost.__version__, *KNOWN)
    if "objective" in params:
        raise ValueError(f"params has the objective {params['objective']!r} beside the loss {loss!r}; give one of them")
    shape = outputs_of(loss, params, matrix)
    positive = float(params.get("scale_pos_weight") or 1)
    target, weight = rows_of(loss, matrix, shape, positive)
    check_target(loss, target, weight, shape[-1])
    curvature = curvature_in(loss, params, given)
    made = {"disable_default_eval_metric": "eval_metric" not in params} | dict(params) | host_objective(loss)
    if curvature is None:
        return Plan(made, None, XGBMetric(loss))
    distributions = isinstance(loss, SimplexLoss) and target.ndim == 2
    if distributions:  # to XGBoost these are K targets a row, which it predicts raw
        made |= {"objective": LINKS[None]}
        made.pop("num_class", None)
    objective = XGBObjective(loss, curvature, positive)
    if "base_score" not in params and not goes_on:
        start = _starts(loss, target, weight, shape)
        raw = np.broadcast_to(start if len(shape) == 2 else start[0], shape).astype(np.float32)
        objective.objective.check_trains(raw, target, weight)
        keeps = link_of(loss) is not None and link_of(loss) != "softmax"  # XGBoost takes the start of classes raw
        units = (np.asarray(loss.predict(start)) if keeps else start).tolist()
        made["base_score"] = units if len(units) > 1 else units[0]
    return Plan(made, objective, XGBMetric(loss))


def _starts(loss: Loss, target: Any, weight: Any, shape: tuple[int, ...]) -> Any:
    """The start score of each output."""
    if isinstance(loss, SimplexLoss):
        start = start_scores(loss, target, weight, shape[1])
        return start - start.mean() if loss.shift_invariant else start  # as XGBoost's own
    if len(shape) == 1:
        return start_scores(loss, target, weight)
    return np.concatenate([start_scores(loss, target[:, j], None if weight is None else weight[:, j]) for j in range(shape[1])])
