"""All losses (the catalogue's, ml.match's and your own) for JAX: their formulas' value, gradient and hessian, by custom_jvp."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from math import inf, isfinite
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from matchloss.engine import row_text
from matchloss.engine.arrays import Evaluation
from matchloss.engine.row_targets import sum_tolerance
from matchloss.engine.row_text import Options, Parts, parts
from matchloss.errors import DomainError, ShapeError
from matchloss.jax._arrays import (
    JAX,
    JAX_ROWS,
    as_raw,
    check_rows,
    check_target,
    fixed_target,
    not_differentiable,
    shaped,
    twice_at_most,
    weighted,
    weights,
)
from matchloss.jax._loops import by_loops, suits_loops
from matchloss.losses._domain import Interval
from matchloss.losses._loss import Loss, PointwiseLoss
from matchloss.losses._simplex import SimplexLoss
from matchloss.losses.regression import LocationLoss
from matchloss.losses.simplex import CrossEntropy

Function = Callable[..., Any]
PLAIN = Options()
not_matching = not_differentiable(
    "the derivative of predict is known for matching losses, where it is the hessian; write this loss's prediction in jax.numpy"
)


class Rule(NamedTuple):
    """Functions of (raw, target, constants) in raw's dtype, differentiable in raw; NaN in rows with bad targets."""

    value: Function  # its derivative is gradient
    gradient: Function  # its derivative is the hessian
    hessian: Function  # simplex losses: the diagonal


class Prepared(NamedTuple):
    """A call's checked arguments; raw is floating, and each weight is >= 0 or NaN."""

    rule: Rule
    raw: jax.Array
    target: jax.Array
    weight: jax.Array | None
    constants: tuple[jax.Array, ...]  # traced arguments of the formula after the target; () for the loss's own


def loss(loss: Loss, raw: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None) -> jax.Array:
    """The value of each row, times the row's weight if there is one: twice differentiable in raw.

    Pointwise losses: raw, target and result have equal shapes. Simplex losses: raw (..., K), target labels (...,) or distributions
    (..., K), result (...,). sample_weight: one number >= 0 per row. bfloat16 and float16 are computed and returned in float32, everything
    else in raw's dtype. A row of weight 0 gives the value 0 and the gradient 0, whatever it holds. Losses of raw - target also have
    derivatives in the target; any other derivative in a target or weight raises a TypeError.

    Raises DomainError for a bad target or weight whose value is visible (if it is traced, its row is NaN in value and gradient),
    ShapeError for shapes that differ, TypeError for dtypes.

    >>> import jax, jax.numpy as jnp
    >>> import matchloss as ml
    >>> raw, label = jnp.array([[2.0, 1.0, 0.0], [0.0, 0.0, 9.0]]), jnp.array([0, 2])
    >>> print(loss(ml.Sparsemax(), raw, label))
    [0. 0.]
    >>> print(f"{jax.jit(jax.grad(lambda z: loss(ml.Logistic(), z, 1.0)))(40.0):.4g}")
    -4.248e-18
    """
    return values(*prepared(loss, raw, target, sample_weight))


def mean(loss: Loss, raw: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None) -> jax.Array:
    """sum(w * value) / sum(w), a scalar: what `ml.Poisson()(raw, target)` returns for JAX arrays. Shapes and errors: `loss`.

    ShapeError also if there are no rows.

    >>> import matchloss as ml
    >>> print(mean(ml.SquaredError(), jnp.array([1.0, 3.0]), jnp.zeros(2)))
    2.5
    """
    checked = prepared(loss, raw, target, sample_weight)
    if checked.raw.size == 0:
        raise ShapeError("there is no row: the mean of nothing is not defined")
    return _mean(*checked)


def evaluate(
    loss: Loss,
    raw: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    value: bool = True,
    gradient: bool = True,
    hessian: bool = False,
    curvature: str = "exact",
) -> Evaluation:
    """`Loss.evaluate` for JAX arrays: value, gradient and hessian of each row, None for those not asked for. Shapes and errors: `loss`.

    >>> import matchloss as ml
    >>> evaluate(ml.SquaredError(), jnp.array([3.0]), jnp.array([1.0])).gradient.tolist()
    [2.0]
    """
    if curvature not in loss.programs:
        raise DomainError(f"{loss!r} has no curvature {curvature!r}; allowed: {', '.join(loss.programs)}")
    checked = prepared(loss, raw, target, sample_weight)
    return Evaluation(*_outputs(loss, curvature, (value, gradient, hessian), *checked))


def predict(loss: Loss, raw: ArrayLike) -> jax.Array:
    """`Loss.predict` for JAX arrays, of raw's shape. Its derivative is the hessian for matching losses, and a TypeError for others.

    >>> import matchloss as ml
    >>> [f"{x:.4f}" for x in predict(ml.Logistic(), jnp.array([0.0, 2.0]))]
    ['0.5000', '0.8808']
    """
    return _prediction(loss, as_raw("raw", raw))


def prepared(
    loss: Loss, raw: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None, options: Options = PLAIN, whole: bool = True
) -> Prepared:
    """The arguments, checked as far as their values are visible. whole: distributions must be complete and sum to 1."""
    if not isinstance(loss, PointwiseLoss | SimplexLoss):
        raise TypeError(f"loss is {loss!r}; it must be a loss of matchloss, such as ml.Poisson()")
    z, y = as_raw("raw", raw), jnp.asarray(target)
    if isinstance(loss, SimplexLoss):
        labels = rows_shaped(z, y)
        weight = weights(sample_weight, z.shape[:-1], z.dtype)
        if whole:
            check_rows(target, labels, z.shape[-1], sample_weight)
        rule = simplex_rule(loss, sum_tolerance(y.dtype) if whole else inf, options)
        return Prepared(rule, z, y if labels else as_raw("target", y).astype(z.dtype), weight, ())
    shaped("target", y, z.shape, "raw's shape")
    weight = weights(sample_weight, z.shape, z.dtype)
    y = as_raw("target", y).astype(z.dtype)
    check_target(loss, target, sample_weight)
    return Prepared(pointwise_rule(loss), z, y, weight, ())


def rows_shaped(raw: jax.Array, target: jax.Array) -> bool:
    """Whether the targets of these rows are labels; ShapeError or TypeError if they are not distributions either."""
    if raw.ndim == 0 or raw.shape[-1] == 0:
        raise ShapeError(f"raw has shape {raw.shape}; a simplex loss takes (..., K) with at least one class")
    labels = target.shape == raw.shape[:-1]
    if not labels and target.shape != raw.shape:
        raise ShapeError(
            f"target has shape {target.shape}; raw of shape {raw.shape} asks for labels {raw.shape[:-1]} or distributions {raw.shape}"
        )
    if labels and target.dtype.kind not in "iub":
        raise TypeError(f"target has dtype {target.dtype}; labels are integers")
    return labels


@partial(jax.jit, static_argnums=0)
def values(rule: Rule, raw: jax.Array, target: jax.Array, weight: jax.Array | None, constants: tuple[Any, ...]) -> jax.Array:
    """The value of each row, times its weight."""
    return weighted(rule.value(_masked(raw, weight), target, constants), weight)


@partial(jax.jit, static_argnums=0)
def _mean(rule: Rule, raw: jax.Array, target: jax.Array, weight: jax.Array | None, constants: tuple[Any, ...]) -> jax.Array:
    value = values(rule, raw, target, weight, constants)
    return jnp.mean(value) if weight is None else jnp.sum(value) / jnp.sum(weight)


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _outputs(
    loss: Loss,
    curvature: str,
    wanted: tuple[bool, bool, bool],
    rule: Rule,
    raw: jax.Array,
    target: jax.Array,
    weight: jax.Array | None,
    constants: tuple[Any, ...],
) -> tuple[jax.Array | None, ...]:
    of = rule.value, rule.gradient, _curvature(loss, curvature, rule)
    raw = _masked(raw, weight)
    return tuple(weighted(f(raw, target, constants), weight) if asked else None for f, asked in zip(of, wanted, strict=True))


@partial(jax.jit, static_argnums=0)
def _prediction(loss: Loss, raw: jax.Array) -> jax.Array:
    return _predict_of(loss)(raw)


def _masked(raw: Any, weight: Any) -> Any:
    """raw, with derivatives blocked in rows of weight 0."""
    return raw if weight is None else jnp.where(jnp.reshape(weight == 0, weight.shape + (1,) * (raw.ndim - weight.ndim)), 0.0, raw)


def _chained(value: Function, jet: Function, hessian: Function, slope: Function) -> Rule:
    """The rule made of these. jet: value and gradient; slope(raw, target, constants, dr): the gradient's derivative along dr."""
    alone: Any = jax.custom_jvp(value)
    both: Any = jax.custom_jvp(jet)

    def change(value: jax.Array, gradient: jax.Array, along: jax.Array) -> jax.Array:
        product = gradient * along
        return product if product.ndim == value.ndim else jnp.sum(product, axis=-1)

    @both.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        value, gradient = both(*primals)
        return (value, gradient), (change(value, gradient, tangents[0]), slope(*primals, tangents[0]))

    @alone.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        value, gradient = both(*primals)
        return value, change(value, gradient, tangents[0])

    return Rule(alone, lambda *of: both(*of)[1], hessian)


def inside(domain: Interval, y: Any) -> Any:
    """Whether each number is in the interval, compared with its ends because float32 cannot represent Interval.bounds."""
    above = y >= domain.low if domain.closed in ("both", "left") and isfinite(domain.low) else y > domain.low
    return above & (y <= domain.high if domain.closed in ("both", "right") and isfinite(domain.high) else y < domain.high)


@lru_cache(maxsize=1024)
def pointwise_rule(loss: PointwiseLoss) -> Rule:
    """The rule of a loss of one raw prediction per row."""
    core = loss.simplified
    assert isinstance(core, PointwiseLoss)

    def outputs(raw: jax.Array, target: jax.Array, constants: Any) -> list[jax.Array]:
        good = inside(loss.target_domain, target)
        return [_or_nan(good, x, raw) for x in core.formula(JAX, raw, target, *(constants or core.constants))]

    def hessian(raw: jax.Array, target: jax.Array, constants: Any) -> jax.Array:
        return outputs(twice_at_most(raw), target, constants)[2]

    rule = _chained(
        lambda *of: outputs(*of)[0],
        lambda *of: tuple(outputs(*of)[:2]),
        hessian,
        lambda *of: hessian(*of[:-1]) * of[-1],
    )
    if not isinstance(loss, LocationLoss):
        return Rule(*(lambda raw, target, constants, f=f: f(raw, fixed_target(target), constants) for f in rule))

    def difference(f: Function) -> Function:
        """f as a function of raw - target, which JAX differentiates in both."""

        def of(raw: jax.Array, target: jax.Array, constants: Any) -> jax.Array:
            d = raw - target + jnp.where(inside(loss.target_domain, target), 0.0, jnp.nan)
            return f(d, jnp.zeros_like(d), constants)

        return of

    return Rule(*map(difference, rule))


def _or_nan(good: Any, x: Any, like: Any) -> Any:
    return jnp.where(good, x, jnp.nan).astype(like.dtype)


@lru_cache(maxsize=1024)
def simplex_rule(loss: SimplexLoss, tolerance: float, options: Options = PLAIN) -> Rule:
    """The rule of a loss of K raw predictions per row, for distributions that sum to 1 within tolerance; options of cross entropy."""
    core = loss.simplified
    assert isinstance(core, SimplexLoss)
    program = core.programs["exact"]

    def checked(raw: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The target's distributions, and whether each row has one."""
        if target.ndim < raw.ndim:
            t = (target[..., None] == jnp.arange(raw.shape[-1])).astype(raw.dtype)
            good = (target >= 0) & (target < raw.shape[-1])
        else:
            t = target
            good = jnp.all((t >= 0) & (t <= 1 + tolerance), axis=-1) & (jnp.abs(jnp.sum(t, axis=-1) - 1) <= tolerance)
        return t, good[..., None]

    def row(raw: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array, Parts]:
        t, good = checked(raw, target)
        return t, good, parts(JAX, JAX_ROWS, program, raw, t)

    def entries(x: Parts, t: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        return program.entry(JAX, x.p, x.c, t, x.own, x.others, x.share, *program.constants)

    def text(raw: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
        t, good, x = row(raw, target)
        value, gradient, _ = entries(x, t)
        whole = program.base(JAX, x.gap, x.d, x.rest, *program.constants) + JAX_ROWS.sum(jnp.where(t == 0, 0.0, t * value))
        return _or_nan(good, whole, raw)[..., 0], _or_nan(good, gradient, raw)

    def hessian(raw: jax.Array, target: jax.Array, constants: Any) -> jax.Array:
        t, good, x = row(twice_at_most(raw), target)
        return _or_nan(good, entries(x, t)[2], raw)

    def slope(raw: jax.Array, target: jax.Array, constants: Any, along: jax.Array) -> jax.Array:
        t, good, x = row(twice_at_most(raw), target)
        return _or_nan(good, core.product(JAX, JAX_ROWS, x, t, along), raw)

    if isinstance(core, CrossEntropy):  # the same with fewer sums over a row, and with options

        def text(raw: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
            t, good = checked(raw, target)
            x = row_text.jet(JAX, JAX_ROWS, raw, t, options)
            return _or_nan(good, x.value, raw)[..., 0], _or_nan(good, x.gradient, raw)

        def slope(raw: jax.Array, target: jax.Array, constants: Any, along: jax.Array) -> jax.Array:
            raw = twice_at_most(raw)
            t, good = checked(raw, target)
            x = row_text.jet(JAX, JAX_ROWS, raw, t, options)
            return _or_nan(good, row_text.hessian_product(JAX_ROWS, x, t, options, along), raw)

    def jet(raw: jax.Array, target: jax.Array, constants: Any, graded: bool = True) -> tuple[jax.Array, ...]:
        def as_text(*of: jax.Array) -> tuple[jax.Array, ...]:
            return text(*of)[: 1 + graded]

        if options == PLAIN and suits_loops(raw, target):
            return jax.lax.platform_dependent(raw, target, cpu=partial(by_loops, loss, graded), default=as_text)
        return as_text(raw, target)

    rule = _chained(lambda *of: jet(*of, graded=False)[0], lambda *of: jet(*of), hessian, slope)
    return Rule(*(lambda raw, target, constants, f=f: f(raw, fixed_target(target), constants) for f in rule))


def _curvature(loss: Loss, curvature: str, rule: Rule) -> Function:
    """The hessian, or the given curvature in its place, as a function of (raw, target)."""
    program = loss.programs[curvature]
    if isinstance(loss, SimplexLoss):
        if curvature == "fisher" and not loss.matching:  # affine in the target: the mean over drawn labels
            return lambda raw, target, constants: rule.hessian(raw, predict(loss, raw), constants)
        if program.curvature is None:
            return rule.hessian
        return lambda *of: program.curvature(JAX, predict(loss, twice_at_most(of[0]))) + 0.0 * rule.hessian(*of)
    if program.curvature is None:
        return rule.hessian

    def stand_in(raw: jax.Array, target: jax.Array, constants: Any) -> jax.Array:
        made = program.curvature(JAX, twice_at_most(raw), target, *program.constants)
        return _or_nan(inside(loss.target_domain, target), made, raw)

    return stand_in


@lru_cache(maxsize=1024)
def _predict_of(loss: Loss) -> Function:
    core = loss.simplified
    if isinstance(core, SimplexLoss):
        program, product = core.programs["exact"], core.product
        of_row = partial(parts, JAX, JAX_ROWS, program)

        def prediction(raw: Any) -> Any:
            return of_row(raw, jnp.zeros_like(raw)).p

        def slope(raw: Any, along: Any) -> Any:
            t = jnp.zeros_like(raw)
            return product(JAX, JAX_ROWS, of_row(twice_at_most(raw), t), t, along)
    else:
        assert isinstance(core, PointwiseLoss)
        formula, predict_formula, constants = core.formula, core.predict_formula, core.constants

        def prediction(raw: Any) -> Any:
            return jnp.asarray(predict_formula(JAX, raw, *constants)).astype(raw.dtype)

        def slope(raw: Any, along: Any) -> Any:  # the hessian of a matching loss is the same at every target
            return formula(JAX, twice_at_most(raw), jnp.ones_like(raw), *constants)[2] * along

    if not loss.matching:
        return lambda raw: prediction(not_matching(raw))
    predict = jax.custom_jvp(prediction)

    @predict.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        return predict(*primals), slope(*primals, *tangents)

    return predict
