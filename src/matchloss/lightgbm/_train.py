"""`lightgbm.train` with a loss of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import lightgbm
import numpy as np

from matchloss.boosting.curvature import Given, curvature_to_call
from matchloss.boosting.losses import check_watched, loss_of, refuse_distributions
from matchloss.lightgbm._objective import LGBMMetric, LGBMObjective
from matchloss.lightgbm._plan import METRIC, Plan, curvatures, own_metrics, plan, watching
from matchloss.losses import Loss, SimplexLoss


def train(
    params: Mapping[str, Any],
    train_set: lightgbm.Dataset,
    num_boost_round: int = 100,
    valid_sets: list[lightgbm.Dataset] | None = None,
    valid_names: list[str] | None = None,
    feval: Any = None,
    init_model: Any = None,
    keep_training_booster: bool = False,
    callbacks: list[Any] | None = None,
    *,
    loss: str | Loss,
    curvature: Given = None,
) -> lightgbm.Booster:
    """`lightgbm.train`, minimising any loss: a name such as "gamma" or "pinball(alpha=0.9)", or a Loss.

    The start score stands in the leaves of the first tree, where LightGBM's `boost_from_average` puts its own, and the model's text
    names one of LightGBM's objectives with the loss's link, so that a saved model predicts in the target's units without matchloss; raw,
    if LightGBM has no such link (probit, sparsemax, your own), or with keep_training_booster, whose booster goes on by
    `update(fobj=objective(loss))`. The loss's mean is the metric of `valid_sets`, unless `feval` or params["metric"] is given. Labels of K
    classes ask for params["num_class"]. A data set with an `init_score` of its own starts there. `curvature` is what leaves divide by
    ("exact", "fisher", "majorizer", "absolute", "unit", or one of these with a factor), by default LightGBM's own where it has the loss.

    Raises DomainError for a target outside the loss's domain and for a gradient that is not finite, ValueError for parameters that do
    not go with the loss.

    >>> import lightgbm, numpy as np
    >>> import matchloss.lightgbm as ml_lgb
    >>> X = np.arange(100.0)[:, None]
    >>> data = lightgbm.Dataset(X, label=X[:, 0] // 25)
    >>> model = ml_lgb.train({"verbosity": -1}, data, 60, loss="negative_binomial(size=3)")
    >>> model.predict(np.array([[10.0], [90.0]])).round(1)
    array([0.2, 3. ])
    """
    found = loss_of(loss)
    if train_set.label is None:
        train_set._update_params(dict(params)).construct()  # read from a file
    if held(train_set, "label") is None:
        raise ValueError("the Dataset has no labels: Dataset(X, label=y)")
    refuse_distributions(held(train_set, "label"), "LightGBM's Dataset")
    classes = int(params.get("num_class") or params.get("num_classes") or 1)
    if isinstance(found, SimplexLoss) and classes < 2:
        raise ValueError(f'{found.name} needs the number of classes: params["num_class"]')
    if not isinstance(found, SimplexLoss) and classes > 1:
        raise ValueError(f"num_class is {classes}, and {found.name} is a loss of one raw prediction a row")
    target = np.asarray(held(train_set, "label"), np.float32)
    starts = init_model is None and held(train_set, "init_score") is None
    made = plan(params, found, curvature, target, held(train_set, "weight"), classes if classes > 1 else None, starts)
    told = dict(params) | made.params | ({} if made.objective is None else {"objective": made.objective})
    labels = [held(each, "label") for each in valid_sets or () if each is not train_set]
    check_watched(found, [each for each in labels if each is not None], classes if classes > 1 else None)
    if not own_metrics(params, made) and feval is None:
        feval = made.metric
        told = {name: value for name, value in told.items() if name not in METRIC} | {"metric": "None"}
    with started(made, train_set, *(valid_sets or ())):
        booster = lightgbm.train(
            told, train_set, num_boost_round, valid_sets, valid_names, feval, init_model, keep_training_booster, watching(made, callbacks)
        )
    made.finish(booster, trains_on=keep_training_booster)
    return booster


def held(data: lightgbm.Dataset, name: str) -> Any:
    """What a data set holds under this name, or None; it need not be constructed yet."""
    given = getattr(data, name)
    return data.get_field(name) if given is None and data._handle is not None else given


@contextmanager
def started(made: Plan, *data: lightgbm.Dataset) -> Iterator[None]:
    """Gives the data sets that have none the start score as their init_score, and takes it away again."""
    ours = [each for each in {id(d): d for d in data}.values() if made.start is not None and held(each, "init_score") is None]
    try:
        for each in ours:
            label = held(each, "label")
            each.set_init_score(made.init_score(each.construct().num_data() if label is None else len(label)))
        yield
    finally:
        for each in ours:
            if each._handle is not None:
                each.set_field("init_score", None)
            each.init_score = None


def objective(loss: str | Loss, curvature: Given = None, classes: int | None = None) -> LGBMObjective:
    """An objective for people who call LightGBM themselves: params["objective"] of `lightgbm.train`, or `objective=` of its estimators.

    It starts where you let it start: give the data an `init_score` too. `train` and the estimators do. classes: how many there are, for the
    factor K / (K - 1) of LightGBM's own cross entropy. Raises DomainError for a loss without curvature.

    >>> import matchloss.lightgbm as ml_lgb
    >>> ml_lgb.objective("cross_entropy", classes=3), ml_lgb.objective("huber", curvature="unit")
    (objective(CrossEntropy(), curvature='1.5 x exact'), objective(Huber(delta=1.0), curvature='unit'))
    """
    found = loss_of(loss)
    chosen = curvature_to_call(found, curvatures({}, classes), curvature, "LightGBM")
    return LGBMObjective(found, chosen)


def metric(loss: str | Loss) -> LGBMMetric:
    """The loss's weighted mean as a metric of raw predictions: `feval=` of `lightgbm.train`, or `eval_metric=` of `fit`.

    >>> import numpy as np
    >>> import matchloss.lightgbm as ml_lgb
    >>> ml_lgb.metric("squared_error")(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    ('squared_error', 1.0, False)
    """
    return LGBMMetric(loss_of(loss))
