"""matchloss.torch.loss and Loss: the numbers of the catalogue, through autograd, and what is refused."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

import matchloss as ml
from cases import DEFAULTS, INSTANCES, POINTWISE, is_simplex, label, moderate, moderate_rows, rows
from matchloss.engine import threads
from matchloss.torch import Loss, _plain, _rules, loss
from references import pointwise_at
from sweeps import sweep
from test_accuracy import allowed, error

MATCHED = ml.match(lambda m, raw: m.tanh(raw), potential=lambda m, raw: m.softplus(2 * raw) - raw)
ALL = [*INSTANCES, MATCHED]
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # forward derivatives use it
FEW = [ml.Logistic(), ml.Poisson(), ml.CrossEntropy(), ml.Sparsemax()]


def tensors(loss: Any, n: int = 4, dtype: Any = torch.float64, seed: int = 0) -> tuple[Any, Any, Any]:
    """Raw predictions, targets (distributions of a simplex loss) and weights, one of them 0."""
    if is_simplex(loss):
        z, _, y = moderate_rows(n, 3, seed=seed)
    else:
        z, y = moderate(loss, n, seed=seed)
    w = np.random.default_rng(seed).uniform(0.5, 2, n)
    w[1] = 0
    return tuple(torch.from_numpy(np.asarray(a)).to(dtype) for a in (z, y, w))


def by_row(loss: Any, x: Any) -> Any:
    return x[:, None] if is_simplex(loss) else x


@pytest.mark.parametrize(
    ("case", "weighted"), sweep(itertools.product([*DEFAULTS, MATCHED], [True, False]), lambda case, on: on), ids=label
)
def test_numbers_are_those_of_evaluate(case: Any, weighted: bool) -> None:
    z, y, w = tensors(case, 7)
    weight = w if weighted else None
    want = case.evaluate(z.numpy(), y.numpy(), None if weight is None else w.numpy())
    mass = float(w.sum()) if weighted else 7.0
    for reduction, divide in (("none", 1.0), ("sum", 1.0), ("mean", mass)):
        raw = z.clone().requires_grad_()
        got = loss(case, raw, y, weight, reduction=reduction)
        back = torch.linspace(-1, 2, 7, dtype=z.dtype) if reduction == "none" else torch.tensor(1.0, dtype=z.dtype)
        got.backward(back)
        value = want.value if reduction == "none" else want.value.sum() / divide
        np.testing.assert_allclose(got.detach(), value, rtol=1e-13, atol=1e-15)
        factor = by_row(case, back.numpy()) if reduction == "none" else 1.0
        np.testing.assert_allclose(raw.grad, factor * want.gradient / divide, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("case", ALL, ids=label)
def test_gradcheck_and_gradgradcheck(case: Any) -> None:
    z, y, w = tensors(case, 3)
    raw = z.requires_grad_()

    def rows(raw: Any) -> Any:
        return loss(case, raw, y, w, reduction="none")

    flags = {"check_forward_ad": True, "check_batched_grad": True, "check_batched_forward_grad": True}
    assert torch.autograd.gradcheck(rows, (raw,), **flags)
    assert torch.autograd.gradgradcheck(rows, (raw,), check_fwd_over_rev=True)
    assert torch.autograd.gradcheck(lambda raw: loss(case, raw, y, w), (raw,), check_batched_grad=True)
    assert torch.autograd.gradgradcheck(lambda raw: loss(case, raw, y, w), (raw,))


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f8", "f4"])
@pytest.mark.parametrize("case", [d for d in DEFAULTS if not is_simplex(d)], ids=label)
def test_the_composite_keeps_the_contract_of_accuracy(case: Any, dtype: Any) -> None:
    z, y = rows(case, dtype, size=8)
    got = _rules.rule_of(case).composite(torch.from_numpy(z), torch.from_numpy(y), None)
    worst = 0.0
    for i, (raw, target) in enumerate(zip(z.tolist(), y.tolist(), strict=True)):
        for array, terms in zip(got, pointwise_at(case, raw, target), strict=True):
            worst = max(worst, error(array[i], terms, dtype))
    assert worst <= allowed(case), worst
    assert all(array.dtype == (torch.float32 if dtype == np.float32 else torch.float64) for array in got)


@pytest.mark.parametrize("case", [d for d in INSTANCES if is_simplex(d)], ids=label)
def test_the_composite_of_rows_is_the_engine(case: Any) -> None:
    z, labels, p = moderate_rows(40, 5)
    z[:9] = np.array([[40.0, 0, 0, 0, 0], [0, 700, -700, 0, 0], [3, 3, 3, 3, 3], [-np.inf, 0, 1, 2, -np.inf], [np.nan, 0, 0, 0, 0],
                      [1e300, -1e300, 0, 0, 0], [-1e-8, 0, 1e-8, 0, 0], [np.inf, 0, 0, 0, 0], [np.inf, np.inf, 0, 0, 0]])  # fmt: skip
    for target in (labels, p):
        want = case.evaluate(z, target, hessian=True)
        got = _rules.rule_of(case).composite(torch.from_numpy(z), torch.from_numpy(target), None)
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=3e-14, atol=1e-300)


@pytest.mark.parametrize("by", ["loops", "composite"])
def test_tails_are_exact_through_autograd(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if by == "composite":
        monkeypatch.setattr(_plain, "_KNOWN", False)
    raw = torch.tensor([40.0, -40.0], dtype=torch.float64, requires_grad=True)
    loss(ml.Logistic(), raw, torch.tensor([1.0, 0.0], dtype=torch.float64), reduction="sum").backward()
    assert raw.grad is not None and raw.grad.tolist() == [-4.248354255291589e-18, 4.248354255291589e-18]
    row = torch.tensor([[40.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    value = ml.CrossEntropy()(row, torch.tensor([0]))
    value.backward()
    assert row.grad is not None and row.grad[0, 0].item() == -8.496708510583178e-18 and value.item() == 8.496708510583178e-18


def test_float32_is_computed_in_float64_and_rounded_once() -> None:
    z, y, _ = tensors(ml.Poisson(), 50, torch.float32)
    raw = z.requires_grad_()
    (got,) = torch.autograd.grad(loss(ml.Poisson(), raw, y, reduction="sum"), raw)
    want = ml.Poisson().gradient(z.detach().double().numpy(), y.double().numpy()).astype(np.float32)
    assert np.array_equal(got, want)


@pytest.mark.parametrize("case", FEW, ids=label)
@pytest.mark.parametrize("dtype", sweep([torch.bfloat16, torch.float16], lambda dtype: dtype is torch.bfloat16))
def test_halves_give_a_float32_loss_and_a_half_gradient(case: Any, dtype: Any) -> None:
    z, y, w = tensors(case, 6, dtype)
    raw = z.requires_grad_()
    got = loss(case, raw, y, w)
    got.backward()
    assert got.dtype == torch.float32 and raw.grad is not None and raw.grad.dtype == dtype
    want = loss(case, z.detach().float(), y.float() / (y.float().sum(-1, keepdim=True) if is_simplex(case) else 1), w.float())
    assert abs(got - want) < 0.02 * (1 + abs(want))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int16, torch.int32, torch.int64, torch.float32, torch.bfloat16])
def test_targets_of_any_number_type(dtype: Any) -> None:
    z = torch.linspace(-2, 2, 6, requires_grad=True)
    y = torch.tensor([0, 1, 1, 0, 1, 0])
    for weight in (None, torch.ones(6, dtype=torch.float64), torch.ones(6, dtype=torch.int64)):
        got, want = (loss(ml.Logistic(), z, t, weight) for t in (y.to(dtype), y.float()))
        assert torch.equal(got, want) and torch.equal(*(torch.autograd.grad(v, z)[0] for v in (got, want)))
    if not dtype.is_floating_point and dtype != torch.bool:
        rows = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
        assert torch.equal(loss(ml.CrossEntropy(), rows, y.to(dtype)), loss(ml.CrossEntropy(), rows, y))


def test_large_integer_counts_are_not_rounded_to_float32() -> None:
    count = torch.tensor([16777217])
    raw = torch.tensor([0.0], requires_grad=True)
    loss(ml.SquaredError(), raw, count - 16777216 + 0, reduction="sum").backward()
    value = loss(ml.AbsoluteError(), torch.tensor([16777216.0]), count, reduction="sum")
    assert value.item() == 1.0


@pytest.mark.parametrize("case", FEW, ids=label)
def test_layouts(case: Any) -> None:
    z, y, w = tensors(case, 24)
    shape = (4, 6, *z.shape[1:])
    want = loss(case, z, y, w)
    assert torch.allclose(loss(case, z.reshape(shape), y.reshape(shape), w.reshape(4, 6)), want, rtol=1e-14)
    turned = [t.reshape(4, 6, *t.shape[1:]).transpose(0, 1) for t in (z, y, w)]
    raw = turned[0].requires_grad_()
    got = loss(case, raw, *turned[1:])
    got.backward()
    assert torch.allclose(got, want, rtol=1e-14) and raw.grad is not None and raw.grad.shape == raw.shape
    one = loss(case, z[:1].expand(5, *z.shape[1:]), y[:1].expand(5, *y.shape[1:]))
    assert torch.allclose(one, loss(case, z[:1], y[:1]), rtol=1e-14)
    if not is_simplex(case):
        assert torch.allclose(loss(case, z[0], y[0]), loss(case, z[:1], y[:1]), rtol=1e-14)


@pytest.mark.compiled
@pytest.mark.parametrize("case", FEW, ids=label)
def test_many_rows_run_over_blocks_with_the_same_bits_on_any_number_of_threads(case: Any) -> None:
    z, y, w = tensors(case, 150_000, torch.float32)
    results = []
    before = torch.get_num_threads()
    try:
        for count in (1, before):
            torch.set_num_threads(count)
            raw = z.clone().requires_grad_()
            value = loss(case, raw, y, w)
            value.backward()
            results.append((value.detach(), raw.grad))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0][0], results[1][0]) and torch.equal(results[0][1], results[1][1])
    want = case.evaluate(z.double().numpy(), (y.double() / y.double().sum(-1, keepdim=True) if is_simplex(case) else y.double()).numpy(),
                         w.double().numpy(), gradient=False)  # fmt: skip
    assert float(results[0][0]) == pytest.approx(want.value.sum() / w.double().sum().item(), rel=1e-6)


def test_threads_follow_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(workers: int) -> Any:
        raise AssertionError(f"{workers} workers were asked for")

    before = torch.get_num_threads()
    z, y, _ = tensors(ml.Logistic(), 200_000)
    rows, _, p = moderate_rows(60_000, 5)
    monkeypatch.setattr(threads, "_pool", refuse)
    try:
        torch.set_num_threads(1)
        for reduction in ("mean", "none"):
            loss(ml.Logistic(), z.clone().requires_grad_(), y, reduction=reduction).sum().backward()
            loss(ml.CrossEntropy(), torch.from_numpy(rows).requires_grad_(), torch.from_numpy(p), reduction=reduction).sum().backward()
    finally:
        torch.set_num_threads(before)
    if threads.count() > 1 and before > 1:
        with pytest.raises(AssertionError, match="workers"):
            loss(ml.Logistic(), z, y)


@pytest.mark.parametrize("case", FEW, ids=label)
def test_an_empty_batch_and_weights_of_0_are_as_in_pytorch(case: Any) -> None:
    z, y, w = tensors(case, 3)
    for raw, target, weight in ((z[:0], y[:0], None), (z[:0], y[:0], w[:0]), (z, y * float("nan"), w * 0)):
        raw = raw.clone().requires_grad_()
        assert loss(case, raw, target, weight).isnan()
        total = loss(case, raw, target, weight, reduction="sum")
        total.backward()
        assert total.item() == 0 and raw.grad is not None and not raw.grad.any()
        assert loss(case, raw, target, weight, reduction="none").shape == (len(raw),)


def test_normalizer_replaces_the_sum_of_the_weights() -> None:
    z, y, w = tensors(ml.Poisson(), 6)
    raw = z.requires_grad_()
    parts = [loss(ml.Poisson(), raw[i : i + 2], y[i : i + 2], w[i : i + 2], normalizer=w.sum()) for i in (0, 2, 4)]
    assert torch.allclose(sum(parts), loss(ml.Poisson(), raw, y, w), rtol=1e-14)
    assert torch.allclose(*(torch.autograd.grad(v, raw)[0] for v in (sum(parts), loss(ml.Poisson(), raw, y, w))), rtol=1e-14)
    assert torch.allclose(loss(ml.Poisson(), raw, y, normalizer=3), loss(ml.Poisson(), raw, y, reduction="sum") / 3, rtol=1e-14)
    with pytest.raises(ValueError, match="normalizer"):
        loss(ml.Poisson(), raw, y, reduction="sum", normalizer=2.0)


def test_backward_again_over_a_retained_graph_and_as_a_batch() -> None:
    for case in FEW:
        z, y, w = tensors(case)
        raw = z.requires_grad_()
        value = loss(case, raw, y, w)
        first, second = (torch.autograd.grad(value, raw, retain_graph=True)[0] for _ in range(2))
        many = torch.autograd.grad(value, raw, torch.tensor([1.0, 0.0, -2.0]).double(), is_grads_batched=True)[0]
        assert torch.equal(first, second) and torch.allclose(many, torch.stack([first, 0 * first, -2 * first]))
        double = 3 * loss(case, raw, y, w)
        assert torch.allclose(torch.autograd.grad(double, raw)[0], 3 * first, rtol=1e-14)


def test_a_row_of_weight_0_contributes_nothing_whatever_it_holds() -> None:
    raw = torch.tensor([1.0, float("nan"), 2.0], requires_grad=True)
    y, w = torch.tensor([1.0, -5.0, 0.5]), torch.tensor([1.0, 0.0, 2.0])
    for reduction in ("mean", "none"):
        (g,) = torch.autograd.grad(loss(ml.Poisson(), raw, y, w, reduction=reduction).sum(), raw)
        assert g[1] == 0 and g.isfinite().all()


@pytest.mark.parametrize("case", [*DEFAULTS, MATCHED], ids=label)
def test_shapes_are_never_broadcast(case: Any) -> None:
    z, y, w = tensors(case, 4)
    bad = [(z, y[:3]), (z[:3], y), (z, y[None]), (z, y[..., None]), (z[None], y), (z[0, 0] if is_simplex(case) else z[0], y)]
    for raw, target in bad:
        with pytest.raises(ml.ShapeError, match="shape"):
            loss(case, raw, target)
    for weight in (w[:3], w[None], w[:, None], w[0]):
        with pytest.raises(ml.ShapeError, match="sample_weight has shape"):
            loss(case, z, y, weight)


@pytest.mark.parametrize("shape", [(4,), (70_000,), (7, 2, 5_000)])
@pytest.mark.parametrize("how", [{}, {"reduction": "none"}, {"overwrite": True}])
def test_a_bad_target_or_weight_is_named(shape: tuple[int, ...], how: dict[str, Any]) -> None:
    n = math.prod(shape)
    z, y, w = (t.reshape(shape) for t in tensors(ml.Logistic(), n, torch.float32))
    place = (*(size - 1 for size in shape[:-1]), shape[-1] - 2)
    at = ", ".join(map(str, place))
    y[place] = 1.5
    raw = z.requires_grad_()
    for target in (y, y.double(), y.to(torch.bfloat16)):
        with pytest.raises(ml.DomainError, match=rf"target\[{at}\] is 1.5; allowed: \[0, 1\]"):
            loss(ml.Logistic(), raw, target, **how)
    y[place], w[place] = 1.0, -1.0
    with pytest.raises(ml.DomainError, match=rf"sample_weight\[{at}\] is -1.0"):
        loss(ml.Logistic(), raw, y, w, **how)
    rows, labels, p = (torch.from_numpy(a) for a in moderate_rows(n, 3))
    rows, labels, p = rows.reshape(*shape, 3), labels.reshape(shape), p.reshape(*shape, 3)
    for wrong in (3, -1, -100, 2**40):
        labels[place] = wrong
        with pytest.raises(ml.DomainError, match=rf"target\[{at}\] is {wrong}; allowed: labels 0..2"):
            loss(ml.CrossEntropy(), rows.requires_grad_(), labels, **how)
    p[(*place, 0)] += 0.25
    with pytest.raises(ml.DomainError, match=rf"target\[{at}\] sums to 1.25"):
        loss(ml.CrossEntropy(), rows, p, **how)


def test_what_else_is_refused() -> None:
    z, y, w = tensors(ml.Logistic())
    rows, labels, p = (torch.from_numpy(a) for a in moderate_rows(4, 3))
    for call, kind, words in (
        (lambda: loss(ml.Logistic(), z, y.clone().requires_grad_()), ValueError, "target requires grad"),
        (lambda: loss(ml.CrossEntropy(), rows, p.clone().requires_grad_()), ValueError, "target requires grad"),
        (lambda: loss(ml.Logistic(), z, y, w.clone().requires_grad_()), ValueError, "require grad"),
        (lambda: loss(ml.Logistic(), z.long(), y), TypeError, "raw has dtype torch.int64"),
        (lambda: loss(ml.Logistic(), z.to(torch.complex64), y), TypeError, "raw has dtype"),
        (lambda: loss(ml.Logistic(), z, y.to(torch.complex64)), TypeError, "target has dtype"),
        (lambda: loss(ml.CrossEntropy(), rows, labels.double()), TypeError, "labels are integers"),
        (lambda: loss(ml.CrossEntropy(), rows[:, :0], labels), ml.ShapeError, "at least one class"),
        (lambda: loss(ml.Logistic(), z.numpy(), y), TypeError, "raw is a ndarray"),
        (lambda: loss(ml.Logistic(), z, y.numpy()), TypeError, "target is a ndarray"),
        (lambda: loss(ml.Logistic(), z, y, [1.0] * 4), TypeError, "sample_weight is a list"),
        (lambda: loss(ml.Logistic(), z, y, reduction="batchmean"), ValueError, "allowed: mean, sum, none"),
        (lambda: loss("logistic", z, y), TypeError, "must be a loss of matchloss"),
        (lambda: Loss("logistic"), TypeError, "must be a loss of matchloss"),
        (lambda: Loss(ml.Logistic(), reduction="all"), ValueError, "allowed: mean, sum, none"),
        (lambda: ml.Logistic().evaluate(z, y, out=ml.Evaluation(value=np.empty(4))), TypeError, "out takes NumPy arrays"),
        (lambda: ml.Poisson().hessian(z, y, curvature="majorizer"), ml.DomainError, "no curvature"),
        (lambda: ml.Logistic().divergence(z, y), TypeError, "torch arrays are not computed here"),
    ):  # fmt: skip
        with pytest.raises(kind, match=words):
            call()


@pytest.mark.parametrize("case", [*DEFAULTS, MATCHED], ids=label)
def test_losses_themselves_take_tensors(case: Any) -> None:
    z, y, w = tensors(case)
    curvature = list(case.programs)[-1]
    got = case.evaluate(z, y, w, hessian=True, curvature=curvature)
    want = case.evaluate(z.numpy(), y.numpy(), w.numpy(), hessian=True, curvature=curvature)
    for a, b in zip(got, want, strict=True):
        assert isinstance(a, torch.Tensor)
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-15)
    assert float(case(z, y, w)) == pytest.approx(float(case(z.numpy(), y.numpy(), w.numpy())), rel=1e-13, abs=1e-15)
    np.testing.assert_allclose(case.predict(z), case.predict(z.numpy()), rtol=1e-13)
    raw = z.requires_grad_()
    (g,) = torch.autograd.grad(case.value(raw, y).sum(), raw)
    assert torch.allclose(g, case.gradient(raw, y), rtol=1e-13)
    with pytest.raises(NotImplementedError, match="third derivatives"):
        case.hessian(raw, y).sum().backward()


@pytest.mark.parametrize("case", ALL, ids=label)
def test_predict_has_the_hessian_as_its_derivative_or_none(case: Any) -> None:
    raw = tensors(case)[0].requires_grad_()
    if case.matching or case.link_name == "identity":
        assert torch.autograd.gradcheck(case.predict, (raw,), check_forward_ad=True)
    else:
        with pytest.raises(NotImplementedError, match="predict"):
            case.predict(raw).sum().backward()
    raw = torch.zeros_like(raw).requires_grad_()  # where |raw| has its kink, formulas of exp(-|raw|) would give autograd 0
    if case.matching and case.smooth and not is_simplex(case):
        (g,) = torch.autograd.grad(case.predict(raw).sum(), raw)
        assert torch.allclose(g, case.hessian(raw.detach(), tensors(case)[1]), rtol=1e-9)


def test_pointwise_catalogue_is_covered() -> None:
    assert {type(d) for d in POINTWISE} <= {type(d) for d in ALL}


def test_predictions_and_losses_of_tensors_that_trace_nothing() -> None:
    raw = torch.zeros(3, device="meta")
    assert ml.Poisson().predict(raw).device.type == "meta" and ml.Poisson()(raw, raw).shape == ()


def test_a_loss_that_cannot_be_compiled_runs_as_a_composite() -> None:
    table = {"slope": 2.0}
    odd = ml.match(lambda m, raw: m.tanh(table["slope"] * raw))
    z = torch.linspace(-1, 1, 5, dtype=torch.float64, requires_grad=True)
    value = loss(odd, z, torch.zeros_like(z))
    value.backward()
    assert value.item() == pytest.approx(float(odd(z.detach().numpy(), np.zeros(5))), rel=1e-12) and z.grad is not None


@pytest.mark.parametrize("size", [3, 1500])
def test_a_sum_beyond_float32_is_infinite_and_its_gradient_finite(size: int) -> None:
    raw = torch.full((size,), 1e30, requires_grad=True)
    value = loss(ml.SquaredError(), raw, torch.zeros(size))
    value.backward()
    assert value.dtype is torch.float32 and value.item() == torch.inf
    torch.testing.assert_close(raw.grad, torch.full((size,), 1e30 / size))
