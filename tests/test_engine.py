"""One loss, any engine, layout and number of threads: the same numbers."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import matchloss as ml
from cases import DEFAULTS, is_simplex, label, moderate, moderate_rows
from matchloss.engine import pointwise, rows, threads
from matchloss.errors import DomainError
from sweeps import sweep

pytestmark = pytest.mark.compiled
LOSSES = [ml.Logistic(), ml.Tweedie(), ml.Huber(), ml.CrossEntropy(), ml.Sparsemax()]
N = 200_001  # several blocks, the last one short


def good(loss: Any, n: int, dtype: Any = np.float64, k: int = 3) -> tuple[Any, Any]:
    if is_simplex(loss):
        z, _, p = moderate_rows(n, k, dtype)
        return z, p
    return moderate(loss, n, dtype)


def assert_same(a: Any, b: Any) -> None:
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("loss", sweep(LOSSES, lambda loss: loss.name != "sparsemax"), ids=label)  # its loops compile for seconds
def test_bits_do_not_depend_on_threads_or_blocks(loss: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    z, y = good(loss, N)
    results = []
    for count in (1, 2, 3, 7):
        monkeypatch.setattr(threads, "count", lambda count=count: count)
        results.append((*loss.evaluate(z, y, hessian=True), loss(z, y)))
    for other in results[1:]:
        assert_same(results[0], other)
    parts = [loss.evaluate(z[i : i + 50_000], y[i : i + 50_000], hessian=True) for i in range(0, N, 50_000)]
    assert_same(results[0][:3], [np.concatenate(p) for p in zip(*parts, strict=True)])


def test_the_first_bad_row_is_named_whatever_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    z, y = good(ml.Logistic(), N)
    y[[150_000, 70_000, 199_999]] = 7
    for count in (1, 2, 7):
        monkeypatch.setattr(threads, "count", lambda count=count: count)
        with pytest.raises(DomainError, match=r"target\[70000\] is 7\.0"):
            ml.Logistic().evaluate(z, y, hessian=True)


@pytest.mark.parametrize("value", ["1", "2"])
def test_MATCHLOSS_THREADS(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATCHLOSS_THREADS", value)
    assert threads.count() == min(int(value), threads.count()) <= int(value)
    monkeypatch.setenv("MATCHLOSS_THREADS", "many")
    with pytest.raises(ValueError, match="MATCHLOSS_THREADS"):
        threads.count()


def layouts(a: Any) -> dict[str, Any]:
    """The same numbers in other places."""
    wide = np.zeros((a.shape[0] * 2, *a.shape[1:]))
    wide[::2] = a
    frozen = a.copy()
    frozen.flags.writeable = False
    raw = np.zeros(a.nbytes + 1, np.uint8)[1:].view(np.uint8)
    shifted = np.ndarray(a.shape, a.dtype, raw.data)
    shifted[...] = a
    return {
        "strided": wide[::2], "reversed": a[::-1].copy()[::-1], "swapped": a.astype(a.dtype.newbyteorder()), "read-only": frozen,
        "Fortran": np.asfortranarray(a), "unaligned": shifted,
    }  # fmt: skip


@pytest.mark.parametrize("loss", LOSSES, ids=label)
def test_bits_do_not_depend_on_the_layout(loss: Any) -> None:
    for n in (200, 70_001):
        z, y = good(loss, n)
        plain = loss.evaluate(z, y, hessian=True)
        other_y = layouts(y)
        for name, other in layouts(z).items():
            assert_same(plain, loss.evaluate(other, other_y[name], hessian=True))
            out = ml.Evaluation(*(layouts(np.zeros_like(p))["strided"] for p in plain))
            assert_same(plain, loss.evaluate(other, y, hessian=True, out=out))
            assert_same(plain, out)


@pytest.mark.parametrize("loss", LOSSES[:3], ids=label)
def test_any_number_of_dimensions(loss: Any) -> None:
    z, y = good(loss, 2400)
    flat, cube = loss.evaluate(z, y, hessian=True), loss.evaluate(z.reshape(20, 30, 4), y.reshape(20, 30, 4), hessian=True)
    assert_same([a.reshape(20, 30, 4) for a in flat], cube)
    turned = loss.evaluate(z.reshape(20, 120).T, y.reshape(20, 120).T, hessian=True)
    assert_same([a.reshape(20, 120).T for a in flat], turned)


def test_rows_of_any_number_of_dimensions() -> None:
    z, labels, p = moderate_rows(600, 5)
    for target in (labels, p):
        flat = ml.CrossEntropy().evaluate(z, target, hessian=True)
        cube = ml.CrossEntropy().evaluate(z.reshape(20, 30, 5), target.reshape(20, 30, *target.shape[1:]), hessian=True)
        assert_same([a.reshape(20, 30, *a.shape[1:]) for a in flat], cube)


@pytest.mark.parametrize("n", [100, N])
@pytest.mark.parametrize(
    ("loss", "dtype"),
    sweep(itertools.product(LOSSES, [np.float64, np.float32]), lambda loss, dtype: dtype == np.float64 or not is_simplex(loss)),
    ids=label,
)
def test_the_gradient_may_overwrite_raw(loss: Any, n: int, dtype: Any) -> None:
    z, y = good(loss, n, dtype)
    expected = loss.evaluate(z, y)
    got = loss.evaluate(z, y, out=ml.Evaluation(None, z, None))
    assert got.gradient is z and z.dtype == dtype
    np.testing.assert_allclose(z, expected.gradient, rtol=4 * np.finfo(dtype).eps, atol=0)  # another loop: fused otherwise
    np.testing.assert_allclose(got.value, expected.value, rtol=4 * np.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("n", [100, 3000])
def test_outputs_that_overlap_inputs_are_as_if_they_did_not(n: int) -> None:
    z, y = good(ml.Logistic(), n)
    expected = ml.Logistic().evaluate(z, y, hessian=True)
    memory = np.zeros(3 * n + 1)
    memory[:n] = z
    out = ml.Evaluation(memory[1 : n + 1], memory[n + 1 : 2 * n + 1], memory[2 * n + 1 :])  # the value lies over raw, one entry on
    assert_same(expected, ml.Logistic().evaluate(memory[:n], y, hessian=True, out=out))
    target = y.copy()
    assert_same(expected, ml.Logistic().evaluate(z, target, hessian=True, out=ml.Evaluation(target, None, None)))
    weight = np.full(n, 2.0)
    doubled = ml.Logistic().evaluate(z, y, weight, hessian=True, out=ml.Evaluation(None, None, weight))
    np.testing.assert_allclose(doubled.hessian, 2 * expected.hessian, rtol=1e-15)
    np.testing.assert_allclose(doubled.value, 2 * expected.value, rtol=1e-15)


def test_out_of_the_other_dtype_is_converted_once() -> None:
    z, y = good(ml.Logistic(), 3000)
    single = ml.Evaluation(*(np.zeros(3000, np.float32) for _ in range(3)))
    ml.Logistic().evaluate(z, y, hessian=True, out=single)
    assert_same(single, [a.astype(np.float32) for a in ml.Logistic().evaluate(z, y, hessian=True)])


@pytest.mark.parametrize("loss", sweep(DEFAULTS), ids=label)  # the others' loops are held to the contract of accuracy
def test_without_the_compiled_engine_results_are_equal_to_rounding(loss: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    z, y = good(loss, 1500)
    compiled = loss.evaluate(z, y, hessian=True)
    monkeypatch.setattr(pointwise, "COMPILE_FROM", 10**9)
    monkeypatch.setattr(rows, "COMPILE_FROM", 10**9)
    for a, b in zip(compiled, loss.evaluate(z, y, hessian=True), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
        assert a.dtype == b.dtype


def test_eight_threads_at_once() -> None:
    work = [(loss, *good(loss, 80_000, seed_dtype)) for loss in LOSSES for seed_dtype in (np.float64,)]
    alone = [loss.evaluate(z, y, hessian=True) for loss, z, y in work]
    start = threading.Barrier(8)

    def run(i: int) -> list[Any]:
        start.wait()
        return [work[(i + j) % len(work)][0].evaluate(*work[(i + j) % len(work)][1:], hessian=True) for j in range(10)]

    with ThreadPoolExecutor(8) as pool:
        for i, results in enumerate(pool.map(run, range(8))):
            for j, result in enumerate(results):
                assert_same(alone[(i + j) % len(work)], result)


def test_a_call_from_inside_a_pool_worker_runs_serially(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "count", lambda: 2)
    z, y = good(ml.Logistic(), N)
    expected = ml.Logistic().evaluate(z, y, hessian=True)
    seen = []

    def nested(start: int, stop: int) -> int:
        seen.append(ml.Logistic().evaluate(z, y, hessian=True))
        return -1

    assert threads.over_blocks(6, 1, nested) == -1 and len(seen) == 6
    for result in seen:
        assert_same(expected, result)


def test_the_mean_is_a_sum_of_values() -> None:
    for dtype in (np.float64, np.float32):
        z, y = moderate(ml.Logistic(), N, dtype)
        mean = ml.Logistic()(z, y)
        assert mean.dtype == dtype
        assert np.isclose(mean, ml.Logistic().value(z, y).mean(dtype=np.float64), rtol=4 * np.finfo(dtype).eps)


def test_sklearn_says_the_same() -> None:
    """scikit-learn's private losses, where ours define the same thing; and its own tests' reference points."""
    from sklearn._loss import loss as theirs

    pairs = [
        (ml.SquaredError(), theirs.HalfSquaredError()), (ml.AbsoluteError(), theirs.AbsoluteError()),
        (ml.Pinball(0.3), theirs.PinballLoss(quantile=0.3)), (ml.Huber(1.25), theirs.HuberLoss(delta=1.25)),
        (ml.Poisson(), theirs.HalfPoissonLoss()), (ml.Gamma(), theirs.HalfGammaLoss()),
        (ml.Tweedie(1.5), theirs.HalfTweedieLoss(power=1.5)), (ml.Tweedie(3.0), theirs.HalfTweedieLoss(power=3.0)),
        (ml.Logistic(), theirs.HalfBinomialLoss()), (ml.Exponential(), theirs.ExponentialLoss()),
    ]  # fmt: skip
    for ours, other in pairs:
        z, y = moderate(ours, 300)
        z, y = np.ascontiguousarray(z), np.ascontiguousarray(y)
        value, gradient = other.loss_gradient(y, z)
        offset = ours.value(z, y) - value  # theirs may leave out what does not depend on raw, or keep it
        constant = other.loss(y, np.zeros_like(z)) - ours.value(np.zeros_like(z), y)
        np.testing.assert_allclose(offset, -constant, rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(ours.gradient(z, y), gradient, rtol=1e-11, atol=1e-12)
        if ours.name not in ("absolute_error", "pinball", "huber"):  # theirs put 1 where the hessian is 0
            np.testing.assert_allclose(ours.hessian(z, y), other.gradient_hessian(y, z)[1], rtol=1e-10, atol=1e-12)
    z, labels, _ = moderate_rows(200, 5)
    value, gradient = theirs.HalfMultinomialLoss(n_classes=5).loss_gradient(labels.astype(float), z)
    np.testing.assert_allclose(ml.CrossEntropy().value(z, labels), value, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(ml.CrossEntropy().gradient(z, labels), gradient, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("loss", "y", "raw", "value", "gradient", "hessian"),
    [  # sklearn/_loss/tests/test_loss.py, test_loss_on_specific_values
        (ml.SquaredError(), 1.0, 5.0, 8, 4, 1),
        (ml.AbsoluteError(), 1.0, 5.0, 4.0, 1.0, None),
        (ml.Pinball(0.5), 1.0, 5.0, 2, 0.5, None),
        (ml.Pinball(0.25), 1.0, 5.0, 4 * 0.75, 0.75, None),
        (ml.Pinball(0.25), 5.0, 1.0, 4 * 0.25, -0.25, None),
        (ml.Huber(3), 1.0, 5.0, 3 * (4 - 3 / 2), 3, None),
        (ml.Huber(3), 1.0, 3.0, 0.5 * 2**2, 2, None),
        (ml.Poisson(), 2.0, np.log(4), 4 - 2 * np.log(4), 2, 4),
        (ml.Gamma(), 2.0, np.log(4), np.log(4) + 2 / 4, 1 - 2 / 4, 2 / 4),
        (ml.Tweedie(3), 2.0, np.log(4), -1 / 4 + 1 / 4**2, None, None),
        (ml.Logistic(), 0.25, np.log(4), np.log1p(4) - 0.25 * np.log(4), 0.55, 0.16),
        (ml.Logistic(), 1.0, -1e20, 1e20, -1, 0),
        (ml.Logistic(), 1.0, 36.8, 1.0421654613e-16, -1.0421654613e-16, 1.0421654613e-16),
        (ml.Logistic(), 1.0, -708.4, 708.4, -1, 0),
        (ml.Logistic(), 0.0, 37.5, 37.5, 1, 5.1753e-17),
        (ml.Logistic(), 0.0, 232.8, 232.8, 1, 7.874892118601447e-102),  # theirs says 1.4e-101, and compares with an absolute tolerance
        (ml.Logistic(), 0.0, 1e20, 1e20, 1, 0),
        (ml.Logistic(), 0.0, -36.8, 1.0421654613e-16, 1.0421654613e-16, 1.0421654613e-16),
    ],
)
def test_scikit_learns_reference_points(loss: Any, y: float, raw: float, value: float, gradient: Any, hessian: Any) -> None:
    e = loss.evaluate(raw, y, hessian=True)
    for got, expected in zip(e, (value, gradient, hessian), strict=True):
        assert expected is None or np.isclose(got, expected, rtol=1e-4, atol=1e-300)
    row = np.array([[0.2, 0.5, 0.3]])
    assert np.isclose(ml.CrossEntropy().value(row, [2])[0], np.log(np.exp(row).sum()) - 0.3)
