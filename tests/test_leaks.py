"""What gives the target away: noise never does, a column that the target is a threshold of always does."""

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from matchloss.tables.leaks import explained
from sweeps import examples


@given(st.integers(0, 10_000), st.sampled_from(["number", "label", "three"]), st.integers(1, 400), st.integers(60, 800))
@settings(max_examples=examples(60), deadline=None)
def test_noise_is_never_taken_for_the_target(seed, target, levels, rows):
    rng = np.random.default_rng(seed)
    y = {
        "number": rng.standard_cauchy((rows, 1)),
        "label": np.eye(2)[rng.integers(0, 2, rows)],
        "three": np.eye(3)[rng.integers(0, 3, rows)],
    }[target]
    assert explained(pl.Series(rng.normal(size=rows)), y) < 0.9
    assert explained(pl.Series(rng.integers(0, levels, rows).astype(str)), y) < 0.9
    assert explained(pl.Series(np.arange(rows)), y, as_levels=True) < 0.9


@given(st.integers(0, 10_000), st.sampled_from([np.exp, np.cbrt, np.tanh, lambda x: -x]), st.integers(60, 3000))
@settings(max_examples=examples(60), deadline=None)
def test_a_threshold_of_any_increasing_or_falling_column_is_found(seed, bend, rows):
    x = np.random.default_rng(seed).normal(size=rows)
    y = np.eye(2)[(x > np.quantile(x, 0.7)).astype(int)]
    assert explained(pl.Series(bend(x)), y) >= 0.99
