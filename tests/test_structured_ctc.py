"""CTC against every alignment, against PyTorch, and in the tails against mpmath."""

from __future__ import annotations

from itertools import groupby, product
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import matchloss as ml
from matchloss.engine import threads
from matchloss.losses.structured import CTC, Transcripts
from sweeps import sweep

LOSS = CTC()


def collapsed(string: tuple[int, ...], blank: int) -> tuple[int, ...]:
    return tuple(c for c, _ in groupby(string) if c != blank)


def by_force(logits: Any, labels: tuple[int, ...], blank: int) -> tuple[Any, Any, Any]:
    """Value and gradient of one sequence (T, C) by summing over every string of classes, at 200 digits, and the gradients' tolerance.

    An entry is the difference of two masses, whose digits it has; where a class has p > 1/2, of those of all others.
    """
    with mp.workdps(200):
        p = [[mp.exp(mp.mpf(float(x))) for x in row] for row in logits]
        p = [[x / mp.fsum(row) for x in row] for row in p]
        frames, classes = logits.shape
        inside, outside, at = mp.mpf(0), mp.mpf(0), [[mp.mpf(0)] * classes for _ in range(frames)]
        for string in product(range(classes), repeat=frames):
            weight = mp.fprod(p[t][c] for t, c in enumerate(string))
            if collapsed(string, blank) == labels:
                inside += weight
                for t, c in enumerate(string):
                    at[t][c] += weight
            else:
                outside += weight
        value = -mp.log1p(-outside) if outside < 0.5 else -mp.log(inside)
        slopes = [[p[t][c] - at[t][c] / inside for c in range(classes)] for t in range(frames)]
        masses = [[p[t][c] + at[t][c] / inside for c in range(classes)] for t in range(frames)]
        masses = [[mp.fsum(row) - x if row_p[c] > 0.5 else x for c, x in enumerate(row)] for row, row_p in zip(masses, p, strict=True)]
        return value, slopes, masses


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_value_and_gradient_are_sums_over_all_alignments(data: Any) -> None:
    frames, classes = data.draw(st.integers(1, 5)), data.draw(st.integers(2, 3))
    blank = data.draw(st.integers(0, classes - 1))
    string = tuple(data.draw(st.lists(st.integers(0, classes - 1), min_size=frames, max_size=frames)))
    labels = collapsed(string, blank)  # some string says it, so that there is an alignment
    scale = data.draw(st.sampled_from([1.0, 10.0, 40.0]))
    logits = np.array(data.draw(st.lists(st.lists(st.floats(-1, 1), min_size=classes, max_size=classes), min_size=frames, max_size=frames)))
    logits = scale * logits + 2 * scale * (np.arange(classes) == np.array(string)[:, None]) * data.draw(st.booleans())
    wanted, slopes, masses = by_force(logits, labels, blank)
    found = CTC(blank).evaluate(logits[:, None], Transcripts([labels], [len(labels)], [frames]))
    assert abs(found.value[0] - wanted) <= 2e-14 * wanted + 1e-300
    assert all(abs(found.gradient[t, 0, c] - slopes[t][c]) <= 2e-14 * masses[t][c] + 1e-300 for t in range(frames) for c in range(classes))


def test_a_path_that_leads_by_40_keeps_its_digits() -> None:
    logits = np.zeros((4, 3))
    logits[range(4), [0, 1, 0, 2]] = 40.0
    wanted, slopes, masses = by_force(logits, (1, 2), 0)
    found = LOSS.evaluate(logits[:, None], Transcripts([[1, 2]], [2], [4]))
    assert abs(found.value[0] / wanted - 1) < 1e-14 and wanted < 1e-16
    assert max(abs(found.gradient[t, 0, c] - slopes[t][c]) / masses[t][c] for t in range(4) for c in range(3)) < 1e-14


@pytest.mark.parametrize("dtype", sweep([np.float32, np.float64], lambda dtype: dtype == np.float64))
def test_signals_sum_to_zero_padding_and_threads_change_nothing(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(30, 8, 11)).astype(dtype) * 3
    lengths, frames = rng.integers(0, 9, 8), rng.integers(20, 31, 8)
    labels = [rng.integers(1, 11, n) for n in lengths]
    padded = np.zeros((8, 12), int)
    for row, some in zip(padded, labels, strict=True):
        row[: some.size] = some
    with threads.at_most(1):
        one = LOSS.evaluate(z, Transcripts(padded, lengths, frames))
    two = LOSS.evaluate(z, Transcripts(np.concatenate(labels), lengths, frames))  # concatenated labels say the same
    assert (one.value == two.value).all() and (one.gradient == two.gradient).all()
    assert np.abs(one.gradient.sum(axis=2)).max() < 20 * np.finfo(dtype).eps
    noise = z.copy()
    for n, length in enumerate(frames):
        noise[length:, n] = rng.normal(size=noise[length:, n].shape) * 100
        assert not one.gradient[length:, n].any()
    assert (LOSS.evaluate(noise, Transcripts(padded, lengths, frames)).gradient == one.gradient).all()
    order = rng.permutation(8)
    swapped = LOSS.evaluate(z[:, order], Transcripts(padded[order], lengths[order], frames[order]))
    assert (swapped.value == one.value[order]).all() and (swapped.gradient == one.gradient[:, order]).all()
    alone = LOSS.evaluate(z[:, :3], Transcripts(padded[:3], lengths[:3], frames[:3]), sample_weight=[2.0, 0.0, 1e9])
    assert alone.value[1] == 0 and not alone.gradient[:, 1].any()
    assert np.allclose(alone.gradient[:, 2], 1e9 * one.gradient[:, 2].astype(float), rtol=1e-6)


def test_predict_is_the_softmax_and_observed_its_part_among_alignments() -> None:
    z = np.random.default_rng(1).normal(size=(5, 2, 3))
    said = Transcripts([[1, 2], [2, 0]], [2, 1], [5, 4])
    assert np.allclose(LOSS.predict(z, said)[:4], ml.CrossEntropy().predict(z)[:4], atol=1e-14)
    assert np.allclose(LOSS.observed(z, said)[:4].sum(-1), 1) and not LOSS.observed(z, said)[4, 1].any()


@pytest.mark.parametrize(
    ("labels", "lengths", "frames", "message"),
    [
        ([[1, 1]], [2], [2], "sequence 0: 2 labels need 3 frames, 1 of them for blanks between equal labels, and it has 2, 1 too few"),
        ([[1, 2]], [2], [1], "sequence 0: 2 labels need 2 frames, and it has 1, 1 too few"),
        ([[1, 0]], [2], [3], "labels of sequence 0, position 1: 0; allowed: 0 to 2 but the blank, 0"),
        ([[1, 3]], [2], [3], "labels of sequence 0, position 1: 3"),
        ([[1, 2]], [2], [4], r"frame_lengths\[0\] is 4; allowed: at most the 3 frames"),
        ([[1, 2]], [3], [3], r"label_lengths\[0\] is 3; allowed: at most the 2 labels"),
        ([[1, 2]], [-1], [3], r"label_lengths\[0\] is -1"),
        ([[1, 1.5]], [2], [3], r"labels\[0, 1\] is 1.5; allowed: whole numbers"),
    ],
)
def test_bad_input_is_named(labels: Any, lengths: Any, frames: Any, message: str) -> None:
    with pytest.raises(ml.DomainError, match=message):
        LOSS.value(np.zeros((3, 1, 3)), Transcripts(labels, lengths, frames))


def test_the_edges() -> None:
    with pytest.raises(ml.ShapeError, match=r"\(T, N, C\) is needed"):
        LOSS.value(np.zeros((3, 3)), Transcripts([[1]], [1], [3]))
    with pytest.raises(ml.ShapeError, match="there is no group"):
        LOSS(np.zeros((3, 0, 3)), Transcripts(np.zeros((0, 2), int), [], []))
    with pytest.raises(ml.DomainError, match="CTC's blank is -1"):
        CTC(blank=-1)
    with pytest.raises(ml.DomainError, match="CTC's blank is 3"):
        CTC(blank=3).value(np.zeros((3, 1, 3)), Transcripts([[1]], [1], [3]))
    z = np.zeros((3, 2, 3))
    z[1, 0, 2] = np.nan
    z.flags.writeable = False
    found = LOSS.evaluate(z, Transcripts([[1], [1]], [1, 1], [2, 3]))
    assert np.isnan(found.value[0]) and np.isnan(found.gradient[:2, 0]).all() and np.isfinite(found.gradient[:, 1]).all()
    empty = CTC(zero_infinity=True).evaluate(np.zeros((3, 3, 3)), Transcripts([[1], [1], [1]], [0, 0, 1], [0, 3, 0]))
    assert empty.value.tolist() == [0.0, pytest.approx(3 * np.log(3)), 0.0] and not empty.gradient[:, 2].any()
    long = LOSS.value(np.full((4000, 1, 2), 0.0), Transcripts([[1] * 1500], [1500], [4000]))  # no alignment underflows
    assert np.isfinite(long).all()
