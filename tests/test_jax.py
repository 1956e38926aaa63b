"""JAX: the same numbers as NumPy's, the formulas' own derivatives under every transformation, optax's results under its names."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")

import jax.numpy as jnp  # noqa: E402

import matchloss as ml  # noqa: E402
import matchloss.jax as mj  # noqa: E402
from cases import DEFAULTS, POINTWISE, SIMPLEX, label, moderate, moderate_rows, row_targets, rows  # noqa: E402
from cases import logits as extreme_logits  # noqa: E402

TANH = ml.match(lambda m, raw: m.tanh(raw), potential=lambda m, raw: m.softplus(2 * raw) - raw)
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


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("loss", POINTWISE, ids=label)
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


@pytest.mark.parametrize("loss", [loss for loss in DEFAULTS if loss.kind == "simplex"], ids=label)
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


@pytest.mark.parametrize("half", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("loss", [ml.Logistic(), ml.CrossEntropy()], ids=label)
def test_half_inputs_give_a_float32_loss_and_a_half_gradient(loss: Any, half: Any) -> None:
    z = jnp.array([[0.5, -2.0, 3.0]], half)
    target = jnp.array([1]) if loss.kind == "simplex" else jnp.ones_like(z)
    value, slope = jax.value_and_grad(lambda z: mj.loss(loss, z, target).sum())(z)
    assert (value.dtype, slope.dtype) == (jnp.float32, half)
    close(value, np.sum(loss.value(np.asarray(z, np.float64), np.asarray(target, np.float64 if loss.kind != "simplex" else int))), 1e-6)
    p = jnp.array([[0.3, 0.3, 0.4]], half)  # sums to 1 as half dtypes do
    assert np.isfinite(mj.loss(ml.CrossEntropy(), z, p)).all()


# --- derivatives ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [*POINTWISE, TANH], ids=label)
def test_derivatives_are_the_formulas(loss: Any) -> None:
    z, y = case(loss)
    expected = mj.host_evaluate(loss, z, y, hessian=True)

    def total(z: Any) -> Any:
        return mj.loss(loss, z, y).sum()

    assert np.array_equal(jax.grad(total)(z), expected.gradient)
    full = jax.hessian(total)(z)
    assert np.array_equal(np.diag(full), expected.hessian) and np.count_nonzero(full - np.diag(np.diag(full))) == 0
    close(jax.jacrev(jax.grad(total))(z), full)
    if loss in SAMPLE or loss is TANH:  # compiling takes its time
        close(jax.jit(jax.jacfwd(jax.grad(total)))(z), full)
        close(jax.jit(jax.grad(total))(z), expected.gradient)
        close(jax.vmap(jax.grad(lambda z, y: mj.loss(loss, z, y)))(z, y), expected.gradient)
        close(jax.jvp(lambda z: mj.loss(loss, z, y), (z,), (np.full(5, 2.0),))[1], 2 * expected.gradient)


@pytest.mark.parametrize("loss", SIMPLEX, ids=label)
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


@pytest.mark.parametrize("loss", [loss for loss in DEFAULTS if loss.kind == "regression"], ids=label)
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
    z, y = moderate_rows(5, 3)[:2] if loss.kind == "simplex" else case(loss)
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


# --- cross entropy --------------------------------------------------------------------------------------------------------------

OPTIONS: list[dict[str, Any]] = [
    {},
    {"label_smoothing": 0.1, "z_loss": 1e-2},
    {"softcap": 3.0, "temperature": 0.7},
    {"label_smoothing": 0.2, "z_loss": 1e-3, "softcap": 5.0, "temperature": 2.0},
]


def plainly(
    logits: Any, target: Any, label_smoothing: float = 0.0, z_loss: float = 0.0, softcap: Any = None, temperature: float = 1.0
) -> Any:
    """The formula of the docstring as it stands, for autodiff."""
    u = logits if softcap is None else softcap * jnp.tanh(logits / softcap)
    u = u / temperature
    t = target if target.ndim == u.ndim else jax.nn.one_hot(target, u.shape[-1], dtype=u.dtype)
    t = (1 - label_smoothing) * t + label_smoothing / u.shape[-1]
    return -jnp.sum(t * jax.nn.log_softmax(u), axis=-1) + z_loss * jax.nn.logsumexp(u, axis=-1) ** 2


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_cross_entropy_is_its_formula(options: dict[str, Any]) -> None:
    z, labels, p = moderate_rows(3, 4)
    w = np.array([1.0, 0.0, 2.0])

    def everything(f: Callable[..., Any]) -> Callable[..., Any]:
        def of(z: Any, target: Any) -> Any:
            def total(z: Any) -> Any:
                return f(z, target).sum()

            return f(z, target), jax.grad(total)(z), jax.hessian(total)(z)

        return of

    ours = everything(lambda z, t: mj.cross_entropy(z, t, sample_weight=w, **options))
    theirs = everything(lambda z, t: w * plainly(z, t, **options))
    for target in (labels, p):
        for one, other in zip(jitted(ours, z, target), jitted(theirs, z, target), strict=True):
            close(one, other, 1e-9, 1e-11)


def test_masks_cost_nothing_unless_they_hide_the_label() -> None:
    z = jnp.array([[1.0, -jnp.inf, 2.0], [1.0, -jnp.inf, 2.0]])
    value, slope = jitted(jax.value_and_grad(lambda z: mj.cross_entropy(z, np.array([0, 2]), softcap=30.0, z_loss=1e-3).sum()), z)
    assert np.isfinite(value) and np.isfinite(slope).all() and (slope[:, 1] == 0).all()
    assert mj.cross_entropy(z[0], 1) == jnp.inf
    assert np.isfinite(mj.cross_entropy(z[0], jnp.array([0.5, 0.0, 0.5])))


@pytest.mark.parametrize("options", OPTIONS[::3], ids=str)
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_linear_cross_entropy_is_cross_entropy_of_the_product(reduction: str, soft: bool, options: dict[str, Any]) -> None:
    r = np.random.default_rng(3)
    x, w, b, weight = (jnp.asarray(r.normal(size=s)) for s in ((7, 3), (5, 3), (5,), (7,)))
    weight, up = jnp.abs(weight), r.normal(size=7)
    target = jnp.asarray(r.dirichlet(np.ones(5), size=7) if soft else r.integers(0, 5, size=7))

    def ours(x: Any, w: Any, b: Any) -> Any:
        out = mj.linear_cross_entropy(
            x, w, target, linear_bias=b, sample_weight=weight, reduction=reduction, chunk_bytes=3 * 5 * 8, **options
        )
        return jnp.sum(out * up) if reduction == "none" else 3.0 * out

    def whole(x: Any, w: Any, b: Any) -> Any:
        values = mj.cross_entropy(x @ w.T + b, target, sample_weight=weight, **options)
        return jnp.sum(values * up) if reduction == "none" else 3.0 * jnp.sum(values) / (jnp.sum(weight) if reduction == "mean" else 1.0)

    (one, gradients), (other, expected) = (jitted(jax.value_and_grad(f, argnums=(0, 1, 2)), x, w, b) for f in (ours, whole))
    close(one, other)
    for g, e in zip(gradients, expected, strict=True):
        close(g, e)


def test_linear_cross_entropy_forms_only_the_products_that_are_asked_for() -> None:
    x, w, t = jnp.ones((6, 3)), jnp.ones((5, 3)), jnp.arange(6) % 5

    def products(f: Callable[..., Any], **options: Any) -> int:
        return str(jax.make_jaxpr(f)(x, w)).count("dot_general")

    def f(x: Any, w: Any) -> Any:
        return mj.linear_cross_entropy(x, w, t, chunk_bytes=80)

    assert [products(g) for g in (f, jax.grad(f), jax.grad(f, 1), jax.grad(f, (0, 1)))] == [1, 2, 2, 3]


def test_linear_cross_entropy_never_holds_the_logits() -> None:
    x, w, t = jnp.ones((512, 8), jnp.float32), jnp.ones((1024, 8), jnp.float32), jnp.zeros(512, jnp.int32)

    def used(f: Callable[..., Any]) -> int:
        return jax.jit(jax.grad(f, (0, 1))).lower(x, w).compile().memory_analysis().temp_size_in_bytes

    chunks = used(lambda x, w: mj.linear_cross_entropy(x, w, t, chunk_bytes=1 << 17))
    whole = used(lambda x, w: mj.cross_entropy(x @ w.T, t).mean())
    assert whole >= 512 * 1024 * 4 and chunks <= whole / 4


def test_second_derivatives_of_the_linear_loss_are_right_or_refused() -> None:
    r = np.random.default_rng(5)
    x, w, t = jnp.asarray(r.normal(size=(4, 2))), jnp.asarray(r.normal(size=(3, 2))), jnp.array([0, 2, 1, 1])

    def of(reduction: str) -> Callable[..., Any]:
        return lambda w: jnp.sum(mj.linear_cross_entropy(x, w, t, reduction=reduction, chunk_bytes=48))

    expected = jitted(jax.hessian(lambda w: mj.cross_entropy(x @ w.T, t).sum()), w)
    close(jitted(jax.jacrev(jax.grad(of("sum"))), w), expected)
    close(jitted(jax.hessian(of("none")), w), expected)
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(of("sum"), (w,), (w,))
    with pytest.raises(TypeError, match="in sample_weight"):
        jax.grad(lambda s: mj.linear_cross_entropy(x, w, t, sample_weight=s))(jnp.ones(4))
    close(
        jax.grad(lambda w: jax.vmap(lambda x, t: mj.linear_cross_entropy(x, w, t))(x[:, None], t[:, None]).sum())(w), jax.grad(of("sum"))(w)
    )


def test_linear_cross_entropy_in_bfloat16_sums_in_float32() -> None:
    r = np.random.default_rng(7)
    x, w = (jnp.asarray(r.normal(size=s), jnp.bfloat16) for s in ((300, 16), (50, 16)))
    t = jnp.asarray(r.integers(0, 50, size=300))
    value, (to_x, to_w) = jitted(jax.value_and_grad(lambda x, w: mj.linear_cross_entropy(x, w, t, chunk_bytes=50 * 4 * 32), (0, 1)), x, w)
    assert (value.dtype, to_x.dtype, to_w.dtype) == (jnp.float32, jnp.bfloat16, jnp.bfloat16)
    wide = x.astype(float), w.astype(float)
    exact, (_, slope) = jitted(jax.value_and_grad(lambda x, w: mj.cross_entropy(x @ w.T, t).mean(), (0, 1)), *wide)
    close(value, exact, 1e-5)
    assert float(jnp.abs(to_w.astype(float) - slope).max() / jnp.abs(slope).max()) < 1e-2


# --- sampled targets ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [1, 2, 7, 50])
def test_sampled_targets_have_the_distribution(classes: int) -> None:
    p = np.random.default_rng(classes).dirichlet(np.full(classes, 0.5), size=2)
    p[0, : classes // 2] = 0
    p /= p.sum(axis=1, keepdims=True)
    m = 20_000
    drawn = np.asarray(jax.jit(mj.sample_targets, static_argnums=2)(jax.random.key(1), p, m))
    assert drawn.shape == (2, m) and drawn.dtype == np.int32
    for row, share in zip(drawn, p, strict=True):
        counts = np.bincount(row, minlength=classes)
        assert (counts[share == 0] == 0).all()
        assert (np.abs(counts - m * share) <= 5 * np.sqrt(m * share * (1 - share)) + 1).all()


def test_sampled_targets_are_unbiased_with_a_variance_of_one_over_m() -> None:
    z, _, p = moderate_rows(1, 12, seed=4)
    exact = ml.CrossEntropy().gradient(z[0], p[0])

    def signals(m: int) -> Any:
        drawn = mj.sample_targets(jax.random.key(m), jnp.broadcast_to(p[0], (4000, 12)), m)
        return jax.nn.softmax(z[0]) - jax.nn.one_hot(drawn, 12).mean(axis=1)

    one, eight = (np.asarray(jax.jit(signals, static_argnums=0)(m)) for m in (1, 8))
    for found in (one, eight):
        error = found.std(axis=0) / np.sqrt(len(found))
        assert (np.abs(found.mean(axis=0) - exact) <= 5 * error + 1e-9).all()
    assert one.var(axis=0).sum() / eight.var(axis=0).sum() == pytest.approx(8, rel=0.1)


def test_bad_distributions_draw_no_label() -> None:
    bad = jnp.array([[0.5, 0.4], [0.5, 0.5]])
    with pytest.raises(ml.DomainError, match=r"target\[0\] sums to 0.9"):
        mj.sample_targets(jax.random.key(0), bad, 1)
    drawn = jax.jit(lambda p: mj.sample_targets(jax.random.key(0), p, 3))(bad)
    assert (drawn[0] == -1).all() and (drawn[1] >= 0).all()
    with pytest.raises(ml.DomainError, match="m is 0"):
        mj.sample_targets(jax.random.key(0), bad, 0)


# --- optax ----------------------------------------------------------------------------------------------------------------------

NUMBERS = arrays.arrays(np.float64, 6, elements=st.floats(-30, 30))
LABELS = arrays.arrays(np.int64, 6, elements=st.integers(0, 1))
UNIT = arrays.arrays(np.float64, 6, elements=st.floats(0, 1))
ROWS = arrays.arrays(np.float64, (6, 4), elements=st.floats(-30, 30))
CLASSES = arrays.arrays(np.int64, 6, elements=st.integers(0, 3))
SHARES = arrays.arrays(np.float64, (6, 4), elements=st.floats(0, 1)).map(lambda a: (a + 1e-3) / (a + 1e-3).sum(axis=1, keepdims=True))
SIGNS = LABELS.map(lambda y: 2 * y - 1)
PAIRS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "squared_error": (NUMBERS, NUMBERS, {}),
    "l2_loss": (NUMBERS, NUMBERS, {}),
    "huber_loss": (NUMBERS, NUMBERS, {"delta": st.sampled_from([0.5, 1.0, 3.0])}),
    "log_cosh": (NUMBERS, NUMBERS, {}),
    "sigmoid_binary_cross_entropy": (NUMBERS, UNIT, {}),
    "sigmoid_focal_loss": (NUMBERS, LABELS, {"gamma": st.just(2.0), "alpha": st.sampled_from([None, 0.25])}),
    "hinge_loss": (NUMBERS, SIGNS, {}),
    "sparsemax_loss": (NUMBERS, LABELS, {}),
    "multiclass_sparsemax_loss": (ROWS, CLASSES, {}),
    "softmax_cross_entropy": (ROWS, SHARES, {}),
    "safe_softmax_cross_entropy": (ROWS, SHARES, {}),
    "softmax_cross_entropy_with_integer_labels": (ROWS, CLASSES, {}),
}


@pytest.mark.parametrize("name", PAIRS)
def test_optaxs_names_give_optaxs_results(name: str) -> None:
    predictions, targets, options = PAIRS[name]
    ours, theirs = getattr(mj, name), getattr(optax.losses, name)

    @functools.cache
    def compiled(f: Callable[..., Any], options: tuple[Any, ...]) -> Any:
        def both(z: Any, y: Any) -> Any:
            value, back = jax.vjp(lambda z: f(z, y, **dict(options)), z)
            return value, back(jnp.ones(value.shape))[0]

        return jax.jit(both)

    @settings(max_examples=100, deadline=None, database=None)
    @given(predictions, targets, st.fixed_dictionaries(options))
    def compare(z: Any, y: Any, chosen: dict[str, Any]) -> None:
        (one, slope), (other, expected) = (compiled(f, tuple(chosen.items()))(z, y) for f in (ours, theirs))
        close(one, other, 1e-12, 2e-13)
        corner = np.abs(np.abs(z) - 1) < 1e-9 if name == "hinge_loss" else np.zeros(z.shape, bool)
        close(np.where(corner, 0, slope), np.where(corner, 0, expected), 1e-9, 1e-11)

    compare()


def test_optaxs_signatures_begin_alike() -> None:
    for name in PAIRS:
        ours, theirs = (list(inspect.signature(getattr(m, name)).parameters.values()) for m in (mj, optax.losses))
        for one, other in zip(ours, theirs, strict=False):
            assert (one.name, one.kind, one.default) == (other.name, other.kind, other.default), name
    z = jnp.asarray(moderate_rows(4, 3)[0])
    close(
        mj.softmax_cross_entropy(z, jnp.eye(4, 3).at[3].set(1 / 3), axis=-1), optax.softmax_cross_entropy(z, jnp.eye(4, 3).at[3].set(1 / 3))
    )
    labels = jnp.array([0, 3, 1])
    f = "softmax_cross_entropy_with_integer_labels"
    close(getattr(mj, f)(z, labels, axis=0), getattr(optax, f)(z, labels, axis=0))
    close(mj.l2_loss(z), optax.l2_loss(z))
