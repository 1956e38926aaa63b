"""`xgboost.dask.train` with a loss of ours: data on a cluster of Dask workers, on each of which matchloss is installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from matchloss.boosting.curvature import Given
from matchloss.boosting.losses import as_text, loss_of
from matchloss.boosting.versions import missing
from matchloss.losses import Loss
from matchloss.xgboost._plan import plan

try:
    import xgboost.dask as host
except ImportError as error:
    raise missing("Dask", "dask") from error

MOST = 100_000  # distinct targets that each part of the data sends; where there are more, neighbours are averaged
Array = NDArray[Any]


def train(
    client: Any,
    params: Mapping[str, Any],
    dtrain: host.DaskDMatrix,
    num_boost_round: int = 10,
    *,
    loss: str | Loss,
    curvature: Given = None,
    custom_metric: Any = None,
    xgb_model: Any = None,
    **keywords: Any,
) -> dict[str, Any]:
    """`xgboost.dask.train`, minimising any loss; the rest is as in `matchloss.xgboost.train`, and the result as XGBoost's.

    The start score is that of all rows: workers send their distinct targets, with the sum of their weights, and no rows. Raises what
    `matchloss.xgboost.train` raises; the index in a DomainError is then that of a distinct target in ascending order.
    """
    found = loss_of(loss)
    made = plan(params, _targets(client, dtrain), found, curvature, xgb_model is not None)
    if custom_metric is None and "eval_metric" not in params:
        custom_metric = made.metric
    result = host.train(
        client, made.params, dtrain, num_boost_round, obj=made.objective, custom_metric=custom_metric, xgb_model=xgb_model, **keywords
    )
    result["booster"].set_attr(matchloss=as_text(found))
    return result


def _targets(client: Any, matrix: host.DaskDMatrix) -> xgboost.DMatrix:
    """A small matrix with the targets of all workers and their weights, and without columns that mean anything."""
    sent = [client.submit(condensed, part, workers=[at], pure=False) for at, parts in matrix.worker_map.items() for part in parts]
    found = client.gather(sent)
    target, weight = merged(np.concatenate([y for y, _ in found]), np.concatenate([w for _, w in found]))
    return xgboost.DMatrix(np.zeros((len(target), 1)), label=target, weight=weight)


def condensed(part: Any) -> tuple[Array, Array]:
    """The distinct targets of a part of a DaskDMatrix, at most MOST of them, and the sum of the weights of each."""
    target, weight = np.asarray(part["label"]), part.get("weight")
    if target.ndim == 2 and target.shape[1] > 1:
        raise ValueError("a DaskDMatrix of several targets a row has no start score here; pass base_score")
    target = target.reshape(-1)
    return merged(target, np.ones(len(target)) if weight is None else np.asarray(weight, np.float64).reshape(-1))


def merged(target: Array, weight: Array) -> tuple[Array, Array]:
    """Each distinct target once, with the sum of its weights; beyond MOST, groups of neighbours at their weighted mean."""
    target, at = np.unique(target, return_inverse=True)
    weight = np.bincount(at, weight, len(target))
    if len(target) > MOST:
        group = np.arange(len(target)) * MOST // len(target)
        total = np.bincount(group, weight)
        target, weight = np.bincount(group, weight * target) / np.where(total > 0, total, 1.0), total
    return target[weight > 0], weight[weight > 0]
