"""PyTorch's own samples for its losses (op_db, module_db) against ours: each agrees, or has an entry in the table of differences."""

from __future__ import annotations

import copy
import importlib.util
import pickle
import sys
import unittest
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import sweeps
from sweeps import sweep
from torch_differences import DIFFERENCES, Call

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402

import matchloss.torch as mt  # noqa: E402

OURS = mt.functional.__all__
NAMES = {"BCEWithLogitsLoss": "binary_cross_entropy_with_logits"}  # of a module's function, where it is not the module's in snake case
TOLERANCE = {torch.float64: 1e-12}


@lru_cache
def pytorchs(file: str, database: str, name: str) -> list[Any]:
    """The entries of this name in a database of PyTorch's tests, which takes seconds to import."""
    if "expecttest" not in sys.modules and importlib.util.find_spec("expecttest") is None:  # PyTorch's samples do not need it
        sys.modules["expecttest"] = ModuleType("expecttest")
        sys.modules["expecttest"].TestCase = unittest.TestCase  # pyright: ignore[reportAttributeAccessIssue]
    found = getattr(importlib.import_module(f"torch.testing._internal.{file}"), database)
    return [info for info in found if info.name == name]


def call_of(name: str, input: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Call:
    """A sample as the table's predicates see it."""
    order = {"linear_cross_entropy": ("linear_weight", "target"), "gaussian_nll_loss": ("target", "var")}.get(name, ("target",))
    given = dict(zip(order, args, strict=True)) | options
    return Call(name, input, given.pop("target"), given)


def outcome(function: Callable[..., Any], call: Call) -> Any:
    """Result and gradient, or the error."""
    differentiable = call.input.is_floating_point() or call.input.is_complex()
    raw = call.input.detach().clone().requires_grad_(differentiable)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = function(raw, target=call.target, **call.options)
            gradient = torch.autograd.grad(result.abs().sum(), raw)[0] if result.requires_grad else None
        except (ValueError, TypeError, RuntimeError, IndexError) as error:  # an AttributeError, say, is a defect
            return error
    return result.detach(), gradient


def agree(ours: Any, theirs: Any) -> bool:
    """Whether both raise, or both give the same numbers in the same dtype."""
    if isinstance(ours, Exception) or isinstance(theirs, Exception):
        return isinstance(ours, Exception) and isinstance(theirs, Exception)
    tolerance = TOLERANCE.get(theirs[0].dtype, 1e-5)
    try:
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance, equal_nan=True)
    except AssertionError:
        return False
    return True


def check(call: Call, ours: Any, theirs: Any) -> None:
    """Both agree, or the table says what either does."""
    if agree(ours, theirs):
        return
    found = [difference for difference in DIFFERENCES if difference.applies(call)]
    assert found, f"{call}: {ours} here, PyTorch's is {theirs}, and the table of differences has no entry"
    for result, allowed in ((ours, {d.raises for d in found}), (theirs, {d.pytorch_raises for d in found})):
        if isinstance(result, Exception):
            assert type(result).__name__ in allowed, f"{call}: {result!r}"
        else:
            assert None in allowed, f"{call}: {result}, where the table says {allowed}"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sweep(OURS, lambda name: name != "linear_cross_entropy"))
def test_each_of_pytorchs_samples_agrees_or_has_an_entry_in_the_table(name: str) -> None:
    ours, theirs, n = getattr(mt, name), getattr(F, name), 0
    for op in pytorchs("common_methods_invocations", "op_db", f"nn.functional.{name}"):
        dtypes = op.dtypes if sweeps.everything else {torch.float32}  # for each more, all loops would be compiled again
        for dtype in sorted({*dtypes, torch.int64, torch.complex64}, key=str):
            try:
                found = list(op.sample_inputs("cpu", dtype))
            except (ValueError, RuntimeError):
                assert dtype not in op.dtypes  # PyTorch has no samples of a dtype that it does not take
                continue
            if op.error_inputs_func and dtype is torch.float32:
                found += [wrong.sample_input for wrong in op.error_inputs("cpu")]
            for sample in found:
                call, n = call_of(name, sample.input, sample.args, sample.kwargs), n + 1
                check(call, outcome(ours, call), outcome(theirs, call))
    assert n >= 10


def snake(name: str) -> str:
    """The function of a module, such as mse_loss of MSELoss."""
    if name in NAMES:
        return NAMES[name]
    wanted = name.lower()
    return next(f for f in mt.functional.__all__ if f.replace("_", "") in (wanted, wanted.removesuffix("loss")))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sweep(mt.modules.__all__, lambda name: name != "LinearCrossEntropyLoss"))  # which has 18 s of samples
@pytest.mark.parametrize("dtype", sweep([torch.float32, torch.float64, torch.bfloat16], lambda dtype: dtype is torch.float32), ids=str)
def test_modules_are_pytorchs(name: str, dtype: Any) -> None:
    (info,), n = pytorchs("common_modules", "module_db", f"nn.{name}"), 0
    ours, theirs = getattr(mt, name), getattr(torch.nn, name)
    for sample in info.module_inputs_func(info, device="cpu", dtype=dtype, requires_grad=False, training=True):
        given, n = sample.constructor_input, n + 1
        a, b = ours(*given.args, **given.kwargs), theirs(*given.args, **given.kwargs)
        assert isinstance(a, theirs) and repr(a) == repr(b) and list(a.state_dict()) == list(b.state_dict())
        a.load_state_dict(b.state_dict())
        kept = {key for key in vars(b) if not key.startswith("_")}
        assert kept <= set(vars(a)) and all(vars(a)[key] == vars(b)[key] for key in kept)
        a, b = a.to(dtype), b.to(dtype)
        args, options = sample.forward_input.args, dict(sample.forward_input.kwargs)
        made = {key: getattr(b, key) for key in ("weight", "pos_weight", "ignore_index") if getattr(b, key, None) is not None}
        if name == "LinearCrossEntropyLoss":
            made["linear_weight"] = b.linear.weight
        call = Call(snake(name), args[0], args[1], made | ({"var": args[2]} if len(args) > 2 else {}))

        def run(module: Any, call: Call = call, args: Any = args, options: Any = options) -> Any:
            return outcome(lambda raw, **_: module(raw, *args[1:], **options), call)

        check(call, run(a), run(b))
        for other in (copy.deepcopy(a), pickle.loads(pickle.dumps(a))):
            assert type(other) is ours and repr(other) == repr(a)
    assert n


def test_a_list_as_target_is_refused_in_words() -> None:
    raw = torch.zeros(2, 2)
    for name in sorted(set(OURS) - {"linear_cross_entropy"}):
        more = {"var": 1.0} if name == "gaussian_nll_loss" else {}
        for wrong in ([0, 1], raw.numpy(), 1.0, None):
            with pytest.raises(TypeError, match=r"target is a \w+; it must be a torch.Tensor: pass torch.as_tensor\(target\)"):
                getattr(mt, name)(raw, wrong, **more)
            with pytest.raises(TypeError, match=r"input is a \w+; it must be"):
                getattr(mt, name)(wrong, raw, **more)
        with pytest.raises(TypeError, match="sample_weight is a list"):
            getattr(mt, name)(raw, torch.tensor([0, 1]) if name == "cross_entropy" else raw, sample_weight=[1.0], **more)


def test_errors_name_what_was_passed() -> None:
    raw, ones, minus = torch.zeros(2, 2), torch.ones(2, 2), torch.tensor([[1.0, 2.0], [3.0, -0.5]])
    for name in ("mse_loss", "l1_loss", "huber_loss", "binary_cross_entropy_with_logits", "multilabel_soft_margin_loss"):
        function = getattr(mt, name)
        with pytest.raises(ValueError, match=r"^weight\[1, 1\] is -0.5; allowed: finite and >= 0"):
            function(raw, ones, weight=minus)
        with pytest.raises(ValueError, match=r"^weight requires grad"):
            function(raw, ones, weight=minus.clone().requires_grad_())
        if name != "multilabel_soft_margin_loss":
            with pytest.raises(ValueError, match=r"^sample_weight\[1, 1\] is -0.5"):
                function(raw, ones, weight=ones, sample_weight=minus)
    with pytest.raises(ValueError, match=r"^weight\[1, 1\] is -0.5"):
        mt.binary_cross_entropy_with_logits(raw, ones, weight=minus, pos_weight=torch.tensor(3.0))
    with pytest.raises(TypeError, match=r"^input has dtype torch.int64"):
        mt.mse_loss(raw.long(), ones)


def test_ignore_index_is_of_labels() -> None:
    raw, distributions = torch.zeros(2, 2), torch.full((2, 2), 0.5)
    for index, refused in ((1, True), (0, True), (-1, False), (-100, False)):
        call = Call("cross_entropy", raw, distributions, {"ignore_index": index})
        for function in (mt.cross_entropy, F.cross_entropy):
            assert isinstance(outcome(function, call), Exception) == refused


def test_the_page_says_of_every_loss_of_pytorch_whose_it_is() -> None:
    page = (Path(__file__).parent.parent / "docs" / "from-pytorch.md").read_text()
    ours = page.partition("## Names")[2].partition("\n\nEverything")[0]
    theirs = page.partition("**PyTorch's own.**")[2].partition("\n\n")[0]
    losses = {name for name in dir(F) if name.endswith("_loss") or name in ("kl_div", "cross_entropy") or "binary_cross" in name}
    for name in losses | {"linear_cross_entropy"}:
        assert (f"`{name}`" in ours) == (name in {*OURS, *mt.structured.__all__}) != (f"`{name}`" in theirs), name
