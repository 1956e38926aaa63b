"""What a column may hold: numbers of any width, missing values; what else is refused, by name and type."""

import datetime as dt
import decimal
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from matchloss.errors import ShapeError
from matchloss.linear.plan import Category, ColumnError, Design, Number, learn, learn_rows

rng = np.random.default_rng(0)
TODAY = dt.date(2013, 1, 1)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
@pytest.mark.parametrize(
    ("bad", "said"),
    [(None, "NaN"), (np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "-infinity")],
)
def test_missing_and_infinite_numbers_are_errors_that_name_column_and_row(make, bad, said):
    frame = make({"fine": [1, 2, 3], "speed": [1.0, 2.0, bad]})
    for categorical in ((), ["speed"]):
        with pytest.raises(ValueError, match=f'column "speed", row 2: {said}'):
            learn(frame, categorical)
        design = learn(make({"fine": [1, 2], "speed": [1.0, 2.0]}), categorical)
        with pytest.raises(ValueError, match=f'column "speed", row 2: {said}'):
            design.rows(frame)
        assert learn(frame, categorical, "indicate").names[-1] == "speed is missing"


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_missing_text_is_an_error_or_a_level(make):
    frame = make({"city": ["Rome", None, "Oslo"]})
    with pytest.raises(ValueError, match='column "city", row 1: NaN, a missing value'):
        learn(frame)
    whole = make({"city": ["Rome", "Oslo"]})
    with pytest.raises(ValueError, match='column "city", row 1: NaN, a missing value'):
        learn(whole).rows(frame)
    assert learn(frame, missing="indicate").names == ("city = Rome", "city is missing")
    assert learn(whole, missing="indicate").rows(frame).unseen == {"city": 1}  # missing is a level, and was in no training row


def test_a_column_without_values():
    assert learn(pl.DataFrame({"c": [None, None]}, schema={"c": pl.String}), missing="indicate").columns == (Category("c", (None,)),)
    for column in (pl.Series([None, None]), pl.Series([None, None], dtype=pl.Float64), pl.Series([np.nan, np.inf])):
        with pytest.raises(ColumnError, match='column "x": no value is known'):
            learn(column.to_frame("x"), missing="indicate")
        design = Design((Number("x", 2.0, indicator=True),))
        assert [c.tolist() for c in design.rows(column.to_frame("x")).numbers] == [[2, 2], [1, 1]]
    untyped = pl.DataFrame({"x": [None, None], "c": [None, None]})
    rows = Design((Number("x", 2.0), Category("c", ("a", "b", None)))).rows(untyped)
    assert (rows.numbers[0].tolist(), rows.codes.tolist()) == ([2, 2], [[2], [2]])
    text = pl.DataFrame({"x": pl.Series([None, None], dtype=pl.String)})  # so a file without values is read
    assert Design((Number("x", 2.0),)).rows(text).numbers[0].tolist() == [2, 2]


def test_missing_columns_are_named_with_those_near():
    design = learn(pl.DataFrame({"distance": [1.0, 2.0], "carrier": ["AA", "UA"], "hour": [1, 2]}))
    with pytest.raises(ColumnError, match=r'^the table has no columns "distance" \(but "distnce"\) and "hour"$'):
        design.rows(pl.DataFrame({"distnce": [1.0], "carrier": ["AA"]}))
    with pytest.raises(ColumnError, match='no column "month"'):
        learn(pl.DataFrame({"x": [1]}), ["month"])
    many = Design(tuple(Number(f"x{i}") for i in range(1000)))
    with pytest.raises(ColumnError, match=r'"x4" and 995 others$'):
        many.rows(pl.DataFrame({"?": [1]}))


@pytest.mark.parametrize(
    ("learned", "given", "said"),
    [
        ([1, 2], ["1", "2"], "String; the model was trained on numbers"),
        ([1, 2], [True, False], "Boolean; the model was trained on numbers"),
        (["1", "2"], [1, 2], "Int64; the model was trained on text"),
        (["1", "2"], [True, False], "Boolean; the model was trained on text"),
        ([True, False], [1, 0], "Int64; the model was trained on booleans"),
        ([True, False], ["True", "False"], "String; the model was trained on booleans"),
    ],
)
@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_a_column_of_another_type_is_refused(make, learned, given, said):
    with pytest.raises(ColumnError, match=f'column "x" has the type {said} there'):
        learn(make({"x": learned})).rows(make({"x": given}))


def test_messages_do_not_list_thousands_of_levels():
    with pytest.raises(ColumnError, match=r'^column "x" has the type Enum; the model was trained on numbers there$'):
        learn(pl.DataFrame({"x": [1]})).rows(pl.DataFrame({"x": pl.Series(["a"], dtype=pl.Enum([*"abc"]))}))


UNREADABLE = [
    (pd.Series(pd.to_datetime(["2013-01-01"])), "Datetime"),
    (pd.Series(pd.to_datetime(["2013-01-01"])).dt.tz_localize("UTC"), "Datetime"),
    (pd.Series(pd.to_timedelta([1])), "Duration"),
    (pd.Series(pd.period_range("2013", periods=1)), "period"),
    (pd.Series(pd.cut(pd.Series([1, 2]), 2)), "interval"),
    (pd.Series(pd.Categorical([TODAY])), "date32"),
    (pd.Series(pd.Categorical([1, "a"])), "Categorical"),
    (pd.Series([1, "a"], dtype=object), "object"),
    (pd.Series(["a"] * 200 + [1], dtype=object), "String"),
    (pd.Series(["\ud800"], dtype=object), "String"),
    (pd.Series([TODAY], dtype=object), "object of date32"),
    (pd.Series([[1]], dtype=object), "object of list"),
    (pd.Series([b"a"], dtype=object), "object of binary"),
    (pd.Series([object()]), "object"),
    (pd.Series([2**70, 1], dtype=object), "object"),
    (pd.Series([1j]), "complex128"),
    (pl.Series([TODAY]), "Date"),
    (pl.Series([dt.datetime(2013, 1, 1)]), "Datetime"),
    (pl.Series([dt.timedelta(1)]), "Duration"),
    (pl.Series([dt.time(1)]), "Time"),
    (pl.Series([[1]]), "List"),
    (pl.Series([{"a": 1}]), "Struct"),
    (pl.Series([b"a"]), "Binary"),
    (pl.Series([object()]), "Object"),
    (pa.array([TODAY]), "Date"),
    (pa.array([[1]]), "List"),
    (pa.array([b"a"]), "Binary"),
    (pa.array([(1, 2, 3)], pa.month_day_nano_interval()), "month_day_nano_interval"),
    (pa.array([TODAY]).dictionary_encode(), "date32"),
]


@pytest.mark.parametrize(("column", "type_name"), UNREADABLE)
@pytest.mark.parametrize("categorical", [(), ["when"]])
def test_dates_nested_and_other_columns_are_refused_by_name_and_type(column, type_name, categorical):
    make = pd.DataFrame if isinstance(column, pd.Series) else pl.DataFrame if isinstance(column, pl.Series) else pa.table
    with pytest.raises(ColumnError, match=f'column "when" has the type .*{type_name}'):
        learn(make({"when": column}), categorical, "indicate")


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1, 2, None], dtype=object),
        pd.Series([1, 2, None], dtype="UInt8"),
        pd.Series([1, 2, None], dtype="Float32"),
        pd.Series([1, 2, None], dtype=np.float16),
        pd.Series([1, 2, None], dtype=np.longdouble),
        pd.Series([1, 2, None], dtype="Sparse[float64]"),
        pd.Series([decimal.Decimal(1), 2, None], dtype=object),
        pd.Series([1, 2, None], dtype=pd.ArrowDtype(pa.decimal128(5, 2))),
        *(pl.Series([1, 2, None], dtype=t) for t in (pl.Int8, pl.UInt64, pl.Int128, pl.UInt128, pl.Float32, pl.Float16)),
        pl.Series([1, 2, None], dtype=pl.Decimal(5, 2)),
        *(pa.array([1, 2, None], t) for t in (pa.uint8(), pa.float32(), pa.float16(), pa.decimal128(5, 2))),
    ],
)
def test_numbers_of_any_width(column):
    make = pd.DataFrame if isinstance(column, pd.Series) else pl.DataFrame if isinstance(column, pl.Series) else pa.table
    design, rows = learn_rows(make({"x": column}), missing="indicate")
    assert design.columns == (Number("x", 1.5, indicator=True),)
    assert [c.tolist() for c in rows.numbers] == [[1, 2, 1.5], [0, 0, 1]]
    assert learn(make({"x": column}), ["x"], "indicate").columns == (Category("x", (1, 2, None)),)


@pytest.mark.parametrize("width", [np.float32, np.float16])
def test_narrow_floats_are_averaged_and_filled_in_double_precision(width):
    values = rng.uniform(100, 101, 10_000).astype(width)
    mean = values.astype(np.float64).mean()
    for frame in (pd.DataFrame({"x": values}), pl.DataFrame({"x": values})):
        assert learn(frame, missing="indicate").columns == (Number("x", mean),)
    values = values[:100].copy()
    values[7] = np.nan
    for frame in (pd.DataFrame({"x": values}), pl.DataFrame({"x": values})):
        design, rows = learn_rows(frame, missing="indicate")
        assert rows.numbers[0][7] == design.columns[0].fill == np.nanmean(values.astype(np.float64))


def test_the_mean_of_huge_numbers_is_finite():
    for weight in (None, [1e308, 1e308, 1e308]):
        design = learn(pl.DataFrame({"x": [1.5e308, 1.5e308, None]}), missing="indicate", sample_weight=weight)
        assert design.columns == (Number("x", pytest.approx(1.5e308), indicator=True),)


def test_equal_and_odd_column_names():
    for frame in (
        pd.DataFrame(np.zeros((2, 2)), columns=["a", "a"]),
        pd.DataFrame(np.zeros((2, 2)), columns=[1, "1"]),
        pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]),
    ):
        with pytest.raises(ColumnError, match="columns of one name cannot be told apart"):
            learn(frame)
    assert learn(pd.DataFrame(np.zeros((2, 2)))).names == ("0", "1")
    assert learn(pd.DataFrame({("a", 1): [1.0], ("a", 2): [2.0]})).names == ("('a', 1)", "('a', 2)")


@pytest.mark.parametrize("frame", [None, {"x": [1]}, np.zeros((2, 2)), pl.Series([1]), pl.LazyFrame({"x": [1]})])
def test_what_is_no_frame_in_memory_is_a_type_error(frame):
    with pytest.raises(TypeError, match=f"needed, not .*{type(frame).__name__}"):
        learn(frame)


def test_bad_arguments():
    frame = pl.DataFrame({"x": [1, 2]})
    with pytest.raises(ShapeError, match=r"\(3,\); the table has 2 rows"):
        learn(frame, sample_weight=[1, 2, 3])
    with pytest.raises(ValueError, match="'drop'; it must be"):
        learn(frame, missing="drop")
    assert learn(pl.DataFrame({"hour": [1, 2]}), "hour").columns == (Category("hour", (1, 2), required=True),)  # not of letters


@pytest.mark.parametrize("absent", ["narwhals", "pyarrow"])
def test_a_missing_library_is_said_with_the_command_that_installs_it(absent, monkeypatch):
    for module in [m for m in sys.modules if m == absent or m.startswith(f"{absent}.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(ImportError, match=r'narwhals and pyarrow: pip install "matchloss\[linear\]"'):
        learn(pl.DataFrame({"x": ["a"]}))
    assert learn(pl.DataFrame({"x": [1]})).names == ("x",)  # numbers need neither


def test_no_frame_library_is_imported_before_the_first_frame():
    code = "import sys, matchloss.linear.plan; print(sorted({'narwhals', 'pyarrow', 'pandas', 'polars'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
