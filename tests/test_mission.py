"""S1 to S10 of the argument (MISSION.md): each keeps a test whose name carries its number."""

from __future__ import annotations

import numpy as np
import pytest

import matchloss as ml
from cases import DEFAULTS, label

r = np.random.default_rng(7)
Z, Y = 3 * r.normal(size=1000), r.normal(size=1000)
K = 7
N = 120  # N K < 1000: only one test here needs the compiled loops, of a few losses
ROWS = 3 * r.normal(size=(N, K))
P = r.dirichlet(np.ones(K), size=N)


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_S1_squared_error_signals_output_minus_wanted() -> None:
    e = ml.SquaredError().evaluate(Z, Y)
    np.testing.assert_array_equal(e.gradient, Z - Y)
    np.testing.assert_allclose(e.value, (Z - Y) ** 2 / 2, rtol=1e-15)


@pytest.mark.parametrize("name", ["squared_error", "quartic", "sine_squared", "log_cosh", "huber"])
def test_S2_differentiable_and_zero_iff_right_is_not_rare(name: str) -> None:
    loss = ml.get(name)
    assert loss.smooth and loss.zero_iff_right
    assert (loss.divergence(Z, Z) == 0).all() and (loss.divergence(Z, Y) > 0).all()


@pytest.mark.parametrize(
    ("name", "value", "gradient"),
    [
        ("quartic", lambda d: d**4, lambda d: 4 * d**3),
        ("sine_squared", lambda d: np.sin(d) ** 2 + np.sin(np.pi * d) ** 2, lambda d: np.sin(2 * d) + np.pi * np.sin(2 * np.pi * d)),
        ("absolute_error", np.abs, np.sign),
    ],
)
def test_S3_the_alternatives_and_their_signals(name: str, value: object, gradient: object) -> None:
    e = ml.get(name).evaluate(Z, Y)
    np.testing.assert_allclose(e.value, value(Z - Y), rtol=1e-9, atol=1e-12)  # type: ignore[operator]
    np.testing.assert_allclose(e.gradient, gradient(Z - Y), rtol=1e-9, atol=1e-9)  # type: ignore[operator]
    assert not np.allclose(e.gradient, Z - Y, atol=0.1)


def test_S4_a_matching_loss_for_any_link() -> None:
    loss = ml.match(lambda m, raw: m.tanh(raw))
    assert loss.matching
    np.testing.assert_allclose(loss.gradient(Z, np.tanh(Y)), np.tanh(Z) - np.tanh(Y), rtol=0, atol=1e-15)
    step = 1e-6
    slope = (loss.value(Z + step, np.tanh(Y)) - loss.value(Z - step, np.tanh(Y))) / (2 * step)
    np.testing.assert_allclose(slope, np.tanh(Z) - np.tanh(Y), atol=1e-7)
    assert np.allclose(loss.divergence(Z, np.tanh(Z)), 0, atol=1e-8) and (loss.divergence(Z, np.tanh(Z + 1)) > 0).all()


def test_S5_cross_entropy_is_least_exactly_at_the_target() -> None:
    loss = ml.CrossEntropy()
    np.testing.assert_allclose(loss.value(ROWS, P), -(P * np.log(softmax(ROWS))).sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(loss.divergence(np.log(P), P), 0, atol=1e-12)
    assert (loss.divergence(ROWS, P) > 1e-6).all()


@pytest.mark.parametrize("loss", [loss for loss in DEFAULTS if loss.family == "simplex"], ids=label)
def test_S6_one_label_is_enough(loss: ml.SimplexLoss) -> None:
    """The mean gradient over labels is the gradient at the distribution: by enumeration to rounding, by sampling within 4 errors."""
    assert loss.linear_in_target
    at_labels = np.stack([loss.gradient(ROWS, np.full(N, k)) for k in range(K)], axis=1)
    whole = loss.gradient(ROWS, P)
    np.testing.assert_allclose(np.einsum("nk,nkj->nj", P, at_labels), whole, rtol=0, atol=1e-14)
    m, row = 20_000, 3
    labels = np.random.default_rng(11).choice(K, size=m, p=P[row])
    sampled = loss.evaluate(np.broadcast_to(ROWS[row], (m, K)), labels, hessian=True).gradient  # a set that other tests compile too
    error = np.abs(sampled.mean(axis=0) - whole[row])
    assert (error <= 4 * sampled.std(axis=0) / np.sqrt(m) + 1e-12).all()


@pytest.mark.parametrize("name", ["cross_entropy", "sparsemax", "spherical", "softmax_brier", "softmax_spherical"])
def test_S7_every_strictly_proper_rule_is_least_at_the_truth(name: str) -> None:
    loss = ml.get(name)
    best = loss.value(loss.link(P), P)
    assert loss.proper and (best < loss.value(ROWS, P)).all()
    np.testing.assert_allclose(loss.gradient(loss.link(P), P), 0, atol=1e-14)


def test_S8_cross_entropy_is_logsumexp_minus_the_targets_logit() -> None:
    loss = ml.CrossEntropy()
    np.testing.assert_allclose(loss.value(ROWS, P), np.log(np.exp(ROWS).sum(axis=1)) - (P * ROWS).sum(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(loss.value([[1e4, -1e4, 0.0]], [1]), [2e4])


def test_S9_the_slope_of_logsumexp_is_softmax() -> None:
    step, direction = 1e-6, r.normal(size=K)

    def log_sum_exp(z: np.ndarray) -> np.ndarray:
        return np.log(np.exp(z).sum(axis=1))

    slope = (log_sum_exp(ROWS + step * direction) - log_sum_exp(ROWS - step * direction)) / (2 * step)
    np.testing.assert_allclose(slope, ml.CrossEntropy().predict(ROWS) @ direction, atol=1e-8)


def test_S10_so_its_signal_is_output_minus_wanted() -> None:
    loss = ml.CrossEntropy()
    np.testing.assert_allclose(loss.gradient(ROWS, P), softmax(ROWS) - P, rtol=0, atol=2e-15)
    np.testing.assert_allclose(loss.gradient(ROWS, P), loss.predict(ROWS) - P, rtol=0, atol=4e-16)
