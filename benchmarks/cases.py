"""What two checkouts are compared on: the work of each topic by public names alone, which both have. A case is made when its turn comes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

import matchloss as ml
from benchmarks.timing import Step

Cases = dict[str, Callable[[], Step]]


def startup() -> Cases:
    from benchmarks.startup import CHILD

    def first_call() -> Step:
        return partial(subprocess.run, [sys.executable, "-c", CHILD], capture_output=True, check=True)

    return {"a process that imports, calls, and calls five other losses": first_call}


def small() -> Cases:
    from benchmarks.pointwise import data

    losses: tuple[ml.PointwiseLoss, ...] = (ml.SquaredError(), ml.Logistic(), ml.Poisson(), ml.Tweedie())
    cases: Cases = {}
    for loss in losses:
        for rows in (32, 1000):
            cases[f"{loss.name}, {rows} rows"] = lambda loss=loss, rows=rows: partial(loss.evaluate, *data(loss, rows))
        cases[f"{loss.name}, mean of 1000 rows"] = lambda loss=loss: partial(loss, *data(loss, 1000))
    return cases


def pointwise() -> Cases:
    from benchmarks.pointwise import LIMITS, ROWS, data

    def three(loss: ml.Loss) -> Step:
        out = ml.Evaluation(*(np.zeros(ROWS) for _ in range(3)))
        return partial(loss.evaluate, *data(loss, ROWS), hessian=True, out=out)

    def gradient(loss: ml.Loss, dtype: str) -> Step:
        raw, target = (a.astype(dtype) for a in data(loss, ROWS))
        return partial(loss.evaluate, raw, target, value=False, out=ml.Evaluation(None, np.zeros(ROWS, dtype)))

    def in_place(loss: ml.Loss) -> Step:
        raw, target = data(loss, ROWS)
        z = raw.copy()

        def step() -> None:
            np.copyto(z, raw)
            loss.evaluate(z, target, value=False, out=ml.Evaluation(None, z))

        return step

    cases: Cases = {}
    for loss in LIMITS:
        cases[f"{loss.name}, all three"] = partial(three, loss)
        cases[f"{loss.name}, gradient"] = partial(gradient, loss, "f8")
        cases[f"{loss.name}, gradient, float32"] = partial(gradient, loss, "f4")
        cases[f"{loss.name}, gradient in place, a copy first"] = partial(in_place, loss)
    return cases


def simplex() -> Cases:
    from benchmarks.simplex import CROSS_ENTROPY, data

    @cache
    def same(shape: tuple[int, int]) -> tuple[Any, Any]:
        return data(shape)

    def given(loss: ml.Loss, shape: tuple[int, int]) -> Step:
        out = ml.Evaluation(np.zeros(shape[0], np.float32), np.zeros(shape, np.float32))
        return partial(loss.evaluate, *same(shape), out=out)

    def new(loss: ml.Loss, shape: tuple[int, int]) -> Step:
        return partial(loss.evaluate, *same(shape))

    def distributions(loss: ml.Loss, shape: tuple[int, int]) -> Step:
        target = np.random.default_rng(1).random(shape, dtype=np.float32)
        target /= target.sum(axis=1, keepdims=True)
        return partial(loss.evaluate, same(shape)[0], target)

    cases: Cases = {}
    for shape in CROSS_ENTROPY:
        cases[f"cross_entropy {shape}, new arrays"] = partial(new, ml.CrossEntropy(), shape)
        cases[f"cross_entropy {shape}, out="] = partial(given, ml.CrossEntropy(), shape)
    for loss in (ml.CrossEntropy(), ml.Sparsemax(), ml.Entmax(1.5), ml.Entmax(1.3), ml.Spherical()):
        for shape in ((20_000, 1000), (200_000, 10)):
            cases[f"{loss.token} {shape}"] = partial(given, loss, shape)
            cases[f"{loss.token} {shape}, distributions"] = partial(distributions, loss, shape)
    return cases


def linear() -> Cases:
    from benchmarks.linear_data import dense, flights
    from matchloss.linear import LinearClassifier, LinearRegressor

    def late(which: int) -> Step:
        *frames, y = flights(1)
        return partial(LinearClassifier("logistic", l2=1 / len(y), tol=1e-9).fit, frames[which], y)

    def regression(kind: str) -> Step:
        return partial(LinearRegressor(kind, l2=1e-4).fit, *dense(kind))

    def multinomial() -> Step:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(200_000, 50))
        y = (x @ rng.normal(size=(50, 10)) / 3 + rng.gumbel(size=(200_000, 10))).argmax(axis=1)
        return partial(LinearClassifier(l2=1e-4).fit, x, y)

    def many_rows() -> Step:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(1_000_000, 8))
        y = (x @ np.linspace(-1, 1, 8) + rng.logistic(size=len(x)) > 0).astype(float)
        return partial(LinearClassifier("logistic").fit, x, y)

    def kinks() -> Step:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(40_000, 20))
        return partial(LinearRegressor(ml.Pinball(0.8)).fit, x, x @ np.linspace(-1, 1, 20) + rng.standard_t(3, size=len(x)))

    return {
        "flights from pandas": partial(late, 0),
        "flights from polars": partial(late, 1),
        "poisson (1000000, 50)": partial(regression, "poisson"),
        "gamma (500000, 50)": partial(regression, "gamma"),
        "multinomial (200000, 50), 10 classes": multinomial,
        "logistic (1000000, 8)": many_rows,
        "pinball (40000, 20)": kinks,
    }


def hosts() -> Cases:
    import torch

    from matchloss.torch import binary_cross_entropy_with_logits, cross_entropy

    @cache
    def classes(rows: int, columns: int) -> tuple[Any, Any]:
        g = torch.Generator().manual_seed(0)
        return torch.randn(rows, columns, generator=g).mul_(2), torch.randint(columns, (rows,), generator=g)

    def backward(f: Callable[..., Any], x: Any, target: Any) -> Step:
        leaf = x.clone().requires_grad_()

        def step() -> None:
            leaf.grad = None
            f(leaf, target).backward()

        return step

    def of_classes(rows: int, columns: int, dtype: Any = torch.float32, **options: Any) -> Step:
        x, target = classes(rows, columns)
        return backward(partial(cross_entropy, **options), x.to(dtype), target)

    def binary(rows: int) -> Step:
        g = torch.Generator().manual_seed(0)
        return backward(binary_cross_entropy_with_logits, torch.randn(rows, generator=g).mul_(3), torch.rand(rows, generator=g).round_())

    cases: Cases = {}
    for shape in ((4096, 50257), (20_000, 1000), (1_000_000, 10), (32, 10)):
        cases[f"cross_entropy {shape}"] = partial(of_classes, *shape)
    cases["cross_entropy (4096, 50257), bfloat16"] = partial(of_classes, 4096, 50257, torch.bfloat16)
    for shape in ((20_000, 1000), (200_000, 10)):
        cases[f"cross_entropy {shape}, smoothed"] = partial(of_classes, *shape, label_smoothing=0.1)
    cases["binary_cross_entropy_with_logits, 10M"] = partial(binary, 10_000_000)
    cases["binary_cross_entropy_with_logits, 32"] = partial(binary, 32)
    return cases


def large_vocabulary() -> Cases:
    import torch

    from benchmarks.large_vocabulary import SIZES
    from matchloss.torch import linear_cross_entropy

    def made(tokens: int, width: int, words: int, dtype: Any) -> Step:
        g = torch.Generator().manual_seed(0)
        x = torch.randn(tokens, width, generator=g).to(dtype).requires_grad_()
        w = torch.randn(words, width, generator=g).mul_(0.05).to(dtype).requires_grad_()
        y = torch.randint(words, (tokens,), generator=g)

        def step() -> None:
            x.grad = w.grad = None
            linear_cross_entropy(x, w, y).backward()

        return step

    cases: Cases = {" x ".join(map(str, size)): partial(made, *size, torch.float32) for size in SIZES}
    cases[" x ".join(map(str, SIZES[0])) + " in bfloat16"] = partial(made, *SIZES[0], torch.bfloat16)
    return cases


def jax() -> Cases:
    import jax as xla

    import matchloss.jax as mj

    def made(rows: int, columns: int) -> Step:
        rng = np.random.default_rng(0)
        z = xla.numpy.asarray(rng.standard_normal((rows, columns), dtype=np.float32))
        y = xla.numpy.asarray(rng.integers(0, columns, rows))
        of = xla.jit(xla.value_and_grad(lambda z: mj.softmax_cross_entropy_with_integer_labels(z, y).mean()))
        return lambda: xla.block_until_ready(of(z))

    return {f"integer labels under jit {shape}": partial(made, *shape) for shape in ((4096, 50257), (1_000_000, 10))}


SUITES: dict[str, Callable[[], Cases]] = {f.__name__: f for f in (startup, small, pointwise, simplex, linear, hosts, large_vocabulary, jax)}
