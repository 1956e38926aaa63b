"""Tables as Python lists, the data frames of every library that hold them, and what a fit sees of each."""

from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from hypothesis import strategies as st

from matchloss.linear.plan import Number

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
