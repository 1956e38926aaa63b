"""linear_cross_entropy gives what a linear layer and cross_entropy give, in chunks, and cross_entropy_rows every kind of target."""

from __future__ import annotations

import copy
import itertools
import pickle
import types
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch.autograd import gradcheck, gradgradcheck  # noqa: E402

from matchloss.errors import DomainError, ShapeError  # noqa: E402
from matchloss.torch import (  # noqa: E402
    LinearCrossEntropyLoss,
    cross_entropy,
    linear_cross_entropy,
    product_library,
    set_product_library,
)
from sweeps import sweep  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # forward derivatives use it
N, D, V = 37, 8, 50


def chunks(tokens: int | None) -> Any:
    return types.SimpleNamespace(batch_chunk_size=tokens)


def layer(dtype: Any = torch.float64, seed: int = 0) -> tuple[Any, Any, Any]:
    g = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(*shape, generator=g, dtype=dtype).requires_grad_() for shape in ((N, D), (V, D), (V,)))  # pyright: ignore


def targets(kind: str, dtype: Any) -> Any:
    g = torch.Generator().manual_seed(1)
    if kind == "soft":
        return torch.rand(N, V, generator=g, dtype=dtype).softmax(-1)
    y = torch.randint(0, V, (N,), generator=g)
    if kind == "ignored":
        y[::3] = -100
    return y.int() if kind == "int32" else y


@pytest.mark.parametrize("kind", ["labels", "ignored", "int32", "soft"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_are_pytorchs(kind: str, dtype: Any) -> None:
    y = targets(kind, dtype)
    tolerance = {"rtol": 1e-11, "atol": 1e-12} if dtype is torch.float64 else {"rtol": 1e-5, "atol": 1e-5}
    for weighted, smooth, reduction, biased, tokens in itertools.product(
        (False, True), (0.0, 0.1), ("mean", "sum", "none"), (False, True), (None, 10)
    ):
        a, b = layer(dtype), layer(dtype)
        options = {
            "weight": torch.linspace(0.1, 2, V, dtype=dtype) if weighted else None,
            "label_smoothing": smooth,
            "reduction": reduction,
        }
        found = linear_cross_entropy(a[0], a[1], y, linear_bias=a[2] if biased else None, options=chunks(tokens), **options)
        expected = F.cross_entropy(F.linear(b[0], b[1], b[2] if biased else None), y if y.is_floating_point() else y.long(), **options)
        torch.testing.assert_close(found, expected, **tolerance)
        g = torch.rand_like(expected)
        inputs = 3 if biased else 2
        wanted = torch.autograd.grad(expected, b[:inputs], g)
        for _ in range(2):  # the second time it is made again
            made = torch.autograd.grad(found, a[:inputs], g, retain_graph=True)
            for x, z in zip(made, wanted, strict=True):
                torch.testing.assert_close(x, z, **tolerance)


def test_every_option_agrees_with_whole_logits() -> None:
    x, w, b = layer()
    share = torch.rand(N, 3, dtype=torch.float64)
    top = (torch.randint(0, V, (N, 3)), share / share.sum(-1, keepdim=True))
    rows = torch.rand(N, dtype=torch.float64)
    rows[4] = 0.0
    for target in (targets("ignored", None), targets("soft", torch.float64), top):
        for options in (
            {"softcap": 3.0},
            {"temperature": 2.0, "z_loss": 0.1},
            {"sample_weight": rows},
            {"normalizer": 5.0, "sample_weight": rows, "label_smoothing": 0.2, "weight": torch.rand(V), "softcap": 5.0},
        ):
            for reduction in ("mean", "none") if "normalizer" not in options else ("mean",):
                found = linear_cross_entropy(x, w, target, linear_bias=b, reduction=reduction, options=chunks(9), **options)
                expected = cross_entropy(F.linear(x, w, b), target, reduction=reduction, **options)
                torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)
                g = torch.rand_like(expected)
                for p, q in zip(torch.autograd.grad(found, (x, w, b), g), torch.autograd.grad(expected, (x, w, b), g), strict=True):
                    torch.testing.assert_close(p, q, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("ignored", [-100, -1, 0, 3, 99])
@pytest.mark.parametrize("rows", [4, 40_000])  # the small path and the other one
def test_any_label_may_be_the_ignored_one(ignored: int, rows: int) -> None:
    z = torch.randn(rows, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    for y in (torch.tensor([0, 3, 1, 3]).repeat(rows // 4), torch.tensor([ignored, 3, 1, 0]).repeat(rows // 4)):
        found, expected = cross_entropy(z, y, ignore_index=ignored), F.cross_entropy(z, y, ignore_index=ignored)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(torch.autograd.grad(found, z), torch.autograd.grad(expected, z))
    with pytest.raises(DomainError, match=r"target\[1\] is 7; allowed: labels 0\.\.4"):
        cross_entropy(z, torch.tensor([0, 7, 1, 2]).repeat(rows // 4), ignore_index=ignored)


def test_top_k_is_the_distribution_it_stands_for() -> None:
    z = torch.randn(5, 7, dtype=torch.float64)
    index, share = torch.tensor([[0, 3, 3]] * 5), torch.tensor([[0.5, 0.2, 0.3]] * 5, dtype=torch.float64)
    dense = torch.zeros(5, 7, dtype=torch.float64).scatter_add(-1, index, share)
    torch.testing.assert_close(cross_entropy(z, (index, share)), F.cross_entropy(z, dense), rtol=1e-13, atol=0)


def test_tokens_outputs() -> None:
    x, w, b = layer()
    y = targets("ignored", None)
    names = ("log_probability", "logsumexp", "argmax", "entropy")
    for options in ({}, {"softcap": 2.0, "temperature": 0.5}, {"weight": torch.zeros(V), "label_smoothing": 1.0}):
        loss, z_part, tokens = linear_cross_entropy(x, w, y, linear_bias=b, outputs=names, return_z_loss=True, z_loss=0.5, **options)
        logits = F.linear(x, w, b).detach()
        logits = 2.0 * torch.tanh(logits / 2.0) / 0.5 if "softcap" in options else logits
        logp, kept = logits.log_softmax(-1), y != -100
        expected = {
            "log_probability": logp[torch.arange(N), y.clamp(0)],
            "logsumexp": logits.logsumexp(-1),
            "argmax": logits.argmax(-1),
            "entropy": -(logp.exp() * logp).sum(-1),
        }
        for name in names:
            torch.testing.assert_close(getattr(tokens, name), torch.where(kept, expected[name], -1 if name == "argmax" else 0))
            assert not getattr(tokens, name).requires_grad
        if not options:
            torch.testing.assert_close(z_part, 0.5 * (expected["logsumexp"] ** 2)[kept].mean())
            torch.testing.assert_close(loss - z_part, F.cross_entropy(F.linear(x, w, b), y))
    whole = torch.vmap(lambda v: linear_cross_entropy(v, w, y, outputs=names, linear_bias=b)[1])(x.detach()[None])  # by whole logits
    found = linear_cross_entropy(x, w, y, linear_bias=b, outputs=names)[1]
    for p, q in zip(whole, found, strict=True):
        torch.testing.assert_close(p[0], q)


def test_derivatives_twice() -> None:
    g = torch.Generator().manual_seed(3)
    x, w, b = (torch.randn(*s, generator=g, dtype=torch.float64).requires_grad_() for s in ((5, 3), (6, 3), (6,)))
    y = torch.tensor([0, 5, -100, 3, 2])
    for reduction in ("mean", "none"):
        for options in ({}, {"softcap": 2.0, "temperature": 0.7, "z_loss": 0.1, "label_smoothing": 0.1}):

            def f(x: Any, w: Any, b: Any, reduction: str = reduction, options: Any = options) -> Any:
                return linear_cross_entropy(x, w, y, linear_bias=b, reduction=reduction, **options)

            assert gradcheck(f, (x, w, b), check_batched_grad=True) and gradgradcheck(f, (x, w, b))
    h = torch.func.hessian(lambda x: linear_cross_entropy(x, w.detach(), y))(x.detach())
    torch.testing.assert_close(h, torch.func.hessian(lambda x: F.cross_entropy(F.linear(x, w.detach()), y))(x.detach()))


def test_only_what_is_asked_for() -> None:
    x, w, _ = layer()
    linear_cross_entropy(x.detach(), w, targets("labels", None)).backward()
    assert x.grad is None and w.grad is not None
    w.grad = None
    linear_cross_entropy(x, w.detach(), targets("labels", None)).backward()
    assert w.grad is None and x.grad is not None


@pytest.mark.parametrize("dtype", sweep([torch.bfloat16, torch.float16], lambda dtype: dtype is torch.bfloat16))
def test_half_precision_sums_in_float32(dtype: Any) -> None:
    x, w, _ = (t.detach().to(dtype).requires_grad_() for t in layer(torch.float32))
    y = targets("labels", None)
    exact = [t.detach().double().requires_grad_() for t in (x, w)]
    expected = F.cross_entropy(F.linear(*exact), y)
    wanted = torch.autograd.grad(expected, exact)
    eps = 2.0**-8 if dtype is torch.bfloat16 else 2.0**-11
    for reduction, tokens, factor in itertools.product(("mean", "none"), (None, 5), (1.0, 2.0**-20)):
        found = linear_cross_entropy(x, w, y, options=chunks(tokens), reduction=reduction).mean()
        assert found.dtype is torch.float32 and abs(found.item() - expected.item()) < 0.01
        if dtype is torch.float16 and factor < 1:  # smaller than float16 holds, were it not for what a GradScaler brings
            found = found * 2.0**20
        for p, q in zip(torch.autograd.grad(found * factor, (x, w)), wanted, strict=True):
            assert p.dtype is dtype
            scale = factor * (2.0**20 if dtype is torch.float16 and factor < 1 else 1.0)
            assert (p.double() / scale - q).norm() < 2 * eps * q.norm()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_many_softmaxes_a_row_round_half_precision_once(dtype: Any) -> None:
    g = torch.Generator().manual_seed(2)
    x, w = (torch.randn(*shape, generator=g).to(dtype).requires_grad_() for shape in ((5, 8), (2, 3, 8)))
    y = torch.randint(0, 2, (5, 3), generator=g)
    exact = [t.detach().double().requires_grad_() for t in (x, w)]
    found, expected = linear_cross_entropy(x, w, y), F.cross_entropy(torch.einsum("nd,ckd->nck", *exact), y)
    assert found.dtype is torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=0)
    for ours, wanted in zip(torch.autograd.grad(found, (x, w)), torch.autograd.grad(expected, exact), strict=True):
        assert ours.dtype is dtype
        torch.testing.assert_close(ours.double(), wanted, rtol=torch.finfo(dtype).eps / 2, atol=1e-6)


def test_autocast_and_mixed_dtypes() -> None:
    x, w, _ = (t.detach().requires_grad_() for t in layer(torch.float32))
    y = targets("labels", None)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = linear_cross_entropy(x, w, y)
    loss.backward()
    assert loss.dtype is torch.float32 and x.grad.dtype is torch.float32 and w.grad.dtype is torch.float32
    exact = F.cross_entropy(F.linear(x, w), y)
    assert 0 < abs(loss.item() - exact.item()) < 0.05
    torch.testing.assert_close(linear_cross_entropy(x.bfloat16(), w, y), F.cross_entropy(F.linear(x.bfloat16().float(), w), y))


def test_shapes_of_inputs() -> None:
    x, w, _ = (t.detach() for t in layer(torch.float32))
    y = targets("ignored", None)
    three = linear_cross_entropy(x[:36].view(4, 9, D), w, y[:36].view(4, 9), reduction="none")
    torch.testing.assert_close(three.view(-1), linear_cross_entropy(x[:36], w, y[:36], reduction="none"))
    torch.testing.assert_close(linear_cross_entropy(x[1], w, y[1]), F.cross_entropy(F.linear(x[1], w), y[1]))
    torch.testing.assert_close(linear_cross_entropy(x.T.contiguous().T, w[:, ::2].repeat_interleave(2, 1)[:, :D], y),
                               F.cross_entropy(F.linear(x, w[:, ::2].repeat_interleave(2, 1)[:, :D]), y))  # fmt: skip
    many, bias = torch.randn(V, 3, 2, D), torch.randn(V, 3, 2)
    labels = torch.randint(0, V, (N, 3, 2))
    torch.testing.assert_close(
        linear_cross_entropy(x, many, labels, linear_bias=bias), F.linear_cross_entropy(x, many, labels, linear_bias=bias)
    )
    soft = torch.rand(N, V, 3, 2).softmax(1)
    torch.testing.assert_close(linear_cross_entropy(x, many, soft), F.linear_cross_entropy(x, many, soft))


def test_nothing_to_count() -> None:
    x, w, _ = layer(torch.float32)
    for some, y in ((x, torch.full((N,), -100)), (x[:0], torch.zeros(0, dtype=torch.long))):
        assert linear_cross_entropy(some, w, y).isnan() and linear_cross_entropy(some, w, y, reduction="sum") == 0
        for reduction in ("mean", "sum"):
            for g in torch.autograd.grad(linear_cross_entropy(some, w, y, reduction=reduction), (x, w)):
                assert (g == 0).all()


def test_tied_embeddings_and_checkpoint() -> None:
    from torch.utils.checkpoint import checkpoint

    w = torch.randn(V, D, dtype=torch.float64, requires_grad=True)
    y = targets("labels", None)
    want = torch.autograd.grad(F.cross_entropy(F.linear(w[y].tanh(), w), y.flip(0)), w)[0]
    torch.testing.assert_close(torch.autograd.grad(linear_cross_entropy(w[y].tanh(), w, y.flip(0)), w)[0], want)
    loss = checkpoint(lambda w: linear_cross_entropy(w[y].tanh(), w, y.flip(0)), w, use_reentrant=False)
    torch.testing.assert_close(torch.autograd.grad(loss, w)[0], want)


def test_module_is_pytorchs() -> None:
    torch.manual_seed(0)
    ours, theirs = (
        LinearCrossEntropyLoss(D, V, bias=True, label_smoothing=0.1),
        torch.nn.LinearCrossEntropyLoss(D, V, bias=True, label_smoothing=0.1),
    )
    theirs.load_state_dict(ours.state_dict())
    x, y = torch.randn(N, D), targets("labels", None)
    torch.testing.assert_close(ours(x, y), theirs(x, y))
    for other in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        torch.testing.assert_close(other(x, y), ours(x, y))
    assert "num_classes=50" in repr(ours) and "softcap=3.0" in repr(LinearCrossEntropyLoss(D, V, softcap=3.0))
    wide = LinearCrossEntropyLoss(D, V, out_features=(3,), weight=torch.rand(V))
    same = torch.nn.LinearCrossEntropyLoss(D, V, out_features=(3,), weight=wide.weight)
    same.load_state_dict(wide.state_dict())
    labels = torch.randint(0, V, (N, 3))
    torch.testing.assert_close(wide(x, labels), same(x, labels))
    with pytest.raises(TypeError, match="no option 'soft_cap'"):
        LinearCrossEntropyLoss(D, V, soft_cap=3.0)


def test_bad_input() -> None:
    x, w, b = (t.detach() for t in layer(torch.float32))
    y = targets("labels", None)
    wrong = y.clone()
    wrong[[5, 20]] = torch.tensor([-100, 50])
    cases: list[tuple[Any, Any, str]] = [
        (lambda: linear_cross_entropy(x, w, wrong), DomainError, r"target\[20\] is 50; allowed: labels 0\.\.49"),
        (lambda: linear_cross_entropy(x, w, wrong, options=chunks(4), weight=torch.rand(V)), DomainError, r"target\[20\] is 50"),
        (lambda: linear_cross_entropy(x, w, y.float()), TypeError, "labels are integers"),
        (lambda: linear_cross_entropy(x, w, y[:5]), ShapeError, r"target has shape \(5,\)"),
        (lambda: linear_cross_entropy(x, w[:, :3], y), ShapeError, "same D"),
        (lambda: linear_cross_entropy(x, w, y, linear_bias=b[:3]), ShapeError, "linear_bias has shape"),
        (lambda: linear_cross_entropy(x, w, y, sample_weight=-torch.ones(N)), DomainError, r"sample_weight\[0\] is -1"),
        (lambda: linear_cross_entropy(x, w, y, sample_weight=torch.ones(N).requires_grad_()), ValueError, "requires grad"),
        (lambda: linear_cross_entropy(x, w, torch.full((N, V), 0.03)), DomainError, r"target\[0\] sums to 1\.(5|49)"),
        (lambda: linear_cross_entropy(x, w, (y[:, None], torch.full((N, 1), 1.5))), DomainError, r"row \[0\].*at most 1"),
        (lambda: linear_cross_entropy(x, w, y, outputs=["entropi"]), ValueError, "'entropi'"),
        (lambda: linear_cross_entropy(x, w, y, reduction="avg"), ValueError, "'avg'"),
        (lambda: linear_cross_entropy(x, w, y, softcap=0.0), ValueError, "softcap is 0"),
        (lambda: linear_cross_entropy(x, w, y, temperature=-1.0), ValueError, "temperature is -1"),
        (lambda: linear_cross_entropy(x, w, y, z_loss=-1.0), ValueError, "z_loss is -1"),
        (lambda: linear_cross_entropy(x.long(), w, y), TypeError, "input has dtype"),
    ]
    for call, kind, message in cases:
        with pytest.raises(kind, match=message):
            call()


def test_bad_labels_are_nan_where_values_are_not_visible() -> None:
    x, w, _ = (t.detach() for t in layer(torch.float32))
    y = targets("labels", None)
    y[3] = V
    losses = torch.vmap(lambda x: linear_cross_entropy(x, w, y, reduction="none"))(x[None])[0]
    assert losses.isnan().tolist() == [i == 3 for i in range(N)]


def test_product_library_is_a_setting() -> None:
    x, w, _ = layer(torch.float32)
    found = {}
    try:
        for name in ("numpy", "torch"):
            set_product_library(name)
            assert product_library()["setting"] == name
            found[name] = torch.autograd.grad(linear_cross_entropy(x, w, targets("labels", None), options=chunks(9)), (x, w))
        for p, q in zip(*found.values(), strict=True):
            torch.testing.assert_close(p, q)
        with pytest.raises(ValueError, match="'mkl'"):
            set_product_library("mkl")
    finally:
        set_product_library("measured")
    big = torch.randn(300, 256), torch.randn(2000, 256)
    linear_cross_entropy(*big, torch.zeros(300, dtype=torch.long))
    assert set(product_library()["float32"]) == {"numpy", "torch"}


def test_memory_is_that_of_a_chunk() -> None:
    from matchloss.torch._layer import tokens_of

    assert tokens_of(2048, 50257, 4, 256 << 20, None) == 1024
    assert tokens_of(1024, 131072, 4, 256 << 20, None) == 512
    assert tokens_of(10, 50257, 4, 256 << 20, None) == 10
    assert tokens_of(0, 50257, 4, 256 << 20, None) == 1


def test_compiled_code_uses_our_backward(monkeypatch: pytest.MonkeyPatch) -> None:
    from matchloss.torch._autograd import Value

    x, w, _ = layer()
    y, options = targets("ignored", None), {"softcap": 3.0, "z_loss": 0.1, "temperature": 0.7}
    found, backward = {}, Value.backward
    for doubled in (False, True):
        if doubled:
            twice = staticmethod(lambda ctx, *g: tuple(None if t is None else 2 * t for t in backward(ctx, *g)))
            monkeypatch.setattr(Value, "backward", twice)
        torch._dynamo.reset()
        compiled = torch.compile(lambda x, w: linear_cross_entropy(x, w, y, **options), fullgraph=True, backend="aot_eager")
        found[doubled] = torch.autograd.grad(compiled(x, w), (x, w))
    expected = torch.autograd.grad(linear_cross_entropy(x, w, y, **options), (x, w))
    for p, q, r in zip(found[False], found[True], expected, strict=True):
        torch.testing.assert_close(p, r)
        torch.testing.assert_close(q, 2 * r)
