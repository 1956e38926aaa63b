"""From a data frame of any library to rows of numbers and codes: the same bits, the levels in order."""

from itertools import chain

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frames import FRAMES, KINDS, bits, failing, few, of_arrow, of_pandas, of_polars, one_hot, raw, tables
from matchloss.linear.columns import SMALL
from matchloss.linear.plan import Category, ColumnError, Design, Number, learn, learn_rows
from sweeps import examples

rng = np.random.default_rng(0)


@settings(max_examples=examples(150), deadline=None)
@given(tables(), st.sampled_from(["error", "indicate"]), st.data())
def test_every_library_gives_the_same_bits_and_the_same_errors(table, missing, data):
    n = len(next(iter(table.values()), []))
    weight = data.draw(st.none() | st.lists(st.sampled_from([0.0, 1.0, 2.5]), min_size=n, max_size=n))
    wanted = failing(lambda: learn_rows(of_polars(table), few(table), missing, weight))
    for name, make in FRAMES.items():
        assert failing(lambda make=make: learn_rows(make(table), few(table), missing, weight)) == wanted, name


@settings(max_examples=examples(60), deadline=None)
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


@settings(max_examples=examples(150), deadline=None)
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


@settings(max_examples=examples(100), deadline=None)
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


@settings(max_examples=examples(100), deadline=None)
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


def test_numbers_are_read_where_they_lie():
    matrix = rng.normal(size=(SMALL, 4))  # a smaller frame of pandas may be copied, which takes less time than a look at each column
    whole = rng.integers(0, 9, SMALL)
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
    full = pa.table(
        {"c": pa.DictionaryArray.from_arrays(pa.array([*range(128), None], pa.int8()), chunks[0] + [f"z{i}" for i in range(8)])}
    )
    assert learn_rows(full, missing="indicate")[1].levels == (129,)


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
    full = pl.Series([*(str(i) for i in range(255)), None], dtype=pl.Categorical(pl.Categories("full", physical=pl.UInt8)))
    assert learn_rows(full.to_frame("c"), missing="indicate")[1].levels == (256,)


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
