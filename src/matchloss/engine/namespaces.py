"""The protocol `m`: the functions that a formula may call, with one table of them per backend.

A formula is a plain function over `m` and its arguments, with operators, Python numbers, and helper functions of the same kind.
At least one branch of `where` must be an array. There is no clip, pow, maximum or sign: compare and choose instead.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from matchloss.engine import special


class Namespace(NamedTuple):
    """The functions of one variable, and `where`, that a formula may call as `m.exp(x)` and so on."""

    exp: Callable[..., Any]
    expm1: Callable[..., Any]
    log: Callable[..., Any]
    log1p: Callable[..., Any]
    log1p_unit: Callable[..., Any]  # log1p of a number in [0, 1], which can be faster
    sqrt: Callable[..., Any]
    abs: Callable[..., Any]
    floor: Callable[..., Any]
    where: Callable[..., Any]
    sin: Callable[..., Any]
    cos: Callable[..., Any]
    tanh: Callable[..., Any]
    sigmoid: Callable[..., Any]
    softplus: Callable[..., Any]
    erf: Callable[..., Any]


class RowReductions(NamedTuple):
    """What a simplex formula needs in addition: reductions over the last axis, with keepdims."""

    sum: Callable[..., Any]
    max: Callable[..., Any]
    first_max: Callable[..., Any]  # True only at the first of the largest entries
    iterate: Callable[..., Any]  # (step, state, limit): repeat state, going = step(state) while any of going is true, at most limit times


def namespace(xp: Any) -> Namespace:
    """The protocol over an array-API namespace (NumPy, array-api-strict, CuPy, array_api_compat's torch, jax.numpy)."""
    direct = ("exp", "expm1", "log", "log1p", "sqrt", "abs", "floor", "where", "sin", "cos", "tanh")
    table = {name: getattr(xp, name) for name in direct} | {"log1p_unit": xp.log1p}
    base = Namespace(**table, sigmoid=_absent, softplus=_absent, erf=_absent)
    return base._replace(sigmoid=partial(special.sigmoid, base), softplus=partial(special.softplus, base), erf=partial(special.erf, base))


def row_reductions(xp: Any) -> RowReductions:
    """The row reductions over an array-API namespace."""

    def first_max(x: Any) -> Any:
        return xp.arange(x.shape[-1]) == xp.expand_dims(xp.argmax(x, axis=-1), axis=-1)

    def iterate(step: Callable[..., Any], state: tuple[Any, ...], limit: int) -> tuple[Any, ...]:
        for _ in range(limit):
            state, going = step(state)
            if not xp.any(going):
                break
        return state

    return RowReductions(partial(xp.sum, axis=-1, keepdims=True), partial(xp.max, axis=-1, keepdims=True), first_max, iterate)


def _absent(*_: Any) -> Any:
    raise NotImplementedError("a helper of the protocol may not call another one")


NUMPY = namespace(np)
NUMPY_ROWS = row_reductions(np)
