"""Contrastive losses without the N x N matrix against the matrix, and against mpmath where pairs are sure."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest

import matchloss as ml
from matchloss.losses.structured import CLIP, InfoNCE, SigLIP, contrastive


def by_matrix(loss: Any, a: Any, b: Any, scale: float, bias: float) -> tuple[float, Any]:
    """The value and the error signal from all N x N logits, in float64."""
    z, n = scale * a @ b.T + bias, len(a)
    if loss.name == "siglip":
        wanted = 2 * np.eye(n) - 1
        return np.logaddexp(0, -wanted * z).sum() / n, (1 / (1 + np.exp(-z)) - np.eye(n)) / n
    rows = [ml.CrossEntropy().evaluate(x, np.arange(n)) for x in ((z, z.T) if loss.both else (z,))]
    signal = rows[0].gradient + (rows[1].gradient.T if loss.both else 0)
    return sum(r.value.mean() for r in rows) / len(rows), signal / n / len(rows)


@pytest.mark.parametrize("loss", [InfoNCE(), CLIP(), SigLIP()], ids=lambda loss: loss.name)
@pytest.mark.parametrize("dtype", [pytest.param(np.float32, marks=pytest.mark.exhaustive), np.float64])
def test_blocks_give_what_the_matrix_gives(loss: Any, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in rng.normal(size=(2, 50, 6)))
    scale, bias = 7.0, -2.0 if loss.name == "siglip" else 0.0
    value, signal = by_matrix(loss, a, b, scale, bias)
    monkeypatch.setattr(contrastive, "ENTRIES", 50 * 17)  # three blocks of rows, the last one shorter
    raw = (a.astype(dtype), b.astype(dtype), dtype(scale), dtype(bias))[: len(loss.raw_names)]
    found = loss.evaluate(raw, None)
    tolerance = 1e-5 if dtype is np.float32 else 1e-13
    assert found.value[0] == pytest.approx(value, rel=tolerance) and found.gradient[0].dtype == dtype
    wanted = [scale * signal @ b, scale * signal.T @ a, ((a @ b.T) * signal).sum(), signal.sum()][: len(loss.raw_names)]
    for g, w in zip(found.gradient, wanted, strict=True):
        assert np.abs(g - w).max() <= tolerance * max(np.abs(w).max(), 0.1)
    assert loss.evaluate(raw, None, sample_weight=[2.0]).value[0] == pytest.approx(2 * found.value[0])
    assert loss.evaluate(raw, None, gradient=False).value[0] == found.value[0]


@pytest.mark.parametrize("dtype", [pytest.param(np.float32, marks=pytest.mark.exhaustive), np.float64])
def test_sure_pairs_keep_their_digits(dtype: Any) -> None:
    a = np.eye(4, dtype=dtype)
    small = 3 * mp.exp(-60)
    tolerance = 3e-6 if dtype is np.float32 else 1e-14
    for loss in (InfoNCE(), CLIP()):
        found = loss.evaluate((a, a, dtype(60.0)), None)
        assert abs(found.value[0] / mp.log1p(small) - 1) < tolerance
        slope = -60 * small / (1 + small) / 4  # of the own entry: minus the mass of the others
        assert abs(found.gradient[0][0, 0] / slope - 1) < tolerance
    found = SigLIP().evaluate((a, a, dtype(120.0), dtype(-60.0)), None)
    assert abs(found.value[0] / (4 * mp.log1p(mp.exp(-60))) - 1) < tolerance


def test_bad_pairs_are_named() -> None:
    a = np.eye(3)
    broken = a.copy()
    broken[1, 1] = np.nan
    for bad, message in (
        (lambda: CLIP().value((a, a[:2], 1.0), None), r"b \(2, 3\); both must be \(N, d\)"),
        (lambda: InfoNCE().value((a[:1], a[:1], 1.0), None), "there are 1 pairs; allowed: 2 or more"),
        (lambda: InfoNCE().value((a, a, np.inf), None), "scale is"),
        (lambda: InfoNCE().value((broken, a, 1.0), None), r"a\[1, 1\] is nan; allowed: finite"),
        (lambda: SigLIP().value((a, broken, 1.0, 0.0), None), r"b\[1, 1\] is nan; allowed: finite"),
        (lambda: SigLIP().value((a, a, 1.0), None), "raw has 3 parts; siglip takes 4"),
    ):
        with pytest.raises(ValueError, match=message):
            bad()


@pytest.mark.parametrize("loss", [InfoNCE(), CLIP(), SigLIP()], ids=lambda loss: loss.name)
def test_expected_less_observed_is_the_error_signal(loss: Any) -> None:
    rng = np.random.default_rng(0)
    raw = (rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), 2.0, -1.0)[: len(loss.raw_names)]
    signal = loss.predict(raw) - loss.observed(raw)
    assert np.allclose(loss.gradient(raw, None)[0], 2.0 * signal @ raw[1] / 5, atol=1e-14)
    assert np.shape(loss.gradient(raw, None)[2]) == ()  # of the scale's own shape
