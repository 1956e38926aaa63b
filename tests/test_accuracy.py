"""The contract of accuracy (docs: contracts), against mpmath at 60 digits, over the whole range of finite raw predictions.

k eps of the sum of the absolute values of the terms of the documented formula; relative to the result itself where the loss is matching,
its map smooth and the target hard. `references.py` has the terms. The same rows go through every engine: NumPy (below 1,000 rows),
the compiled loops (from 1,000 rows), and the formula over array_api_strict.
"""

from __future__ import annotations

from typing import Any

import array_api_strict
import numpy as np
import pytest

import sweeps
from cases import DEFAULTS, POINTWISE, hard, label, rows
from matchloss.engine.namespaces import namespace
from matchloss.losses import PointwiseLoss
from references import M, known, pointwise_at, scale, total

STRICT = namespace(array_api_strict)
pytestmark = pytest.mark.compiled
SPECIAL = {"probit"}
"""32 eps where the formula takes a special function: Probit's inverse Mills ratio. CLogLog and Focal are exponentials and powers and keep
to 4; CLogLog at target 1 by the scale (1 + mu), since exp(-mu) multiplies the rounding of mu = e^raw by mu (references.py)."""


def allowed(loss: PointwiseLoss) -> float:
    return 32 if loss.name in SPECIAL else 4


def error(got: Any, terms: list[Any], dtype: Any, relative: bool = False) -> float:
    """|got - exact| in eps of the scale, beyond a few of the smallest normal number; inf where got is not a number of the right kind."""
    info = np.finfo(dtype)
    exact = total(terms)
    size = abs(exact) if relative else scale(terms)
    got = float(got)
    if got != got:
        return np.inf
    if np.isinf(got):  # right where the exact number rounds to inf, or would but for the allowed error
        return 0.0 if got * exact > 0 and (abs(exact) + 4 * float(info.eps) * size) > M(float(info.max)) else np.inf
    beyond = abs(M(got) - exact) - 4 * M(float(info.tiny))
    return float(beyond / (M(float(info.eps)) * size)) if beyond > 0 and size > 0 else (np.inf if beyond > 0 else 0.0)


def by_numpy(loss: PointwiseLoss, raw: Any, target: Any) -> list[Any]:
    parts = [loss.evaluate(raw[i : i + 999], target[i : i + 999], hessian=True) for i in range(0, raw.size, 999)]
    return [np.concatenate(p) for p in zip(*parts, strict=True)]


def compiled(loss: PointwiseLoss, raw: Any, target: Any) -> list[Any]:
    repeat = -(-1000 // raw.size)
    return [o[: raw.size] for o in loss.evaluate(np.tile(raw, repeat), np.tile(target, repeat), hessian=True)]


def strictly(loss: Any, raw: Any, target: Any) -> list[Any]:
    core = loss.simplified
    with np.errstate(all="ignore"):
        outputs = core.formula(STRICT, array_api_strict.asarray(raw), array_api_strict.asarray(target), *core.constants)
    return [np.asarray(o) for o in outputs]


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f8", "f4"])
@pytest.mark.parametrize("loss", POINTWISE, ids=label)
def test_within_the_contract(loss: Any, dtype: Any) -> None:
    raw, target = rows(loss, dtype, size=60 if dtype == np.float64 else 20)
    engines = {"numpy": by_numpy, "compiled": compiled} | ({"strict": strictly} if dtype == np.float64 else {})
    if dtype == np.float32 and not (sweeps.everything or sweeps.few(loss)):
        del engines["compiled"]  # the loop of float64 with one rounding more, in `make test` for a few
    got = {name: engine(loss, raw, target) for name, engine in engines.items()}
    misses = []
    for i, (z, y) in enumerate(zip(raw.tolist(), target.tolist(), strict=True)):
        exact = pointwise_at(loss, z, y)
        relative = loss.matching and loss.smooth and hard(loss, y)
        for name, outputs in got.items():
            for output, array, terms in zip(("value", "gradient", "hessian"), outputs, exact, strict=True):
                e = error(array[i], terms, dtype, relative)
                if e > allowed(loss):
                    misses.append((e, f"{name} {output}({z!r}, {y!r}) = {array[i].item()!r}, exact {float(total(terms))!r}: {e:.3g} eps"))
    misses.sort(key=lambda m: -m[0])
    assert not misses, f"{loss!r}: {len(misses)} of {9 * raw.size} beyond {allowed(loss)} eps\n" + "\n".join(m[1] for m in misses[:12])
    assert all(array.dtype == dtype for outputs in got.values() for array in outputs)


def test_every_loss_of_the_catalogue_has_a_reference() -> None:
    assert [loss.name for loss in DEFAULTS if loss.family != "simplex" and not known(loss)] == []


def test_the_first_example() -> None:
    import matchloss as ml

    assert ml.Logistic().gradient(40.0, 1.0) == -4.248354255291589e-18
    assert abs(ml.Logistic().value(40.0, 1.0) / 4.248354255291589e-18 - 1) < 1e-15
