"""From a data frame of any library to rows of numbers and codes: the same bits, the levels in order, clear errors."""

import datetime as dt
import decimal
import subprocess
import sys
from itertools import chain, pairwise

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchloss.errors import ShapeError
from matchloss.linear.plan import Category, ColumnError, Design, Number, learn, learn_rows

rng = np.random.default_rng(0)
TODAY = dt.date(2013, 1, 1)

# A table as Python lists: its columns are (kind, values), None where missing.
KINDS = {
    "int": st.integers(-(2**53), 2**53),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "few": st.integers(0, 3),  # taken as levels
    "text": st.sampled_from(["", "a", "b", "é", "Z", "nan", "😀"]),
    "bool": st.booleans(),
}


@st.composite
def tables(draw, kinds=tuple(KINDS), gaps=True, least_rows=0):
    n = draw(st.integers(least_rows, 12))
    chosen = draw(st.lists(st.sampled_from(kinds), min_size=min(least_rows, 1), max_size=4))
    cell = {kind: st.none() | KINDS[kind] if gaps else KINDS[kind] for kind in kinds}
    return {f"{kind} {j}": draw(st.lists(cell[kind], min_size=n, max_size=n)) for j, kind in enumerate(chosen)}


def few(table):
    return [name for name in table if name.startswith("few")]


def of_polars(table, coded=None):
    types = {"int": pl.Int64, "float": pl.Float64, "few": pl.Int32, "text": pl.String, "bool": pl.Boolean}
    frame = pl.DataFrame({name: pl.Series(values, dtype=types[name.split()[0]]) for name, values in table.items()})
    if coded is pl.Enum:
        return frame.with_columns(pl.col(c).cast(pl.Enum(sorted(set(table[c]) - {None}))) for c in table if c.startswith("text"))
    return frame.with_columns(pl.col(pl.String).cast(coded)) if coded else frame


def of_arrow(table, chunks=1, dictionary=False):
    whole = of_polars(table).to_arrow()
    if dictionary:
        text = [c for c in table if c.startswith("text")]
        whole = whole.cast(
            pa.schema([(c, pa.dictionary(pa.int8(), pa.string()) if c in text else whole.schema.field(c).type) for c in table])
        )
    cut = np.linspace(0, whole.num_rows, chunks + 1).astype(int)
    parts = [whole.slice(a, b - a) for a, b in pairwise(cut)]
    return pa.concat_tables(parts) if table else whole


def of_pandas(table, text="str", nullable=False):
    def series(name, values):
        kind = name.split()[0]
        if kind == "text":
            return pd.Series(values, dtype=text)
        if kind == "bool":
            return pd.Series(values, dtype="boolean" if nullable or not values else object if None in values else bool)
        whole = kind in ("int", "few")
        if nullable:
            return pd.Series(values, dtype="Int64" if whole else "Float64")
        return pd.Series(values, dtype=np.int64 if whole and None not in values else np.float64)

    return pd.DataFrame({name: series(name, values) for name, values in table.items()})


FRAMES = {
    "polars": of_polars,
    "polars Categorical": lambda t: of_polars(t, pl.Categorical),
    "polars Enum": lambda t: of_polars(t, pl.Enum),
    "pyarrow": of_arrow,
    "pyarrow chunks": lambda t: of_arrow(t, 3),
    "pyarrow dictionaries": lambda t: of_arrow(t, 3, dictionary=True),
    "pandas": of_pandas,
    "pandas object": lambda t: of_pandas(t, object),
    "pandas string": lambda t: of_pandas(t, "string[python]"),
    "pandas category": lambda t: of_pandas(t, "category"),
    "pandas nullable": lambda t: of_pandas(t, "string[pyarrow]", nullable=True),
    "pandas arrow": lambda t: of_arrow(t).to_pandas(types_mapper=pd.ArrowDtype),
}


def bits(design, rows):
    """All that a fit sees, numbers as the passes read them."""
    numbers = [np.ascontiguousarray(column, np.float64).tobytes() for column in rows.numbers]
    return design, design.names, rows.n, numbers, rows.codes.tolist(), rows.levels, rows.slots.tolist(), rows.unseen


def raw(rows, intercept, coef):
    """The raw predictions, coefficients found through slots and codes."""
    wide = np.zeros(rows.width)
    wide[0], wide[rows.slots] = intercept, coef
    total = wide[0] + sum((column * wide[1 + j] for j, column in enumerate(rows.numbers)), np.zeros(rows.n))
    return total + wide[rows.first + rows.codes].sum(axis=1)


def one_hot(design, table, n):
    """The design matrix as one writes it by hand: a column for each number, indicator, and level but the first."""
    columns = []
    for c in design.columns:
        values = table[c.name]
        if isinstance(c, Number):
            columns.append([c.fill if v is None else v for v in values])
            columns += [[v is None for v in values]] if c.indicator else []
        else:
            columns += [[v == level for v in values] for level in c.levels[1:]]
    return np.array(columns, float).reshape(len(columns), n).T


def failing(call):
    """What it raised, or what it returned."""
    try:
        return bits(*call())
    except ValueError as error:
        return type(error), str(error)


@settings(max_examples=150, deadline=None)
@given(tables(), st.sampled_from(["error", "indicate"]), st.data())
def test_every_library_gives_the_same_bits_and_the_same_errors(table, missing, data):
    n = len(next(iter(table.values()), []))
    weight = data.draw(st.none() | st.lists(st.sampled_from([0.0, 1.0, 2.5]), min_size=n, max_size=n))
    wanted = failing(lambda: learn_rows(of_polars(table), few(table), missing, weight))
    for name, make in FRAMES.items():
        assert failing(lambda make=make: learn_rows(make(table), few(table), missing, weight)) == wanted, name


@settings(max_examples=60, deadline=None)
@given(tables(least_rows=1), st.randoms(use_true_random=False))
def test_rows_of_any_library_and_column_order_enter_a_design_alike(table, random):
    fresh = {name: random.choices([*values, None], k=5) for name, values in table.items()}
    try:
        design = learn(of_polars(table), few(table), "indicate")
    except ColumnError:  # numbers of which none is known
        return
    wanted = bits(design, design.rows(of_polars(fresh)))
    shuffled = random.sample(list(fresh), len(fresh))
    extra = {"text extra": ["x"] * 5, **{name: fresh[name] for name in shuffled}, "int extra": [1] * 5}
    for name, make in FRAMES.items():
        assert bits(design, design.rows(make(extra))) == wanted, name


@settings(max_examples=150, deadline=None)
@given(tables(kinds=("few", "text", "bool", "int"), least_rows=1), st.data())
def test_codes_and_slots_are_one_hot_by_hand(table, data):
    n = len(next(iter(table.values())))
    table = {name: [v % 7 if name.startswith("int") and v is not None else v for v in values] for name, values in table.items()}
    try:
        design, rows = learn_rows(of_polars(table), few(table), "indicate")
    except ColumnError:
        return
    coef = np.array(data.draw(st.lists(st.integers(-9, 9), min_size=len(design.names), max_size=len(design.names))), float)
    assert np.allclose(raw(rows, 0.5, coef), 0.5 + one_hot(design, table, n) @ coef, rtol=1e-13, atol=1e-13)
    assert not rows.unseen
    fresh = {
        name: data.draw(st.lists(st.none() | KINDS[name.split()[0]].filter(lambda v: v != 3), min_size=4, max_size=4)) for name in table
    }
    entered = design.rows(of_polars(fresh))
    assert np.allclose(raw(entered, 0.5, coef), 0.5 + one_hot(design, fresh, 4) @ coef, rtol=1e-12, atol=1e-12)
    lost = {c.name: sum(v not in c.levels for v in fresh[c.name]) for c in design.columns if isinstance(c, Category)}
    assert entered.unseen == {name: count for name, count in lost.items() if count}


@settings(max_examples=100, deadline=None)
@given(tables(least_rows=1), st.data())
def test_a_weight_is_that_many_rows(table, data):
    n = len(next(iter(table.values()), []))
    weight = data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    repeated = {name: [v for v, w in zip(values, weight, strict=True) for _ in range(w)] for name, values in table.items()}
    a, b = (failing(call) for call in (
        lambda: learn_rows(of_polars(table), few(table), "indicate", weight),
        lambda: learn_rows(of_polars(repeated), few(table), "indicate"),
    ))  # fmt: skip
    assert a[0] is b[0] is ColumnError or a[1] == b[1]
    if isinstance(a[0], Design):
        for left, right in zip(a[0].columns, b[0].columns, strict=True):
            if isinstance(left, Number):
                top = max(abs(v) for v in repeated[left.name] if v is not None)
                assert left.fill == pytest.approx(right.fill, rel=1e-12, abs=1e-14 * top)
            else:
                assert left == right


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=1), st.permutations("abcd"))
def test_declared_orders_stay_and_levels_in_no_row_go(values, order):
    used = tuple(level for level in order if level in values)
    series = {
        "Enum": pl.Series(values, dtype=pl.Enum(order)).to_frame("c"),
        "Categorical": pd.DataFrame({"c": pd.Categorical(values, categories=order)}),
        "ordered Categorical": pd.DataFrame({"c": pd.Categorical(values, categories=order, ordered=True)}),
        "ordered dictionary": pa.table({"c": pa.DictionaryArray.from_arrays([order.index(v) for v in values], list(order), ordered=True)}),
    }
    for name, frame in series.items():
        design, rows = learn_rows(frame)
        assert design.columns == (Category("c", used, required=True),), name
        assert rows.codes[:, 0].tolist() == [used.index(v) for v in values], name
    unordered = pa.table({"c": pa.DictionaryArray.from_arrays([order.index(v) for v in values], list(order))})
    assert learn(unordered).columns[0].levels == tuple(sorted(used))


def test_levels_keep_their_type_and_missing_is_the_last():
    frame = pd.DataFrame(
        {
            "month": [12.0, 1.0, np.nan],  # integers, but for the gap
            "half": [0.5, -0.0, np.inf],
            "late": pd.Series([True, None, False], dtype=object),
            "size": pd.Categorical([3, None, 1], categories=[3, 2, 1]),
        }
    )
    design = learn(frame, ["month", "half"], "indicate")
    assert [c.levels for c in design.columns] == [(1, 12, None), (0, 0.5, None), (False, True, None), (3, 1, None)]
    assert [type(level) for level in design.columns[0].levels] == [int, int, type(None)]
    assert design.names == (
        *("month = 12", "month is missing", "half = 0.5", "half is missing"),
        *("late = True", "late is missing", "size = 1", "size is missing"),
    )  # fmt: skip
    assert design.rows(pl.DataFrame({"month": [1], "half": [0.0], "late": [True], "size": [2.0]})).codes.tolist() == [[0, 0, 1, 0]]


def test_slots_follow_the_table_though_numbers_lie_before_levels():
    frame = pl.DataFrame({"b": [True, False, True], "x": [1.0, None, 2.0], "c": ["v", "u", "w"], "y": [1, 2, 3]})
    design, rows = learn_rows(frame, missing="indicate")
    assert design.names == ("b = True", "x", "x is missing", "c = v", "c = w", "y")
    assert rows.slots.tolist() == [5, 1, 2, 7, 8, 3]
    assert rows.levels == (2, 3)
    assert rows.width == 9


def test_rows_of_weight_zero_teach_nothing():
    frame = pl.DataFrame({"x": [1.0, 3.0, 100.0, None], "c": ["b", "c", "a", None]})
    design, rows = learn_rows(frame, missing="indicate", sample_weight=[1, 1, 0, 0])
    assert design.columns == (Number("x", 2.0), Category("c", ("b", "c")))
    assert rows.numbers[0].tolist() == [1, 3, 100, 2]
    assert (rows.codes.tolist(), rows.unseen) == ([[0], [1], [0], [0]], {"c": 2})
    with pytest.raises(ColumnError, match='"x": no value is known'):
        learn(frame, missing="indicate", sample_weight=[0, 0, 0, 1])
    with pytest.raises(ValueError, match='"x", row 3: NaN'):  # a product with its weight would be NaN too
        learn(frame, sample_weight=[1, 1, 0, 0])


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


def test_the_mean_of_huge_numbers_is_finite():
    for weight in (None, [1e308, 1e308, 1e308]):
        design = learn(pl.DataFrame({"x": [1.5e308, 1.5e308, None]}), missing="indicate", sample_weight=weight)
        assert design.columns == (Number("x", pytest.approx(1.5e308), indicator=True),)


@pytest.mark.parametrize("make", list(FRAMES.values()), ids=list(FRAMES))
def test_no_rows_one_row_no_columns(make):
    table = {"int": [3], "float": [0.5], "text": ["a"], "bool": [True], "few": [2]}
    design, rows = learn_rows(make({name: [] for name in table}), ["few"])
    assert (design.names, rows.n, rows.codes.shape, rows.levels) == (("int", "float"), 0, (0, 3), (1, 1, 1))
    assert design.rows(make(table)).unseen == {"text": 1, "bool": 1, "few": 1}  # every level counts as a reference that none was
    design, rows = learn_rows(make(table), ["few"])
    assert (design.names, rows.codes.tolist(), rows.slots.tolist()) == (("int", "float"), [[0, 0, 0]], [1, 2])
    assert design.rows(make({name: [] for name in table})).n == 0
    design, rows = learn_rows(make({}))
    assert (design, rows.n, rows.codes.shape, rows.width) == (Design(()), 0, (0, 0), 1)
    assert design.rows(make(table)).n == 1


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
    assert learn(frame, "x").columns == (Category("x", (1, 2), required=True),)  # one name is a collection of one


def test_numbers_are_read_where_they_lie():
    matrix = rng.normal(size=(50, 4))
    whole = rng.integers(0, 9, 50)
    frames = [
        pd.DataFrame(matrix, columns=list("abcd")),
        pd.DataFrame(np.asfortranarray(matrix), columns=list("abcd")),
        pd.DataFrame({"a": matrix[:, 0].copy(), "i": whole}),
        pl.DataFrame({"a": matrix[:, 0].copy(), "i": whole}),
        pa.table({"a": matrix[:, 0].copy(), "i": whole}),
    ]
    for frame in frames:
        rows = learn_rows(frame)[1]
        again = learn_rows(frame)[1]
        for j, name in enumerate(frame.columns if not isinstance(frame, pa.Table) else frame.column_names):
            assert np.shares_memory(rows.numbers[j], again.numbers[j]), (type(frame), name)


def test_read_only_strided_and_reversed_columns_and_rows():
    matrix = rng.normal(size=(40, 6))
    matrix.setflags(write=False)
    text = rng.choice(["u", "v", "w"], 40)
    plain = pd.DataFrame({"a": matrix[::-2, 1].copy(), "b": matrix[::-2, 4].copy(), "c": pd.Categorical(text[::-2])})
    strided = pd.DataFrame(matrix[:, 1::3], columns=["a", "b"]).assign(c=pd.Categorical(text)).iloc[::-2]
    before = strided.copy()
    assert bits(*learn_rows(strided, missing="indicate")) == bits(*learn_rows(plain, missing="indicate"))
    sliced = pl.from_pandas(strided.reset_index(drop=True)).vstack(pl.from_pandas(strided.reset_index(drop=True)))[20:]
    assert bits(*learn_rows(sliced, missing="indicate")) == bits(*learn_rows(plain, missing="indicate"))
    assert strided.equals(before)


def test_the_input_is_never_written_to():
    for name, make in FRAMES.items():
        frame = make({"int": [1, None], "float": [None, 2.0], "text": ["a", None], "bool": [True, None]})
        before = frame.copy() if isinstance(frame, pd.DataFrame) else frame.clone() if isinstance(frame, pl.DataFrame) else frame
        learn_rows(frame, missing="indicate")
        assert frame.equals(before), name


def test_dictionaries_of_chunks_may_differ():
    def part(values):
        return pa.array(values, pa.string()).cast(pa.dictionary(pa.int8(), pa.string()))

    chunks = [[f"x{i}" for i in range(120)], [f"y{i}" for i in range(120)], ["x0", None, "y119"]]  # 240 levels exceed int8
    frame = pa.table({"c": pa.chunked_array([part(values) for values in chunks])})
    assert bits(*learn_rows(frame, missing="indicate")) == bits(*learn_rows(pl.DataFrame({"c": list(chain(*chunks))}), missing="indicate"))
    repeated = pa.table({"c": pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 2], pa.int8()), pa.array(["b", None, "b"]))})
    design, rows = learn_rows(repeated, missing="indicate")
    assert (design.columns[0].levels, rows.codes[:, 0].tolist()) == (("b", None), [0, 1, 1, 0])


def test_a_record_batch_is_a_table():
    batch = pa.record_batch({"x": [1, 2], "c": ["a", "b"]})
    assert bits(*learn_rows(batch)) == bits(*learn_rows(pa.table(batch)))


def test_polars_categories_that_share_their_numbers():
    pl.Series([f"other {i}" for i in range(5000)], dtype=pl.Categorical)  # alive: none of these numbers is free
    other = pl.Series([f"yet another {i}" for i in range(5000)], dtype=pl.Categorical)
    narrow = pl.Categorical(pl.Categories("narrow", physical=pl.UInt8))
    for frame in (
        pl.DataFrame({"c": pl.Series(["late", None, "early"], dtype=pl.Categorical)}),
        pl.DataFrame({"c": pl.Series(["late", None, "early"], dtype=narrow)}),
    ):
        design, rows = learn_rows(frame, missing="indicate")
        assert (design.columns[0].levels, rows.codes[:, 0].tolist()) == (("early", "late", None), [1, 2, 0])
    assert len(other) == 5000


@pytest.mark.parametrize("make", [of_polars, lambda t: of_polars(t, pl.Categorical), of_pandas, lambda t: of_pandas(t, object), of_arrow])
def test_a_hundred_thousand_levels(make):
    values = [f"n{i:06}" for i in range(100_000)]
    shuffled = [values[i] for i in rng.permutation(100_000)]
    design, rows = learn_rows(make({"text": shuffled}))
    assert design.columns[0].levels == tuple(values)
    assert [values[i] for i in rows.codes[:, 0]] == shuffled
    assert design.rows(make({"text": ["n000007", "m"]})).codes.tolist() == [[7], [0]]


def test_codes_of_200_and_of_70_000_levels_hold():
    for count in (2, 127, 128, 129, 255, 256, 257, 65_535, 65_537):
        rows = learn_rows(pl.DataFrame({"k": np.arange(count)}), ["k"])[1]
        assert rows.codes.dtype == np.int32
        assert (rows.codes[:, 0] == np.arange(count)).all()


@pytest.mark.parametrize("absent", ["narwhals", "pyarrow"])
def test_a_missing_library_is_said_with_the_command_that_installs_it(absent, monkeypatch):
    for module in [m for m in sys.modules if m == absent or m.startswith(f"{absent}.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(ImportError, match=r'narwhals and pyarrow: pip install "matchloss\[linear\]"'):
        learn(pl.DataFrame({"x": [1]}))


def test_no_frame_library_is_imported_before_the_first_frame():
    code = "import sys, matchloss.linear.plan; print(sorted({'narwhals', 'pyarrow', 'pandas', 'polars'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
