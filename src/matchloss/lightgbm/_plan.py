"""What LightGBM is told so that a loss trains as a built-in objective does, and its own file predicts right.

While it trains, the start score is every row's `init_score`. Then it is added to the leaves of the first tree, where LightGBM puts its own,
and the model's text names one of LightGBM's objectives with the loss's link.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from matchloss.boosting.curvature import Curvature, Given, Table, curvature_of
from matchloss.boosting.links import Link, link_of
from matchloss.boosting.losses import check_target
from matchloss.boosting.start import start_scores
from matchloss.boosting.versions import say_if_unknown
from matchloss.lightgbm._objective import LGBMMetric, LGBMObjective, as_rows
from matchloss.losses import Loss, SimplexLoss
from matchloss.losses.regression import Pinball

KNOWN = (4, 7), (4, 7)
STEP = 0.7  # poisson_max_delta_step, by whose exponential LightGBM's Poisson multiplies the curvature
BOOSTING = ("boosting", "boosting_type", "boost")
METRIC = ("metric", "metrics", "metric_types")
NO_METRIC = ("", "none", "null", "na", "custom")
OBJECTIVE = ("objective", "objective_type", "app", "application", "loss")
LINKS: dict[Link, str] = {
    "identity": "regression",
    "logit": "binary sigmoid:1",
    "log": "poisson",
    "softmax": "multiclass num_class:{classes}",
}


@dataclass(frozen=True, eq=False)
class Plan:
    """How to train a loss. Without an objective LightGBM's own does it, with `params`; otherwise `start` is (1,) or (K,), or None."""

    loss: Loss
    params: dict[str, Any]
    objective: LGBMObjective | None
    metric: LGBMMetric
    start: NDArray[np.float64] | None

    def init_score(self, rows: int) -> NDArray[np.float64] | None:
        """The start score of so many rows, class after class."""
        return None if self.start is None else np.repeat(self.start, rows)

    def finish(self, booster: lightgbm.Booster, trains_on: bool = False) -> None:
        """Puts the start score into the leaves of the first tree of each class, and the link into the model's text.

        trains_on: the booster keeps its data, which a new text would part it from. The scores that it trains on have the start already.
        """
        if self.objective is None:
            return
        if self.start is not None:
            found = booster.dump_model(num_iteration=1)["tree_info"]
            for tree, start in enumerate(self.start.tolist()):
                for leaf in range(found[tree]["num_leaves"]):
                    booster.set_leaf_output(tree, leaf, booster.get_leaf_output(tree, leaf) + start)
        link = link_of(self.loss)
        if link is None or trains_on:
            return
        text = booster.model_to_string(num_iteration=-1)
        if "\nobjective=" not in text:
            name = LINKS[link].format(classes=booster.num_model_per_iteration())
            booster.model_from_string(text.replace("\nfeature_names=", f"\nobjective={name}\nfeature_names=", 1))


def without_splits(environment: Any) -> None:
    """A callback before each round: lets a data set without a column to split train, whose one leaf is then the start score.

    Before its first round under a function LightGBM resets an objective that is "none" already, and refuses to do so without such a
    column (too few rows, constant, all missing); here it is told that this is done. Its own objectives predict a constant then, too.
    """
    booster = environment.model
    data = booster.train_set
    if environment.iteration == environment.begin_iteration and not any(data.feature_num_bin(j) > 1 for j in range(data.num_feature())):
        booster._Booster__set_objective_to_none = True


without_splits.before_iteration = True  # where LightGBM looks  # pyright: ignore[reportFunctionMemberAccess]


def watching(made: Plan, callbacks: list[Any] | None) -> list[Any] | None:
    """A person's callbacks, with `without_splits` where the objective is ours."""
    return callbacks if made.objective is None else [*(callbacks or ()), without_splits]


def curvatures(params: Mapping[str, Any], classes: int | None) -> Table:
    """What LightGBM 4.7 divides by."""
    step = float(params.get("poisson_max_delta_step") or STEP)
    table = {"poisson": Curvature("exact", math.exp(step))}
    return table | ({} if classes is None else {"cross_entropy": Curvature("exact", classes / (classes - 1))})


def host_objective(loss: Loss) -> dict[str, Any]:
    """LightGBM's own objective for a loss whose leaves it renews."""
    return {"objective": "quantile", "alpha": loss.alpha} if isinstance(loss, Pinball) else {"objective": "regression_l1"}


def own_metrics(params: Mapping[str, Any], made: Plan) -> list[str]:
    """The metrics that LightGBM is asked for by its parameters; ValueError where it would compute them before the link."""
    listed = [each for name in METRIC for each in _words(params.get(name)) if each.lower() not in NO_METRIC]
    refuse_words(listed, made)
    return listed


def refuse_words(metric: Any, made: Plan) -> None:
    """ValueError for a metric of LightGBM's, named by a word, that it would compute from raw predictions, before the link."""
    words = [each for each in (metric if isinstance(metric, list) else [metric]) if isinstance(each, str)]
    if words and made.objective is not None and link_of(made.loss) != "identity":
        raise ValueError(
            f"LightGBM would compute its metric {words[0]!r} from the raw predictions of {made.loss.name}, before the link; leave it out, "
            "so that the mean loss is watched, or pass a function"
        )


def _words(given: Any) -> list[str]:
    listed = given.split(",") if isinstance(given, str) else given if isinstance(given, (list, tuple, set)) else []
    return [str(each).strip() for each in listed]


def plan(params: Mapping[str, Any], loss: Loss, given: Given, target: Any, weight: Any, classes: int | None, starts: bool) -> Plan:
    """How to train this loss on these targets. starts: whether rows start at the start score, and at nothing that a person gave.

    DomainError for a target outside the loss's domain; ValueError for parameters that do not go with the loss, a loss that cannot train.
    """
    say_if_unknown("LightGBM", lightgbm.__version__, *KNOWN)
    for name in OBJECTIVE:
        if params.get(name) is not None:
            raise ValueError(f"params has the {name} {params[name]!r} beside the loss {loss!r}; give one of them")
    if params.get("is_unbalance") or params.get("unbalance"):
        raise ValueError("is_unbalance is of LightGBM's own objectives; class_weight or scale_pos_weight do the same")
    if given is not None or loss.stand_in != "none":
        random_forest = [name for name in BOOSTING if params.get(name) in ("rf", "random_forest")]
        if random_forest:
            raise ValueError(f"{random_forest[0]} is {params[random_forest[0]]!r}: LightGBM's forests take its own objectives only")
    if params.get("linear_tree") or params.get("linear_trees"):
        raise ValueError("linear_tree has no leaf values to add the start score to")
    y, w = as_rows(loss, target, weight, float(params.get("scale_pos_weight") or 1))
    check_target(loss, y, w, classes)
    curvature = curvature_of(loss, curvatures(params, classes), given)
    if curvature is None:
        return Plan(loss, host_objective(loss), None, LGBMMetric(loss), None)
    objective = LGBMObjective(loss, curvature, float(params.get("scale_pos_weight") or 1))
    start = start_scores(loss, y, w, classes) if starts else None
    if start is not None:
        raw = np.broadcast_to(start, (len(y), len(start))) if isinstance(loss, SimplexLoss) else np.full(y.shape, start[0])
        objective.objective.check_trains(raw, y, w)
    return Plan(loss, {} if classes is None else {"num_class": classes}, objective, LGBMMetric(loss), start)
