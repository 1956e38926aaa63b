"""Levels of batches are numbered as they are met, and their numbers written into rows, by loops as by NumPy."""

import numpy as np
import pytest

from matchloss.linear.columns import Coded
from matchloss.linear.sources.levels import Levels, in_row, in_rows


@pytest.mark.parametrize("n", [0, 7, 5000])  # NumPy, and compiled loops
def test_numbers_stand_in_rows_whatever_the_types(n: int) -> None:
    draw = np.random.default_rng(n)
    columns = []
    for kind, count in (("i8", 3), ("i4", 300), ("u1", 200)):
        found = Coded(draw.integers(0, count, n).astype(kind), tuple(range(1000, 1000 + count)), False, kind)
        columns.append((found, Levels().numbers(found)))
    made = in_rows(columns, n)
    assert made.shape == (n, 3)
    for c, (found, numbers) in enumerate(columns):
        assert np.array_equal(made[:, c], numbers[found.places])
        assert np.array_equal(in_row(found, numbers), numbers[found.places])


@pytest.mark.parametrize("n", [6, 6000])
def test_values_that_no_row_has_are_not_levels(n: int) -> None:
    levels, places = Levels(), np.arange(n) % 2
    first = Coded(places * 2, ("a", "b", "c"), False, "text")
    assert in_row(first, levels.numbers(first)).tolist() == places.tolist()
    later = Coded(places, ("d", "c"), False, "text")
    assert in_row(later, levels.numbers(later)).tolist() == (2 - places).tolist()
    assert levels.codes == {"a": 0, "c": 1, "d": 2}
    again = Coded((np.arange(n) + 1) % 2 * 2, ("a", "b", "c"), False, "text")
    assert in_row(again, levels.numbers(again)).tolist() == (1 - places).tolist()
    met = Coded(np.ones(n, int), ("a", "b", "c"), False, "text")  # the one that no row had before
    assert in_row(met, levels.numbers(met)).tolist() == [3] * n
    assert in_row(first, levels.numbers(first)).tolist() == places.tolist()
    assert levels.codes == {"a": 0, "c": 1, "d": 2, "b": 3}
