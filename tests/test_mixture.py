"""The row loop of cross entropy against mixture targets agrees with its text over arrays, in every dtype, and is exact in the tails."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from matchloss.engine.namespaces import NUMPY, NUMPY_ROWS
from matchloss.engine.row_targets import Mixture, sum_tolerance
from matchloss.engine.row_text import Options, deficit, hessian_product, jet
from matchloss.engine.rows import Stats, run_mixture
from sweeps import sweep

EPS = {"float64": 2.2e-16, "float32": 1.2e-7, "bfloat16": 2.0**-8, "float16": 2.0**-11}
OPTIONS = [Options(), Options(softcap=20.0, temperature=1.5, z_loss=1e-3), Options(temperature=0.5), Options(z_loss=0.1)]


def stored(kind: str, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x as the loop takes it, and the numbers that these bits are."""
    if kind == "bfloat16":
        bits = (x.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
        return bits, numbers(kind, bits)
    a = x.astype(kind)
    return (a.view(np.uint16) if kind == "float16" else a), a.astype(np.float64)


def numbers(kind: str, a: np.ndarray) -> np.ndarray:
    if kind == "bfloat16":
        return (a.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return (a.view(np.float16) if kind == "float16" else a).astype(np.float64)


def problem(rng: np.random.Generator, n: int, classes: int, parts: str) -> tuple[Mixture, np.ndarray]:
    """A mixture with these parts, and the same as one array."""
    index, share = rng.integers(0, classes, (n, 3)), rng.random((n, 3))
    index[0, 1] = index[0, 0]  # a label named twice counts twice
    base, dense, scale = rng.random(classes) / classes, rng.dirichlet(np.ones(classes), n), rng.random(classes)
    given: dict[str, Any] = {}
    t = np.zeros((n, classes))
    if "s" in parts:
        given |= {"index": index, "share": share}
        np.add.at(t, (np.arange(n)[:, None], index), share)
    if "b" in parts:
        given["base"], t = base, t + base
    if "d" in parts:
        given["dense"] = dense
        t = t + dense * (scale if "c" in parts else 1.0)
    if "c" in parts:
        given["scale"] = scale
    return Mixture(**given), t


@pytest.mark.parametrize(
    ("kind", "classes"),
    sweep(itertools.product(EPS, [1, 5, 31, 32, 130, 3000]), lambda *case: case in (("float32", 5), ("bfloat16", 130))),
)
def test_loop_and_text_agree(kind: str, classes: int) -> None:
    rng = np.random.default_rng(classes)
    n = 40 if classes > 31 else 300  # of short rows, more than stand side by side
    for options in OPTIONS:
        for parts in ("s", "sb", "dc", "sbdc", "d"):
            z, exact = stored(kind, rng.normal(size=(n, classes)) * 5)
            target, t = problem(rng, n, classes, parts)
            w = rng.random(n)
            w[[7, -1]] = 0.0
            gradient = z.copy()
            stats, bad = run_mixture(kind, gradient, target, w, options, gradient, spread=True)  # in place
            assert bad == -1
            x = jet(NUMPY, NUMPY_ROWS, exact, t, options)
            work = EPS["float64" if kind == "float64" else "float32"]
            value = stats.value + options.z_loss * stats.logsumexp**2
            counted = w > 0
            terms = np.abs(x.value[:, 0]) + (t.sum(-1) + 1.0) * (1.0 + np.abs(x.logsumexp[:, 0]))
            assert np.all(np.abs(value - x.value[:, 0])[counted] <= 16 * work * terms[counted])
            expected = x.gradient * w[:, None]
            largest = w[:, None] * (t.sum(-1, keepdims=True) + 2 * options.z_loss * np.abs(x.logsumexp)) / options.temperature
            rounding = EPS[kind] * np.abs(expected) + (2.0**-25 if kind == "float16" else 0.0)
            assert np.all(np.abs(numbers(kind, gradient) - expected) <= rounding + 16 * work * largest)
            assert np.all(numbers(kind, gradient)[[7, -1]] == 0.0)
            with np.errstate(divide="ignore", invalid="ignore"):
                entropy = -np.sum(np.where(x.p > 0, x.p * np.log(x.p), 0.0), axis=-1)
            assert np.allclose(stats.entropy[counted], entropy[counted], rtol=1e-4, atol=1e-5)
            u = exact if not options.softcap else options.softcap * np.tanh(exact / options.softcap)
            if "s" in parts:
                label = np.take_along_axis(u, target.index[:, :1], -1)[:, 0]
                gap = (u.max(-1) - label) / options.temperature
                assert np.allclose(stats.label_gap[counted], gap[counted], rtol=1e-5, atol=1e-5)
            assert np.array_equal(stats.place[counted], np.argmax(u.astype(np.float32) if kind != "float64" else u, axis=-1)[counted])


def masked(z: Any, classes: int) -> np.ndarray:
    """The same rows with classes that cannot be, which changes nothing: rows of fewer than 32 classes are worked on side by side."""
    return np.pad(np.array(z, float), ((0, 0), (0, classes - len(z[0]))), constant_values=-np.inf)


@pytest.mark.parametrize(
    ("kind", "classes"), sweep(itertools.product(["float32", "float64"], [3, 40]), lambda *case: case in (("float64", 3), ("float32", 40)))
)
def test_confident_rows_are_exact(kind: str, classes: int) -> None:
    z = masked([[40.0, 0.0, 0.0], [0.0, 40.0, 0.0], [80.0, 0.0, -5.0]], classes).astype(kind)
    gradient = np.empty_like(z)
    stats, _ = run_mixture(kind, z, Mixture(np.zeros((3, 1)), np.ones((3, 1))), np.ones(3), Options(), gradient)
    assert np.allclose(gradient[[0, 2], 0], [-2 * np.exp(-40.0), -np.exp(-80.0) - np.exp(-85.0)], rtol=1e-6, atol=0)
    assert np.allclose(stats.value, [2 * np.exp(-40.0), 40.0, np.exp(-80.0) + np.exp(-85.0)], rtol=1e-6, atol=0)


@pytest.mark.parametrize("classes", [3, 40])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", sweep(EPS, lambda kind: kind == "float64"))
def test_minus_infinity_masks(kind: str, options: Options, classes: int) -> None:
    z, _ = stored(kind, masked([[1.0, -np.inf, 2.0], [1.0, -np.inf, 2.0]], classes))
    short, _ = stored(kind, np.array([[1.0, 2.0], [1.0, 2.0]]))
    gradient, two = z.copy(), short.copy()
    stats, _ = run_mixture(kind, z, Mixture(np.array([[2], [1]]), np.ones((2, 1))), np.ones(2), options, gradient, spread=True)
    alone, _ = run_mixture(kind, short, Mixture(np.array([[1], [0]]), np.ones((2, 1))), np.ones(2), options, two, spread=True)
    got, want = numbers(kind, gradient)[0], numbers(kind, two)[0]
    ulp = {"float32": 2.0**-24, "float64": 2.0**-53}.get(kind, 0.0) if classes > 31 else 0.0  # two layouts round each in their way
    assert np.allclose(got[[0, 2]], want, rtol=4 * ulp, atol=0) and np.all(np.delete(got, [0, 2]) == 0.0)
    assert np.allclose(stats.value[0], alone.value[0], rtol=4 * ulp, atol=0) and stats.value[1] == np.inf
    assert np.allclose(stats.entropy[0], alone.entropy[0], rtol=4 * ulp, atol=0)


@pytest.mark.parametrize("classes", [3, 40])
@pytest.mark.parametrize("before", [0, 200])
def test_bad_rows_are_told_and_rows_of_weight_0_are_not_looked_at(classes: int, before: int) -> None:
    n = before + 4
    z, w = np.zeros((n, classes)), np.ones(n)
    w[before + 1] = 0.0
    z[before + 1] = np.nan
    index, dense = np.zeros((n, 1), int), np.full((n, classes), 1 / classes)
    index[before:, 0] = [0, classes, classes - 1, -1]
    dense[before + 1], dense[before + 2, :3] = np.nan, [0.5, 0.6, -0.1]
    labels, soft = Mixture(index, np.ones((n, 1))), Mixture(dense=dense)
    for target, first in ((labels, 3), (soft, 2), (Mixture(index, np.ones((n, 1)), dense=dense), 2)):
        assert run_mixture("float64", z, target, w, Options(), np.empty_like(z))[1] == before + first
    w[before + 2 :] = 0.0
    for target in (labels, soft):
        gradient = z.copy()
        stats, bad = run_mixture("float64", z, target, w, Options(z_loss=0.1, softcap=9.0), gradient, spread=True)
        assert bad == -1 and not gradient[before + 1 :].any() and not np.array(stats)[:, before + 1 :].any()


@pytest.mark.parametrize("classes", [3, 40])
def test_nan_stays_in_its_row(classes: int) -> None:
    z = masked([[np.nan, 0.0], [1.0, 2.0], [np.inf, np.inf], [0.0, np.nan]], classes)
    gradient = np.empty_like(z)
    stats, _ = run_mixture("float64", z, Mixture(np.zeros((4, 1)), np.ones((4, 1))), np.ones(4), Options(), gradient)
    assert np.array_equal(np.isnan(stats.value), [True, False, True, True])
    assert np.array_equal(np.isnan(gradient).all(-1), [True, False, True, True])


@pytest.mark.exhaustive  # no other test of `make test` needs loops over float16
def test_every_float16_survives_both_ways() -> None:
    bits = np.arange(1 << 16, dtype=np.uint16).reshape(-1, 1)
    stats, _ = run_mixture("float16", bits, Mixture(np.zeros((1 << 16, 1)), np.ones((1 << 16, 1))), np.ones(1 << 16), Options())
    value = bits.view(np.float16).astype(np.float64)[:, 0]
    assert np.array_equal(stats.top, value, equal_nan=True)
    z, t = np.zeros((1 << 16, 2), np.uint16), np.zeros((1 << 16, 2))
    t[:, 0] = np.abs(np.where(np.isfinite(value), value, 0.0)) + np.float64(2.0**-26)
    gradient = np.empty_like(z)
    run_mixture("float16", z, Mixture(np.zeros((1 << 16, 1), int), t[:, :1]), np.ones(1 << 16), Options(), gradient)  # t (1/2 - 1), t / 2
    with np.errstate(over="ignore"):
        assert np.array_equal(gradient.view(np.float16)[:, 0], (-t[:, 0] / 2).astype(np.float32).astype(np.float16))


@pytest.mark.parametrize("options", OPTIONS)
def test_hessian_product_is_the_gradients_derivative(options: Options) -> None:
    rng = np.random.default_rng(0)
    z, v, t = rng.normal(size=(3, 5)), rng.normal(size=(3, 5)), rng.random((3, 5))
    h = 1e-5
    ahead, behind = (jet(NUMPY, NUMPY_ROWS, z + s * h * v, t, options).gradient for s in (1, -1))
    x = jet(NUMPY, NUMPY_ROWS, z, t, options)
    assert np.allclose(hessian_product(NUMPY_ROWS, x, t, options, v), (ahead - behind) / (2 * h), atol=1e-9)


def test_parts_of_rows_make_up_the_whole() -> None:
    rng = np.random.default_rng(1)
    z, options = rng.normal(size=(6, 9)) * 3, Options(z_loss=0.1)
    dense = rng.dirichlet(np.ones(9), 6)
    whole = np.empty_like(z)
    stats, _ = run_mixture("float64", z, Mixture(dense=dense), np.ones(6), options, whole)
    known = np.stack([stats.top, stats.rest, stats.mass], axis=-1)
    for part in (slice(0, 4), slice(4, 9)):
        some, gradient = np.ascontiguousarray(z[:, part]), np.empty((6, len(range(9)[part])))
        run_mixture("float64", some, Mixture(dense=dense[:, part]), np.ones(6), options, gradient, known=known, tolerance=np.inf)
        assert np.allclose(gradient, whole[:, part], rtol=1e-13, atol=1e-15)


def test_stats_have_a_column_each() -> None:
    assert len(Stats._fields) == 7


def test_sums_may_be_as_far_from_1_in_every_library() -> None:
    torch, jnp = pytest.importorskip("torch"), pytest.importorskip("jax.numpy")
    for name, allowed in (("float64", 1e-6), ("float32", 1e-4), ("float16", 1e-2), ("bfloat16", 1e-2), ("int32", 1e-6)):
        dtypes = [getattr(torch, name), jnp.dtype(name)] + ([] if name == "bfloat16" else [np.dtype(name), np.dtype(name).newbyteorder()])
        assert [sum_tolerance(dtype) for dtype in dtypes] == [allowed] * len(dtypes)


@pytest.mark.parametrize("power", [0.4, 1.0, 1.7, 2.0, 5.0])
def test_the_solver_solves(power: float) -> None:
    w = 1.0 - np.abs(np.random.default_rng(0).normal(size=(50, 30))) * 0.7
    w[:, 3] = -np.inf  # the largest entry
    w[0] = -np.inf
    d = deficit(NUMPY, NUMPY_ROWS, w, power)
    total = (1.0 - d[:, 0]) ** power + np.sum(np.where(w > d, np.abs(w - d), 0.0) ** power * (w > d), axis=-1)
    assert np.allclose(total, 1.0, rtol=1e-13, atol=0) and d[0] == 0.0 and np.all((d >= 0) & (d < 1))
