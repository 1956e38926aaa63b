"""Losses under torch.func, torch.compile, export, meta tensors, checkpoint, autocast: our own derivatives everywhere, or an error."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vmap
from torch.utils.checkpoint import checkpoint

import matchloss as ml
import matchloss.torch as mt
import sweeps
from cases import label
from matchloss.torch import Loss, _rules, loss
from sweeps import sweep

pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:torch"),
]
CASES = [ml.Logistic(), ml.CrossEntropy(), ml.Sparsemax()]
BACKEND = "aot_eager"  # needs no C++ compiler, and no minute of one


@pytest.fixture
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def data(case: Any, n: int = 5, seed: int = 0) -> tuple[Any, Any]:
    g = torch.Generator().manual_seed(seed)
    if case.family == "simplex":
        return torch.randn(n, 4, dtype=torch.float64, generator=g), torch.randint(0, 4, (n,), generator=g)
    return torch.randn(n, dtype=torch.float64, generator=g), torch.rand(n, dtype=torch.float64, generator=g)


def full_hessian(case: Any, z: Any, y: Any) -> Any:
    """The hessian of the mean, a row at a time, by the engine's own numbers."""
    if case.family != "simplex":
        return torch.diag(torch.from_numpy(case.hessian(z.numpy(), y.numpy()))) / len(z)
    n, k = z.shape
    made = torch.zeros(n, k, n, k, dtype=z.dtype)
    for j in range(k):
        unit = torch.zeros_like(z)
        unit[:, j] = 1
        columns = torch.from_numpy(case.hessian_product(z.numpy(), y.numpy(), unit.numpy()))
        for i in range(n):
            made[i, :, i, j] = columns[i] / n
    return made


@pytest.mark.parametrize("case", sweep(CASES, lambda case: case.name != "sparsemax"), ids=label)  # whose loops cost 7 s
def test_torch_func(case: Any) -> None:
    z, y = data(case)

    def mean(z: Any) -> Any:
        return loss(case, z, y)

    def close(a: Any, b: Any) -> None:
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-13)

    g = torch.from_numpy(case.gradient(z.numpy(), y.numpy())) / len(z)
    h = full_hessian(case, z, y)
    close(grad(mean)(z), g)
    close(jacfwd(mean)(z), g)
    close(jvp(mean, (z,), (g,))[1], (g * g).sum())
    for twice in (hessian, lambda f: jacrev(jacrev(f)), lambda f: jacrev(jacfwd(f))):
        close(twice(mean)(z), h)
    batch = torch.stack([z, -z, 2 * z])
    close(vmap(mean)(batch), torch.stack([mean(b) for b in batch]))
    close(vmap(grad(mean))(batch), torch.stack([grad(mean)(b) for b in batch]))
    close(vmap(hessian(mean))(batch), torch.stack([full_hessian(case, b, y) for b in batch]))
    w = torch.rand(len(z), dtype=z.dtype)
    per_row = vmap(lambda z, y, w: loss(case, z, y, w, reduction="none"))(z, y, w)  # one row a call
    close(per_row, loss(case, z, y, w, reduction="none"))
    close(vmap(case.predict)(batch), case.predict(batch))
    close(vmap(lambda z: case.hessian(z, y))(batch), torch.stack([case.hessian(b, y) for b in batch]))


@pytest.mark.parametrize("case", CASES, ids=label)
def test_what_is_not_offered_raises(case: Any) -> None:
    z, y = data(case)
    with pytest.raises(NotImplementedError, match="forward derivative of a forward derivative"):
        jacfwd(jacfwd(lambda z: loss(case, z, y)))(z)
    with pytest.raises(NotImplementedError, match="third derivatives"):
        jacrev(hessian(lambda z: loss(case, z, y)))(z)
    raw = z.clone().requires_grad_()
    (g,) = torch.autograd.grad(loss(case, raw, y), raw, create_graph=True)
    (h,) = torch.autograd.grad(g.pow(2).sum(), raw, create_graph=True)
    with pytest.raises(NotImplementedError, match="third derivatives"):
        h.sum().backward()
    if case.family != "simplex":
        for derive in (lambda f: grad(f, argnums=1), lambda f: jacfwd(f, argnums=1)):
            with pytest.raises((NotImplementedError, ValueError), match="target"):
                derive(lambda z, y: loss(case, z, y))(z, y)


@pytest.mark.parametrize("case", CASES, ids=label)
def test_bad_rows_are_nan_where_values_are_not_visible(case: Any) -> None:
    z, y = data(case)
    y[1] = 7
    made = _rules.rule_of(case).composite(z, y, None)
    for x in made:
        nan = x.isnan().reshape(len(z), -1)
        assert nan[1].all() and not nan[[0, 2, 3, 4]].any()
    weighted = _rules.rule_of(case).composite(z, y, torch.tensor([1.0, 0.0, 1.0, 1.0, float("nan")]))
    for x in weighted:
        assert not x[1].any() and x[4].isnan().all() and x[[0, 2, 3]].isfinite().all()
    if case.family == "simplex":
        p = torch.full_like(z, 0.25)
        p[2, 0] += 0.01
        p[3, :2] = torch.tensor([-0.25, 0.75])
        bad = _rules.rule_of(case).composite(z, p, None).value.isnan()
        assert bad.tolist() == [False, False, True, True, False]


@pytest.mark.usefixtures("_fresh")
@pytest.mark.parametrize("case", sweep(CASES, lambda case: case.name in ("logistic", "cross_entropy")), ids=label)
def test_compile_uses_our_backward(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gradient that is doubled on purpose comes out doubled: the compiler did not differentiate the forward itself."""
    z, y = data(case)
    raw = z.clone().requires_grad_()
    loss(case, raw, y).backward()
    kind = type(_rules.rule_of(case))
    honest = kind.composite

    def doubled(*arguments: Any, **options: Any) -> Any:
        made = honest(*arguments, **options)
        return made._replace(gradient=2 * made.gradient)

    for composite, factor in ((honest, 1), (doubled, 2)):
        torch._dynamo.reset()
        monkeypatch.setattr(kind, "composite", composite)
        compiled = torch.compile(lambda raw, y: loss(case, 1.0 * raw, y), fullgraph=True, backend=BACKEND)
        again = z.clone().requires_grad_()
        compiled(again, y).backward()
        torch.testing.assert_close(again.grad, factor * raw.grad, rtol=1e-12, atol=1e-14)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("_fresh")
def test_compile_of_changing_losses_sizes_and_weights() -> None:
    compiled = torch.compile(lambda case, z, y, w: case(z, y, w), fullgraph=True, backend=BACKEND)
    tanh, sigmoid = ml.match(lambda m, raw: m.tanh(raw)), ml.match(lambda m, raw: m.sigmoid(raw))
    for n, case in enumerate((ml.Huber(1.0), ml.Huber(2.0), ml.Huber(3.0), ml.Huber(1.0), tanh, sigmoid, tanh), start=4):
        z, y, w = 4 * torch.linspace(-1, 1.5, n), torch.zeros(n), torch.arange(n) / 2
        assert torch.allclose(compiled(case, z, y, w), case(z, y, w), rtol=1e-6)
    module = Loss(ml.Huber(1.0))
    run = torch.compile(module, fullgraph=True, backend=BACKEND)
    for case in (ml.Huber(1.0), ml.Huber(5.0)):
        module.loss = case
        assert torch.allclose(run(z, y), case(z, y), rtol=1e-6)


@pytest.mark.usefixtures("_fresh")
def test_a_loss_made_inside_a_compiled_function_is_refused() -> None:
    z, y = data(ml.Logistic())
    with pytest.raises(Exception, match="make the loss outside"):
        torch.compile(lambda z, y: ml.Huber(3.0)(z, y), fullgraph=True, backend=BACKEND)(z, y)
    outside = ml.Huber()  # what the tracer's fake, which has no fields but the class's defaults, is equal to
    torch.testing.assert_close(torch.compile(outside, fullgraph=True, backend=BACKEND)(z, y), outside(z, y))


@pytest.mark.usefixtures("_fresh")
def test_compile_of_evaluate_predict_and_transforms() -> None:
    case = ml.Poisson()
    z, y = data(case)
    got = torch.compile(lambda z, y: (*case.evaluate(z, y, hessian=True), case.predict(z)), fullgraph=True, backend=BACKEND)(z, y)
    for a, b in zip(got, (*case.evaluate(z, y, hessian=True), case.predict(z)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-15)
    for transform in (grad, hessian):
        made = torch.compile(transform(lambda z: loss(case, z, y)), fullgraph=True, backend=BACKEND)(z)
        torch.testing.assert_close(made, transform(lambda z: loss(case, z, y))(z), rtol=1e-12, atol=1e-15)
    tail = torch.compile(grad(lambda z: loss(ml.Logistic(), z, torch.ones_like(z))), fullgraph=True, backend=BACKEND)
    assert tail(torch.tensor([40.0], dtype=torch.float64)).item() == -4.248354255291589e-18


@pytest.mark.exhaustive
@pytest.mark.usefixtures("_fresh")
def test_inductor_with_sizes_that_change() -> None:
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        get_cpp_compiler()
    except Exception as error:
        pytest.skip(f"torch.compile's own backend needs a C++ compiler: {error}")
    compiled = torch.compile(lambda z, y: loss(ml.Logistic(), 2 * z, y), fullgraph=True, dynamic=True)
    for n in (5, 7, 9):
        z, y = data(ml.Logistic(), n)
        a, b = z.clone().requires_grad_(), z.clone().requires_grad_()
        compiled(a, y).backward()
        loss(ml.Logistic(), 2 * b, y).backward()
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("case", CASES, ids=label)
def test_meta_and_fake_tensors(case: Any) -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    z, y = data(case)
    raw = z.to("meta").requires_grad_()
    loss(case, raw, y.to("meta")).backward()
    assert raw.grad is not None and raw.grad.shape == z.shape and raw.grad.device.type == "meta"
    with FakeTensorMode(allow_non_fake_inputs=True):
        raw = torch.empty(z.shape, dtype=torch.float64, requires_grad=True)
        value = loss(case, raw, torch.empty(y.shape, dtype=y.dtype))
        value.backward()
        assert value.shape == () and raw.grad is not None and raw.grad.shape == z.shape


@pytest.mark.usefixtures("_fresh")
@pytest.mark.parametrize("case", [ml.Logistic(), ml.Sparsemax()], ids=label)
def test_export_and_make_fx(case: Any) -> None:
    from torch.fx.experimental.proxy_tensor import make_fx

    z, y = data(case)

    class Model(torch.nn.Module):
        def forward(self, z: Any, y: Any) -> Any:
            return loss(case, z, y)

    program = torch.export.export(Model(), (z, y))
    torch.testing.assert_close(program.module()(-z, y), loss(case, -z, y), rtol=1e-13, atol=0)
    traced = make_fx(lambda z: loss(case, z, y, reduction="none"))(z)
    torch.testing.assert_close(traced(z + 1), loss(case, z + 1, y, reduction="none"), rtol=1e-13, atol=1e-15)


def test_torch_jit_trace_records_the_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is traced follows its inputs, to batches of another size too, and has the formula's gradient."""
    sweeps.spare_loops(monkeypatch)  # the formula by PyTorch's operations, as it is traced
    g = torch.Generator().manual_seed(1)
    z, other, y, wanted = (torch.rand(n, 4, generator=g) for n in (5, 8, 5, 8))
    labels, more, w = torch.tensor([0, 1, 3, 3, 2]), torch.arange(8) % 4, torch.rand(4, generator=g)
    pointwise = ("mse_loss", "l1_loss", "huber_loss", "binary_cross_entropy_with_logits", "poisson_nll_loss", "soft_margin_loss")
    functions = [(getattr(mt, name), y, wanted) for name in pointwise]
    functions += [
        (lambda z, y: loss(ml.Tweedie(), z, y, y), y, wanted),
        (lambda z, y: loss(ml.Sparsemax(), z, y, reduction="none"), labels, more),
        (mt.cross_entropy, labels, more),
        (lambda z, y: mt.cross_entropy(z, y, w, label_smoothing=0.1, reduction="none"), labels, more),
        (lambda z, y: mt.linear_cross_entropy(z, z[:3] * 0 + w, y % 3), labels, more),
    ]
    for function, first, second in functions:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of shapes that are compared, and that tracing is deprecated
            traced: Any = torch.jit.trace(function, (z, first))
        a, b = (other.clone().requires_grad_() for _ in range(2))
        got, want = traced(a, second), function(b, second)
        torch.testing.assert_close(got, want)
        torch.testing.assert_close(torch.autograd.grad(got.sum(), a), torch.autograd.grad(want.sum(), b))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced: Any = torch.jit.trace(mt.cross_entropy, (torch.zeros(1, 3), torch.tensor([0])))
    row = torch.tensor([[40.0, -torch.inf, 0.0]], requires_grad=True)
    (slope,) = torch.autograd.grad(traced(row, torch.tensor([0])), row)
    assert slope[0, 0].item() == pytest.approx(-4.248354e-18, rel=1e-5) and slope[0, 1] == 0


@pytest.mark.parametrize("name", ["MSELoss", "CrossEntropyLoss", "BCEWithLogitsLoss"])
def test_a_symbolic_trace_keeps_a_drop_in_as_a_step(name: str) -> None:
    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.loss = torch.nn.Linear(4, 4), getattr(mt, name)()

        def forward(self, x: Any, y: Any) -> Any:
            return self.loss(self.layer(x), y) + mt.mse_loss(self.layer(x), x)

    model = Model()
    x = torch.rand(5, 4)
    y = torch.tensor([0, 1, 2, 3, 1]) if name == "CrossEntropyLoss" else torch.ones(5, 4)
    traced = torch.fx.symbolic_trace(model)
    assert torch.equal(traced(x, y), model(x, y))


def test_a_symbolic_trace_keeps_any_loss_as_a_step() -> None:
    x, y, w = torch.rand(5, 4, requires_grad=True), torch.ones(5, 4), torch.rand(5, 4)
    for case in (ml.Poisson(), ml.Tweedie(power=1.3), ml.SquaredError()):
        module = Loss(case, reduction="sum")
        traced = torch.fx.symbolic_trace(module)
        assert [node.target for node in traced.graph.nodes if node.target is loss] == [loss]
        assert torch.equal(traced(x, y, w), module(x, y, w))
        assert torch.equal(*(torch.autograd.grad(made(x, y, w), x)[0] for made in (traced, module)))


@pytest.mark.parametrize("case", CASES, ids=label)
def test_checkpoint_and_autocast(case: Any) -> None:
    z, y = data(case)
    a, b = z.clone().requires_grad_(), z.clone().requires_grad_()
    checkpoint(lambda z: loss(case, z, y), a, use_reentrant=False).backward()
    loss(case, b, y).backward()
    assert torch.equal(a.grad, b.grad)
    layer = torch.nn.Linear(z.shape[-1], z.shape[-1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        raw = layer(z.float())
        value = loss(case, raw, y)
    value.backward()
    assert raw.dtype == torch.bfloat16 and value.dtype == torch.float32 and layer.weight.grad is not None
    assert layer.weight.grad.isfinite().all()


def test_inference_mode_and_tensors_made_there() -> None:
    z, y = data(ml.Logistic())
    with torch.inference_mode():
        want = loss(ml.Logistic(), z + 0, y + 0)
        assert torch.equal(ml.Logistic().predict(z + 0), ml.Logistic().predict(z))
    assert torch.equal(want, loss(ml.Logistic(), z, y))


def test_a_subclass_of_tensor_keeps_its_type() -> None:
    class Named(torch.Tensor):
        pass

    z, y = data(ml.Logistic())
    named = z.as_subclass(Named)
    raw = z.clone().requires_grad_()
    value = ml.Logistic()(named, y)
    assert isinstance(value, Named) and torch.allclose(value.as_subclass(torch.Tensor), ml.Logistic()(z, y))
    loss(ml.Logistic(), raw.as_subclass(Named), y).backward()
    assert torch.allclose(raw.grad.as_subclass(torch.Tensor), ml.Logistic().gradient(z, y) / len(z))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("case", CASES, ids=label)
def test_on_cuda(case: Any) -> None:
    z, y = data(case, 50)
    a, b = z.clone().requires_grad_(), z.cuda().requires_grad_()
    loss(case, a, y).backward()
    value = loss(case, b, y.cuda())
    value.backward()
    assert value.is_cuda and b.grad is not None
    torch.testing.assert_close(b.grad.cpu(), a.grad, rtol=1e-11, atol=1e-14)
    bad = y.clone()
    bad[3] = 9
    assert loss(case, b, bad.cuda(), reduction="none").isnan().tolist() == [i == 3 for i in range(50)]
