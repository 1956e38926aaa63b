"""What the flags and names of a loss promise, over the whole catalogue."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import matchloss as ml
from cases import INSTANCES, POINTWISE, SIMPLEX, is_simplex, label, moderate, moderate_rows
from matchloss.losses import Interval
from own import OWN, Cauchy, Welsch
from references import M, pointwise, total
from row_references import row_jet
from sweeps import examples

ALL = [*INSTANCES, *OWN]
LINKED = [loss for loss in POINTWISE if loss.name != "hinge"]
PROPER = [loss for loss in POINTWISE if loss.proper]


def sample(loss: Any, n: int = 40, seed: int = 0) -> tuple[Any, Any]:
    """Raw and soft target of any loss."""
    if is_simplex(loss):
        z, _, p = moderate_rows(n, 4, seed=seed)
        return z, p
    return moderate(loss, n, seed=seed)


def away_from_kinks(loss: Any, z: Any, y: Any) -> Any:
    """Rows where every output is differentiable: the kinks of the catalogue lie at |z - y| = 0 or delta, and at |z| = 1."""
    d, at = np.abs(z - y), getattr(loss, "delta", 0.0)
    return (np.abs(d - at) > 1e-3) & (d > 1e-3) & (np.abs(np.abs(z) - 1) > 1e-3)


@pytest.mark.parametrize("loss", POINTWISE, ids=label)
def test_gradient_and_hessian_are_derivatives_of_the_reference_value(loss: Any) -> None:
    z, y = moderate(loss, 25)
    keep = away_from_kinks(loss, z, y)
    e = loss.evaluate(z, y, hessian=True)
    for zi, yi, g, h in zip(z[keep], y[keep], e.gradient[keep], e.hessian[keep], strict=True):

        def value(x: Any, yi: float = yi) -> Any:
            return total(pointwise(loss, x, M(yi))[0])

        first, second = mp.diff(value, M(zi)), mp.diff(value, M(zi), 2)
        assert abs(first - g) <= 1e-13 * (1 + abs(first)), (zi, yi)
        assert abs(second - h) <= 1e-12 * (1 + abs(second)), (zi, yi)


@pytest.mark.parametrize("loss", OWN, ids=label)
def test_gradient_and_hessian_of_an_own_loss_are_derivatives_of_its_value_at_60_digits(loss: Any) -> None:
    m = SimpleNamespace(exp=mp.exp, expm1=mp.expm1, log1p=mp.log1p, sin=mp.sin, cos=mp.cos)
    z, y = moderate(loss, 25)
    e = loss.evaluate(z, y, hessian=True)
    for zi, yi, g, h in zip(z, y, e.gradient, e.hessian, strict=True):

        def value(x: Any, yi: float = yi) -> Any:
            return loss.formula(m, x, M(yi), *loss.constants)[0]

        assert abs(mp.diff(value, M(zi)) - g) <= 1e-13 and abs(mp.diff(value, M(zi), 2) - h) <= 1e-11, (zi, yi)


@pytest.mark.parametrize("loss", SIMPLEX, ids=label)
def test_row_gradient_hessian_and_product_are_derivatives_of_the_reference_value(loss: Any) -> None:
    z, _, p = moderate_rows(3, 4, seed=5)
    v = np.random.default_rng(1).normal(size=z.shape)
    e, product = loss.evaluate(z, p, hessian=True), loss.hessian_product(z, p, v)
    step = M("1e-25")
    for i in range(len(z)):
        with mp.workdps(100):
            zi, pi, vi = ([M(x) for x in a[i]] for a in (z, p, v))

            def gradient(shift: Any, zi: Any = zi, pi: Any = pi, vi: Any = vi) -> Any:
                moved = [a + shift * b for a, b in zip(zi, vi, strict=True)]
                return [total(t) for t in row_jet(loss, moved, pi)[1]]

            along = [(a - b) / (2 * step) for a, b in zip(gradient(step), gradient(-step), strict=True)]
            np.testing.assert_allclose(product[i], [float(x) for x in along], rtol=1e-11, atol=1e-12)
            for j in range(z.shape[1]):

                def value(x: Any, j: int = j, zi: Any = zi, pi: Any = pi) -> Any:
                    return total(row_jet(loss, [*zi[:j], x, *zi[j + 1 :]], pi)[0])

                up, mid, down = value(zi[j] + step), value(zi[j]), value(zi[j] - step)
                assert abs((up - down) / (2 * step) - e.gradient[i, j]) < 1e-13
                assert abs((up - 2 * mid + down) / step**2 - e.hessian[i, j]) < 1e-11 * (1 + abs(e.hessian[i, j]))


@pytest.mark.parametrize("loss", ALL, ids=label)
def test_matching_means_prediction_minus_target(loss: Any) -> None:
    z, y = sample(loss)
    match = np.allclose(loss.gradient(z, y), loss.predict(z) - y, rtol=1e-14, atol=1e-15)
    assert match == loss.matching or (loss.name == "expectile" and loss.alpha == 0.5)  # which is squared error, but not flagged


@pytest.mark.parametrize("loss", [*LINKED, *OWN], ids=label)
def test_predict_inverts_link(loss: Any) -> None:
    _, y = moderate(loss, 60, seed=4)
    np.testing.assert_allclose(loss.predict(loss.link(y)), y, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("loss", SIMPLEX, ids=label)
def test_predict_inverts_link_on_the_simplex(loss: Any) -> None:
    _, _, p = moderate_rows(40, 5, seed=4)
    np.testing.assert_allclose(loss.predict(loss.link(p)), p, rtol=1e-9, atol=1e-14)
    z = moderate_rows(40, 5)[0]
    np.testing.assert_allclose(loss.predict(z).sum(axis=1), 1, rtol=1e-14)


@pytest.mark.parametrize("loss", ALL, ids=label)
def test_divergence_is_never_negative_and_zero_where_right(loss: Any) -> None:
    z, y = sample(loss, 200)
    d = loss.divergence(z, y)
    assert (d >= 0).all()
    if loss.zero_iff_right:
        inside = (y > 0) & (y < 1) if loss.family in ("binary", "simplex") else np.ones(y.shape, bool)
        inside = inside.all(axis=-1) if is_simplex(loss) else inside
        scale = 1 + np.abs(loss.value(z, y)[inside])
        assert (loss.divergence(loss.link(y[inside]), y[inside]) <= 1e-13 * scale).all()
        far = np.abs(loss.predict(z) - y) > 1e-3
        far = far.any(axis=-1) if is_simplex(loss) else far
        assert (d[far] > 0).all()


@pytest.mark.parametrize("loss", PROPER, ids=label)
@settings(max_examples=examples(25), deadline=None, derandomize=True)
@given(data=st.data())
def test_proper_means_the_expected_loss_is_least_at_the_mean(loss: Any, data: Any) -> None:
    if loss.target_domain.high == 1:
        points = st.sampled_from([0.0, 1.0])
    else:
        points = st.floats(0.05, 20.0)
    ys = np.array(data.draw(st.lists(points, min_size=2, max_size=6)))
    ws = np.array(data.draw(st.lists(st.integers(1, 9), min_size=len(ys), max_size=len(ys))), dtype=float)
    mean = float(ws @ ys / ws.sum())
    if not 0.01 < mean < 0.99 and loss.target_domain.high == 1:
        return
    at = float(loss.link(mean))

    def expected(raw: float) -> float:
        return float(loss(np.full(ys.size, raw), ys, ws))

    other = at + data.draw(st.sampled_from([-1.0, 1.0])) * data.draw(st.floats(1e-3, 4.0))
    best, elsewhere = expected(at), expected(other)
    assert best <= elsewhere + 1e-13 * abs(elsewhere)
    if abs(float(loss.predict(other)) - mean) > 1e-2:
        assert best < elsewhere
    e = loss.evaluate(np.full(ys.size, at), ys, ws, hessian=True)
    assert abs(e.gradient.sum()) <= 1e-13 * (np.abs(e.gradient) + (1 + abs(at)) * np.abs(e.hessian)).sum()


@pytest.mark.parametrize("loss", ALL, ids=label)
def test_linear_in_the_target_where_flagged_and_only_there(loss: Any) -> None:
    if is_simplex(loss):
        z, a, b = (moderate_rows(50, 4, seed=s)[i] for s, i in ((0, 0), (1, 2), (2, 2)))
    else:
        (z, a), (_, b) = moderate(loss, 50), moderate(loss, 50, seed=9)
    mixed = 0.25 * loss.gradient(z, a) + 0.75 * loss.gradient(z, b)
    whole = loss.gradient(z, 0.25 * a + 0.75 * b)
    affine = bool(np.allclose(mixed, whole, rtol=1e-12, atol=1e-13))
    assert affine == loss.linear_in_target or (loss.name == "expectile" and loss.alpha == 0.5)
    if loss.family in ("binary", "simplex"):
        value = 0.25 * loss.value(z, a) + 0.75 * loss.value(z, b)
        np.testing.assert_allclose(loss.value(z, 0.25 * a + 0.75 * b), value, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("loss", ALL, ids=label)
def test_blind_to_a_shift_of_all_raw_predictions_where_flagged_and_only_there(loss: Any) -> None:
    z, y = sample(loss, 50)
    same = np.allclose(loss.gradient(z + 0.75, y), loss.gradient(z, y), rtol=1e-9, atol=1e-12)
    assert same == loss.shift_invariant


@pytest.mark.parametrize("loss", ALL, ids=label)
def test_convex_where_flagged_and_only_there(loss: Any) -> None:
    n = 240 if is_simplex(loss) else 400  # 4 n < 1000: no loop is compiled for this alone
    z, y = sample(loss, n)
    other = sample(loss, n, seed=8)[0]
    chord = 0.5 * (loss.value(z, y) + loss.value(other, y))
    middle = loss.value(0.5 * (z + other), y)
    assert bool((middle <= chord + 1e-12 * (1 + np.abs(chord))).all()) == loss.convex


@pytest.mark.parametrize("loss", [*POINTWISE, *OWN], ids=label)
def test_smooth_where_flagged_and_only_there(loss: Any) -> None:
    """Across each kink the gradient moves as little as raw does, or it jumps."""
    y = np.repeat([0.3, 0.7] if loss.target_domain.high == 1 else [0.5, 1.25], 3)
    at = np.concatenate([[k, -1.0, 1.0] for k in y[::3]])
    delta = getattr(loss, "delta", 0.0)
    jumps = [np.abs(loss.gradient(at + s + 1e-9, y) - loss.gradient(at + s - 1e-9, y)).max() for s in (0.0, delta, -delta)]
    assert (max(jumps) < 1e-6) == loss.smooth


@pytest.mark.parametrize("loss", ALL, ids=label)
def test_weights_are_repeated_rows_and_zero_is_not_there(loss: Any) -> None:
    z, y = sample(loss, 30)
    w = np.random.default_rng(2).integers(0, 4, size=30)
    z[w == 0], y[w == 0] = np.nan, np.nan  # neither counted nor validated
    repeated = np.repeat(z, w, axis=0), np.repeat(y, w, axis=0)
    assert np.isclose(loss(z, y, w), loss(*repeated), rtol=1e-13)
    e, plain = loss.evaluate(z, y, w, hessian=True), loss.evaluate(*repeated, hessian=True)
    for got, expected in zip(e, plain, strict=True):
        assert (got[w == 0] == 0).all()
        np.testing.assert_allclose(got.sum(axis=0), expected.sum(axis=0), rtol=1e-11, atol=1e-12)
    big = [np.tile(a, (40,) + (1,) * (a.ndim - 1)) for a in (z, y, w.astype(float))]  # the compiled loops
    for got, small in zip(loss.evaluate(*big, hessian=True), e, strict=True):
        np.testing.assert_allclose(got[:30], small, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("loss", ALL, ids=label)
def test_best_constant_is_stationary(loss: Any) -> None:
    _, y = sample(loss, 61, seed=6)
    w = np.random.default_rng(3).uniform(0.5, 2, size=61)
    at = loss.best_constant(y, w)
    raw = np.broadcast_to(at, y.shape) if is_simplex(loss) else np.full(61, at)
    base = loss(raw, y, w)
    for step in (1e-3, 0.1, 1.0):
        for sign in (-1, 1):
            move = sign * step * (np.eye(y.shape[-1])[0] if is_simplex(loss) else 1.0)
            assert loss(raw + move, y, w) >= base - 1e-12 * abs(base)
    if loss.smooth:
        g = loss.evaluate(raw, y, w).gradient
        assert (np.abs(g.sum(axis=0)) <= 1e-9 * (np.abs(g).sum(axis=0) + 1e-300) + 1e-9).all()


def test_best_constant_of_a_loss_with_two_basins() -> None:
    """The mean gradient of a Cauchy loss is 0 in both clusters; the mean is 2.05 in one and 2.50 in the other."""
    y = np.array([0, 0.1, -0.1, 50, 51, 49.5, 0.05, 100])
    at = Cauchy().best_constant(y)
    mean = [float(Cauchy()(np.full(8, z), y)) for z in (at, 50.03)]
    assert at == pytest.approx(0.0304, abs=1e-4) and mean == pytest.approx([2.05, 2.50], abs=0.005)
    assert Cauchy().best_constant(y[::-1]) == at
    assert Cauchy().best_constant([3.0]) == 3.0


@pytest.mark.parametrize(
    "loss", [*OWN, ml.SineSquared(), ml.SigmoidBrier(), ml.Focal(), ml.Focal(gamma=0.1), ml.InverseGaussian()], ids=label
)
def test_best_constant_is_the_best_of_the_whole_line(loss: Any) -> None:
    """No place of a fine grid is better, for the losses whose mean may have several minima."""
    r = np.random.default_rng(11)
    for trial in range(10):
        n = int(r.integers(2, 30))
        y, w = moderate(loss, n, seed=trial)[1], r.uniform(0.1, 3, size=n)
        if loss.target_domain.low == -np.inf:
            y *= 10 ** r.uniform(-1, 1.3)
        best = loss(np.full(n, loss.best_constant(y, w)), y, w)
        low, high = (y.min() - 0.5, y.max() + 0.5) if loss.target_domain.low == -np.inf else (-20.0, 20.0)
        on_grid = [loss(np.full(n, z), y, w) for z in np.linspace(low, high, 501)]
        assert best <= min(on_grid) + 1e-12


def test_best_constant_of_many_targets_is_as_good_as_any_place_near_it() -> None:
    """Beyond 4096 distinct targets the search looks at groups, and ends on all rows."""
    y = np.concatenate([np.random.default_rng(5).normal(size=4000), 30 + 0.1 * np.random.default_rng(6).normal(size=2500)])
    at = Welsch().best_constant(y)
    assert abs(at) < 0.1 and abs(Welsch().gradient(np.full(y.size, at), y).mean()) < 1e-12
    assert Welsch(scale=0.1).best_constant(y) == pytest.approx(30, abs=0.05)


def test_a_search_without_end_is_an_error_and_one_that_ends_at_infinity_is_not() -> None:
    class Falling(ml.PointwiseLoss):
        """It falls for ever."""

        @staticmethod
        def formula(m: Any, raw: Any, target: Any) -> Any:
            return m.exp(-raw) + 0.0 * target, -m.exp(-raw), m.exp(-raw)

    class Saturating(ml.PointwiseLoss):
        """(1 - p)^3 of the label's probability: not linear in y, and least at an infinite raw output."""

        target_domain = Interval(0, 1, "both")

        @staticmethod
        def formula(m: Any, raw: Any, target: Any) -> Any:
            p = m.sigmoid(raw)
            d = p - target
            return m.abs(d) * d * d, 3 * m.abs(d) * d * p * (1 - p), 0.0 * raw

        link_formula = staticmethod(lambda m, prediction: m.log(prediction) - m.log1p(-prediction))

    with pytest.raises(NotImplementedError, match="write _best_constant"):
        Falling().best_constant([0.0, 1.0])
    assert Saturating().best_constant([1.0, 1.0]) == np.inf
    assert Saturating().best_constant([1.0, 1.0, 0.0]) == pytest.approx(np.log(np.sqrt(2)), abs=1e-6)


@pytest.mark.parametrize(
    ("loss", "ones"), [(ml.Logistic(), np.inf), (ml.Probit(), np.inf), (ml.CLogLog(), np.inf), (ml.BinaryBrier(), 1), (ml.Focal(), np.inf)]
)
def test_best_constant_of_one_label_alone(loss: Any, ones: float) -> None:
    assert loss.best_constant(np.ones(5)) == ones
    assert ml.Poisson().best_constant(np.zeros(5)) == -np.inf
    np.testing.assert_array_equal(ml.CrossEntropy().best_constant(np.zeros(3, int), n_classes=2), [0, -np.inf])


@pytest.mark.parametrize("loss", ALL, ids=label)
def test_fisher_is_the_mean_hessian_over_labels_from_the_prediction(loss: Any) -> None:
    z, _ = sample(loss, 50)
    try:
        fisher = loss.hessian(z, sample(loss, 50)[1], curvature="fisher")
    except ml.DomainError:
        assert not loss.matching
        return
    if loss.family == "binary":
        p = loss.predict(z)
        mean = p * loss.hessian(z, np.ones(50)) + (1 - p) * loss.hessian(z, np.zeros(50))
    elif is_simplex(loss):
        mean = sum(loss.predict(z)[:, k : k + 1] * loss.hessian(z, np.full(50, k)) for k in range(z.shape[1]))
    else:  # affine in the target: its mean is its value at the mean
        mean = loss.hessian(z, loss.predict(z))
    inside = np.abs(np.abs(z) - 1) > 1e-3
    np.testing.assert_allclose(fisher[inside], mean[inside], rtol=1e-10, atol=1e-12)
    assert (fisher >= 0).all()


@pytest.mark.parametrize("loss", ALL, ids=label)
def test_a_majorizer_lies_above(loss: Any) -> None:
    """Of one number: a parabola above the loss everywhere. Of a row: a diagonal matrix above the hessian."""
    z, y = sample(loss, 240)
    try:
        bound = loss.hessian(z, y, curvature="majorizer")
    except ml.DomainError:
        return
    if is_simplex(loss):
        columns = [loss.hessian_product(z, y, np.broadcast_to(e, z.shape)) for e in np.eye(z.shape[1])]
        excess = bound[:, :, None] * np.eye(z.shape[1]) - np.stack(columns, axis=-1)
        assert np.linalg.eigvalsh(excess).min() >= -1e-12
        return
    to = sample(loss, 240, seed=12)[0]
    above = loss.value(z, y) + loss.gradient(z, y) * (to - z) + 0.5 * bound * (to - z) ** 2
    assert (above >= loss.value(to, y) - 1e-12).all() and (bound >= loss.hessian(z, y) - 1e-12).all()
