"""overwrite=True gives the same gradient in the logits' own memory, and nobody reads it as logits."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import matchloss.torch as mt  # noqa: E402

GONE = "these logits are gone"
LOSSES = ["cross_entropy", "binary_cross_entropy_with_logits", "mse_loss", "huber_loss", "poisson_nll_loss"]


def model(classes: int = 10) -> Any:
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(5, 16), torch.nn.ReLU(), torch.nn.Linear(16, classes))


def batch(name: str, rows: int = 32) -> tuple[Any, Any]:
    r = torch.Generator().manual_seed(2)
    target = torch.randint(0, 10, (rows,), generator=r) if name == "cross_entropy" else torch.rand(rows, 10, generator=r)
    return torch.randn(rows, 5, generator=r), target


def logits() -> tuple[Any, Any]:
    x, y = batch("cross_entropy")
    return model()(x), y


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("rows", [32, 600])
def test_the_gradient_is_the_same_and_lies_where_the_logits_were(name: str, reduction: str, rows: int) -> None:
    x, y = batch(name, rows)
    gradients = []
    for overwrite in (False, True):
        m = model()
        z = m(x)
        where = z.data_ptr()
        places: list[int] = []
        z.register_hook(lambda g, places=places: places.append(g.data_ptr()))
        value = getattr(mt, name)(z, y, reduction=reduction, overwrite=overwrite)
        (3 * value).backward()
        assert (places == [where]) == overwrite
        gradients.append((value.detach(), [p.grad for p in m.parameters()]))
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "use",
    [
        lambda z: z * z,
        lambda z: z.sum(),
        lambda z: z.argmax(1),
        lambda z: z.detach(),
        lambda z: z.data,
        lambda z: z[0, 0].item(),
        lambda z: np.asarray(z),
        lambda z: torch.mm(z, z.T),
        lambda z: len(z),
        lambda z: mt.cross_entropy(z, torch.zeros(32, dtype=torch.long)),
        lambda z: torch.nn.functional.cross_entropy(z, torch.zeros(32, dtype=torch.long)),
        copy.copy,
        copy.deepcopy,
        pickle.dumps,
    ],
)
def test_a_later_use_raises(use: Callable[[Any], Any]) -> None:
    z, y = logits()
    mt.cross_entropy(z, y, overwrite=True)
    with pytest.raises(RuntimeError, match=GONE):
        use(z)


def test_what_reads_no_memory_may_be_asked() -> None:
    z, y = logits()
    z.retain_grad()
    mt.cross_entropy(z, y, overwrite=True).backward()
    assert z.shape == (32, 10) and z.size(1) == 10 and z.dtype == torch.float32 and z.grad.shape == (32, 10)
    assert "overwrite" in repr(z)


def test_an_earlier_saved_use_raises_in_autograds_words() -> None:
    z, y = logits()
    square = (z * z).sum()
    loss = mt.cross_entropy(z, y, overwrite=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        (loss + square).backward()


def test_an_earlier_use_that_saved_its_own_output_is_right() -> None:
    x, y = batch("cross_entropy")
    gradients = []
    for overwrite in (False, True):
        m = model()
        z = m(x)
        before = z.softmax(1).pow(2).sum()
        (mt.cross_entropy(z, y, overwrite=overwrite) + before).backward()
        gradients.append([p.grad for p in m.parameters()])
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda z: (torch.randn(32, 10, requires_grad=True),), "a leaf"),
        (lambda z: (z, z[:16]), "share the memory"),
        (lambda z: (z, z.detach()), "share the memory"),
        (lambda z: (z, z.detach().numpy()), "share the memory"),
        (lambda z: (z.tanh(),), "share the memory"),
        (lambda z: (z.t().contiguous().t(),), "last in memory"),
        (lambda z: (z[:1].expand(32, 10),), "last in memory"),
    ],
    ids=["leaf", "view", "detached", "numpy", "saved by an activation", "transposed", "expanded"],
)
def test_what_may_not_be_overwritten_is_refused_untouched(make: Callable[[Any], Any], words: str) -> None:
    z, y = logits()
    held = make(z)
    before = held[0].detach().clone()
    with pytest.raises(ValueError, match=words):
        mt.cross_entropy(held[0], y, overwrite=True)
    assert torch.equal(held[0].detach(), before)
    mt.cross_entropy(held[0], y).backward()


@pytest.mark.parametrize("rows", [32, 5_000])
@pytest.mark.parametrize("bad", ["label", "distribution", "label in more dimensions", "probability", "weight"])
def test_bad_input_leaves_the_logits_alone(bad: str, rows: int) -> None:
    z = model()(batch("cross_entropy", rows)[0])
    before = z.detach().clone()
    labels = batch("cross_entropy", rows)[1]
    options = {}
    if bad in ("distribution", "probability"):
        target = torch.full((rows, 10), 0.1)
        target[-1] *= 20
    else:
        target = labels.clone()
        target[0] = -100
        target[-1] = 3 if bad == "weight" else 10
    if bad == "weight":
        options["sample_weight"] = torch.where(torch.arange(rows) == rows - 1, -1.0, 1.0)
    raw = z
    if bad == "label in more dimensions":
        raw, target = z.view(4, -1, 10).movedim(-1, 1), target.view(4, -1)
    function = mt.binary_cross_entropy_with_logits if bad == "probability" else mt.cross_entropy
    with pytest.raises(ValueError, match="allowed"):
        function(raw, target, overwrite=True, **options)
    assert torch.equal(z, before)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_classes_last_in_memory_are_enough(reduction: str) -> None:
    x, y = batch("cross_entropy")
    gradients = []
    for overwrite in (False, True):
        m = model()
        loss = mt.cross_entropy(m(x.view(4, 8, 5)).movedim(-1, 1), y.view(4, 8), reduction=reduction, overwrite=overwrite)
        loss.sum().backward()
        gradients.append([p.grad for p in m.parameters()])
    torch.testing.assert_close(*gradients)


def test_what_a_view_is_of_is_gone_too() -> None:
    z, y = logits()
    mt.cross_entropy(z.view(4, 8, 10).movedim(-1, 1), y.view(4, 8), overwrite=True)
    with pytest.raises(RuntimeError, match=GONE):
        z.sum()
    x, y = batch("cross_entropy")
    z = model()(x.view(4, 8, 5))  # itself a view of what its linear layer computed
    with pytest.raises(ValueError, match="share the memory"):
        mt.cross_entropy(z.movedim(-1, 1), y.view(4, 8), overwrite=True)


def test_backward_runs_once_and_has_no_derivative() -> None:
    z, y = logits()
    loss = mt.cross_entropy(z, y, overwrite=True)
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError):
        loss.backward()
    m = model()
    x, y = batch("cross_entropy")
    loss = mt.cross_entropy(m(x), y, overwrite=True)
    with pytest.raises((RuntimeError, NotImplementedError)):
        torch.autograd.grad(loss, m[0].weight, create_graph=True)


def test_without_a_gradient_to_come_nothing_is_written() -> None:
    with torch.no_grad():
        z, y = logits()
        before = z.clone()
        mt.cross_entropy(z, y, overwrite=True)
        assert torch.equal(z, before)
    with torch.inference_mode():
        z, y = logits()
        mt.cross_entropy(z, y, overwrite=True)
        assert z.sum().isfinite()
