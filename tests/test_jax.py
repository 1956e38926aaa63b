"""JAX: the same numbers as NumPy's, and the formulas' own derivatives under every transformation."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")

import jax.numpy as jnp  # noqa: E402

import matchloss as ml  # noqa: E402
import matchloss.jax as mj  # noqa: E402
import sweeps  # noqa: E402
from cases import DEFAULTS, POINTWISE, SIMPLEX, label, moderate, moderate_rows, row_targets, rows  # noqa: E402
from cases import logits as extreme_logits  # noqa: E402
from sweeps import few, sweep  # noqa: E402

TANH = ml.match(lambda m, raw: m.tanh(raw), potential=lambda m, raw: m.softplus(2 * raw) - raw)


def kept(loss: Any, dtype: Any) -> bool:
    return dtype == np.float64 or few(loss)


SAMPLE = [ml.Logistic(), ml.Poisson(), ml.Tweedie(1.5), ml.Huber(), ml.Focal()]


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    """float64 is there, as with jax_enable_x64, unless a test says otherwise."""
    with jax.enable_x64(True):
        yield


def case(loss: Any, n: int = 5) -> tuple[Any, Any]:
    """Ordinary rows."""
    return moderate(loss, n) if loss is not TANH else tuple(np.random.default_rng(0).normal(size=(2, n)))


def jitted(f: Callable[..., Any], *arrays: Any) -> Any:
    """f compiled whole, which takes less time than each of its operations by itself."""
    return jax.jit(f)(*arrays)


def close(a: Any, b: Any, rtol: float = 1e-12, atol: float = 1e-13) -> None:
    np.testing.assert_allclose(np.asarray(a, np.float64), np.asarray(b, np.float64), rtol=rtol, atol=atol)


# --- the numbers ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "dtype"), sweep(itertools.product(POINTWISE, [np.float64, np.float32]), kept), ids=label)
def test_outputs_are_numpys_over_the_whole_range(loss: Any, dtype: Any) -> None:
    z, y = rows(loss, dtype)
    tiny = np.finfo(dtype).tiny
    keep = (np.abs(z) >= tiny) | (z == 0)  # XLA takes subnormal numbers for 0
    if loss.name == "sine_squared" and dtype == np.float32:
        keep &= (np.abs(z - y) < 3) & (np.abs(y) < 10)  # d is as exact as float32
    z, y = (np.resize(a[keep], 1500) for a in (z, y))  # one shape for all losses: what JAX compiled for one serves the next
    expected = loss.evaluate(z.astype(np.float64), y.astype(np.float64), hessian=True)
    found = mj.host_evaluate(loss, z, y, hessian=True)
    rtol, atol = (1e-11, 2e-15) if dtype == np.float64 else (5e-5, 1e-6)
    largest = float(np.finfo(dtype).max)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == dtype
        inside = np.abs(other) < largest / 4
        if loss.name == "huber":
            inside &= np.abs(np.abs(z - y) - loss.delta) > 1e-4  # which side of the corner
        close(one[inside], other[inside], rtol, atol + tiny * (1 + y[inside].max()))
        assert not np.isnan(one).any()


@pytest.mark.parametrize("loss", SIMPLEX, ids=label)
def test_rows_are_numpys_over_the_whole_range(loss: Any) -> None:
    z, (labels, p) = extreme_logits(loss, 5, 40, np.float64), row_targets(5, 40, np.float64)
    for target in (labels, p):
        expected = loss.evaluate(z, target, hessian=True)
        for one, other in zip(mj.host_evaluate(loss, z, target, hessian=True), expected, strict=True):
            scale = np.abs(other) if other.ndim == 1 else np.broadcast_to(np.abs(other).max(axis=-1, keepdims=True), other.shape)
            finite = scale < np.finfo(float).max / 4
            assert (np.abs(one[finite] - other[finite]) <= 64 * np.finfo(float).eps * scale[finite] + 1e-307).all()
            assert not np.isnan(one).any()


@pytest.mark.parametrize("loss", sweep(loss for loss in DEFAULTS if loss.family == "simplex"), ids=label)
def test_rows_in_float32_are_as_exact_as_float32_is(loss: Any) -> None:
    z, (labels, _) = extreme_logits(loss, 5, 40, np.float32), row_targets(5, 40, np.float32)
    found, expected = mj.host_evaluate(loss, z, labels), loss.evaluate(z.astype(np.float64), labels)
    assert found.value.dtype == found.gradient.dtype == np.float32
    finite = expected.value < np.finfo(np.float32).max / 4
    close(found.value[finite], expected.value[finite], 2e-6, 1e-37)
    close(found.gradient, expected.gradient, 2e-6, 1e-7)


@pytest.mark.parametrize("wide", [True, False])
def test_confident_rows_are_exact(wide: bool) -> None:
    with jax.enable_x64(wide):
        slope = jax.jit(jax.grad(lambda z: mj.loss(ml.Logistic(), z, 1.0)))(40.0)
        row = jnp.array([40.0, 0.0, 0.0])
        both = jax.jit(jax.value_and_grad(lambda z: mj.loss(ml.CrossEntropy(), z, 0)))(row)
    close(slope, -4.248354255291589e-18, 1e-6, 0)
    close(both[0], 8.496708510583178e-18, 1e-6, 0)
    close(both[1], [-8.496708510583178e-18, 4.248354255291589e-18, 4.248354255291589e-18], 1e-6, 0)


@pytest.mark.parametrize("half", sweep([jnp.bfloat16, jnp.float16], lambda half: half == jnp.bfloat16))
@pytest.mark.parametrize("loss", [ml.Logistic(), ml.CrossEntropy()], ids=label)
def test_half_inputs_give_a_float32_loss_and_a_half_gradient(loss: Any, half: Any) -> None:
    z = jnp.array([[0.5, -2.0, 3.0]], half)
    target = jnp.array([1]) if loss.family == "simplex" else jnp.ones_like(z)
    value, slope = jax.value_and_grad(lambda z: mj.loss(loss, z, target).sum())(z)
    assert (value.dtype, slope.dtype) == (jnp.float32, half)
    close(value, np.sum(loss.value(np.asarray(z, np.float64), np.asarray(target, np.float64 if loss.family != "simplex" else int))), 1e-6)
    p = jnp.array([[0.3, 0.3, 0.4]], half)  # sums to 1 as half dtypes do
    assert np.isfinite(mj.loss(ml.CrossEntropy(), z, p)).all()


# --- derivatives ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", sweep([*POINTWISE, TANH], lambda loss: few(loss) or loss is TANH), ids=label)
def test_derivatives_are_the_formulas(loss: Any) -> None:
    z, y = case(loss)
    expected = mj.host_evaluate(loss, z, y, hessian=True)

    def total(z: Any) -> Any:
        return mj.loss(loss, z, y).sum()

    assert np.array_equal(jax.grad(total)(z), expected.gradient)
    if not (sweeps.everything or few(loss) or loss is TANH):
        return
    full = jax.hessian(total)(z)
    assert np.array_equal(np.diag(full), expected.hessian) and np.count_nonzero(full - np.diag(np.diag(full))) == 0
    close(jax.jacrev(jax.grad(total))(z), full)
    if loss in SAMPLE or loss is TANH:  # compiling takes its time
        close(jax.jit(jax.jacfwd(jax.grad(total)))(z), full)
        close(jax.jit(jax.grad(total))(z), expected.gradient)
        close(jax.vmap(jax.grad(lambda z, y: mj.loss(loss, z, y)))(z, y), expected.gradient)
        close(jax.jvp(lambda z: mj.loss(loss, z, y), (z,), (np.full(5, 2.0),))[1], 2 * expected.gradient)


@pytest.mark.parametrize("loss", sweep(SIMPLEX), ids=label)  # every loss's gradient and hessian are NumPy's, above
def test_derivatives_of_rows_are_the_formulas(loss: Any) -> None:
    z, labels, p = moderate_rows(3, 4)
    along = np.random.default_rng(1).normal(size=z.shape)

    def derivatives(z: Any, target: Any, along: Any) -> Any:
        def slope(z: Any) -> Any:
            return jax.grad(lambda z: mj.loss(loss, z, target).sum())(z)

        return slope(z), jax.jvp(slope, (z,), (along,))[1], jax.vjp(slope, z)[1](along)[0]

    for target in (labels, p):
        slope, forward, backward = jitted(derivatives, z, target, along)
        close(slope, loss.gradient(z, target), 1e-10)
        close(forward, loss.hessian_product(z, target, along), 1e-10)
        close(backward, loss.hessian_product(z, target, along), 1e-10)
    if loss.name in ("cross_entropy", "sparsemax"):
        assert np.array_equal(jax.grad(lambda z: mj.loss(loss, z, labels).sum())(z), mj.host_evaluate(loss, z, labels).gradient)
        one = jitted(jax.vmap(jax.hessian(lambda z, t: mj.loss(loss, z, t))), z, labels)
        close(np.einsum("ijk,ik->ij", one, along), loss.hessian_product(z, labels, along), 1e-10)


def test_corners_pass_on_the_formulas_choice() -> None:
    assert jax.grad(lambda z: mj.loss(ml.AbsoluteError(), z, 1.0))(1.0) == 0.0
    assert jax.grad(lambda z: mj.loss(ml.Pinball(0.75), z, 1.0))(1.0) == 0.25


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit])
def test_no_derivative_is_a_silent_zero(wrap: Callable[..., Any]) -> None:
    def of(*which: int) -> Any:
        return jax.grad(wrap(lambda z, y, w: mj.loss(ml.Poisson(), z, y, w)), argnums=which)(0.5, 1.0, 1.0)

    assert of(0)[0] == pytest.approx(np.exp(0.5) - 1)
    with pytest.raises(TypeError, match="in the target is not computed"):
        of(0, 1)
    with pytest.raises(TypeError, match="in sample_weight is not computed"):
        of(2)
    with pytest.raises(TypeError, match="a third is not computed"):
        jax.grad(jax.grad(jax.grad(wrap(lambda z: mj.loss(ml.Logistic(), z, 0.5)))))(0.3)
    p = jnp.array([0.5, 0.5])
    with pytest.raises(TypeError, match="in the target"):
        jax.jvp(wrap(lambda t: mj.loss(ml.CrossEntropy(), p, t)), (p,), (p,))
    with pytest.raises(TypeError, match="a third is not computed"):
        jax.jacfwd(jax.hessian(wrap(lambda z: mj.loss(ml.CrossEntropy(), z, 0))))(p)


@pytest.mark.parametrize("loss", [loss for loss in DEFAULTS if loss.family == "regression"], ids=label)
def test_losses_of_a_difference_have_derivatives_in_the_target(loss: Any) -> None:
    z, y = case(loss)
    both = jax.grad(lambda z, y: mj.loss(loss, z, y).sum(), argnums=(0, 1))(z, y)
    assert np.array_equal(both[0], -both[1])
    close(both[0], loss.gradient(z, y))
    second = jax.hessian(lambda y: mj.loss(loss, z, y).sum())(y)
    close(np.diag(second), loss.hessian(z, y))


def test_predict_and_its_derivative() -> None:
    z, y = case(ml.Logistic())
    for loss in (ml.Logistic(), ml.Poisson(), ml.BinarySpherical(), TANH):
        close(mj.predict(loss, z), loss.predict(z))
        close(jax.vmap(jax.grad(lambda z, loss=loss: mj.predict(loss, z)))(z), loss.hessian(z, y))
    for loss in (ml.CrossEntropy(), ml.Sparsemax(), ml.Spherical()):
        close(mj.predict(loss, z), loss.predict(z))
        close(jax.jvp(lambda z, loss=loss: mj.predict(loss, z), (z,), (y,))[1], loss.hessian_product(z, 0, y))
    assert jax.grad(lambda z: mj.predict(ml.Logistic(), z))(0.0) == 0.25  # autodiff through |z| would say 0
    with pytest.raises(TypeError, match="derivative of predict"):
        jax.grad(lambda z: mj.predict(ml.Focal(), z))(0.0)


@pytest.mark.parametrize("loss", [ml.Probit(), ml.Gamma(), ml.SoftmaxBrier(), ml.CrossEntropy(), ml.SquaredHinge()], ids=label)
def test_curvatures(loss: Any) -> None:
    z, y = moderate_rows(5, 3)[:2] if loss.family == "simplex" else case(loss)
    for curvature in loss.programs:
        w = np.array([1.0, 2.0, 0.0, 0.5, 1.0])
        found = mj.host_evaluate(loss, z, y, w, False, False, True, curvature)
        assert found.value is None and found.gradient is None
        close(found.hessian, loss.evaluate(z, y, w, False, False, True, curvature).hessian)
    with pytest.raises(ml.DomainError, match="no curvature 'other'"):
        mj.host_evaluate(loss, z, y, curvature="other")


# --- weights, bad input ---------------------------------------------------------------------------------------------------------


def test_a_row_of_weight_0_is_not_looked_at_and_passes_nothing_back() -> None:
    z, y, w = jnp.array([jnp.nan, 1.0, 2.0]), jnp.array([1.0, -1.0, 3.0]), jnp.array([0.0, 0.0, 2.0])
    for wrap in (lambda f: f, jax.jit):
        value, slope = wrap(jax.value_and_grad(lambda z, y, w: mj.loss(ml.Poisson(), z, y, w).sum()))(z, y, w)
        close(value, 2 * ml.Poisson().value(2.0, 3.0))
        close(slope, [0.0, 0.0, 2 * ml.Poisson().gradient(2.0, 3.0)])
    row = jnp.array([[jnp.nan, 1.0], [0.0, 1.0]])
    slope = jax.grad(lambda z: mj.cross_entropy(z, jnp.array([5, 1]), z_loss=0.1, sample_weight=jnp.array([0.0, 1.0])).sum())(row)
    assert (slope[0] == 0).all() and (slope[1] != 0).all()
    close(mj.host_call(ml.Poisson(), z, y, w), ml.Poisson().value(2.0, 3.0))


def test_bad_rows_raise_where_they_are_visible() -> None:
    ones = jnp.ones(3)
    with pytest.raises(ml.DomainError, match=r"target\[1\] is -1.0; allowed: \[0, inf\)"):
        mj.loss(ml.Poisson(), ones, jnp.array([1.0, -1.0, 2.0]))
    for target in (jnp.array([1.0, -1.0, 2.0]), np.array([1.0, -1.0, 2.0]), [1.0, -1.0, 2.0]):
        with pytest.raises(ml.DomainError, match=r"target\[1\] is -1.0"):  # raw is traced, the target is not
            jax.jit(jax.grad(lambda z, target=target: mj.loss(ml.Poisson(), z, target).sum()))(ones)
    with pytest.raises(ml.DomainError, match=r"target\[1\] is 3; allowed: labels 0..2"):
        mj.loss(ml.CrossEntropy(), jnp.ones((2, 3)), jnp.array([0, 3]))
    with pytest.raises(ml.DomainError, match=r"target\[0\] sums to 0.9"):
        mj.cross_entropy(jnp.zeros((1, 2)), jnp.array([[0.5, 0.4]]))
    with pytest.raises(ml.DomainError, match=r"sample_weight\[2\] is -1.0"):
        mj.loss(ml.Poisson(), ones, ones, jnp.array([1.0, 1.0, -1.0]))
    with pytest.raises(ml.DomainError, match=r"target\[0\] is 7"):
        mj.cross_entropy(jnp.zeros((1, 2)), jnp.array([7]), label_smoothing=0.1)
    with pytest.raises(ml.DomainError, match=r"target\[1\] is -100"):
        mj.linear_cross_entropy(jnp.ones((2, 3)), jnp.ones((4, 3)), jnp.array([0, -100]))


def test_bad_rows_are_nan_where_they_are_not_visible() -> None:
    def both(loss: Any, z: Any, y: Any, *w: Any) -> Any:
        return jax.jit(lambda z, y, *w: (mj.loss(loss, z, y, *w), jax.grad(lambda z: mj.loss(loss, z, y, *w).sum())(z)))(z, y, *w)

    ones = jnp.ones(3)
    for loss, y in ((ml.Poisson(), [1.0, -1.0, 2.0]), (ml.Huber(), [1.0, np.nan, 2.0]), (ml.Gamma(), [1.0, 0.0, 2.0])):
        for out in both(loss, ones, jnp.array(y)):
            assert np.isnan(out).tolist() == [False, True, False]
    for out in both(ml.Poisson(), ones, ones, jnp.array([1.0, -1.0, 0.0])):
        assert np.isnan(out).tolist() == [False, True, False]
    rows = jnp.ones((3, 2))
    for target in ([1, 2, -1], [[0.5, 0.5], [0.5, 0.4], [1.5, -0.5]]):
        for out in both(ml.CrossEntropy(), rows, jnp.array(target)):
            assert (
                np.isnan(out.reshape(3, -1)).all(axis=1).tolist()
                == np.isnan(out.reshape(3, -1)).any(axis=1).tolist()
                == [False, True, True]
            )
    x = jax.jit(lambda t: mj.linear_cross_entropy(rows, rows, t, reduction="none", label_smoothing=0.1))(jnp.array([0, 3, 1]))
    assert np.isnan(x).tolist() == [False, True, False]


def test_shapes_and_dtypes_that_are_refused() -> None:
    for call in (
        lambda: mj.loss(ml.Poisson(), jnp.ones(3), jnp.ones((3, 1))),
        lambda: mj.loss(ml.CrossEntropy(), jnp.ones((3, 2)), jnp.ones((3, 1), int)),
        lambda: mj.loss(ml.CrossEntropy(), jnp.ones((3, 0)), jnp.ones(3, int)),
        lambda: mj.loss(ml.Poisson(), jnp.ones(3), jnp.ones(3), jnp.ones(2)),
        lambda: mj.host_call(ml.Poisson(), jnp.ones(0), jnp.ones(0)),
        lambda: mj.linear_cross_entropy(jnp.ones((2, 3)), jnp.ones((4, 2)), jnp.ones(2, int)),
        lambda: mj.linear_cross_entropy(jnp.ones((2, 3)), jnp.ones((4, 3)), jnp.ones(3, int)),
        lambda: mj.linear_cross_entropy(jnp.ones((2, 3)), jnp.ones((4, 3)), jnp.ones(2, int), linear_bias=jnp.ones(3)),
        lambda: mj.sample_targets(jax.random.key(0), jnp.ones(()), 1),
    ):
        with pytest.raises(ml.ShapeError):
            call()
    for call in (
        lambda: mj.loss(ml.Poisson(), jnp.ones(3, complex), jnp.ones(3)),
        lambda: mj.loss(ml.CrossEntropy(), jnp.ones((3, 2)), jnp.ones(3)),
        lambda: mj.loss("poisson", jnp.ones(3), jnp.ones(3)),  # pyright: ignore[reportArgumentType]
        lambda: mj.linear_cross_entropy(jnp.ones((2, 3)), jnp.ones((4, 3)), jnp.ones(2)),
        lambda: mj.linear_cross_entropy(jnp.ones((2, 3), int), jnp.ones((4, 3)), jnp.ones(2, int)),
    ):
        with pytest.raises(TypeError):
            call()
    for options in ({"label_smoothing": 1.0}, {"softcap": 0.0}, {"temperature": -1.0}):
        with pytest.raises(ml.DomainError, match=next(iter(options))):
            mj.cross_entropy(jnp.ones((1, 2)), jnp.array([0]), **options)
    with pytest.raises(ml.DomainError, match="reduction is 'average'"):
        mj.linear_cross_entropy(jnp.ones((2, 3)), jnp.ones((4, 3)), jnp.ones(2, int), reduction="average")


def test_arrays_of_jax_go_to_jax() -> None:
    z, y = (jnp.asarray(a) for a in case(ml.Poisson()))
    value = jax.jit(ml.Poisson())(z, y)
    assert isinstance(value, jax.Array)
    close(value, ml.Poisson()(np.asarray(z), np.asarray(y)))
    close(jax.grad(ml.Poisson())(z, y), ml.Poisson().gradient(np.asarray(z), np.asarray(y)) / z.size)
    evaluation = ml.Poisson().evaluate(z, y, hessian=True)
    assert all(isinstance(a, jax.Array) for a in evaluation)
    assert isinstance(ml.CrossEntropy().predict(z), jax.Array)
    close(ml.Poisson().value(z, y), ml.Poisson().value(np.asarray(z), np.asarray(y)))
