"""XGBoost on a Dask cluster of two workers under our losses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xgboost as xgb

import matchloss as ml
import matchloss.xgboost as mx
from boosted import diabetes, weights, wines
from matchloss.boosting.start import start_scores

dask = pytest.importorskip("dask")
array = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")
mxd = pytest.importorskip("matchloss.xgboost.dask")


def test_parts_send_distinct_targets_with_their_weights() -> None:
    y, w = mxd.condensed({"label": np.array([3.0, 1.0, 3.0, 2.0]), "weight": np.array([1.0, 2.0, 0.5, 0.0])})
    assert (y.tolist(), w.tolist()) == ([1.0, 3.0], [2.0, 1.5])
    r = np.random.default_rng(0)
    many, weight = r.gamma(2.0, size=250_000), r.random(250_000)
    y, w = mxd.merged(many, weight)
    assert len(y) <= mxd.MOST and np.isclose(np.average(y, weights=w), np.average(many, weights=weight), rtol=1e-12)
    for loss in (ml.Expectile(0.9), ml.Huber()):
        np.testing.assert_allclose(start_scores(loss, y, w), start_scores(loss, many, weight), rtol=1e-4)


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore")  # Dask and XGBoost warn of ports, of memory and of each other
def test_two_workers_grow_the_trees_of_one() -> None:
    X, y = diabetes()
    w = weights(len(y))
    params: dict[str, Any] = {"max_depth": 3, "tree_method": "hist"}
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        columns = [array.from_array(a, chunks=(150, *a.shape[1:])) for a in (X, y, w)]
        rows = xgb.dask.DaskDMatrix(client, *columns[:2], weight=columns[2])
        for loss in ("gamma", "negative_binomial(size=2)", "huber(delta=20)", "pinball(alpha=0.9)"):
            found = mxd.train(client, params, rows, 10, loss=loss, evals=[(rows, "train")], verbose_eval=False)
            matrix = xgb.DMatrix(X, y, weight=w)
            told: dict[str, Any] = {}
            mx.train(params, matrix, 10, loss=loss, evals=[(matrix, "train")], evals_result=told, verbose_eval=False)
            [there], [here] = found["history"]["train"].values(), told["train"].values()
            after = ml.get(loss)(found["booster"].predict(matrix, output_margin=True), y, w)
            np.testing.assert_allclose(there[-1], after, rtol=1e-5)  # the mean over all rows, whichever worker has them
            np.testing.assert_allclose(there[-1], here[-1], rtol=0.1)  # two workers cut the columns elsewhere
        built_in = xgb.dask.train(client, params | {"objective": "reg:gamma"}, rows, 10)["booster"]
        ours = mxd.train(client, params, rows, 10, loss="gamma")["booster"]
        np.testing.assert_allclose(ours.predict(matrix), built_in.predict(matrix), rtol=1e-5)
        X, y = wines()
        labels = xgb.dask.DaskDMatrix(client, array.from_array(X, chunks=(60, 13)), array.from_array(y, chunks=60))
        booster = mxd.train(client, params | {"num_class": 3}, labels, 10, loss="sparsemax")["booster"]
        assert (booster.predict(xgb.DMatrix(X), output_margin=True).argmax(axis=1) == y).mean() > 0.97
        bad = xgb.dask.DaskDMatrix(client, columns[0], columns[1] - 100)
        with pytest.raises(ml.DomainError, match=r"target\[0\] is -75.0; allowed: \(0, inf\), the targets of gamma"):
            mxd.train(client, params, bad, 10, loss="gamma")
