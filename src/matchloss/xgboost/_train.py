"""`xgboost.train` with a loss of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xgboost

from matchloss.boosting.curvature import Given, curvature_to_call
from matchloss.boosting.losses import as_text, loss_of
from matchloss.losses import Loss
from matchloss.xgboost._objective import XGBMetric, XGBObjective
from matchloss.xgboost._plan import CURVATURES, plan


def train(
    params: Mapping[str, Any],
    dtrain: xgboost.DMatrix,
    num_boost_round: int = 10,
    *,
    loss: str | Loss,
    curvature: Given = None,
    custom_metric: Any = None,
    xgb_model: Any = None,
    **keywords: Any,
) -> xgboost.Booster:
    """`xgboost.train`, minimising any loss: a name such as "gamma" or "pinball(alpha=0.9)", or a Loss.

    The start score stands in the model's own `base_score`, and the model's `objective` is one of XGBoost's with the loss's link, so that
    a saved model predicts in the target's units without matchloss; raw, if XGBoost has no such link (probit, sparsemax, your own). The
    loss's mean is the metric of `evals`, unless `custom_metric` or params["eval_metric"] is given. Labels of K classes ask for
    params["num_class"]; a matrix of labels (n, K) holds distributions over classes, or K targets of a loss of a number. All other
    parameters and keywords are XGBoost's; `curvature` is what leaves divide by ("exact", "fisher", "majorizer", "absolute", "unit",
    or one of these with a factor), by default XGBoost's own where it has the loss.

    Raises DomainError for a target outside the loss's domain and for a gradient that is not finite, ValueError for parameters that do
    not go with the loss.

    >>> import numpy as np, xgboost
    >>> import matchloss.xgboost as mx
    >>> X = np.arange(100.0)[:, None]
    >>> model = mx.train({"max_depth": 2}, xgboost.DMatrix(X, label=X[:, 0] // 25), 20, loss="negative_binomial(size=3)")
    >>> model.predict(xgboost.DMatrix([[10.0], [90.0]])).round(1)
    array([0., 3.], dtype=float32)
    """
    found = loss_of(loss)
    made = plan(params, dtrain, found, curvature, xgb_model is not None)
    if custom_metric is None and "eval_metric" not in params:
        custom_metric = made.metric
        keywords.setdefault("maximize", False)
    booster = xgboost.train(
        made.params, dtrain, num_boost_round, obj=made.objective, custom_metric=custom_metric, xgb_model=xgb_model, **keywords
    )
    booster.set_attr(matchloss=as_text(found))
    return booster


def objective(loss: str | Loss, curvature: Given = None) -> XGBObjective:
    """An objective for people who call XGBoost themselves: `obj=` of `xgboost.train`, or `objective=` of its estimators.

    It starts where you let it start: give `base_score` too, and let params["objective"] be one with the loss's link. `train` and the
    estimators do both. Raises DomainError for a loss without curvature, which XGBoost's own objective must train.

    >>> import matchloss.xgboost as mx
    >>> mx.objective("poisson"), mx.objective("huber", curvature="unit")
    (objective(Poisson(), curvature='2.01375 x exact'), objective(Huber(delta=1.0), curvature='unit'))
    """
    found = loss_of(loss)
    chosen = curvature_to_call(found, CURVATURES, curvature, "XGBoost")
    return XGBObjective(found, chosen)


def metric(loss: str | Loss) -> XGBMetric:
    """The loss's weighted mean as a metric: `custom_metric=` of `xgboost.train` beside `objective(loss)`, so that it gets raw predictions.

    >>> import numpy as np
    >>> import matchloss.xgboost as mx
    >>> mx.metric("squared_error")(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    1.0
    """
    return XGBMetric(loss_of(loss))
