"""Predictions and scores of a collection, a partition at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from dask.base import compute
from dask.delayed import delayed

from matchloss.dask.frames import columns_of, frames_of
from matchloss.engine import threads
from matchloss.linear import LinearClassifier, LinearRegressor

Fitted = LinearRegressor | LinearClassifier


def predict(model: Fitted, collection: Any) -> Any:
    """The predictions of each row of a Dask data frame, a Dask series with its index: `model.predict` of each partition, when computed.

    >>> import dask.dataframe as dd, pandas as pd
    >>> from matchloss.linear import LinearRegressor
    >>> trips = pd.DataFrame({"km": [1.0, 2.0, 3.0, 4.0], "hours": [2.0, 4.0, 6.0, 8.0]})
    >>> model = LinearRegressor().fit(trips[["km"]], trips["hours"])
    >>> predict(model, dd.from_pandas(trips, npartitions=2)).compute(scheduler="sync").round(6).tolist()
    [2.0, 4.0, 6.0, 8.0]
    """
    columns_of(collection)
    kind = model.classes_.dtype if isinstance(model, LinearClassifier) else np.dtype(np.float64)
    return collection.map_partitions(_predicted, model, meta=pd.Series([], dtype=kind, name="prediction"))


def predict_proba(model: LinearClassifier, collection: Any) -> Any:
    """The probabilities of each row of a Dask data frame, a Dask data frame with a column for each class."""
    columns_of(collection)
    meta = pd.DataFrame({str(label): pd.Series([], dtype=np.float64) for label in model.classes_})
    return collection.map_partitions(_shares, model, meta=meta)


def score(model: Fitted, collection: Any, target: str, sample_weight: str | None = None, client: Any = None) -> float:
    """The score of a Dask data frame that `model.score` gives in memory: R^2 of a number, the share of right labels of a label.

    `target` and `sample_weight` name columns. With no `client`, Dask's own scheduler computes it.
    """
    frames = frames_of(collection, [target, sample_weight])
    tasks = [delayed(_measured)(frame, model, target, sample_weight) for frame in frames]
    found: Sequence[Any] = client.gather(client.compute(tasks)) if client is not None else compute(*tasks)
    total = Measured(0.0, 0.0, 0.0, 0.0)
    for one in found:
        total = total.add(one)
    if not total.weight:
        raise ValueError("there is no row to score")
    if isinstance(model, LinearClassifier):
        return 1.0 - total.wrong / total.weight
    return 1.0 - total.wrong / total.spread if total.spread else float(total.wrong == 0)


class Measured(NamedTuple):
    """What some rows add to a score."""

    weight: float
    wrong: float  # the weighted squared errors, or the weight of wrong labels
    mean: float  # of the target
    spread: float  # the weighted squares of the target around its mean

    def add(self, other: Measured) -> Measured:
        """Of both (Chan, Golub and LeVeque 1983)."""
        weight = self.weight + other.weight
        if not weight:
            return self
        apart, share = other.mean - self.mean, other.weight / weight
        spread = self.spread + other.spread + apart**2 * self.weight * share
        return Measured(weight, self.wrong + other.wrong, self.mean + apart * share, spread)


def _predicted(frame: pd.DataFrame, model: Fitted) -> pd.Series:
    with threads.at_most(1):
        made = model.predict(frame) if len(frame) else np.empty(0, getattr(getattr(model, "classes_", None), "dtype", np.float64))
    return pd.Series(made, index=frame.index, name="prediction")


def _shares(frame: pd.DataFrame, model: LinearClassifier) -> pd.DataFrame:
    with threads.at_most(1):
        made = model.predict_proba(frame) if len(frame) else np.empty((0, len(model.classes_)))
    return pd.DataFrame(made, index=frame.index, columns=[str(label) for label in model.classes_])


def _measured(frame: pd.DataFrame, model: Fitted, target: str, sample_weight: str | None) -> Measured:
    if not len(frame):
        return Measured(0.0, 0.0, 0.0, 0.0)
    y, made = frame[target].to_numpy(), _predicted(frame, model).to_numpy()
    weight = np.ones(len(frame)) if sample_weight is None else frame[sample_weight].to_numpy(np.float64)
    if isinstance(model, LinearClassifier):
        return Measured(float(weight.sum()), float(weight @ (made != y)), 0.0, 0.0)
    y = y.astype(np.float64)
    if not weight.any():
        return Measured(0.0, 0.0, 0.0, 0.0)
    mean = float(np.average(y, weights=weight))
    return Measured(float(weight.sum()), float(weight @ np.square(y - made)), mean, float(weight @ np.square(y - mean)))
