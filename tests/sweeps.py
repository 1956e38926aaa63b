"""What `make test` leaves to `make test-all`, which runs `make test` and then `pytest --rest`: what `pytest --all` has beyond it.

`make test` has every module, host and property, and every loss with its default parameters. The sweeps over all parameters, dtypes and
engines are marked `exhaustive`; hypothesis draws a part of its examples; and loops are compiled for a few losses that stand for all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from cases import DEFAULTS, INSTANCES
from matchloss.losses import Loss

FEW = ("huber", "logistic", "poisson", "cross_entropy")
"""A number, a label, a mean, and K classes: each way through the engine and the hosts. Loops with thresholds, which take longest to
compile, are those of the tests marked `compiled`."""

OTHERS = INSTANCES[len(DEFAULTS) :]  # with other parameters than their own
everything = False  # conftest sets it before a test is imported


def few(loss: Any) -> bool:
    """Whether a loss is one of those that stand for all; what is no loss is."""
    return not isinstance(loss, Loss) or (loss.name in FEW and loss in DEFAULTS)


def sweep(values: Iterable[Any], kept: Callable[..., bool] = few) -> list[Any]:
    """Values for parametrize, of which `make test` takes those that `kept` is true of; a tuple is several arguments."""
    marked = []
    for value in values:
        arguments = value if isinstance(value, tuple) else (value,)
        marked.append(value if kept(*arguments) else pytest.param(*arguments, marks=pytest.mark.exhaustive))
    return marked


def examples(count: int, part: int = 5) -> int:
    """How many examples hypothesis draws: count, of which `make test` takes every part-th."""
    return count if everything else max(5, count // part)


def parameters(item: pytest.Item) -> list[Any]:
    """What a test is parametrized by."""
    callspec = getattr(item, "callspec", None)
    return list(callspec.params.values()) if callspec else []


def is_left_out(item: pytest.Item) -> bool:
    """Whether a test is for `make test-all` alone: marked so, or of a loss with other parameters than its own."""
    if item.get_closest_marker("exhaustive"):
        return True
    return any(isinstance(value, Loss) and value in OTHERS for value in parameters(item))


def is_spared(item: pytest.Item) -> bool:
    """Whether a test's loops are compiled with `--all` alone."""
    return not all(map(few, parameters(item))) and not item.get_closest_marker("compiled")


def is_more(item: pytest.Item) -> bool:
    """Whether `--all` makes more of a test than `make test` does: runs it at all, compiles its loops, draws more or looks further."""
    function = getattr(item, "function", None)  # a docstring's example has none
    if getattr(function, "is_hypothesis_test", False) or "everything" in getattr(getattr(function, "__code__", None), "co_names", ()):
        return True
    return is_left_out(item) or is_spared(item)


def spare_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """No loop is compiled: NumPy runs the same texts, and PyTorch its own operations."""
    from matchloss.engine import pointwise, rows
    from matchloss.linear import kernels

    for module in (pointwise, rows, kernels):
        monkeypatch.setattr(module, "COMPILE_FROM", 10**9)
    if "matchloss.torch" in sys.modules:
        monkeypatch.setattr(sys.modules["matchloss.torch._plain"], "_KNOWN", False)
