"""The drop-ins where networks are trained: modules, processes, mixed precision, checkpoints, compiled models."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

import matchloss as ml  # noqa: E402
import matchloss.torch as mt  # noqa: E402

MODULES: dict[str, dict[str, Any]] = {
    "CrossEntropyLoss": {"weight": torch.tensor([1.0, 2.0, 0.5]), "label_smoothing": 0.1},
    "BCEWithLogitsLoss": {"pos_weight": torch.tensor([1.0, 2.0, 0.5]), "reduction": "sum"},
    "MSELoss": {},
    "L1Loss": {"reduction": "none"},
    "HuberLoss": {"delta": 0.5},
    "SmoothL1Loss": {"beta": 0.5},
    "PoissonNLLLoss": {"full": True},
    "SoftMarginLoss": {},
}


def batch(name: str) -> tuple[Any, Any]:
    r = torch.Generator().manual_seed(5)
    raw, target = torch.randn(8, 3, generator=r), torch.randint(0, 2, (8, 3), generator=r).float()
    return raw, target.argmax(1) if name == "CrossEntropyLoss" else 2 * target - 1 if name == "SoftMarginLoss" else target


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_pytorchs(name: str) -> None:
    ours, theirs = getattr(mt, name)(**MODULES[name]), getattr(torch.nn, name)(**MODULES[name])
    raw, target = batch(name)
    expected = theirs(raw, target)
    assert isinstance(ours, getattr(torch.nn, name))
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    ours.load_state_dict(theirs.state_dict())
    for one in (ours, copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        torch.testing.assert_close(one(raw, target), expected)
    in_double = ours.double()
    target = target.double() if target.is_floating_point() else target
    torch.testing.assert_close(in_double(raw.double(), target), theirs.double()(raw.double(), target))


@pytest.mark.parametrize("name", MODULES)
def test_modules_take_the_functions_options(name: str) -> None:
    raw, target = batch(name)
    weight = torch.linspace(0, 1, target.numel()).reshape(target.shape)
    options = {**MODULES[name], "reduction": "mean"}
    one = getattr(mt, name)(**options)
    rows = getattr(mt, name)(**{**options, "reduction": "none"})(raw, target)
    if name != "CrossEntropyLoss":
        torch.testing.assert_close(one(raw, target, sample_weight=weight), (weight * rows).sum() / weight.sum())
    torch.testing.assert_close(one(raw, target, sample_weight=weight, normalizer=3.0), (weight * rows).sum() / 3)
    extra = mt.CrossEntropyLoss(z_loss=0.1, softcap=5.0, temperature=2.0)
    raw, target = batch("CrossEntropyLoss")
    torch.testing.assert_close(extra(raw, target), mt.cross_entropy(raw, target, z_loss=0.1, softcap=5.0, temperature=2.0))


def test_size_average_and_reduce_are_deprecated_as_in_pytorch() -> None:
    for module in ("MSELoss", "CrossEntropyLoss"):
        for arguments in ({"size_average": False}, {"reduce": False}):
            with pytest.warns(UserWarning, match="size_average and reduce args will be deprecated"):
                ours = getattr(mt, module)(**arguments)
            with pytest.warns(UserWarning):
                assert ours.reduction == getattr(torch.nn, module)(**arguments).reduction
    raw, target = batch("MSELoss")
    with pytest.warns(UserWarning, match="use reduction='sum' instead"):
        torch.testing.assert_close(mt.mse_loss(raw, target, size_average=False), F.mse_loss(raw, target, reduction="sum"))
    with pytest.warns(UserWarning, match="elementwise_mean"):
        mt.mse_loss(raw, target, reduction="elementwise_mean")


@pytest.mark.exhaustive
def test_a_mean_over_two_processes(tmp_path: Path) -> None:
    import torch_workers as workers

    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=workers.share, args=(rank, str(tmp_path))) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    x, y = (torch.cat(parts) for parts in zip(*map(workers.data, range(2)), strict=True))
    model = workers.net()
    F.cross_entropy(model(x), y).backward()
    for rank in range(2):
        torch.testing.assert_close(torch.load(tmp_path / f"{rank}.pt"), [p.grad for p in model.parameters()])


def test_gradient_accumulation_by_normalizer() -> None:
    import torch_workers as workers

    parts = [workers.data(rank) for rank in range(2)]
    whole, steps = workers.net(), workers.net()
    F.cross_entropy(whole(torch.cat([x for x, _ in parts])), torch.cat([y for _, y in parts])).backward()
    count = sum(int((y != -100).sum()) for _, y in parts)
    for x, y in parts:
        mt.cross_entropy(steps(x), y, normalizer=count).backward()
    torch.testing.assert_close([p.grad for p in steps.parameters()], [p.grad for p in whole.parameters()])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_data_loader_workers_that_fork() -> None:
    import torch_workers as workers

    here = workers.losses()  # the compiled loops, the threads and the locks exist before the fork
    loader = DataLoader(workers.Losses(), batch_size=3, num_workers=2, multiprocessing_context="fork", timeout=60)
    there = [(values, pids) for values, pids in loader]
    assert os.getpid() not in {int(pid) for _, pids in there for pid in pids}
    for values, _ in there:
        assert all(torch.equal(value, here) for value in values)


@pytest.mark.parametrize("overwrite", [False, True])
def test_grad_scaler(overwrite: bool) -> None:
    import torch_workers as workers

    x, y = workers.data(1)
    ends = []
    for function in (F.cross_entropy, lambda z, y: mt.cross_entropy(z, y, overwrite=overwrite)):
        model = workers.net()
        scaler, step = torch.amp.GradScaler("cpu", init_scale=1024.0), torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(5):
            step.zero_grad()
            scaler.scale(function(model(x), y)).backward()
            scaler.step(step)
            scaler.update()
        ends.append([p.detach() for p in model.parameters()])
    torch.testing.assert_close(*ends)


def test_autocast_and_half_logits() -> None:
    import torch_workers as workers

    x, y = workers.data(1)
    model = workers.net()
    with torch.autocast("cpu", torch.bfloat16):
        raw = model(x)
        assert raw.dtype == torch.bfloat16
        raw.retain_grad()
        loss = mt.cross_entropy(raw, y)
        bce = mt.binary_cross_entropy_with_logits(raw, torch.full_like(raw, 0.5))
    assert (loss.dtype, bce.dtype) == (torch.float32, torch.float32)
    torch.testing.assert_close(loss, F.cross_entropy(raw.float(), y))
    loss.backward()
    assert raw.grad.dtype == torch.bfloat16
    exact = raw.detach().float().requires_grad_()
    F.cross_entropy(exact, y).backward()
    torch.testing.assert_close(raw.grad.float(), exact.grad, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoint(reentrant: bool) -> None:
    import torch_workers as workers

    x, y = workers.data(1)
    grads = []
    for wrap in (False, True):
        model = workers.net()

        def head(x: Any, model: Any = model) -> Any:
            return mt.cross_entropy(model(x), y) + mt.mse_loss(model(x), torch.zeros(16, 9))

        x = x.clone().requires_grad_()
        (checkpoint(head, x, use_reentrant=reentrant) if wrap else head(x)).backward()
        grads.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(*grads)


def test_compiled_whole() -> None:
    """One graph, and the gradient of the formula: at 40 PyTorch's own is 0."""

    def both(raw: Any, target: Any, labels: Any) -> Any:
        first = mt.binary_cross_entropy_with_logits(raw, target, pos_weight=torch.full((3,), 2.0))
        return first + mt.cross_entropy(raw, labels, label_smoothing=0.0, weight=torch.ones(3)) + mt.smooth_l1_loss(raw, target, beta=0.5)

    raw, target = torch.randn(8, 3, generator=torch.Generator().manual_seed(1)), torch.ones(8, 3)
    labels = torch.arange(8) % 3
    compiled = torch.compile(both, backend="aot_eager", fullgraph=True)
    results = []
    for function in (both, compiled):
        x = raw.clone().requires_grad_()
        value = function(x, target, labels)
        value.backward()
        results.append((value.detach(), x.grad))
    torch.testing.assert_close(*results)
    deltas = torch.compile(lambda x, delta: mt.huber_loss(x, torch.zeros(2), delta=delta), backend="aot_eager", fullgraph=True)
    for delta in (1.0, 0.5, 2, 3.0):
        torch.testing.assert_close(
            deltas(torch.tensor([0.3, 9.0]), delta), F.huber_loss(torch.tensor([0.3, 9.0]), torch.zeros(2), delta=delta)
        )
    compiled = torch.compile(mt.soft_margin_loss, backend="aot_eager", fullgraph=True)
    x = torch.tensor([40.0], requires_grad=True)
    compiled(x, torch.ones(1)).backward()
    assert float(x.grad) == pytest.approx(-4.248354255291589e-18, rel=1e-5)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_transforms_of_torch_func() -> None:
    r = torch.Generator().manual_seed(2)
    raw, labels = torch.randn(6, 4, generator=r, dtype=torch.float64), torch.randint(0, 4, (6,), generator=r)
    ours, theirs = (partial(function, label_smoothing=0.1) for function in (mt.cross_entropy, F.cross_entropy))
    for transform in (torch.func.grad, torch.func.hessian):
        torch.testing.assert_close(transform(ours)(raw, labels), transform(theirs)(raw, labels))
    each = torch.func.vmap(torch.func.grad(ours))
    torch.testing.assert_close(each(raw, labels), torch.func.vmap(torch.func.grad(theirs))(raw, labels))


def test_tied_embeddings() -> None:
    r = torch.Generator().manual_seed(3)
    words, y = torch.randint(0, 20, (12,), generator=r), torch.randint(0, 20, (12,), generator=r)
    grads = []
    for function in (F.cross_entropy, mt.cross_entropy):
        embedding = torch.randn(20, 5, generator=torch.Generator().manual_seed(4)).requires_grad_()
        function(embedding[words] @ embedding.T, y).backward()
        grads.append(embedding.grad)
    torch.testing.assert_close(*grads)


class Named(torch.Tensor):
    """A tensor subclass that changes nothing."""


@pytest.mark.parametrize("overwrite", [False, True])
def test_tensor_subclasses_run_the_composite(overwrite: bool) -> None:
    r = torch.Generator().manual_seed(6)
    plain, labels = torch.randn(4, 3, generator=r), torch.tensor([0, 1, 2, 1])
    for name, target in (("cross_entropy", labels), ("binary_cross_entropy_with_logits", torch.rand(4, 3, generator=r))):
        raw = plain.clone().as_subclass(Named).requires_grad_()
        theirs = plain.clone().requires_grad_()
        ours = getattr(mt, name)(1.0 * raw, target, overwrite=overwrite)
        expected = getattr(F, name)(theirs, target)
        ours.backward()
        expected.backward()
        torch.testing.assert_close(ours.detach().as_subclass(torch.Tensor), expected.detach())
        torch.testing.assert_close(raw.grad.as_subclass(torch.Tensor), theirs.grad)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_target_changed_in_place_before_backward_raises_or_is_right(reduction: str) -> None:
    z = torch.tensor([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]], requires_grad=True)
    labels, soft, w = torch.tensor([0, 2]), torch.full((2, 3), 1 / 3), torch.tensor([1.0, 2.0, 3.0])
    y, layer = torch.ones(2, 3), torch.rand(4, 3)
    calls = {
        "labels": (labels, lambda: mt.cross_entropy(z, labels, reduction=reduction)),
        "labels and class weights": (labels, lambda: mt.cross_entropy(z, labels, w, reduction=reduction)),
        "distributions": (soft, lambda: mt.cross_entropy(z, soft, reduction=reduction)),
        "pointwise": (y, lambda: mt.mse_loss(z, y, reduction=reduction)),
        "any loss": (y, lambda: mt.loss(ml.Logistic(), z, y, reduction=reduction)),
        "a linear layer": (labels, lambda: mt.linear_cross_entropy(z, layer, labels, reduction=reduction)),
    }
    for name, (target, call) in calls.items():
        value = call()
        target.mul_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            value.sum().backward()
            pytest.fail(name)
    narrow = labels.int()
    (want,) = torch.autograd.grad(mt.cross_entropy(z, narrow, reduction=reduction).sum(), z)
    value = mt.cross_entropy(z, narrow, reduction=reduction)
    narrow.zero_()  # int32 labels are copied
    assert torch.equal(torch.autograd.grad(value.sum(), z)[0], want)


def test_logits_changed_in_place_before_backward() -> None:
    """As with PyTorch's cross entropy a mean's gradient is right; without a reduction it is made in backward, and that raises."""
    for reduction in ("mean", "none"):
        leaf = torch.randn(4, 3, requires_grad=True)
        z = leaf * 1.0
        (want,) = torch.autograd.grad(mt.cross_entropy(z, torch.tensor([0, 1, 2, 0])), leaf, retain_graph=True)
        value = mt.cross_entropy(z, torch.tensor([0, 1, 2, 0]), reduction=reduction)
        with torch.no_grad():
            z.add_(1.0)
        if reduction == "mean":
            assert torch.equal(torch.autograd.grad(value, leaf)[0], want)
        else:
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                value.sum().backward()
