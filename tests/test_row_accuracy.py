"""The contract of accuracy for the losses of a row, against mpmath at 60 digits.

8 eps of the sum of the absolute values of the terms, for gradients and hessians that of the row's largest entry; 32 with a general root
(Entmax other than 1, 1.5 and 2). Cross entropy at a label: every entry relative to itself.
"""

from __future__ import annotations

import itertools
from typing import Any

import array_api_strict
import numpy as np
import pytest

from cases import DEFAULTS, SIMPLEX, label, logits, row_targets
from matchloss.engine.namespaces import namespace, row_reductions
from matchloss.engine.row_text import parts
from references import scale, total
from row_references import ROW_LOSSES, row_at
from sweeps import few, sweep
from test_accuracy import error

STRICT, STRICT_ROWS = namespace(array_api_strict), row_reductions(array_api_strict)
pytestmark = pytest.mark.compiled
SHAPES = {"short": {2: 30, 3: 40, 10: 20}, "long": {40: 8, 130: 8}}  # a loop for each
Outputs = list[Any]


def allowed(loss: Any) -> float:
    return 32 if loss.name == "entmax" and loss.simplified is loss else 8


# `make test` takes each loss by one of its eight loops, the few by two that differ in all three: one takes seconds to compile.
ONE = [("f8", "short", "soft")]
TWO = [("f8", "short", "label"), ("f4", "long", "soft")]
CASES = [
    (loss, *how)
    for loss in SIMPLEX
    for how in itertools.product(("f8", "f4"), SHAPES, ("label", "soft"))
    if allowed(loss) == 8 or how[1] == "short"  # a root at 120 digits takes a while
]


def by_numpy(loss: Any, raw: Any, target: Any) -> Outputs:
    step = 999 // raw.shape[1]
    parts = [loss.evaluate(raw[i : i + step], target[i : i + step], hessian=True) for i in range(0, len(raw), step)]
    return [np.concatenate(p) for p in zip(*parts, strict=True)]


def compiled(loss: Any, raw: Any, target: Any) -> Outputs:
    repeat = -(-1000 // raw.size)
    tiled = np.tile(raw, (repeat, 1)), np.tile(target, (repeat,) + (1,) * (target.ndim - 1))
    return [o[: len(raw)] for o in loss.evaluate(*tiled, hessian=True)]


def strictly(loss: Any, raw: Any, target: Any) -> Outputs:
    program, t = loss.programs["exact"], target if target.ndim == 2 else (target[:, None] == np.arange(raw.shape[1])).astype(raw.dtype)
    with np.errstate(all="ignore"):
        x = parts(STRICT, STRICT_ROWS, program, array_api_strict.asarray(raw), array_api_strict.asarray(t))
        t = array_api_strict.asarray(t)
        v, g, h = program.entry(STRICT, x.p, x.c, t, x.own, x.others, x.share, *program.constants)
        base = program.base(STRICT, x.gap, x.d, x.rest, *program.constants)
        value = base + STRICT_ROWS.sum(array_api_strict.where(t == 0, 0.0, t * v))
    return [np.asarray(value)[:, 0], np.asarray(g), np.asarray(h)]


def errors(loss: Any, got: Outputs, raw: Any, t: Any, hard: bool, dtype: Any) -> list[tuple[float, str]]:
    """The error of each output of each row, in eps."""
    found = []
    for i, (z, p) in enumerate(zip(raw.tolist(), t.tolist(), strict=True)):
        value, *vectors = row_at(loss, tuple(z), tuple(p))
        found.append((error(got[0][i], value, dtype), f"value {i}: {got[0][i].item()!r}, exact {float(total(value))!r}"))
        for output, array, entries in zip(("gradient", "hessian"), got[1:], vectors, strict=True):
            largest = max(scale(e) for e in entries)
            for j, terms in enumerate(entries):
                relative = hard and loss.matching and loss.smooth and loss.simplified.name == "cross_entropy" and output == "gradient"
                e = error(array[i, j], terms if relative else [*terms, largest, -largest], dtype)
                e = e if relative else 3 * e  # the scale above is at most three times the largest
                found.append((e, f"{output} {i}, {j}: {array[i, j].item()!r}, exact {float(total(terms))!r}"))
    return found


@pytest.mark.parametrize(("loss", "width", "rows", "kind"), sweep(CASES, lambda loss, *how: how in (TWO if few(loss) else ONE)), ids=label)
def test_within_the_contract(loss: Any, width: str, rows: str, kind: str) -> None:
    misses, dtype = [], np.dtype(width).type
    engines = {"numpy": by_numpy, "compiled": compiled} | ({"strict": strictly} if dtype == np.float64 else {})
    for k, n in SHAPES[rows].items():
        raw = logits(loss, k, n, dtype)
        labels, t = row_targets(k, n, dtype)
        corners = (labels[:, None] == np.arange(k)).astype(dtype)
        target, exact = (labels, corners) if kind == "label" else (t, t)
        for name, run in engines.items():
            got = run(loss, raw, target)
            assert all(o.dtype == dtype for o in got)
            found = errors(loss, got, raw, exact, kind == "label", dtype)
            misses += [(e, f"{name} K={k} {kind} {what}: {e:.3g} eps") for e, what in found if not e <= allowed(loss)]
    misses.sort(key=lambda m: -m[0])
    assert not misses, f"{loss!r}: {len(misses)} beyond {allowed(loss)} eps\n" + "\n".join(m[1] for m in misses[:12])


def test_every_loss_of_the_catalogue_has_a_reference() -> None:
    assert {loss.name for loss in DEFAULTS if loss.family == "simplex"} <= ROW_LOSSES
