"""Losses of one number a row: against the speed of memory, in place, and against sklearn._loss."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from sklearn._loss import loss as sk

import matchloss as ml
from benchmarks.tables import Line, Table
from benchmarks.timing import best_of
from matchloss.engine import threads
from matchloss.engine.pointwise import BLOCK, by_loop

ROWS = 10_000_000
SKLEARN_THREADS = 2
Array = NDArray[np.float64]

# The most that value + gradient + hessian may take, in times of moving the same bytes.
LIMITS: dict[ml.Loss, float] = {
    ml.SquaredError(): 1.3,
    ml.AbsoluteError(): 1.3,
    ml.Pinball(0.3): 1.3,
    ml.Huber(): 1.3,
    ml.Hinge(): 1.3,
    ml.Poisson(): 1.3,
    ml.Gamma(): 1.3,
    ml.BinarySpherical(): 1.3,
    ml.BinaryBrier(): 1.3,
    ml.Logistic(): 1.9,
    ml.Tweedie(): 1.9,
    ml.Exponential(): 1.9,
    ml.LogCosh(): 2.6,
    ml.NegativeBinomial(): 2.6,
    ml.Probit(): 5.5,
    ml.Focal(): 5.5,
}

# Ours, theirs, and how many times as fast ours must be. At 1 both are at the limit of memory: not slower.
SKLEARN: list[tuple[ml.Loss, Callable[[], Any], float]] = [
    (ml.Logistic(), sk.HalfBinomialLoss, 4.0),
    (ml.Tweedie(), sk.HalfTweedieLoss, 4.0),
    (ml.Huber(), partial(sk.HuberLoss, delta=1.0), 2.0),
    (ml.Pinball(0.3), partial(sk.PinballLoss, quantile=0.3), 2.0),
    (ml.Poisson(), sk.HalfPoissonLoss, 2.0),
    (ml.Gamma(), sk.HalfGammaLoss, 2.0),
    (ml.Exponential(), sk.ExponentialLoss, 2.0),
    (ml.SquaredError(), sk.HalfSquaredError, 1.0),
    (ml.AbsoluteError(), sk.AbsoluteError, 1.0),
]


def data(loss: ml.Loss, rows: int, seed: int = 0) -> tuple[Array, Array]:
    """Raw predictions and targets as a fit meets them: labels for a binary loss, positive numbers where they are asked for."""
    rng = np.random.default_rng(seed)
    raw = rng.standard_normal(rows)
    if loss.target_domain.high == 1.0:
        raw *= 3.0
        return raw, (rng.random(rows) < 0.5).astype(np.float64)
    if loss.target_domain.low == 0.0:
        return raw, rng.standard_exponential(rows) + 1e-3
    return raw, rng.standard_normal(rows)


@numba.njit(nogil=True)
def _move_one(a: Array, b: Array, x: Array) -> None:
    for i in range(a.shape[0]):
        x[i] = a[i] + b[i]


@numba.njit(nogil=True)
def _move_two(a: Array, b: Array, x: Array, y: Array) -> None:
    for i in range(a.shape[0]):
        x[i], y[i] = a[i], b[i]


@numba.njit(nogil=True)
def _move_three(a: Array, b: Array, x: Array, y: Array, z: Array) -> None:
    for i in range(a.shape[0]):
        x[i], y[i], z[i] = a[i], b[i], a[i]


def moved(reads: tuple[Array, Array], writes: tuple[Array, ...]) -> None:
    """Two arrays read and one, two or three written, on the threads and the blocks of the engine itself; one may be the first read."""
    move = (_move_one, _move_two, _move_three)[len(writes) - 1]

    def block(start: int, stop: int) -> int:
        move(*(a[start:stop] for a in (*reads, *writes)))
        return -1

    threads.over_blocks(reads[0].shape[0], BLOCK, block)


def one_pass(loss: ml.Loss, raw: Array, target: Array, outs: list[Array | None]) -> None:
    """What `evaluate` runs when it makes the outputs itself, on arrays that are in memory already: no page faults are timed.

    Given `out`, `evaluate` checks all targets first, since nothing may be written if one is bad: one array more is read.
    """
    assert isinstance(loss, ml.PointwiseLoss)
    by_loop(loss.programs["exact"], raw, target, None, outs, check_first=False)


def against_memory(rows: int = ROWS, rounds: int = 15) -> list[Table]:
    table = Table(
        f"Value, gradient and hessian of {rows:,} float64 rows, over moving the same bytes",
        "The pass of `evaluate(raw, target, hessian=True)`, check of the targets included, over arrays in memory already, in times of a "
        "kernel that reads two arrays and writes three, on the same threads and blocks. With `out=`, evaluate reads the targets once more, "
        f"to check them before it writes: its time stands beside. Best of {rounds} in turn.",
    )
    alone = Table(
        "Gradient alone, in place over raw, over out of place",
        f"`evaluate(raw, target, value=False, out=Evaluation(None, raw))` over the same with another array; best of {rounds} in turn, "
        "raw restored before each.",
    )
    out = ml.Evaluation(*(np.zeros(rows) for _ in range(3)))
    for loss, limit in LIMITS.items():
        raw, target = data(loss, rows)
        steps = {
            "pass": partial(one_pass, loss, raw, target, list(out)),
            "out": partial(loss.evaluate, raw, target, hessian=True, out=out),
            "moving": partial(moved, (raw, target), tuple(out)),
        }
        t = best_of(steps, rounds)
        traffic = 5 * raw.nbytes / t["moving"] / 1e9
        detail = f"{1e3 * t['pass']:.1f} ms over {1e3 * t['moving']:.1f} ms, {traffic:.0f} GB/s moved; with out= {1e3 * t['out']:.1f} ms"
        ratio = t["pass"] / t["moving"]
        table.add(Line(loss.name, ratio, limit, detail=detail, over_limit=ratio))
    for loss in LIMITS:
        raw, target = data(loss, rows)
        z = raw.copy()
        steps = {
            "in place": partial(loss.evaluate, z, target, value=False, out=ml.Evaluation(None, z)),
            "out of place": partial(loss.evaluate, z, target, value=False, out=out),
            "moving": partial(moved, (z, target), (z,)),
        }
        t = best_of(steps, rounds, before=partial(np.copyto, z, raw))
        detail = f"{1e3 * t['in place']:.1f} ms over {1e3 * t['out of place']:.1f} ms"
        alone.add(Line(loss.name, t["in place"] / t["out of place"], 1.0, detail=detail, over_limit=t["in place"] / t["moving"]))
    return [table, alone]


def against_sklearn(rows: int = ROWS, rounds: int = 7) -> list[Table]:
    table = Table(
        f"Against sklearn._loss, {SKLEARN_THREADS} threads, {rows:,} float64 rows: how many times as fast",
        "Value, gradient and hessian: one pass of ours; theirs takes two calls, `loss` and `gradient_hessian`. Below each, for comparison, "
        "two outputs by one call of either. Into arrays in memory already. Ours checks its targets in the pass, theirs does not; with "
        f"`out=`, ours checks them ahead: its time stands beside. Best of {rounds} in turn.",
    )
    mine, theirs = (tuple(np.zeros(rows) for _ in range(3)) for _ in range(2))
    value, gradient, hessian = theirs
    for loss, make, limit in SKLEARN:
        raw, target = data(loss, rows)
        peer = make()
        ask = {"y_true": target, "raw_prediction": raw, "n_threads": SKLEARN_THREADS}
        values = partial(peer.loss, **ask, loss_out=value)
        pair = partial(peer.gradient_hessian, **ask, gradient_out=gradient, hessian_out=hessian)
        first = partial(peer.loss_gradient, **ask, loss_out=value, gradient_out=gradient)

        def both(values: Callable[[], Any] = values, pair: Callable[[], Any] = pair) -> None:
            values()
            pair()

        cases: list[tuple[str, Callable[[], Any], tuple[bool, bool, bool], float | None]] = [
            ("all three", both, (True, True, True), limit),
            ("gradient_hessian", pair, (False, True, True), None),
            ("loss_gradient", first, (True, True, False), None),
        ]
        for what, peers, wanted, least in cases:
            outs = [a if on else None for a, on in zip(mine, wanted, strict=True)]
            steps = {
                "ours": partial(one_pass, loss, raw, target, outs),
                "out": partial(loss.evaluate, raw, target, None, *wanted, out=ml.Evaluation(*outs)),
                "theirs": peers,
                "moving": partial(moved, (raw, target), tuple(a for a in outs if a is not None)),
            }
            t = best_of(steps, rounds)
            loss.evaluate(raw, target, None, *wanted, out=ml.Evaluation(*outs))  # "moving" has written over them
            _same_gradient(loss, mine[1], gradient)
            detail = f"{1e3 * t['theirs']:.1f} ms over {1e3 * t['ours']:.1f} ms; with out= {1e3 * t['out']:.1f} ms"
            over = t["ours"] / t["moving"]
            table.add(Line(f"{loss.name}, {what}", t["theirs"] / t["ours"], least, least=True, detail=detail, over_limit=over))
    return [table]


def _same_gradient(loss: ml.Loss, ours: Array, theirs: Array) -> None:
    """So that the same thing was timed. At a tie, which no row here is, the two may choose differently."""
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9, err_msg=repr(loss))


def run() -> list[Table]:
    return against_memory() + against_sklearn()
