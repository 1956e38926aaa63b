"""Standard errors of rows in files are those of the same rows in memory: one pass adds up all that they ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from matchloss.errors import NotInMemory
from matchloss.linear import LinearClassifier, LinearRegressor
from matchloss.linear.from_files import Reading, opened
from matchloss.linear.inference.build import Fit, columns_of
from matchloss.linear.inference.outside import infer_source
from matchloss.linear.sources.files import table_of
from matchloss.linear.sources.learn import Spec

N = 4000
r = np.random.default_rng(3)
X = pl.DataFrame({"x": r.normal(size=N), "far": 1e4 + r.normal(size=N), "town": r.choice(["Ulm", "Bonn", "Graz"], N)})
Z = X["x"].to_numpy() + (X["town"] == "Graz").to_numpy()
TARGETS = {
    "logistic": np.where(Z + r.logistic(size=N) > 0, "yes", "no"),
    "cloglog": np.where(Z + r.logistic(size=N) > 0, "yes", "no"),
    "poisson": r.poisson(np.exp(Z / 2)),
    "gamma": r.gamma(2.0, np.exp(Z / 2)),
    "squared_error": Z + r.normal(size=N),
    "huber": Z + r.normal(size=N),
}


def both(folder: Path, loss: str, weight: Any, l2: float = 0.0, weights: Any = "repeat") -> tuple[Any, Any]:
    """The inference of a fit in memory, and the same from a file."""
    y, labels = TARGETS[loss], TARGETS[loss].dtype.kind == "U"
    model: Any = (LinearClassifier if labels else LinearRegressor)(loss, l2=l2, tol=1e-11).fit(X, y, weight)
    memory = model.inference(X, y, weight, weights=weights)
    table = X.with_columns(y=pl.Series(y), **({} if weight is None else {"w": pl.Series(weight)}))
    table.write_parquet(folder / "table.parquet", row_group_size=1500)
    spec = Spec("y", labels, None if weight is None else "w")
    coef, intercept = np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)
    with opened(table_of(str(folder / "table.parquet"), spec), spec, Reading(memory="1GB"), {}) as rows:
        found = rows.found
        assert found.design.names == model.design_.names
        classes = tuple(map(str, found.classes))
        fit = Fit(model.loss_, coef, intercept, True, l2, found.design.names, columns_of(found.design), classes, model._diverging)
        return memory, infer_source(fit, found.of_target(np.float64), weights)


@pytest.mark.parametrize("loss", TARGETS)
def test_files_give_what_memory_gives(tmp_path: Path, loss: str) -> None:
    weight = r.integers(0, 4, N).astype(float) if loss in ("poisson", "cloglog") else None
    memory, files = both(tmp_path, loss, weight, 1e-3 if loss == "logistic" else 0.0)
    kinds = ["HC0", "HC1", *(["fisher", "observed", "bayes"] if memory.measures else [])]
    for kind in kinds:
        np.testing.assert_allclose(files.covariance(kind), memory.covariance(kind), rtol=1e-8)
    left, right = files.summary(), memory.summary()
    assert left.notes == right.notes and left.title == right.title and left.heads == right.heads
    np.testing.assert_allclose(left["p_value"], right["p_value"], rtol=1e-6, atol=1e-300)
    np.testing.assert_allclose(files.conf_int(0.1), memory.conf_int(0.1), rtol=1e-9)
    assert set(left.facts) <= set(right.facts)
    assert ("AIC:" in dict(left.facts)) == (memory.f.loss.simplified.likelihood == "whole")
    if memory.measures:
        assert files.wald_test("town").pvalue == pytest.approx(memory.wald_test("town").pvalue, rel=1e-6)


def test_a_mean_of_trials_and_a_level_that_is_all_one_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weight = r.integers(1, 5, N) / 2
    memory, files = both(tmp_path, "gamma", weight, weights="trials")
    np.testing.assert_allclose(files.bse, memory.bse, rtol=1e-9)
    memory, files = both(tmp_path, "poisson", weight)
    assert files.notes == memory.notes and "not whole numbers" in files.notes[0]
    monkeypatch.setitem(TARGETS, "poisson", np.where(X["town"] == "Bonn", 0, TARGETS["poisson"]))
    with pytest.warns(UserWarning):
        memory, files = both(tmp_path, "poisson", None)
    assert np.isnan(files.bse[-2:]).all() and (np.isnan(files.bse) == np.isnan(memory.bse)).all() and files.notes == memory.notes


def test_what_needs_each_row_says_so(tmp_path: Path) -> None:
    _, files = both(tmp_path, "poisson", None)
    for what in (lambda: files.llnull, lambda: files.residuals(), lambda: files.covariance("cluster", np.arange(N) % 9)):
        with pytest.raises((NotInMemory, ValueError), match=r"memory|groups"):
            what()
