"""Numbers in their narrowest type: the same numbers, by compiled loops and by NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from matchloss.linear.sources.narrow import ends, narrow

SIZES = (3, 5000)  # by NumPy, and by the loops


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(
    ("last", "given", "kind"),
    [
        (255, np.int64, np.uint8),
        (256, np.int64, np.uint16),
        (-1, np.int64, np.int8),
        (2**63, np.uint64, np.uint64),
        (2**40, np.int64, np.uint64),
        (7, np.int16, np.uint8),
        (255.0, np.float64, np.uint8),
        (65535.0, np.float64, np.uint16),
        (65536.0, np.float64, np.float64),
        (0.5, np.float64, np.float64),
        (-0.0, np.float64, np.float64),
        (-1.0, np.float64, np.float64),
        (np.nan, np.float64, np.float64),
        (np.inf, np.float64, np.float64),
        (1e300, np.float64, np.float64),
        (1.0, np.float32, np.float32),
    ],
)
def test_narrow(last: Any, given: Any, kind: Any, n: int) -> None:
    values = (np.arange(n) % 7).astype(given)
    values[-1] = last
    values.flags.writeable = False
    found = narrow(values)
    assert found.dtype == kind
    np.testing.assert_array_equal(found.astype(np.float64), values.astype(np.float64))
    assert np.signbit(found[-1].astype(np.float64)) == np.signbit(values[-1].astype(np.float64))


def test_nothing_and_rows_that_are_not_contiguous() -> None:
    assert len(narrow(np.empty(0))) == 0
    assert narrow(np.arange(10.0)[::2]).tolist() == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("some", [[], [np.nan], [np.inf, -np.inf, np.nan], [-0.0, 5e-324], [1.7e308, -1.7e308], [-3.0, -2.5]])
def test_ends(some: list[float], n: int) -> None:
    values = np.array([*some, *np.random.default_rng(0).normal(size=n)])
    known = values[np.isfinite(values)]
    assert ends(values) == ends(values[::-1]) == (len(known), known.min(), known.max())
    assert ends(np.full(n, np.nan)) == (0, np.inf, -np.inf)
    assert ends(np.arange(n)) == ends(np.arange(n, dtype=np.float32)) == (n, 0, n - 1)
