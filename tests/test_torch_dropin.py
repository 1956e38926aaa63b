"""matchloss.torch's drop-ins give PyTorch's results, but for the differences of tests/torch_differences.py, each of which is one."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from math import inf, nan
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sweeps
from sweeps import examples
from torch_differences import DIFFERENCES, LOCATIONS, PROBABILITIES, WEIGHTS, Call, Difference

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402

import matchloss.torch as mt  # noqa: E402

MORE = ("soft_margin_loss", "multilabel_soft_margin_loss", "gaussian_nll_loss")
NAMES = (*LOCATIONS, "binary_cross_entropy_with_logits", "poisson_nll_loss", "soft_margin_loss", "cross_entropy")
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}
SHAPES = [(), (1,), (5,), (4, 3), (2, 3, 4), (3, 1, 2, 2), (0,), (0, 3), (1500,), (40, 31)]  # from 1,000 numbers on, compiled loops
FAST = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def laid_out(x: Any, layout: str) -> Any:
    """The same numbers, another way in memory."""
    if layout == "transposed" and x.ndim > 1:
        return x.transpose(0, -1).contiguous().transpose(0, -1)
    if layout == "sliced" and x.ndim:
        return torch.stack([x, x], dim=-1).reshape(*x.shape[:-1], 2 * x.shape[-1])[..., ::2] if x.shape[-1] else x
    if layout == "expanded" and x.ndim > 1 and x.shape[0]:
        return x[:1].clone().expand(x.shape)
    return x


LAYOUTS = st.sampled_from(["contiguous", "contiguous", "transposed", "sliced", "expanded"])


@st.composite
def reductions(draw: Any) -> dict[str, Any]:
    """A reduction, at times by the deprecated arguments."""
    if draw(st.integers(0, 9)) == 0:
        return {"size_average": draw(st.sampled_from([None, True, False])), "reduce": draw(st.sampled_from([None, True, False]))}
    return {"reduction": draw(st.sampled_from(["mean", "sum", "none"]))}


@st.composite
def pointwise_calls(draw: Any) -> Call:
    """A call of a loss of numbers; the deliberate differences come up now and then."""
    name = draw(st.sampled_from([*LOCATIONS, *["binary_cross_entropy_with_logits"] * 3, *["poisson_nll_loss"] * 2, *MORE]))
    r = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    dtype, shape = draw(st.sampled_from([torch.float32, torch.float64])), draw(st.sampled_from(SHAPES))
    scale = draw(st.sampled_from([0.2, 1.0, 5.0, 20.0]))

    def normal() -> Any:
        return torch.randn(shape, dtype=dtype, generator=r)

    def weight(*shapes: tuple[int, ...]) -> Any:
        made = torch.rand(draw(st.sampled_from([shape, *shapes])), dtype=dtype, generator=r) * draw(st.sampled_from([1.0, 30.0]))
        made = torch.where(torch.rand(made.shape, generator=r) < 0.2, 0.0, made)
        return -made if draw(st.integers(0, 29)) == 0 else made

    raw, options = scale * normal(), draw(reductions())
    if name in ("huber_loss", "gaussian_nll_loss") and "reduction" not in options:
        options = {"reduction": "mean"}
    target = raw + normal() * draw(st.sampled_from([0.1, 1.0, 10.0]))
    if name == "huber_loss":
        options["delta"] = draw(st.sampled_from([0.1, 1.0, 2.5]))
    if name == "smooth_l1_loss":
        options["beta"] = draw(st.sampled_from([0.0, 0.1, 1.0, 2.5]))
    if name in ("mse_loss", "l1_loss", "huber_loss") and draw(st.booleans()):
        options["weight"] = weight()
    if name == "gaussian_nll_loss":
        options |= {"full": draw(st.booleans()), "eps": draw(st.sampled_from([1e-6, 0.3])), "var": draw(st.sampled_from([0.01, 2.0]))}
        if shape and draw(st.booleans()):
            shapes = [shape, shape[:-1], (*shape[:-1], 1)]
            options["var"] = 3 * torch.rand(draw(st.sampled_from(shapes)), dtype=dtype, generator=r)
    if name == "multilabel_soft_margin_loss" and not shape:
        raw, shape = raw.reshape(1), (1,)
    if name in PROBABILITIES:
        target = torch.rand(shape, dtype=dtype, generator=r)
        target = target if draw(st.booleans()) else target.round()
        target = 3 * target if draw(st.integers(0, 29)) == 0 else target
        for option in WEIGHTS if name == PROBABILITIES[0] else WEIGHTS[:1]:
            if draw(st.booleans()):
                options[option] = weight((), shape[-1:], (1,) * len(shape))
    if name == "poisson_nll_loss":
        raw = raw.clamp(max=30)
        target = torch.poisson(torch.rand(shape, dtype=dtype, generator=r) * draw(st.sampled_from([1.0, 30.0])), generator=r)
        target = -target if draw(st.integers(0, 29)) == 0 else target
        options |= {"full": draw(st.booleans()), "log_input": draw(st.booleans()), "eps": draw(st.sampled_from([1e-8, 1e-3]))}
        raw = raw if options["log_input"] else raw.abs()
    if name == "soft_margin_loss":
        target = torch.where(target > raw, 1.0, -1.0).to(dtype) if draw(st.booleans()) else target
    if name != "binary_cross_entropy_with_logits" and len(shape) > 1 and shape[0] > 1 and draw(st.integers(0, 29)) == 0:
        target = target[:1]
    if draw(st.integers(0, 29)) == 0:
        target = target.to(torch.float64 if dtype == torch.float32 else torch.float32)
    raw, target = laid_out(raw, draw(LAYOUTS)), laid_out(target, draw(LAYOUTS))
    return Call(name, raw, target.requires_grad_(draw(st.integers(0, 29)) == 0), options)


@st.composite
def class_calls(draw: Any) -> Call:
    """A call of cross entropy. `make test` takes one dtype of logits and of labels: for each more, all loops would be compiled again."""
    r = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    dtype = draw(st.sampled_from([torch.float32, torch.float64] if sweeps.everything else [torch.float32]))
    classes = draw(st.sampled_from([1, 2, 3, 7, 31, 33, 150]))
    rows = draw(st.sampled_from([None, 0, 1, 4, 60]))
    more = draw(st.sampled_from([(), (), (3,), (2, 5), (2, 1, 2)])) if rows is not None else ()
    places = () if rows is None else (rows, *more)
    shape = (classes,) if rows is None else (rows, classes, *more)
    raw = torch.randn(shape, dtype=dtype, generator=r) * draw(st.sampled_from([0.2, 1.0, 5.0, 20.0]))
    options = draw(reductions()) | {"label_smoothing": draw(st.sampled_from([0.0, 0.0, 0.1, 0.5, 1.0]))}
    if draw(st.booleans()):
        weight = torch.rand(classes, dtype=dtype, generator=r)
        weight = torch.where(torch.rand(classes, generator=r) < 0.1, 0.0, weight)
        options["weight"] = -weight if draw(st.integers(0, 29)) == 0 else weight
    if draw(st.booleans()):
        target = (torch.randn(shape, dtype=dtype, generator=r) * 3).softmax(0 if rows is None else 1)
        target = 2 * target if draw(st.integers(0, 29)) == 0 else target
        dtypes = [dtype, torch.float32, torch.float64]
        target = target.to(draw(st.sampled_from(dtypes))) if draw(st.integers(0, 29)) == 0 else target
        target = laid_out(target, draw(LAYOUTS))
        target.requires_grad_(draw(st.integers(0, 29)) == 0)
    else:
        target = torch.randint(0, classes, places, generator=r)
        target = target.to(draw(st.sampled_from([torch.int64] * 8 + ([torch.uint8, torch.int32] if sweeps.everything else []))))
        if draw(st.booleans()):
            options["ignore_index"] = draw(st.sampled_from([0, 1, -1, -100, 255]))
            if options["ignore_index"] >= 0 or target.dtype != torch.uint8:
                share = draw(st.sampled_from([0.3, 1.0]))
                target = torch.where(torch.rand(places, generator=r) < share, options["ignore_index"], target).to(target.dtype)
        if draw(st.integers(0, 29)) == 0:
            target = torch.where(torch.rand(places, generator=r) < 0.5, classes, target).to(target.dtype)
    if draw(st.integers(0, 9)) == 0 and options["label_smoothing"] == 0 and "weight" not in options:
        mask = torch.rand(shape, generator=r) < 0.3
        label = target.argmax(min(1, len(shape) - 1)) if target.is_floating_point() else target.long().clamp(0, classes - 1)
        mask.scatter_(min(1, len(shape) - 1), label.unsqueeze(min(1, len(shape) - 1)), False)
        raw = raw.masked_fill(mask, -inf)
        if target.is_floating_point() and not target.requires_grad:
            target = target.masked_fill(mask, 0.0)
            target = target / target.sum(min(1, len(shape) - 1), keepdim=True)
    return Call("cross_entropy", laid_out(raw, draw(LAYOUTS)), target, options)


def run(function: Callable[..., Any], call: Call, as_double: bool = False) -> tuple[Any, Any]:
    """The result and the gradient of a fixed combination of it, in the input."""

    def fit(x: Any) -> Any:
        return x.double() if as_double and isinstance(x, torch.Tensor) and x.is_floating_point() else x

    options = {name: fit(x) for name, x in call.options.items()}
    raw = fit(call.input).detach().requires_grad_()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="size_average and reduce args will be deprecated|Using a target size")
        result = function(raw, target=fit(call.target), **options)
    direction = torch.linspace(0.5, 1.5, max(result.numel(), 1), dtype=torch.float64)[: result.numel()].reshape(result.shape)
    (gradient,) = torch.autograd.grad(result, raw, direction.to(result.dtype))
    return result.detach(), gradient


def near(ours: Any, theirs: Any, tolerance: float, size: float) -> None:
    """Within the tolerance of each number, or of the size of what was added up to it."""
    torch.testing.assert_close(ours.double(), theirs.double(), rtol=tolerance, atol=tolerance * size, equal_nan=True)


def compare(call: Call) -> None:
    """Ours against PyTorch's; where a deliberate difference applies, what that one says."""
    ours, theirs = getattr(mt, call.name), getattr(F, call.name)
    found = [difference for difference in DIFFERENCES if difference.applies(call)]
    expected = {difference.raises for difference in found} - {None}
    if expected:
        with pytest.raises((ValueError, TypeError)) as raised:
            run(ours, call)
        assert len(expected) > 1 or type(raised.value).__name__ in expected, f"{raised.value!r}, not {expected}"
    elif found:
        run(ours, call)
    else:
        value, gradient = run(ours, call)
        reference, reference_gradient = run(theirs, call)
        assert (value.dtype, value.shape, gradient.dtype) == (reference.dtype, reference.shape, reference_gradient.dtype)
        if call.input.dtype == torch.float32:  # PyTorch's own rounding of float32 sums is not ours: its result in float64 is the reference
            reference, reference_gradient = run(theirs, call, as_double=True)
        tolerance = TOLERANCE[call.input.dtype]
        sizes = terms(call)
        near(value, reference, tolerance, sizes[0])
        near(gradient, reference_gradient, tolerance, sizes[1])


def terms(call: Call) -> tuple[float, float]:
    """What the value and the gradient are sums of, in size: a sum of +5 and -5 is not asked to be exact relative to 0.

    PyTorch forms 1 - p and log(1 + e), so that where these are tiny its own error, in float64, is that of 1 times the weight.
    """
    legacy = {k: x for k, x in call.options.items() if k in ("size_average", "reduce", "reduction")}
    options = {k: x for k, x in call.options.items() if k not in legacy}
    rows = run(getattr(F, call.name), Call(call.name, call.input, call.target, options | {"reduction": "none"}), as_double=True)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reduction = torch.nn.MSELoss(**legacy).reduction
    size, mass = rows[rows.isfinite()].abs(), 0.0
    if not size.numel() or not call.input.numel():
        return 0.0, 0.0
    if call.name in ("cross_entropy", "soft_margin_loss", *PROBABILITIES):
        mass = float(torch.stack([weight.max().double() for weight in (*call.weights, torch.ones(()))]).prod())
        mass *= float(call.target.abs().max()) if call.name == "soft_margin_loss" else 1.0
    elif call.name == "poisson_nll_loss":
        mass = 1.0  # 1 - target / rate
    value = float(size.sum()) if reduction == "sum" else float(size.max())
    per_row = mass
    if reduction == "mean" and call.name == "cross_entropy" and not call.soft:
        kept = call.target[call.target != options.get("ignore_index", -100)].long()
        per_row /= max(float(options["weight"][kept].sum()) if "weight" in options else kept.numel(), 1e-30)
    elif reduction == "mean":
        per_row /= rows.numel()
    return value + mass * (rows.numel() if reduction == "sum" else 1), per_row


@settings(FAST, max_examples=examples(2000, 15))
@given(pointwise_calls())
def test_losses_of_numbers_give_what_pytorch_gives(call: Call) -> None:
    compare(call)


@settings(FAST, max_examples=examples(1500, 15))
@given(class_calls())
def test_cross_entropy_gives_what_pytorch_gives(call: Call) -> None:
    compare(call)


def example(key: str) -> Call:
    """A call that one deliberate difference concerns, and no other."""
    x, y = torch.tensor([[0.5, -1.0], [2.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    labels, bce, ce = torch.tensor([0, 1]), "binary_cross_entropy_with_logits", "cross_entropy"
    weight = torch.tensor([1.0, 2.0])
    return {
        "soft_targets_sum": Call(ce, x, 0.9 * y),
        "target_grad": Call("mse_loss", x, y.clone().requires_grad_()),
        "broadcast": Call("poisson_nll_loss", x, y[0]),
        "label_dtype": Call(ce, x, labels.int()),
        "label_range": Call(ce, x, labels + 1),
        "masked": Call(ce, torch.tensor([[0.0, -inf]]), y[:1]),
        "infinite": Call(bce, torch.tensor([inf]), torch.tensor([1.0])),
        "overflow": Call("soft_margin_loss", torch.tensor([-100.0]), torch.tensor([1.0])),
        "half": Call(ce, x.bfloat16(), labels),
        "mixed_dtypes": Call("mse_loss", x, y.double()),
        "integer_targets": Call(bce, x, y.long()),
        "domain": Call(bce, x, 2 * y),
        "negative_weight": Call(ce, x, labels, {"weight": -weight}),
        "weightless": Call("l1_loss", x, y, {"weight": 0 * x.abs()}),
        "many_dimensions": Call("linear_cross_entropy", x[None], labels[None], {"linear_weight": y}),
        "weight_grad": Call("mse_loss", x, y, {"weight": weight.expand(2, 2).clone().requires_grad_()}),
    }[key]


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.key)
def test_each_deliberate_difference_is_one(difference: Difference) -> None:
    call = example(difference.key)
    assert [d.key for d in DIFFERENCES if d.applies(call)] == [difference.key]

    def outcome(function: Callable[..., Any]) -> Any:
        try:
            return run(function, call)
        except Exception as error:
            return type(error).__name__

    ours, theirs = outcome(getattr(mt, call.name)), outcome(getattr(F, call.name))
    for result, error in ((ours, difference.raises), (theirs, difference.pytorch_raises)):
        assert result == error if error else not isinstance(result, str), result
    if not difference.raises and not difference.pytorch_raises:
        assert ours[0].dtype != theirs[0].dtype or not torch.equal(ours[0], theirs[0]) or not torch.equal(ours[1], theirs[1])
        assert ours[1].isfinite().all() and not (difference.key != "weightless" and ours[0].isnan().any())


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_pytorchs_and_more_by_keyword(name: str) -> None:
    ours, theirs = inspect.signature(getattr(mt, name)).parameters, inspect.signature(getattr(F, name)).parameters
    mine = [p for p in ours.values() if p.kind is not p.KEYWORD_ONLY]
    assert [(p.name, p.default) for p in mine] == [(p.name, p.default) for p in theirs.values()]
    assert {"sample_weight", "normalizer"} <= set(ours) - set(theirs)
    with pytest.raises(ValueError, match="median"):
        getattr(mt, name)(torch.zeros(2, 2), torch.zeros(2, 2), reduction="median")


@pytest.mark.parametrize("name", NAMES)
def test_rows_take_back_whatever_factors_arrive(name: str) -> None:
    r = torch.Generator().manual_seed(4)
    raw = torch.randn(6, 4, generator=r, dtype=torch.float64, requires_grad=True)
    target = torch.randint(0, 4, (6,), generator=r) if name == "cross_entropy" else (torch.rand(6, 4, generator=r) < 0.5).double()
    function, n = getattr(mt, name), target.numel()

    def gradient(factors: torch.Tensor) -> torch.Tensor:
        rows = function(raw, target, reduction="none")
        return torch.autograd.grad(rows, raw, factors.reshape(rows.shape))[0]

    (whole,) = torch.autograd.grad(function(raw, target, reduction="sum"), raw)
    torch.testing.assert_close(gradient(torch.ones((), dtype=torch.float64).expand(n)), whole)  # of no memory of their own
    factors = torch.rand(n, generator=r, dtype=torch.float64)
    torch.testing.assert_close(gradient(factors.repeat_interleave(2)[::2]), gradient(factors), rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_weights_and_normalizer(name: str) -> None:
    r = torch.Generator().manual_seed(3)
    raw = torch.randn(6, 4, generator=r, dtype=torch.float64)
    target = torch.randint(0, 4, (6,), generator=r) if name == "cross_entropy" else (torch.rand(6, 4, generator=r) < 0.5).double()
    weight = torch.rand(target.shape, generator=r, dtype=torch.float64)
    weight.view(-1)[0] = 0.0
    function = getattr(mt, name)
    rows = function(raw, target, reduction="none")
    torch.testing.assert_close(function(raw, target, sample_weight=weight, reduction="none"), weight * rows)
    torch.testing.assert_close(function(raw, target, sample_weight=weight, reduction="sum"), (weight * rows).sum())
    torch.testing.assert_close(function(raw, target, sample_weight=weight), (weight * rows).sum() / weight.sum())
    for normalizer in (7.0, torch.tensor(7.0)):
        torch.testing.assert_close(function(raw, target, sample_weight=weight, normalizer=normalizer), (weight * rows).sum() / 7)
    with pytest.raises(ValueError, match="normalizer"):
        function(raw, target, reduction="none", normalizer=7.0)
    with pytest.raises(ValueError, match="sample_weight"):
        function(raw, target, sample_weight=-weight)
    wrong = raw.clone()
    wrong.view(6, 4)[0] = nan  # a row of weight 0 is not looked at
    if name == "cross_entropy":
        assert function(wrong, target, sample_weight=weight).isfinite()


def test_z_loss_softcap_and_temperature() -> None:
    r = torch.Generator().manual_seed(4)
    raw = (4 * torch.randn(5, 7, 3, generator=r, dtype=torch.float64)).requires_grad_()
    target = torch.randint(0, 7, (5, 3), generator=r)
    u = 6 * torch.tanh(raw / 6) / 1.7
    z = 0.01 * (u.logsumexp(1) ** 2).mean()
    expected = F.cross_entropy(u, target, label_smoothing=0.1) + z
    loss, part = mt.cross_entropy(raw, target, label_smoothing=0.1, z_loss=0.01, return_z_loss=True, softcap=6.0, temperature=1.7)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(part, z.detach())
    assert not part.requires_grad
    (ours,), (theirs,) = torch.autograd.grad(loss, raw), torch.autograd.grad(expected, raw)
    torch.testing.assert_close(ours, theirs)


def test_a_wrong_target_is_named_also_where_its_weight_is_wrong_too() -> None:
    with pytest.raises(ValueError, match=r"target\[1\] is 3.0"):
        mt.binary_cross_entropy_with_logits(torch.zeros(2), torch.tensor([1.0, 3.0]), pos_weight=torch.tensor(2.0))


def test_exact_where_pytorch_rounds_to_zero() -> None:
    raw = torch.tensor([40.0], requires_grad=True)
    mt.binary_cross_entropy_with_logits(raw, torch.ones(1)).backward()
    assert float(raw.grad) == pytest.approx(-4.248354255291589e-18, rel=1e-6)
    raw = torch.tensor([[40.0, 0.0, 0.0]], requires_grad=True)
    mt.cross_entropy(raw, torch.tensor([0])).backward()
    assert float(raw.grad[0, 0]) == pytest.approx(-8.496708510583178e-18, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.int8, torch.int32])
def test_labels_of_any_integer_type_give_the_bits_of_int64(dtype: Any) -> None:
    r = torch.Generator().manual_seed(5)
    for rows, classes in ((6, 4), (90, 40)):  # the second by compiled loops
        raw, labels = torch.randn(rows, classes, generator=r), torch.randint(0, classes, (rows,), generator=r)
        weight = torch.rand(classes, generator=r)
        for options in ({}, {"reduction": "none"}, {"label_smoothing": 0.1}, {"weight": weight}, {"ignore_index": 2, "reduction": "sum"}):
            ours, wanted = (run(mt.cross_entropy, Call("cross_entropy", raw, y, options)) for y in (labels.to(dtype), labels))
            assert torch.equal(ours[0], wanted[0]) and torch.equal(ours[1], wanted[1]), options
        with pytest.raises(ValueError, match=rf"target\[2\] is {classes}; allowed: labels 0..{classes - 1}"):
            labels[2] = classes
            mt.cross_entropy(raw, labels.to(dtype))
