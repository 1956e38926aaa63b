"""The losses of the catalogue, of ml.match and your own: value, gradient and hessian by their formulas, through custom_jvp."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from math import isfinite
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from matchloss.engine.arrays import Evaluation
from matchloss.engine.row_targets import sum_tolerance
from matchloss.engine.row_text import Options, Parts, jet, parts
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
from matchloss.losses._domain import Interval
from matchloss.losses._loss import Loss, PointwiseLoss
from matchloss.losses._simplex import SimplexLoss
from matchloss.losses.regression import LocationLoss
from matchloss.losses.simplex import CrossEntropy

Function = Callable[..., Any]
not_matching = not_differentiable(
    "the derivative of predict is known for matching losses, where it is the hessian; write this loss's prediction in jax.numpy"
)


class Rule(NamedTuple):
    """Functions of (raw, target), in raw's dtype, NaN in rows of bad targets."""

    value: Function  # its derivative is gradient
    gradient: Function  # its derivative is the hessian
    hessian: Function  # simplex losses: the diagonal


def loss(loss: Loss, raw: Any, target: Any, sample_weight: Any = None) -> jax.Array:
    """The value of each row, times the row's weight where there is one: differentiable in raw, twice.

    Pointwise losses: raw and target of equal shape, which is the result's. Simplex losses: raw (..., K), target labels (...,) or
    distributions (..., K), result (...,). bfloat16 and float16 are computed in float32, which the result has; everything else in raw's
    dtype. A row of weight 0 gives 0 and passes back 0, whatever it holds. Losses of raw - target have derivatives in the target too;
    in any other, as in a weight, a derivative is a TypeError.

    Raises DomainError for a bad target or weight whose value is visible (NaN in its row where it is traced, in value and gradient),
    ShapeError for shapes that differ, TypeError for dtypes.

    >>> import jax, jax.numpy as jnp
    >>> import matchloss as ml
    >>> raw, label = jnp.array([[2.0, 1.0, 0.0], [0.0, 0.0, 9.0]]), jnp.array([0, 2])
    >>> print(loss(ml.Sparsemax(), raw, label))
    [0. 0.]
    >>> print(f"{jax.jit(jax.grad(lambda z: loss(ml.Logistic(), z, 1.0)))(40.0):.4g}")
    -4.248e-18
    """
    raw, target, weight, rule = _prepared(loss, raw, target, sample_weight)
    return weighted(rule.value(raw, target), weight)


def mean(loss: Loss, raw: Any, target: Any, sample_weight: Any = None) -> jax.Array:
    """sum(w * value) / sum(w), a scalar: what `ml.Poisson()(raw, target)` gives for JAX's arrays."""
    raw, target, weight, rule = _prepared(loss, raw, target, sample_weight)
    value = weighted(rule.value(raw, target), weight)
    if value.size == 0:
        raise ShapeError("there is no row: the mean of nothing is not defined")
    return jnp.mean(value) if weight is None else jnp.sum(value) / jnp.sum(weight)


def evaluate(
    loss: Loss,
    raw: Any,
    target: Any,
    sample_weight: Any = None,
    value: bool = True,
    gradient: bool = True,
    hessian: bool = False,
    curvature: str = "exact",
) -> Evaluation:
    """`Loss.evaluate` for JAX's arrays."""
    if curvature not in loss.programs:
        raise DomainError(f"{loss!r} has no curvature {curvature!r}; allowed: {', '.join(loss.programs)}")
    raw, target, weight, rule = _prepared(loss, raw, target, sample_weight)
    outputs = (rule.value, value), (rule.gradient, gradient), (_curvature(loss, curvature, rule), hessian)
    return Evaluation(*(weighted(f(raw, target), weight) if wanted else None for f, wanted in outputs))


def predict(loss: Loss, raw: Any) -> jax.Array:
    """`Loss.predict` for JAX's arrays; its derivative is the hessian for matching losses, and a TypeError for others.

    >>> import matchloss as ml
    >>> [f"{x:.4f}" for x in predict(ml.Logistic(), jnp.array([0.0, 2.0]))]
    ['0.5000', '0.8808']
    """
    return _predict_of(loss)(as_raw("raw", raw))


def _prepared(loss: Loss, raw: Any, target: Any, sample_weight: Any) -> tuple[Any, Any, Any, Rule]:
    """Arrays that are checked and in one dtype, and the rule to apply to them."""
    if not isinstance(loss, PointwiseLoss | SimplexLoss):
        raise TypeError(f"loss is {loss!r}; it must be a loss of matchloss, such as ml.Poisson()")
    raw, given = as_raw("raw", raw), jnp.asarray(target)
    if isinstance(loss, SimplexLoss):
        return _prepared_rows(loss, raw, given, target, sample_weight)
    shaped("target", given, raw.shape, "raw's shape")
    weight = weights(sample_weight, raw.shape, raw.dtype)
    as_given, target = target, as_raw("target", given).astype(raw.dtype)
    check_target(loss, as_given, sample_weight)
    if isinstance(loss, LocationLoss):  # a function of raw - target: JAX differentiates the difference, in both
        raw = raw - target + jnp.where(inside(loss.target_domain, target), 0.0, jnp.nan)
        target = jnp.zeros_like(raw)
    return _masked(raw, weight), fixed_target(target), weight, pointwise_rule(loss)


def _prepared_rows(loss: SimplexLoss, raw: Any, target: Any, as_given: Any, sample_weight: Any) -> tuple[Any, Any, Any, Rule]:
    if raw.ndim == 0 or raw.shape[-1] == 0:
        raise ShapeError(f"raw has shape {raw.shape}; a simplex loss takes (..., K) with at least one class")
    labels = target.shape == raw.shape[:-1]
    if not labels and target.shape != raw.shape:
        raise ShapeError(
            f"target has shape {target.shape}; raw of shape {raw.shape} asks for labels {raw.shape[:-1]} or distributions {raw.shape}"
        )
    if labels and target.dtype.kind not in "iub":
        raise TypeError(f"target has dtype {target.dtype}; labels are integers")
    weight = weights(sample_weight, raw.shape[:-1], raw.dtype)
    check_rows(loss.programs["exact"], as_given, labels, raw.shape[-1], sample_weight)
    tolerance = sum_tolerance(target.dtype)
    if not labels:
        target = as_raw("target", target).astype(raw.dtype)
    return _masked(raw, weight), fixed_target(target), weight, simplex_rule(loss, tolerance)


def _masked(raw: Any, weight: Any) -> Any:
    """raw, through which rows of weight 0 pass no derivative back."""
    return raw if weight is None else jnp.where(jnp.reshape(weight == 0, weight.shape + (1,) * (raw.ndim - weight.ndim)), 0.0, raw)


def _chained(value: Function, gradient: Function, hessian: Function, slope: Function) -> Rule:
    """The rule whose value's derivative along dr is the sum of gradient dr, and whose gradient's is slope(raw, target, dr)."""
    first, second = jax.custom_jvp(gradient), jax.custom_jvp(value)

    @first.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        raw, target = primals
        return first(raw, target), slope(raw, target, tangents[0])

    @second.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        raw, target = primals
        out, change = second(raw, target), first(raw, target) * tangents[0]
        return out, change if change.ndim == out.ndim else jnp.sum(change, axis=-1)

    return Rule(second, first, hessian)


def inside(domain: Interval, y: Any) -> Any:
    """Whether each number is in the interval, by its ends: float32 has no number between 0 and an open 0."""
    above = y >= domain.low if domain.closed in ("both", "left") and isfinite(domain.low) else y > domain.low
    return above & (y <= domain.high if domain.closed in ("both", "right") and isfinite(domain.high) else y < domain.high)


@lru_cache(maxsize=1024)
def pointwise_rule(loss: PointwiseLoss) -> Rule:
    """The rule of a loss of one raw prediction a row."""
    core = loss.reduced
    assert isinstance(core, PointwiseLoss)

    def output(i: int, raw: Any, target: Any) -> Any:
        return _or_nan(inside(loss.target_domain, target), core.formula(JAX, raw, target, *core.constants)[i], raw)

    def hessian(raw: Any, target: Any) -> Any:
        return output(2, twice_at_most(raw), target)

    return _chained(
        lambda raw, target: output(0, raw, target),
        lambda raw, target: output(1, raw, target),
        hessian,
        lambda raw, target, along: hessian(raw, target) * along,
    )


def _or_nan(good: Any, x: Any, like: Any) -> Any:
    return jnp.where(good, x, jnp.nan).astype(like.dtype)


@lru_cache(maxsize=1024)
def simplex_rule(loss: SimplexLoss, tolerance: float) -> Rule:
    """The rule of a loss of K raw predictions a row, for distributions that sum to 1 within the tolerance."""
    core = loss.reduced
    assert isinstance(core, SimplexLoss)
    program = core.programs["exact"]

    def checked(raw: Any, target: Any) -> tuple[Any, Any]:
        """The target's distributions, and whether each row has one."""
        if target.ndim < raw.ndim:
            t = (target[..., None] == jnp.arange(raw.shape[-1])).astype(raw.dtype)
            good = (target >= 0) & (target < raw.shape[-1])
        else:
            t = target
            good = jnp.all((t >= 0) & (t <= 1 + tolerance), axis=-1) & (jnp.abs(jnp.sum(t, axis=-1) - 1) <= tolerance)
        return t, good[..., None]

    def row(raw: Any, target: Any) -> tuple[Any, Any, Parts]:
        t, good = checked(raw, target)
        return t, good, parts(JAX, JAX_ROWS, program, raw, t)

    def entries(x: Parts, t: Any) -> tuple[Any, Any, Any]:
        return program.entry(JAX, x.p, x.c, t, x.own, x.others, x.share, *program.constants)

    def value(raw: Any, target: Any) -> Any:
        t, good, x = row(raw, target)
        whole = program.base(JAX, x.gap, x.d, x.rest, *program.constants) + JAX_ROWS.sum(jnp.where(t == 0, 0.0, t * entries(x, t)[0]))
        return _or_nan(good, whole, raw)[..., 0]

    def gradient(raw: Any, target: Any) -> Any:
        t, good, x = row(raw, target)
        return _or_nan(good, entries(x, t)[1], raw)

    def hessian(raw: Any, target: Any) -> Any:
        t, good, x = row(twice_at_most(raw), target)
        return _or_nan(good, entries(x, t)[2], raw)

    def slope(raw: Any, target: Any, along: Any) -> Any:
        t, good, x = row(twice_at_most(raw), target)
        return core.product(JAX, JAX_ROWS, x, t, along) * jnp.where(good, 1.0, jnp.nan).astype(raw.dtype)

    if isinstance(core, CrossEntropy):  # the same by fewer sums over a row: the text for large vocabularies

        def value(raw: Any, target: Any) -> Any:
            t, good = checked(raw, target)
            return _or_nan(good, jet(JAX, JAX_ROWS, raw, t, Options()).value, raw)[..., 0]

        def gradient(raw: Any, target: Any) -> Any:
            t, good = checked(raw, target)
            return _or_nan(good, jet(JAX, JAX_ROWS, raw, t, Options()).gradient, raw)

    return _chained(value, gradient, hessian, slope)


def _curvature(loss: Loss, curvature: str, rule: Rule) -> Function:
    """The hessian, or what stands in for it, as a function of (raw, target)."""
    program = loss.programs[curvature]
    if isinstance(loss, SimplexLoss):
        if curvature == "fisher" and not loss.matching:  # affine in the target: its mean over labels drawn from the prediction
            return lambda raw, target: rule.hessian(raw, predict(loss, raw))
        if program.curvature is None:
            return rule.hessian
        return lambda raw, target: program.curvature(JAX, predict(loss, twice_at_most(raw))) + 0.0 * rule.hessian(raw, target)
    if program.curvature is None:
        return rule.hessian

    def stand_in(raw: Any, target: Any) -> Any:
        made = program.curvature(JAX, twice_at_most(raw), target, *program.constants)
        return _or_nan(inside(loss.target_domain, target), made, raw)

    return stand_in


@lru_cache(maxsize=1024)
def _predict_of(loss: Loss) -> Function:
    core = loss.reduced
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
