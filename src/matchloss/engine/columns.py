"""One number per row from several columns: runs a formula over `m`, such as the score of a distribution, block by block.

A column is an array or one number for all rows, and shapes broadcast. Computed in float64; the result is float32 if all floating
inputs are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import threads
from matchloss.engine.arrays import as_array, refuse_at
from matchloss.engine.namespaces import NUMPY
from matchloss.errors import ShapeError

COMPILE_FROM = 1000  # rows
BLOCK = 1 << 15  # rows: converted columns and the checks of a block stay in cache

Floats = NDArray[np.float64]
Bounds = tuple[float, float, str]  # least and greatest allowed value of a column, and the same in words


def evaluate(
    formula: FunctionType,
    columns: Mapping[str, Any],
    bounds: Mapping[str, Bounds],
    constants: tuple[float, ...] = (),
    compiled: bool = True,
) -> NDArray[Any]:
    """formula(m, *columns, *constants) for each row. compiled=False: NumPy runs it, because it calls functions that `m` lacks.

    DomainError for the first entry outside its column's bounds (NaN always is), ShapeError for shapes that do not broadcast,
    TypeError for columns that are not numbers.
    """
    arrays = {name: as_array(name, x) for name, x in columns.items()}
    try:
        shape = np.broadcast_shapes(*(a.shape for a in arrays.values()))
    except ValueError:
        said = ", ".join(f"{name} {a.shape}" for name, a in arrays.items())
        raise ShapeError(f"these shapes do not broadcast: {said}") from None
    single = all(a.dtype.itemsize == 4 for a in arrays.values() if a.dtype.kind == "f" and a.ndim) and any(
        a.dtype.kind == "f" and a.ndim for a in arrays.values()
    )
    out = np.empty(shape, np.float32 if single else np.float64)
    lines = {name: a.reshape(1) if a.size == 1 else np.broadcast_to(a, shape).reshape(-1) for name, a in arrays.items()}
    flat = out.reshape(-1)
    run = _by_numpy if flat.size < COMPILE_FROM or not compiled else _loop_of(formula, len(lines), len(constants))

    def block(start: int, stop: int) -> int:
        part = {name: np.ascontiguousarray(a if a.size == 1 else a[start:stop], np.float64) for name, a in lines.items()}
        for name, (low, high, _) in bounds.items():
            if not ((part[name] >= low) & (part[name] <= high)).all():
                return start
        ready = [np.full(stop - start, a[0]) if a.size < stop - start else a for a in part.values()]
        sink = flat[start:stop]
        made: Floats = sink if sink.dtype == np.float64 else np.empty(stop - start)  # pyright: ignore[reportAssignmentType]
        run(formula, ready, made, constants)
        if made is not sink:
            with np.errstate(over="ignore"):
                sink[...] = made
        return -1

    bad = threads.over_blocks(flat.size, BLOCK, block) if flat.size else -1
    if bad >= 0:
        _refuse(arrays, bounds)
    return out


def _refuse(arrays: Mapping[str, NDArray[Any]], bounds: Mapping[str, Bounds]) -> None:
    """DomainError for the first bad entry of the first column that has one."""
    for name, (low, high, allowed) in bounds.items():
        x = arrays[name].astype(np.float64)  # a float32 would turn the bounds into infinities
        bad = ~((x >= low) & (x <= high))
        if bad.any():
            refuse_at(name, arrays[name], int(np.argmax(bad)), allowed)


def _by_numpy(formula: FunctionType, columns: list[Floats], out: Floats, constants: tuple[float, ...]) -> None:
    with np.errstate(all="ignore"):
        out[...] = formula(NUMPY, *columns, *constants)


@cache
def _loop_of(formula: FunctionType, columns: int, constants: int) -> Callable[..., None]:
    with threads.FIRST_CALLS:
        from matchloss.engine.compiled import column_loop

        loop = column_loop(formula, columns, constants)
    return lambda formula, columns, out, constants: loop(tuple(columns), out, constants)
