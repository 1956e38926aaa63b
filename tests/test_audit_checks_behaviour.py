"""Checks of purity and cost: each finds what breaks it, and nothing in what does not."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import matchloss as ml
from audit_checking import found, ran
from matchloss.audit.calling.probe import subject_of
from matchloss.audit.checks import _clock, _forks, behaviour
from sweeps import sweep

N: dict[str, Any] = {"kind": "regression", "framework": "numpy", "order": "prediction, target"}
OWN = (ml.SquaredError(), ml.Logistic(), ml.Poisson(), ml.CrossEntropy(), ml.Sparsemax())
TRIED = [("numpy", ml.SquaredError())]


def square(raw: Any, target: Any) -> Any:
    return (raw - target) ** 2


@pytest.mark.parametrize(
    ("loss", "check", "framework"),
    sweep(itertools.product(OWN, ["purity", "cost"], ["numpy", "torch"]), lambda loss, check, framework: (framework, loss) in TRIED),
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_the_catalogue_keeps_them(loss: Any, check: str, framework: str) -> None:
    assert not found(check, loss, framework=framework)


@pytest.mark.parametrize("check", ["purity", "cost"])
@pytest.mark.parametrize("loss", [F.cross_entropy, F.mse_loss, F.kl_div, F.binary_cross_entropy_with_logits], ids=lambda f: f.__name__)
def test_torch_keeps_them(loss: Any, check: str) -> None:
    assert not found(check, loss, framework="torch")


# --- purity ----------------------------------------------------------------------------------------------------------------------


def changes(raw: Any, target: Any) -> Any:
    raw -= target
    return raw**2


def draws(raw: Any, target: Any) -> Any:
    return (raw - target) ** 2 + np.random.random(raw.shape)  # noqa: NPY002


def by_shape() -> Callable[..., Any]:
    kept: dict[Any, Any] = {}
    return lambda raw, target: (raw - kept.setdefault(target.shape, target.copy())) ** 2


def by_place() -> Callable[..., Any]:
    kept: dict[Any, Any] = {}

    def loss(raw: Any, target: Any) -> Any:
        key = (raw.ctypes.data, target.ctypes.data)
        if key not in kept:
            kept[key] = (raw.copy(), (raw - target) ** 2, raw, target)
        return kept[key][1]

    return loss


def buffered() -> Callable[..., Any]:
    kept: dict[int, Any] = {}

    def loss(raw: Any, target: Any) -> Any:
        out = kept.setdefault(len(raw), np.empty(len(raw)))
        out[:] = (raw - target) ** 2
        return out

    return loss


def seeds(raw: Any, target: Any) -> Any:
    np.random.seed(0)  # noqa: NPY002
    return (raw - target) ** 2


def main_process(raw: Any, target: Any, pid: int = os.getpid()) -> Any:
    return (raw - target) ** 2 + (os.getpid() != pid)


def other_process(raw: Any, target: Any, pid: int = os.getpid()) -> Any:
    if os.getpid() != pid:
        time.sleep(600)
    return (raw - target) ** 2


IMPURE = {
    "changes": (changes, "error", "changes the predictions"),
    "draws": (draws, "error", "twice gives two results"),
    "by place": (by_place(), "error", "overwritten with other numbers"),
    "buffered": (buffered(), "error", "overwritten by the next call"),
    "seeds": (seeds, "warning", "random numbers of NumPy"),
    "main process": (main_process, "error", "forked process it gives another"),
}


@pytest.mark.parametrize(("loss", "severity", "words"), IMPURE.values(), ids=IMPURE)
def test_what_is_not_pure(loss: Callable[..., Any], severity: str, words: str) -> None:
    findings = found("purity", loss, **N)
    assert any(f.severity == severity and words in f.message for f in findings), findings


def test_a_child_that_does_not_return(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_forks, "LIMIT", 0.3)
    (error,) = ran_once(other_process)
    assert "does not return" in error.message


def ran_once(loss: Any, check: Any = behaviour.purity) -> list[Any]:
    return list(check(subject_of(loss, **N)))


def test_what_remembers_shapes() -> None:
    assert any("by their shape" in f.message for f in ran_once(remembering()))


def remembering() -> Callable[..., Any]:
    """Keeps the targets of a shape once it has seen many calls: the probe is over by then."""
    seen = [0]
    kept: dict[Any, Any] = {}

    def loss(raw: Any, target: Any) -> Any:
        seen[0] += 1
        if len(raw) != 64:
            return (raw - target) ** 2
        return (raw - kept.setdefault(target.shape, target.copy())) ** 2

    return loss


class Stateful:
    """Its hessian is of what its gradient saw."""

    mean = np.empty(0)

    def value(self, raw: Any, target: Any) -> Any:
        return np.exp(raw) - target * raw

    def gradient(self, raw: Any, target: Any) -> Any:
        self.mean = np.exp(raw)
        return self.mean - target

    def hessian(self, raw: Any, target: Any) -> Any:
        return self.mean if self.mean.shape == raw.shape else np.exp(raw)


def test_a_hessian_of_other_rows() -> None:
    assert any("Its hessian depends on" in f.message for f in found("purity", Stateful(), "count", framework="numpy"))


def test_threads_that_share() -> None:
    shared = {"raw": np.zeros(1)}
    turn = threading.local()

    def loss(raw: Any, target: Any) -> Any:
        shared["raw"] = raw
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.002)
        turn.last = shared["raw"]
        return (turn.last - target) ** 2

    assert any("two threads" in f.message for f in ran("purity", loss, **N))


@pytest.mark.parametrize("loss", [square, lambda raw, target: square(raw, target).mean(), lambda raw, target: float(raw - target) ** 2])
def test_what_is_pure(loss: Callable[..., Any]) -> None:
    assert not found("purity", loss, **N)


def test_state_of_torch() -> None:
    def loss(raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)
        return (raw - target) ** 2

    before = torch.get_rng_state()
    (warning,) = found("purity", loss, "regression", framework="torch")
    assert "random numbers of torch" in warning.message
    assert before is not None


# --- cost ------------------------------------------------------------------------------------------------------------------------


def pairs(raw: Any, target: Any) -> Any:
    distance = (raw[:, None] - target) ** 2
    return distance.diagonal() + 0.0


def all_classes(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    margins = logits[:, :, None] - logits[:, None, :]
    return torch.logsumexp(margins, 1).gather(1, labels[:, None])[:, 0]


def loops(raw: Any, target: Any) -> Any:
    distance, root = np.abs(raw - target), np.empty_like(raw)
    for _ in range(len(raw)):
        np.sqrt(distance, out=root)  # slow a number and one call a row: the time is that of the numbers, n^2 of them
    return root**4


@pytest.mark.parametrize("framework", ["numpy", "torch", "jax"])
def test_an_array_of_pairs(framework: str) -> None:
    (error,) = found("cost", pairs, "regression", framework=framework, order="prediction, target")
    assert "memory for n rows" in error.message and "n^2" in error.message and error.severity == "error"


def test_an_array_of_pairs_of_classes() -> None:
    (warning,) = found("cost", all_classes, "multiclass", framework="torch")
    assert "memory for K classes" in warning.message


def test_a_loop_within_a_loop() -> None:
    (warning,) = found("cost", loops, **N)
    assert "time for n rows" in warning.message


@pytest.mark.parametrize("loss", [square, lambda raw, target: np.sort((raw - target) ** 2)[np.argsort(np.argsort((raw - target) ** 2))]])
def test_what_is_linear(loss: Callable[..., Any]) -> None:
    assert not found("cost", loss, **N)


def compiles() -> Callable[..., Any]:
    """Its first call of many rows takes time and memory."""
    kept: list[Any] = []

    def loss(raw: Any, target: Any) -> Any:
        if len(raw) > 1000 and not kept:
            time.sleep(0.01)
            kept.extend(np.ones(2**20) * i for i in range(8))
        return (raw - target) ** 2

    return loss


def test_a_first_call_that_compiles() -> None:
    assert not ran_once(compiles(), behaviour.cost)


GROWS = {  # seconds of a call of n rows on a quick machine
    "a formula": (lambda n: 2e-5 + 2e-8 * n, False),
    "a long formula": (lambda n: 1e-3 + 8e-7 * n, False),
    "a loop over rows": (lambda n: 2e-6 * n, False),
    "sorted rows": (lambda n: 1e-7 * n * np.log2(n), False),
    "pairs": (lambda n: 1e-5 + 5e-10 * n**2, True),
    "pairs in Python": (lambda n: 1e-7 * n**2, True),
    "an array operation for each row": (lambda n: 1.2e-6 * n + 6e-10 * n**2, True),
}


@pytest.mark.parametrize("slower", [0.2, 1.0, 5.0])
@pytest.mark.parametrize(("seconds", "grows"), GROWS.values(), ids=GROWS)
def test_growth_is_the_same_on_a_slow_and_on_a_busy_machine(
    monkeypatch: pytest.MonkeyPatch, seconds: Callable[[int], float], grows: bool, slower: float
) -> None:
    for seed in range(5):
        rng, clock = np.random.default_rng(seed), [0.0]

        def spend(least: float, rng: Any = rng, clock: list[float] = clock) -> float:
            took = least * slower * (rng.uniform(1.5, 1.9) if rng.random() < 0.3 else rng.uniform(1.0, 1.1))
            clock[0] += took
            return took

        def loss(raw: Any, target: Any, spend: Any = spend) -> Any:
            spend(seconds(len(raw)))
            return (raw - target) ** 2

        monkeypatch.setattr(_clock, "now", lambda clock=clock: clock[0])
        monkeypatch.setattr(_clock, "addition", lambda n, spend=spend: min(spend(4e-7 + 6e-10 * n) for _ in range(9)))
        assert [("time for n rows" in f.message) for f in ran_once(loss, behaviour.cost)] == [True] * grows
