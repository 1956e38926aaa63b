"""The PyTorch host around its losses: modules, PyTorch's private names, fresh memory, sampled targets."""

from __future__ import annotations

import copy
import io
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

import matchloss as ml
from cases import DEFAULTS, is_simplex, label, moderate_rows
from matchloss.engine import threads
from matchloss.torch import Loss, _autograd, _plain, _rules, _tensors, loss, sample_targets
from test_torch_core import FEW, tensors

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # forward derivatives use it


def test_a_module_is_copied_pickled_and_printed() -> None:
    module = Loss(ml.Huber(delta=2.0), reduction="sum")
    assert repr(module) == "Loss(Huber(delta=2.0), reduction='sum')"
    z, y, w = tensors(ml.Huber())
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    want = module(z, y, w)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), torch.load(buffer, weights_only=False)):
        assert other.loss == module.loss and torch.equal(other(z, y, w), want)
    assert module.state_dict() == {} and torch.equal(want, loss(ml.Huber(delta=2.0), z, y, w, reduction="sum"))


@pytest.mark.parametrize("path", [path for _, path in _plain.PRIVATE])
def test_private_names_of_pytorch_exist(path: str) -> None:
    assert any(_plain.find(root, path) is not None for root, name in _plain.PRIVATE if name == path), path


@pytest.mark.parametrize("case", FEW, ids=label)
def test_without_a_private_name_the_composite_runs(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    z, y, w = tensors(case)
    raw = z.requires_grad_()
    value = loss(case, raw, y, w)
    want = value.detach(), torch.autograd.grad(value, raw)[0]
    monkeypatch.setattr(_plain, "_KNOWN", False)

    def refuse(*_: Any) -> Any:
        raise AssertionError("memory was read")

    for name in ("values", "gradient", "total"):
        monkeypatch.setattr(type(_rules.rule_of(case)), name, refuse)
    value = loss(case, raw, y, w)
    assert torch.allclose(value, want[0], rtol=1e-13) and torch.allclose(torch.autograd.grad(value, raw)[0], want[1], rtol=1e-13)


def test_a_small_batch_takes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a batch of 32 went over blocks: it may cost 1.3 of PyTorch's own call, and blocks cost as much again")

    for case in FEW:
        z, y, w = tensors(case, 32, torch.float32)
        loss(case, z.requires_grad_(), y, w)
        with monkeypatch.context() as patched:
            patched.setattr(threads, "over_blocks", refuse)
            patched.setattr(_autograd.Value, "apply", refuse)
            for weight in (None, w):
                loss(case, z, y, weight).backward()


def test_fresh_memory_is_in_huge_pages() -> None:
    like = torch.zeros(1).expand((_tensors.HUGE_FROM >> 2) + (2 << 20))
    made = _tensors.empty_like(like)
    assert made.is_contiguous() and made.shape == like.shape and made.dtype == like.dtype
    made.fill_(1.0)
    if _tensors._madvise is None:
        pytest.skip("this system has no madvise")
    start, flags = made.data_ptr() + (4 << 20), None
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        head = line.split()[0]
        if "-" in head and not head.endswith(":"):
            low, high = (int(x, 16) for x in head.split("-"))
            inside = low <= start < high
        elif inside and head == "VmFlags:":
            flags = line.split()[1:]
    assert flags is not None and "hg" in flags


def test_sampled_targets_are_unbiased_by_enumeration() -> None:
    """The mean over all labels, each as often as it is drawn, is the loss and the gradient at the distribution."""
    z, _, p = (torch.from_numpy(a) for a in moderate_rows(6, 4, seed=3))
    for case in (d for d in DEFAULTS if is_simplex(d)):
        value, gradient = torch.zeros(6, dtype=z.dtype), torch.zeros_like(z)
        for label_ in range(4):
            e = _rules.rule_of(case).composite(z, torch.full((6,), label_), None)
            value, gradient = value + p[:, label_] * e.value, gradient + p[:, label_, None] * e.gradient
        at = _rules.rule_of(case).composite(z, p, None)
        assert torch.allclose(value, at.value, rtol=1e-12) and torch.allclose(gradient, at.gradient, rtol=1e-12, atol=1e-14)


def test_sampled_targets_have_the_frequencies_and_the_variance_of_draws() -> None:
    p = torch.tensor([[0.5, 0.3, 0.2, 0.0], [0.0, 0.0, 1.0, 0.0], [1e-6, 0.0, 0.5, 0.5 - 1e-6]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    n = 200_000
    labels = sample_targets(p, n, generator)
    assert labels.shape == (3, n) and labels.dtype == torch.int64
    for k in range(4):
        share = (labels == k).double().mean(-1)
        assert ((share - p[:, k]).abs() <= 5 * (p[:, k] * (1 - p[:, k]) / n).sqrt()).all()
    z = torch.tensor([0.3, -1.0, 0.5, 2.0], dtype=torch.float64)
    value = ml.CrossEntropy().value(z.expand(4, 4), torch.arange(4))
    mean, spread = (p[0] * value).sum(), (p[0] * value**2).sum() - (p[0] * value).sum() ** 2
    for m in (1, 8):
        draws = value[sample_targets(p[:1].expand(40_000, 4), m, generator)].mean(-1)
        assert abs(draws.mean() - mean) < 5 * (spread / m / 40_000).sqrt()
        assert draws.var() * m == pytest.approx(float(spread), rel=0.06)
    again = [sample_targets(p, 5, torch.Generator().manual_seed(2)) for _ in range(2)]
    assert torch.equal(*again) and sample_targets(p[0], 3).shape == (3,) and sample_targets(p[:0], 3).shape == (0, 3)
    assert sample_targets(p.bfloat16()[:2], 2).shape == (2, 2)


def test_sampling_refuses_what_is_no_distribution() -> None:
    p = torch.tensor([[0.5, 0.5], [0.5, 0.75]])
    with pytest.raises(ml.DomainError, match=r"target\[1\] sums to 1.25"):
        sample_targets(p)
    with pytest.raises(ml.DomainError, match=r"target\[0, 0\] is -0.5"):
        sample_targets(torch.tensor([[-0.5, 1.5]]))
    for bad, kind in ((torch.tensor(1.0), ml.ShapeError), (p[:, :0], ml.ShapeError), (p.long(), TypeError), ([[0.5, 0.5]], TypeError)):
        with pytest.raises(kind):
            sample_targets(bad)
    for m in (0, -1, 1.0, True):
        with pytest.raises(ValueError, match="m is"):
            sample_targets(p[:1], m)
