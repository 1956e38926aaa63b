"""Structured losses in PyTorch: its own results where it has them, gradients for leaves, torch.func, torch.compile, half types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from torch_differences import CTC_DIFFERENCES, Call

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402

import matchloss as ml  # noqa: E402
import matchloss.torch as mt  # noqa: E402
from sweeps import sweep  # noqa: E402


def speech(dtype: Any = torch.float64) -> dict[str, Any]:
    torch.manual_seed(0)
    logits = torch.randn(12, 3, 5, dtype=dtype, requires_grad=True)
    targets = torch.tensor([[1, 1, 2, 4], [3, 4, 1, 0], [2, 0, 0, 0]])
    return {"logits": logits, "rest": (targets, torch.tensor([12, 11, 9]), torch.tensor([4, 3, 0]))}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("dtype", sweep([torch.float32, torch.float64], lambda dtype: dtype == torch.float64), ids=str)
def test_ctc_gives_what_pytorch_gives(reduction: str, dtype: Any) -> None:
    z, rest = speech(dtype).values()
    theirs = F.ctc_loss(z.double().log_softmax(-1), *rest, reduction=reduction)
    factor = torch.rand_like(theirs)
    (wanted,) = torch.autograd.grad((theirs * factor).sum(), z)
    for name in ("ctc_loss", "ctc_loss_with_logits"):
        raw = z.log_softmax(-1) if name == "ctc_loss" else z
        ours = getattr(mt, name)(raw, *rest, reduction=reduction)
        (found,) = torch.autograd.grad((ours * factor.to(dtype)).sum(), z)
        tolerance = 1e-6 if dtype is torch.float32 else 1e-13
        assert ours.dtype is dtype and torch.allclose(ours.double(), theirs, rtol=tolerance)
        assert (found - wanted).abs().max() <= tolerance * wanted.abs().max()
    module = mt.CTCLoss(reduction=reduction)
    assert isinstance(module, torch.nn.CTCLoss) and torch.equal(
        module(z.log_softmax(-1), *rest), mt.ctc_loss(z.log_softmax(-1), *rest, reduction=reduction)
    )


def test_ctc_gradients_are_right_for_leaves() -> None:
    z, rest = speech().values()
    leaf = z.detach().log_softmax(-1).requires_grad_()
    for reduction in ("mean", "none"):
        assert torch.autograd.gradcheck(lambda x, r=reduction: mt.ctc_loss(x, *rest, reduction=r), leaf)
        assert torch.autograd.gradcheck(lambda x, r=reduction: mt.ctc_loss_with_logits(x, *rest, reduction=r), z)
    one = mt.ctc_loss_with_logits(z[:, 0], rest[0][0], (12,), (4,))
    assert torch.allclose(one, mt.ctc_loss_with_logits(z[:, :1], rest[0][:1], (12,), (4,)))


OWN_CASES = {  # of PyTorch's test_nn.py: frames, classes, frame lengths, target lengths
    "long targets": (800, 3, (800, 700, 800, 650), (240, 240, 240, 240)),
    "critical target length": (500, 10, (500,), (256,)),
    "zero_infinity": (50, 15, (50, 50, 50), (60, 25, 20)),
    "empty targets": (50, 15, (50, 50, 50), (0, 25, 0)),
}


@pytest.mark.parametrize("case", OWN_CASES)
def test_pytorchs_own_cases_of_ctc(case: str) -> None:
    frames, classes, heard, said = OWN_CASES[case]
    torch.manual_seed(0)
    z = torch.randn(frames, len(heard), classes, dtype=torch.float64, requires_grad=True)
    for dtype in (torch.int32, torch.int64):
        targets = torch.randint(1, classes, (sum(said),), dtype=dtype)
        rest = targets, torch.tensor(heard, dtype=dtype), torch.tensor(said, dtype=dtype)
        theirs = F.ctc_loss(z.log_softmax(-1), *rest, reduction="sum", zero_infinity=case == "zero_infinity")
        (wanted,) = torch.autograd.grad(theirs, z)
        ours = mt.ctc_loss_with_logits(z, *rest, reduction="sum", zero_infinity=case == "zero_infinity")
        (found,) = torch.autograd.grad(ours, z)
        assert torch.allclose(ours, theirs, rtol=1e-12) and (found - wanted).abs().max() < 1e-9


def test_lengths_that_do_not_fit_are_refused_as_pytorchs_tests_want() -> None:
    log_probs, lengths = torch.randn(50, 3, 15).log_softmax(-1), (torch.tensor([50, 50, 50]), torch.tensor([30, 25, 20]))
    for shape in ((3, 29), (74,)):
        for function in (F.ctc_loss, mt.ctc_loss):
            with pytest.raises((ValueError, RuntimeError)):
                function(log_probs, torch.randint(1, 15, shape), *lengths)


def difference(key: str) -> Call:
    """A call of ctc_loss to which this entry of the table applies."""
    log_probs, lengths = torch.zeros(3, 1, 4).log_softmax(-1), {"input_lengths": torch.tensor([3]), "target_lengths": torch.tensor([2])}
    if key == "ctc_leaf":
        return Call("ctc_loss", log_probs.requires_grad_(), torch.tensor([[1, 2]]), lengths)
    if key == "ctc_infeasible":
        return Call("ctc_loss", log_probs[:1], torch.tensor([[1, 2]]), lengths | {"input_lengths": torch.tensor([1])})
    if key == "ctc_label":
        return Call("ctc_loss", log_probs, torch.tensor([[1, 0]]), lengths)
    assert key == "ctc_half"
    return Call("ctc_loss", log_probs.to(torch.bfloat16), torch.tensor([[1, 2]]), lengths)


@pytest.mark.parametrize("entry", CTC_DIFFERENCES, ids=lambda entry: entry.key)
def test_each_difference_of_ctc_is_one(entry: Any) -> None:
    call = difference(entry.key)
    assert [d.key for d in CTC_DIFFERENCES if d.applies(call)] == [entry.key]

    def outcome(function: Callable[..., Any]) -> Any:
        raw = call.input.detach().requires_grad_()
        try:
            result = function(raw, call.target, **call.options)
            return result.item(), torch.autograd.grad(result, raw)[0].tolist()
        except (ValueError, RuntimeError) as error:
            return type(error).__name__

    ours, theirs = outcome(mt.ctc_loss), outcome(F.ctc_loss)
    assert ours != theirs
    for result, name in ((ours, entry.raises), (theirs, entry.pytorch_raises)):
        assert result == name if name else not isinstance(result, str)


def transforms(loss: Callable[[Any], Any], raw: Any) -> None:
    """torch.func.grad, vmap of it and torch.compile give what eager calls give; a second derivative says that it is not offered."""
    (eager,) = torch.autograd.grad(loss(raw), raw)
    plain = raw.detach()
    assert torch.equal(torch.func.grad(loss)(plain), eager)
    batch = torch.stack([plain, 2 * plain])
    assert torch.equal(torch.func.vmap(torch.func.grad(loss))(batch)[0], eager)
    assert torch.allclose(torch.func.vmap(loss)(batch), torch.stack([loss(batch[0]), loss(batch[1])]))
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    assert torch.equal(torch.autograd.grad(compiled(raw), raw)[0], eager)
    (graph,) = torch.autograd.grad(loss(raw), raw, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives of a structured loss are not offered"):
        torch.autograd.grad(graph.square().sum(), raw)
    value = loss(raw)
    value.backward(retain_graph=True)
    value.backward()
    assert torch.equal(raw.grad, 2 * eager)
    with torch.no_grad():
        assert torch.equal(loss(raw), value)


def test_ctc_under_torch_func_and_compile() -> None:
    z, rest = speech().values()
    transforms(lambda x: mt.ctc_loss_with_logits(x, *rest), z)


def test_half_types_and_wrong_ones() -> None:
    z, rest = speech().values()
    for dtype in (torch.bfloat16, torch.float16):
        half = z.detach().to(dtype).requires_grad_()
        loss = mt.ctc_loss_with_logits(half, *rest)
        loss.backward()
        single = half.detach().float().requires_grad_()
        mt.ctc_loss_with_logits(single, *rest).backward()
        assert loss.dtype is torch.float32 and torch.equal(half.grad, single.grad.to(dtype))
    with pytest.raises(TypeError, match=r"logits has dtype torch\.int64"):
        mt.ctc_loss_with_logits(torch.zeros(3, 1, 3, dtype=torch.int64), *rest)
    with pytest.raises(ValueError, match="not a valid value for reduction"):
        mt.ctc_loss_with_logits(z, *rest, reduction="all")
    with pytest.raises(ml.ShapeError, match=r"\(T, N, C\) is needed"):
        mt.ctc_loss(z[0, 0], *rest)


def test_cox_in_pytorch() -> None:
    torch.manual_seed(1)
    eta = torch.randn(12, dtype=torch.float64, requires_grad=True)
    time, event, strata = torch.randint(1, 6, (12,)).double(), torch.tensor([1, 0, 1] * 4), torch.tensor([0, 1] * 6)
    risk = mt.RiskSets(time, event, strata=strata)
    loss = mt.cox_loss(eta, event, time, strata=strata)
    assert torch.equal(loss, mt.cox_loss(eta, risk)) and torch.equal(loss * 8, mt.cox_loss(eta, risk, reduction="sum"))
    assert torch.autograd.gradcheck(lambda x: mt.cox_loss(x, event, time, "breslow", entry=time - 2), eta)
    transforms(lambda x: mt.cox_loss(x, event, time, strata=strata), eta)
    transforms(lambda x: mt.cox_loss(x, risk), eta.detach().requires_grad_())
    assert mt.cox_loss(eta.float()[:, None], risk).dtype is torch.float32
    with pytest.raises(TypeError, match="time is missing"):
        mt.cox_loss(eta, event)
    with pytest.raises(ml.DomainError, match="event is 0 in every row"):
        mt.cox_loss(eta, 0 * event, time)


def test_the_crf_module_is_pytorch_crfs() -> None:
    torch.manual_seed(2)
    z = torch.randn(5, 3, 4, dtype=torch.float64, requires_grad=True)  # (T, N, K)
    tags, mask = torch.randint(0, 4, (5, 3)), torch.tensor([[1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 0, 0]]).bool()
    crf = mt.CRF(4).double()
    assert {name: tuple(x.shape) for name, x in crf.named_parameters()} == {
        "start_transitions": (4,), "end_transitions": (4,), "transitions": (4, 4),
    }  # fmt: skip
    each = crf(z, tags, mask, reduction="none")
    assert torch.allclose(crf(z, tags, mask), each.sum()) and torch.allclose(crf(z, tags, mask, reduction="token_mean"), each.sum() / 10)
    swapped = mt.CRF(4, batch_first=True).double()
    swapped.load_state_dict(crf.state_dict())
    assert torch.equal(swapped(z.transpose(0, 1), tags.T, mask.T), crf(z, tags, mask))
    assert [len(path) for path in crf.decode(z, mask)] == [5, 3, 2] and crf.decode(z, mask) == swapped.decode(z.transpose(0, 1), mask.T)
    given = tuple(x.detach().requires_grad_() for x in (crf.transitions, crf.start_transitions, crf.end_transitions))
    lengths, batch = mask.sum(0), z.transpose(0, 1)
    assert torch.autograd.gradcheck(lambda x, a, b, c: mt.crf_loss(x, tags.T, lengths, a, b, c, "none"), (batch, *given))
    a, b, c = (p.detach() for p in given)
    transforms(lambda x: mt.crf_loss(x, tags.T, lengths, a, b, c), batch.detach().requires_grad_())
    with pytest.raises(ml.DomainError, match="mask of sequence 1: allowed"):
        crf(z, tags, torch.tensor([[1, 0, 1]] * 5))


def test_lists_in_pytorch() -> None:
    torch.manual_seed(3)
    z, indptr = torch.randn(9, dtype=torch.float64, requires_grad=True), torch.tensor([0, 4, 5, 9])
    relevance = torch.tensor([1.0, 3, 2, 0, 1, 5, 6, 7, 8])
    assert torch.autograd.gradcheck(lambda x: mt.list_mle_loss(x, relevance, indptr, reduction="none"), z)
    transforms(lambda x: mt.list_mle_loss(x, relevance, indptr, top=2), z)
    first = z[:4][relevance[:4].argsort(descending=True)]
    padded = (first.flip(0).logcumsumexp(0).flip(0) - first).sum()
    assert torch.allclose(mt.list_mle_loss(z, relevance, indptr, reduction="none")[0], padded)
    assert mt.plackett_luce_loss(z.float(), indptr).dtype is torch.float32


@pytest.mark.parametrize("name", ["info_nce_loss", "clip_loss", "siglip_loss"])
def test_pairs_in_pytorch(name: str) -> None:
    torch.manual_seed(4)
    a, b = (torch.randn(5, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    numbers = [torch.tensor(1.5, dtype=torch.float64, requires_grad=True) for _ in range(2 if name == "siglip_loss" else 1)]
    function = getattr(mt, name)
    assert torch.autograd.gradcheck(function, (a, b, *numbers))
    scale = 1 / numbers[0] if name == "info_nce_loss" else numbers[0]
    z = scale * a @ b.T + (numbers[1] if name == "siglip_loss" else 0)
    rows = torch.arange(5)
    if name == "siglip_loss":
        eager = -F.logsigmoid((2 * torch.eye(5) - 1) * z).sum() / 5
    else:
        eager = F.cross_entropy(z, rows) if name == "info_nce_loss" else (F.cross_entropy(z, rows) + F.cross_entropy(z.T, rows)) / 2
    assert torch.allclose(function(a, b, *numbers), eager)
    held = [x.detach() for x in numbers]
    transforms(lambda x: function(x, b.detach(), *held), a)
