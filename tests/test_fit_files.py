"""Fits to files: the same coefficients as in memory, to the bit, however the rows are written."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import csv, feather

from fit_tables import ROWS, SMALL, TABLE, features, written
from matchloss.linear import LinearClassifier, LinearRegressor, fit_files, load
from matchloss.linear.columns import ColumnError
from matchloss.linear.file_options import bytes_of
from matchloss.linear.objective import NotInMemory
from matchloss.linear.plan import learn_rows
from matchloss.linear.solve import solve
from matchloss.linear.sources.files import places_of


@pytest.fixture(autouse=True)
def _on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rows are held in memory, however few."""
    monkeypatch.setattr("matchloss.linear.from_files.HELD", 1 << 30)


CASES = {
    "squared error": (LinearRegressor(), "number", (), False),
    "poisson": (LinearRegressor("poisson", l2=1e-3), "count", (), True),
    "poisson of numbers": (LinearRegressor("poisson"), "count", ("c", "flag", "many"), True),
    "huber": (LinearRegressor("huber"), "number", ("many",), False),
    "without intercept": (LinearRegressor("poisson", fit_intercept=False), "count", ("far",), False),
    "logistic": (LinearClassifier("logistic"), "binary", ("many",), True),
    "not convex": (LinearClassifier("sigmoid_brier"), "binary", ("many",), False),
    "three labels": (LinearClassifier(l2=1e-4), "label", ("many",), True),
}


@pytest.mark.parametrize("case", CASES)
def test_files_give_the_bits_of_memory(case: str, tmp_path: Path) -> None:
    estimator, target, drop, weighted = CASES[case]
    x, aside = features(target, drop)
    weight = TABLE["weight"].to_numpy() if weighted else None
    memory = type(estimator)(**estimator.get_params(deep=False)).fit(x, TABLE[target].to_numpy(), weight)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = type(estimator)(**estimator.get_params(deep=False)).fit_files(
        written(tmp_path / "t"),
        target,
        sample_weight="weight" if weighted else None,
        drop=aside if weighted else [*aside, "weight"],
        memory=SMALL,
        scratch=scratch,
    )
    assert found.coef_names_.tolist() == memory.coef_names_.tolist() and found.n_passes_ == memory.n_passes_
    np.testing.assert_array_equal(found.coef_, memory.coef_)
    np.testing.assert_array_equal(found.intercept_, memory.intercept_)
    np.testing.assert_array_equal(found.predict(x[:100]), memory.predict(x[:100]))
    assert not list(scratch.iterdir())


@pytest.mark.parametrize(("model", "target"), [(LinearRegressor("poisson"), "count"), (LinearClassifier("logistic"), "binary")])
def test_an_offset_column_is_read_by_fits_and_by_predictions(model: Any, target: str, tmp_path: Path) -> None:
    files, (x, aside), offset = written(tmp_path / "t"), features(target, ("a", "many")), TABLE["a"].to_numpy()
    memory, found = (type(model)(model.loss) for _ in range(2))
    memory.fit(x, TABLE[target].to_numpy(), TABLE["weight"].to_numpy(), offset)
    options: Any = {"sample_weight": "weight", "offset": "a", "drop": [name for name in aside if name != "a"], "memory": SMALL}
    found.fit_files(files, target, **options)
    np.testing.assert_array_equal(found.coef_, memory.coef_)
    np.testing.assert_array_equal(found.intercept_, memory.intercept_)
    expected = memory.predict(x, offset=offset)
    for one in (found, fit_files(model.loss, files, target, **options)):
        one.save(tmp_path / "m.json")
        again = load(tmp_path / "m.json")
        np.testing.assert_allclose(again.predict(TABLE), expected, rtol=1e-12)
        np.testing.assert_allclose(again.predict(x, offset=offset), expected, rtol=1e-12)
    np.testing.assert_array_equal(found.predict(TABLE), expected)
    errors = found.inference(TABLE, TABLE[target].to_numpy(), TABLE["weight"].to_numpy()).bse
    np.testing.assert_allclose(errors, memory.inference(x, TABLE[target].to_numpy(), TABLE["weight"].to_numpy(), offset).bse)
    with pytest.raises(ColumnError, match='the table has no column "a"'):
        found.predict(x)
    found.fit(x, TABLE[target].to_numpy())
    found.predict(x)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_offsets_that_cannot_be() -> None:
    frame = pl.DataFrame({"x": [1.0, 2, 3, 4], "o": [0.0, 0, np.inf, 0], "t": list("abab"), "y": [0, 1, 2, 0]})
    for model, offset, message in (
        (LinearRegressor("poisson"), "o", 'offset, column "o", is inf in row 2 of the batches; an offset is finite'),
        (LinearRegressor("poisson"), "t", 'offset, column "t", has the type'),
        (LinearRegressor("poisson"), "none", 'the batches has no column "none"'),
        (LinearClassifier(l2=1.0), "x", "an offset column is for one raw prediction a row; cross_entropy of 3 classes has 3"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit_files([frame], "y", offset=offset, drop=["o"] if offset == "x" else [])
    numbers = LinearRegressor("poisson").fit_files([frame.drop("o", "t").with_columns(z=pl.Series([0.1, 0.2, 0.3, 0.0]))], "y", offset="z")
    with pytest.raises(ValueError, match='the model has the offset "z", a column of its table: pass offset='):
        numbers.predict(np.ones((2, 1)))
    assert numbers.predict(np.ones((2, 1)), offset=np.zeros(2)).shape == (2,)


def test_a_model_without_an_estimator_has_its_bits(tmp_path: Path) -> None:
    files, (_, aside) = written(tmp_path / "t"), features("binary", ("many",))
    found = fit_files("logistic", files, "binary", drop=aside, sample_weight="weight", memory=SMALL)
    estimator = LinearClassifier("logistic").fit_files(files, "binary", drop=aside, sample_weight="weight", memory=SMALL)
    np.testing.assert_array_equal(found.coef, estimator.coef_[0])
    assert (found.intercept, found.classes) == (estimator.intercept_[0], ("0", "1"))
    found.save(tmp_path / "m.json")
    again = load(tmp_path / "m.json")
    np.testing.assert_array_equal(again.coef_, estimator.coef_)
    assert again.classes_.tolist() == [0, 1] and again.n_passes_ == estimator.n_passes_
    assert fit_files("logistic", files, "binary", drop=[*aside, "weight"], labels=False, memory=SMALL).kind == "number"
    with pytest.raises(ValueError, match="needs two classes or more"):
        fit_files("logistic", TABLE.slice(0, 50).set_column(0, "one", pa.array(["x"] * 50)), "one", drop=aside)
    with pytest.raises(ValueError, match="cross_entropy is a loss of labels"):
        fit_files("cross_entropy", files, "binary", labels=False)


WITHOUT = """
import sys
from matchloss.linear import fit_files
fit_files("logistic", sys.argv[1], "binary", l2=1.0)
print([name for name in ("sklearn", "pandas", "polars", "scipy.stats", "scipy.optimize", "pyarrow.dataset") if name in sys.modules])
"""


def test_a_model_without_an_estimator_imports_no_scikit_learn(tmp_path: Path) -> None:
    """Which alone takes 100 MB."""
    files = written(tmp_path / "t", TABLE.slice(0, 100).select(["a", "k", "c", "flag", "binary"]))
    assert subprocess.run([sys.executable, "-c", WITHOUT, files], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_an_arrow_gives_the_bits_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matchloss.linear.methods.NEWTON_COLUMNS", 100)
    x, aside = features("count")
    memory = LinearRegressor("poisson", l2=1e-4).fit(x, TABLE["count"].to_numpy())
    found = LinearRegressor("poisson", l2=1e-4).fit_files(written(tmp_path / "t"), "count", drop=[*aside, "weight"])
    assert "levels eliminated" in str(found.method_)
    np.testing.assert_array_equal(found.coef_, memory.coef_)


@pytest.mark.parametrize("weighted", [False, True])
def test_missing_values_give_the_bits_of_memory(weighted: bool, tmp_path: Path) -> None:
    x, _ = features("number", ("many",))
    for j, name in enumerate(("a", "k", "c")):
        gone = np.random.default_rng(j).random(ROWS) < 0.1
        values = pa.array([None if g else v for g, v in zip(gone, x[name].to_pylist(), strict=True)], x[name].type)
        x = x.set_column(x.column_names.index(name), name, values)
    weight, y = TABLE["weight"].to_numpy() if weighted else None, TABLE["number"].to_numpy()
    design, rows = learn_rows(x, missing="indicate", sample_weight=weight)
    memory = solve(LinearRegressor()._suited(), rows, y, sample_weight=weight)
    whole = x.append_column("number", TABLE["number"]).append_column("weight", TABLE["weight"])
    found = LinearRegressor().fit_files(
        written(tmp_path / "t", whole),
        "number",
        sample_weight="weight" if weighted else None,
        drop=[] if weighted else ["weight"],
        missing="indicate",
    )
    assert found.design_ == design
    np.testing.assert_array_equal(found.coef_, memory.coef)
    with pytest.raises(ValueError, match=r'column "a", row \d+ of .*0.parquet: NaN, a missing value'):
        LinearRegressor().fit_files(tmp_path / "t", "number", drop=["weight"])


def test_every_way_to_write_a_table_gives_the_same(tmp_path: Path) -> None:
    x, _ = features("number", ("many", "far", "flag"))
    whole = x.append_column("number", TABLE["number"])
    want = LinearRegressor().fit(x, TABLE["number"].to_numpy()).coef_
    feather.write_feather(whole, tmp_path / "t.arrow")
    with pa.ipc.new_stream(tmp_path / "s.arrow", whole.schema) as stream:
        stream.write_table(whole, 1000)
    csv.write_csv(whole, tmp_path / "t.csv")
    pl.DataFrame(pl.from_arrow(whole)).write_csv(tmp_path / "t.csv")
    os.system(f"gzip -k {tmp_path}/t.csv")
    frame = pl.DataFrame(pl.from_arrow(whole))
    ways: dict[str, Any] = {
        "one file": written(tmp_path / "one", whole, 1) / "0.parquet",
        "small groups": written(tmp_path / "small", whole, 7, 311),
        "pattern": f"{written(tmp_path / 'more', whole, 2)}/*.parquet",
        "list": [tmp_path / "more" / "0.parquet", str(tmp_path / "more" / "1.parquet")],
        "arrow": tmp_path / "t.arrow",
        "stream": tmp_path / "s.arrow",
        "csv": tmp_path / "t.csv",
        "gzip": tmp_path / "t.csv.gz",
        "batches": lambda: iter(whole.to_batches(777)),
        "polars": (frame[i : i + 5000] for i in range(0, ROWS, 5000)),
        "pandas": lambda: [whole.to_pandas()],
        "frame": frame,
        "table": whole,
    }
    for name, data in ways.items():
        found = LinearRegressor().fit_files(data, "number", memory="50MB")
        np.testing.assert_array_equal(found.coef_, want, err_msg=name)


def test_rows_in_another_order_give_nearly_the_same(tmp_path: Path) -> None:
    _, aside = features("binary", ("many",))
    order = np.random.default_rng(1).permutation(ROWS)
    one, other = (
        LinearClassifier(tol=1e-10).fit_files(written(tmp_path / name, rows), "binary", drop=[*aside, "weight"])
        for name, rows in (("one", TABLE), ("other", TABLE.take(order)))
    )
    np.testing.assert_allclose(one.coef_, other.coef_, rtol=1e-6)


def test_labels_and_columns_of_every_type(tmp_path: Path) -> None:
    y = np.array([True, False] * 50)
    frame = pa.table({"x": np.arange(100.0) % 7, "y": y})
    assert LinearClassifier(l2=1).fit_files(frame, "y").classes_.tolist() == [False, True]
    assert LinearClassifier(l2=1).fit_files(frame.set_column(1, "y", pa.array(y * 3)), "y").classes_.tolist() == [0, 3]
    short = frame.slice(0, 30)
    memory = LinearClassifier(l2=1.0).fit(short.drop_columns("y"), short["y"].to_numpy())
    np.testing.assert_array_equal(LinearClassifier(l2=1.0).fit_files(short, "y").coef_, memory.coef_)
    three = pa.table({"x": np.arange(99.0) % 7, "y": np.arange(99) % 3})  # so few that Newton's method takes the whole hessian
    memory = LinearClassifier(l2=1.0).fit(three.drop_columns("y"), three["y"].to_numpy())
    np.testing.assert_array_equal(LinearClassifier(l2=1.0).fit_files(three, "y").coef_, memory.coef_)


def test_a_separated_and_a_collinear_table_are_noticed_as_in_memory(tmp_path: Path) -> None:
    r = np.random.default_rng(0)
    x = r.normal(size=(3000, 2))
    frame = pa.table({"a": x[:, 0], "b": x[:, 1], "twice": 2 * x[:, 0], "y": (x[:, 0] > 0).astype(int), "n": x[:, 1]})

    def said(fit: Callable[[], Any]) -> list[str]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fit()
        return [str(w.message) for w in caught]

    for target, estimator in (("y", LinearClassifier()), ("n", LinearRegressor())):
        columns = ["a", "b", "twice"] if target == "n" else ["a", "b"]
        memory = said(lambda: estimator.fit(frame.select(columns), frame[target].to_numpy()))  # noqa: B023
        files = said(lambda: estimator.fit_files(frame.select([*columns, target]), target))  # noqa: B023
        assert memory == files and len(files) == 1
    memory = said(lambda: LinearRegressor("poisson").fit(frame.select(["a"]), np.zeros(3000)))
    assert memory == said(
        lambda: LinearRegressor("poisson").fit_files(frame.select(["a"]).append_column("y", pa.array(np.zeros(3000))), "y")
    )
    assert "all targets are 0" in memory[0]


def test_a_loss_with_kinks_is_refused_with_the_reason() -> None:
    for estimator in (LinearRegressor("pinball"), LinearRegressor("absolute_error"), LinearClassifier("hinge")):
        with pytest.raises(NotInMemory, match="interior point method that fits it needs all rows in memory: `fit` a sample"):
            estimator.fit_files("nowhere", "y")


def test_sizes_and_paths(tmp_path: Path) -> None:
    assert bytes_of("2GB") == 2 * 10**9 and bytes_of("1.5 MiB") == 3 << 19 and bytes_of(10) == 10
    for wrong in ("", "GB", "-1", "2XB", 0, True, 1.5):
        with pytest.raises(ValueError, match="allowed: a size such as"):
            bytes_of(wrong)  # pyright: ignore[reportArgumentType]
    folder = written(tmp_path / "t", TABLE.slice(0, 10), 2)
    (folder / "_SUCCESS").write_text("")
    assert [place.name for place in places_of(folder)] == ["0.parquet", "1.parquet"]
    assert [place.name for place in places_of([f"{folder}/1*", folder / "0.parquet"])] == ["1.parquet", "0.parquet"]
