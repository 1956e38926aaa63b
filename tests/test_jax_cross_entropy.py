"""JAX: cross entropy with all its options, of whole logits and of a linear layer; sampled targets; optax's results under its names."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sweeps import examples, sweep

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")

import jax.numpy as jnp  # noqa: E402

import matchloss as ml  # noqa: E402
import matchloss.jax as mj  # noqa: E402
from cases import moderate_rows  # noqa: E402
from matchloss.jax._loops import LOOPS_FROM  # noqa: E402
from test_jax import close, double, jitted  # noqa: E402, F401

# --- cross entropy --------------------------------------------------------------------------------------------------------------

OPTIONS: list[dict[str, Any]] = [
    {},
    {"label_smoothing": 0.1, "z_loss": 1e-2},
    {"softcap": 3.0, "temperature": 0.7},
    {"label_smoothing": 0.2, "z_loss": 1e-3, "softcap": 5.0, "temperature": 2.0},
]

PRODUCTS = [("mean", False, OPTIONS[0]), ("mean", True, OPTIONS[3]), ("none", False, OPTIONS[3]), ("sum", True, OPTIONS[0])]


def plainly(
    logits: Any, target: Any, label_smoothing: float = 0.0, z_loss: float = 0.0, softcap: Any = None, temperature: float = 1.0
) -> Any:
    """The formula of the docstring as it stands, for autodiff."""
    u = logits if softcap is None else softcap * jnp.tanh(logits / softcap)
    u = u / temperature
    t = target if target.ndim == u.ndim else jax.nn.one_hot(target, u.shape[-1], dtype=u.dtype)
    t = (1 - label_smoothing) * t + label_smoothing / u.shape[-1]
    return -jnp.sum(t * jax.nn.log_softmax(u), axis=-1) + z_loss * jax.nn.logsumexp(u, axis=-1) ** 2


@pytest.mark.parametrize("options", sweep(OPTIONS, lambda options: len(options) in (0, 4)), ids=str)
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


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_softcap_keeps_the_tail_of_its_slope(dtype: Any) -> None:
    z = np.array([800.0, 0.0, 1.0], dtype)
    slope = jitted(jax.grad(lambda z: mj.cross_entropy(z, 1, softcap=30.0)), z)
    assert slope.dtype == dtype
    rise = 4 * np.exp(-2 * 800 / 30)  # 1 - tanh(z / 30)^2
    close(slope[0], rise * np.exp(30.0) / (np.exp(30.0) + 1 + np.e), 1e-5 if dtype == np.float32 else 1e-9, 0)


@pytest.mark.parametrize(
    "loss", sweep([ml.CrossEntropy(), ml.Sparsemax()], lambda loss: loss.name == "cross_entropy"), ids=lambda loss: loss.name
)
def test_many_labels_take_the_compiled_loops(loss: Any) -> None:
    r = np.random.default_rng(2)
    rows, classes = LOOPS_FROM // 128, 128
    z, y = r.normal(size=(rows, classes)), r.integers(0, classes, rows)
    bad = y.copy()
    bad[[3, 9]] = -1, classes
    along = r.normal(size=z.shape)

    def everything(z: Any, y: Any) -> Any:
        def slope(z: Any) -> Any:
            return jax.grad(lambda z: mj.loss(loss, z, y).sum())(z)

        return mj.loss(loss, z, y), slope(z), jax.jvp(slope, (z,), (along,))[1]

    assert "buffer_callback" in str(jax.make_jaxpr(lambda z: mj.loss(loss, z, y))(z))
    value, slope, turn = jitted(everything, z, y)
    close(value, loss.value(z, y))
    close(slope, loss.gradient(z, y))
    close(turn, loss.hessian_product(z, y, along), 1e-9)
    for found in jitted(everything, z, bad)[:2]:
        assert np.flatnonzero(np.isnan(np.asarray(found).reshape(rows, -1)).any(axis=1)).tolist() == [3, 9]
    each = jitted(jax.vmap(lambda z, y: mj.loss(loss, z, y)), np.stack([z, -z]), np.stack([y, y[::-1]]))
    close(each, [loss.value(z, y), loss.value(-z, y[::-1])])


def test_masks_cost_nothing_unless_they_hide_the_label() -> None:
    z = jnp.array([[1.0, -jnp.inf, 2.0], [1.0, -jnp.inf, 2.0]])
    value, slope = jitted(jax.value_and_grad(lambda z: mj.cross_entropy(z, np.array([0, 2]), softcap=30.0, z_loss=1e-3).sum()), z)
    assert np.isfinite(value) and np.isfinite(slope).all() and (slope[:, 1] == 0).all()
    assert mj.cross_entropy(z[0], 1) == jnp.inf
    assert np.isfinite(mj.cross_entropy(z[0], jnp.array([0.5, 0.0, 0.5])))


@pytest.mark.parametrize(
    ("reduction", "soft", "options"),
    # `make test`: each reduction, and labels and distributions with and without options
    sweep(itertools.product(["mean", "sum", "none"], [False, True], OPTIONS[::3]), lambda *case: case in PRODUCTS),
    ids=str,
)
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


@pytest.mark.exhaustive
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

    @settings(max_examples=examples(100), deadline=None, database=None)
    @given(predictions, targets, st.fixed_dictionaries(options))
    def compare(z: Any, y: Any, chosen: dict[str, Any]) -> None:
        (one, slope), (other, expected) = (compiled(f, tuple(chosen.items()))(z, y) for f in (ours, theirs))
        close(one, other, 1e-12, 2e-13)
        corner = np.abs(np.abs(z) - 1) < 1e-9 if name == "hinge_loss" else np.zeros(z.shape, bool)
        close(np.where(corner, 0, slope), np.where(corner, 0, expected), 1e-9, 1e-11)

    compare()


def test_optaxs_arguments_are_all_taken() -> None:
    for name in PAIRS:
        ours, theirs = (inspect.signature(getattr(m, name)).parameters for m in (mj, optax.losses))
        assert [(p.name, p.kind, p.default) for p in ours.values()] == [(p.name, p.kind, p.default) for p in theirs.values()], name


@pytest.mark.parametrize(["axis"], sweep([(0,), ((1, 2),), ((-1, 0),), (None,)], lambda axis: axis == (1, 2)))
def test_axes_and_where_are_optaxs(axis: Any) -> None:
    r = np.random.default_rng(0)
    shape = (2, 3, 4)
    z, p = jnp.asarray(r.normal(size=shape)), jnp.asarray(r.dirichlet(np.ones(24), size=()).reshape(shape))
    p = p / p.sum(axis, keepdims=True)
    axes = tuple(range(3)) if axis is None else tuple(a % 3 for a in np.atleast_1d(axis))
    batch = tuple(n for i, n in enumerate(shape) if i not in axes)
    labels = jnp.asarray(r.integers(0, 24 // int(np.prod(batch)), batch))
    some = jnp.asarray(r.random(shape) < 0.7)

    def both(f: Callable[..., Any], target: Any, where: Any) -> Any:
        def of(z: Any) -> Any:
            value, back = jax.vjp(lambda z: f(z, target, axis, where), z)
            return value, back(jnp.ones_like(value))[0]

        return of

    for where in (None, some, None if axis is None else jnp.asarray(r.random(batch) < 0.5)):
        ours, theirs = (jitted(both(m.softmax_cross_entropy, p, where), z) for m in (mj, optax))
        close(ours[0], theirs[0])
        close(ours[1], np.nan_to_num(theirs[1]))  # optax's gradient is NaN at a row of which nothing counts
        if axis is not None:
            name = "softmax_cross_entropy_with_integer_labels"
            ours, theirs = (jitted(both(getattr(m, name), labels, where), z) for m in (mj, optax))
            seen = np.isfinite(ours[0])  # inf at a label that does not count
            assert seen.any() and (where is some or seen.all())
            close(np.where(seen, ours[0], 0), np.where(seen, theirs[0], 0))
    with pytest.raises(TypeError, match="axis is None"):
        mj.softmax_cross_entropy_with_integer_labels(z, labels, None)  # pyright: ignore[reportArgumentType]
    bad = p.at[0].set(2.0)
    with pytest.raises(ml.DomainError, match="probabilities"):
        mj.softmax_cross_entropy(z, bad, axis, some)
    assert np.isnan(jitted(lambda p: mj.softmax_cross_entropy(z, p, axis, some), bad)).any()


@pytest.mark.parametrize(
    ("name", "parameter", "good", "bad"), [("huber_loss", "delta", (0.5, 3.0), 0.0), ("sigmoid_focal_loss", "gamma", (0.0, 0.5, 2.3), -1.0)]
)
def test_parameters_may_be_traced(name: str, parameter: str, good: tuple[float, ...], bad: float) -> None:
    z, y = jnp.linspace(-5, 5, 8), jnp.array([0.0, 1.0] * 4)

    def both(f: Callable[..., Any]) -> Callable[..., Any]:
        def of(z: Any, parameter_: Any) -> Any:
            value, back = jax.vjp(lambda z: f(z, y, **{parameter: parameter_}), z)
            return value, back(jnp.ones_like(value))[0]

        return jax.jit(of)

    ours, theirs = both(getattr(mj, name)), both(getattr(optax, name))
    for number in good:
        for one, other in zip(ours(z, number), theirs(z, number), strict=True):
            close(one, other, 1e-10)
        close(ours(z, number)[0], getattr(mj, name)(z, y, **{parameter: number}))
    assert all(np.isnan(out).all() for out in ours(z, bad))
    with pytest.raises(ml.DomainError, match=f"{parameter} is {bad}"):
        getattr(mj, name)(z, y, **{parameter: bad})
    with pytest.raises(TypeError, match="parameter"):
        jax.grad(lambda x: getattr(mj, name)(z, y, **{parameter: x}).sum())(1.0)
