"""Structured losses in JAX give the numbers of NumPy's, under jit, grad and vmap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
import jax.numpy as jnp  # noqa: E402

import matchloss.jax as mj  # noqa: E402
from matchloss.losses.structured import CLIP, CTC, Cox, LinearChainCRF, Paths, PlackettLuce, Rankings, RiskSets, SigLIP, Transcripts  # noqa: E402

rng = np.random.default_rng(0)
TAGS = rng.integers(0, 3, (4, 5))
LISTS = np.array([0, 3, 4, 9])
PAIRS = rng.normal(size=(2, 6, 3))


def first(found: Any) -> tuple[Any, Any]:
    """The value, and the gradient in the first part of raw."""
    return found.value, found.gradient[0]


CASES: dict[str, tuple[Any, Any, Any]] = {
    "crf": (rng.normal(size=(4, 5, 3)), lambda z: mj.crf_loss(z, TAGS, None, jnp.eye(3), jnp.zeros(3), jnp.ones(3)),
            lambda z: first(LinearChainCRF().evaluate((z, np.eye(3), np.zeros(3), np.ones(3)), Paths(TAGS)))),
    "cox": (rng.normal(size=6), lambda z: mj.cox_loss(z, [1, 0, 1, 1, 0, 1], [1.0, 2, 2, 2, 3, 4]),
            lambda z: Cox().evaluate(z, RiskSets([1.0, 2, 2, 2, 3, 4], [1, 0, 1, 1, 0, 1]))[:2]),
    "plackett_luce": (rng.normal(size=9), lambda z: mj.plackett_luce_loss(z, LISTS, top=2),
                      lambda z: PlackettLuce(2).evaluate(z, Rankings(LISTS))[:2]),
    "clip": (PAIRS[0], lambda z: mj.clip_loss(z, PAIRS[1], 2.0),
             lambda z: first(CLIP().evaluate((z, PAIRS[1], 2.0), None))),
    "siglip": (PAIRS[0], lambda z: mj.siglip_loss(z, PAIRS[1], 2.0, -1.0),
               lambda z: first(SigLIP().evaluate((z, PAIRS[1], 2.0, -1.0), None))),
}  # fmt: skip


@pytest.mark.parametrize("name", ["cox", *(pytest.param(name, marks=pytest.mark.exhaustive) for name in CASES if name != "cox")])
def test_values_and_gradients_are_numpys(name: str) -> None:
    raw, ours, numpys = CASES[name]
    with jax.enable_x64(True):
        value, gradient = numpys(raw)
        z = jnp.asarray(raw)
        assert np.allclose(jax.jit(ours)(z), value if ours(z).ndim else value[0], rtol=1e-12)
        found = jax.jit(jax.grad(lambda z: ours(z).sum()))(z)
        assert np.allclose(found, gradient, rtol=1e-12)
        assert np.allclose(jax.vmap(ours)(jnp.stack([z, 2 * z]))[1], ours(2 * z))


def test_ctc_takes_optaxs_arguments() -> None:
    z = rng.normal(size=(2, 6, 4))
    paddings, labels = np.array([[0] * 6, [0] * 4 + [1] * 2]), np.array([[1, 1, 2], [3, 0, 0]])
    label_paddings = np.array([[0, 0, 0], [0, 1, 1]])
    with jax.enable_x64(True):
        wanted = CTC().evaluate(z.swapaxes(0, 1), Transcripts(labels, [3, 1], [6, 4]))
        assert np.allclose(mj.ctc_loss(z, paddings, labels, label_paddings), wanted.value)
        weighted = jax.grad(lambda z: mj.ctc_loss(z, paddings, labels, label_paddings) @ jnp.array([2.0, 3.0]))(jnp.asarray(z))
        assert np.allclose(weighted, wanted.gradient.swapaxes(0, 1) * np.array([2.0, 3.0])[:, None, None])
        optax = pytest.importorskip("optax")
        assert np.allclose(optax.ctc_loss(z, paddings, labels, label_paddings), wanted.value, rtol=1e-6)
    assert mj.ctc_loss(z.astype(np.float32), paddings, labels, label_paddings).dtype == jnp.float32
    with pytest.raises(Exception, match="sequence 0: 3 labels need 4 frames"):
        mj.ctc_loss(z[:, :3], paddings[:, :3], labels, label_paddings).block_until_ready()


def test_scores_that_groups_share_have_gradients_and_weights_may_differ() -> None:
    weights = np.array([1.0, 2.0, 0.0, 3.0])
    raw = (rng.normal(size=(4, 5, 3)), rng.normal(size=(3, 3)), np.zeros(3), np.ones(3))
    with jax.enable_x64(True):
        wanted = LinearChainCRF().evaluate(raw, Paths(TAGS), weights).gradient
        found = jax.jit(jax.grad(lambda z, t: mj.crf_loss(z, TAGS, None, t, *raw[2:]) @ weights, (0, 1)))(*map(jnp.asarray, raw[:2]))
        assert np.allclose(found[0], wanted[0]) and np.allclose(found[1], wanted[1])
        scale = jax.grad(lambda s: mj.clip_loss(PAIRS[0], PAIRS[1], s))(2.0)
        assert float(scale) == pytest.approx(float(CLIP().gradient((PAIRS[0], PAIRS[1], 2.0), None)[2]))


def test_risk_sets_are_sorted_once() -> None:
    time, event, strata, z = [1.0, 2, 2, 3, 3, 4], [1, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1], rng.normal(size=6)
    risk = RiskSets(time, event, strata=strata, weight=[1, 2, 1, 1, 1, 1])
    with jax.enable_x64(True):
        wanted = Cox().evaluate(z, risk)
        value, slope = jax.jit(jax.value_and_grad(lambda z: mj.cox_loss(z, risk)))(jnp.asarray(z))
    assert float(value) == pytest.approx(wanted.value.sum()) and np.allclose(slope, wanted.gradient)
    with pytest.raises(TypeError, match="time is missing: pass event and time, or RiskSets"):
        mj.cox_loss(z, event)


def test_a_sequence_without_an_alignment_is_0_on_demand() -> None:
    args = (np.zeros((1, 2)), np.array([[1, 1, 2]]), np.zeros((1, 3)))
    value, slope = jax.value_and_grad(lambda z: mj.ctc_loss(z, *args, log_epsilon=-1e5, zero_infinity=True).sum())(jnp.zeros((1, 2, 3)))
    assert float(value) == 0.0 and not slope.any()
