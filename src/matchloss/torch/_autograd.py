"""How losses join autograd: the Functions that use the rule of a loss, `_rule.Rule`.

Plainly eager calls run `PerRow` or `Total`, on compiled loops. Everything else (torch.func, tracing, other devices) runs `Value`, whose
derivative is `Gradient`, whose derivative is `Product`, the hessian times a vector. torch.compile sees `traced`, opaque operators that
keep these derivatives; otherwise it would inline the forward pass and differentiate that. torch.jit.trace sees `linked`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd import Function

from matchloss.torch._plain import batched, plain, refuse_nested_forward, tracing
from matchloss.torch._rule import Rule, Slopes
from matchloss.torch._tensors import loss_dtype

THIRD = "third derivatives of a loss are not offered: PyTorch would differentiate through the branches of its hessian"
ONCE = "overwrite=True: the gradient took the logits' memory; there is one backward, and no derivative of it"
UNDERIVED = "the derivative of a loss in its target or its weights is not offered; detach them"


def per_row(rule: Rule, raw: Tensor, *given: Tensor | None, overwrite: bool = False) -> tuple[Tensor, ...]:
    """weight * value of each row, and the rule's extra results; the arguments have been checked."""
    if plain(raw, *given) and rule.can_run:
        if raw.requires_grad and torch.is_grad_enabled():
            return PerRow.apply(rule, overwrite, raw, *given)
        return rule.values(raw, *given)
    return COMPUTES["value"](rule, raw, *given)


def total(rule: Rule, raw: Tensor, scale: float, overwrite: bool, *given: Tensor | None) -> tuple[Tensor, ...]:
    """scale * sum(weight * value) of plain tensors; the same pass computes the gradient, with `overwrite` in raw's memory."""
    if raw.requires_grad and torch.is_grad_enabled():
        return Total.apply(rule, scale, overwrite, raw, *given)
    value, _, *others = rule.total(raw, scale, False, False, *given)
    return _scalars(raw, value, others)


def _scalars(raw: Tensor, value: float, others: list[float]) -> tuple[Tensor, ...]:
    dtype = loss_dtype(raw)
    try:
        return tuple([torch.scalar_tensor(x, dtype=dtype, device="cpu") for x in (value, *others)])
    except RuntimeError:  # a sum beyond float32's range, which torch.tensor rounds to infinity at twice the cost
        return tuple([torch.tensor(x, dtype=dtype, device="cpu") for x in (value, *others)])


class Context(Protocol):
    """What a Function's forward leaves for its backward: PyTorch's `ctx` with our attributes."""

    rule: Rule
    overwrite: bool
    memory: Tensor | None  # PerRow, with overwrite: raw's, because raw itself may be Consumed by the time of backward
    scale: float
    given: Sequence[Tensor | None]  # Total, without overwrite
    versions: list[int]  # of `given`
    gradient: Tensor | None
    others: int  # Value: how many results have no derivative
    saved_tensors: tuple[Tensor, *tuple[Tensor | None, ...]]
    needs_input_grad: tuple[bool, ...]

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...
    def save_for_forward(self, *tensors: Tensor | None) -> None: ...
    def mark_non_differentiable(self, *tensors: Tensor) -> None: ...
    def set_materialize_grads(self, value: bool) -> None: ...


class PerRow(Function):
    """Values by a compiled loop. Backward computes the gradient and multiplies it by the incoming one in a single pass."""

    @staticmethod
    def forward(ctx: Context, rule: Rule, overwrite: bool, raw: Tensor, *given: Tensor | None) -> tuple[Tensor, ...]:
        ctx.rule, ctx.overwrite = rule, overwrite
        ctx.memory = raw.detach() if overwrite else None
        ctx.save_for_backward(None if overwrite else raw, *given)
        made = rule.values(raw, *given)
        ctx.mark_non_differentiable(*made[1:])
        return made

    @staticmethod
    def backward(ctx: Context, *grads: Tensor) -> Slopes:
        rule, (raw, *given), g = ctx.rule, ctx.saved_tensors, grads[0]
        again = torch.is_grad_enabled() or batched(g)
        if ctx.overwrite:
            memory, ctx.memory = ctx.memory, None
            if memory is None or again:
                raise RuntimeError(ONCE)
            raw = memory
            torch.autograd.graph.increment_version(raw)
        if again:
            return None, None, rule.spread(g).to(raw.dtype) * Gradient.apply(rule, raw, *given), *_nothing(given)
        return None, None, rule.gradient(raw, g, ctx.overwrite, *given), *_nothing(given)


class Total(Function):
    """A scaled sum, and its gradient in the same pass."""

    @staticmethod
    def forward(ctx: Context, rule: Rule, scale: float, overwrite: bool, raw: Tensor, *given: Tensor | None) -> tuple[Tensor, ...]:
        ctx.rule, ctx.scale, ctx.overwrite = rule, scale, overwrite
        if overwrite:
            torch.autograd.graph.increment_version(raw)
        else:
            ctx.save_for_backward(raw, *given)
        ctx.given, ctx.versions = (_nothing(given), []) if overwrite else (given, _versions(given))
        # float16 underflows below 6e-8, so its gradient is computed in backward, scaled by the factor that a GradScaler puts there.
        value, ctx.gradient, *others = rule.total(raw, scale, overwrite or raw.dtype is not torch.float16, overwrite, *given)
        made = _scalars(raw, value, others)
        if others:
            ctx.mark_non_differentiable(*made[1:])
        return made

    @staticmethod
    def backward(ctx: Context, *grads: Tensor) -> Slopes:
        rule, factor, gradient, given = ctx.rule, grads[0], ctx.gradient, ctx.given
        many, twice = batched(factor), torch.is_grad_enabled()
        if ctx.overwrite:
            if many or twice or gradient is None:
                raise RuntimeError(ONCE)
        elif twice or gradient is None or _versions(given) != ctx.versions:
            raw, *given = ctx.saved_tensors  # raises for tensors that have been changed in place
            if twice:
                gradient = (factor * ctx.scale).to(raw.dtype) * Gradient.apply(rule, raw, *given)
                return None, None, None, gradient, *_nothing(given)
            late = raw.dtype is torch.float16 and not many
            gradient = rule.total(raw, ctx.scale * factor.item() if late else ctx.scale, True, False, *given)[1]
            assert gradient is not None
            if late:
                return None, None, None, gradient, *_nothing(given)
        if many:
            return None, None, None, gradient * factor.to(gradient.dtype), *_nothing(given)
        ctx.gradient = None
        return None, None, None, gradient if factor.item() == 1.0 else gradient.mul_(factor), *_nothing(given)


def _versions(tensors: Sequence[Tensor | None]) -> list[int]:
    """How often each was changed in place. raw needs no check if its gradient has been computed; PyTorch does the same."""
    return [t._version for t in tensors if t is not None]


def _nothing(given: Sequence[Tensor | None]) -> tuple[None, ...]:
    return (None,) * len(given)


def vmapped(function: type[Function]) -> type[Function]:
    """Gives a Function vmap's rule: the batch becomes the first dimension, which works because rows may have any dimensions."""

    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        n = info.batch_size
        moved = [x if not isinstance(x, Tensor) else x.expand(n, *x.shape) if d is None else x.movedim(d, 0)
                 for x, d in zip(args, in_dims, strict=True)]  # fmt: skip
        made = function.apply(*moved)
        return made, (0,) * len(made) if isinstance(made, tuple) else 0

    function.vmap = staticmethod(vmap)
    return function


@vmapped
class Value(Function):
    """(weight * value of each row, weight * gradient, the rule's extra results); only the first is differentiable."""

    @staticmethod
    def forward(rule: Rule, raw: Tensor, *given: Tensor | None) -> tuple[Tensor, ...]:
        return rule.outcome(raw, *given)

    @staticmethod
    def setup_context(ctx: Context, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.rule, ctx.others = inputs[0], len(output) - 1
        ctx.save_for_backward(output[1], *inputs[1:])
        ctx.save_for_forward(*inputs[1:])
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Context, *grads: Tensor | None) -> Slopes:
        gradient, raw, *given = ctx.saved_tensors
        if grads[0] is None:
            return None, None, *_nothing(given)
        _raw_alone(ctx.needs_input_grad)
        if torch.is_grad_enabled():
            gradient = Gradient.apply(ctx.rule, raw, *given)
        return None, ctx.rule.spread(grads[0]).to(gradient.dtype) * gradient, *_nothing(given)

    @staticmethod
    def jvp(ctx: Context, *tangents: Tensor | None) -> Slopes:
        refuse_nested_forward()
        _raw_alone(t is not None for t in tangents)
        value = ctx.rule.gather(tangents[1] * Gradient.apply(ctx.rule, *ctx.saved_tensors))
        return value, *(None,) * ctx.others


@vmapped
class Gradient(Function):
    """weight * gradient of each row."""

    @staticmethod
    def forward(rule: Rule, raw: Tensor, *given: Tensor | None) -> Tensor:
        return rule.slope(raw, *given)

    @staticmethod
    def setup_context(ctx: Context, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.rule = inputs[0]
        ctx.save_for_backward(*inputs[1:])
        ctx.save_for_forward(*inputs[1:])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Context, *grads: Tensor | None) -> Slopes:
        raw, *given = ctx.saved_tensors
        if grads[0] is None:
            return None, None, *_nothing(given)
        _raw_alone(ctx.needs_input_grad)
        return None, _product(ctx.rule, raw, grads[0], given), *_nothing(given)

    @staticmethod
    def jvp(ctx: Context, *tangents: Tensor) -> Tensor:
        _raw_alone(t is not None for t in tangents)
        raw, *given = ctx.saved_tensors
        return _product(ctx.rule, raw, tangents[1], given)


def _product(rule: Rule, raw: Tensor, v: Tensor, given: Sequence[Tensor | None]) -> Tensor:
    return rule.product(raw, v, *given) if rule.thrice else Product.apply(rule, raw, v, *given)


@vmapped
class Product(Function):
    """The weighted hessian of each row times v. It is symmetric, so it serves as its own derivative in v."""

    @staticmethod
    def forward(rule: Rule, raw: Tensor, v: Tensor, *given: Tensor | None) -> Tensor:
        return rule.product(raw, v, *given)

    @staticmethod
    def setup_context(ctx: Context, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.rule = inputs[0]
        ctx.save_for_backward(inputs[1], *inputs[3:])
        ctx.save_for_forward(inputs[1], *inputs[3:])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Context, *grads: Tensor | None) -> Slopes:
        raw, *given = ctx.saved_tensors
        if grads[0] is None:
            return None, None, None, *_nothing(given)
        if ctx.needs_input_grad[1]:
            raise NotImplementedError(THIRD)
        return None, None, Product.apply(ctx.rule, raw, grads[0], *given), *_nothing(given)

    @staticmethod
    def jvp(ctx: Context, *tangents: Tensor) -> Tensor:
        if tangents[1] is not None:
            raise NotImplementedError(THIRD)
        raw, *given = ctx.saved_tensors
        return Product.apply(ctx.rule, raw, tangents[2], *given)


@vmapped
class Hessian(Function):
    """weight * hessian of each row, or the given curvature in its place."""

    @staticmethod
    def forward(rule: Rule, raw: Tensor, target: Tensor, weight: Tensor | None, curvature: str) -> Tensor:
        return rule.hessian(raw, target, weight, curvature)

    @staticmethod
    def setup_context(ctx: Context, inputs: tuple[Any, ...], output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Context, *grads: Tensor | None) -> Slopes:
        raise NotImplementedError(THIRD)

    @staticmethod
    def jvp(ctx: Context, *tangents: Tensor) -> Tensor:
        raise NotImplementedError(THIRD)


@vmapped
class Prediction(Function):
    """The prediction of each row."""

    @staticmethod
    def forward(rule: Rule, raw: Tensor) -> Tensor:
        return rule.predict(raw)

    @staticmethod
    def setup_context(ctx: Context, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.rule = inputs[0]
        ctx.save_for_backward(inputs[1])
        ctx.save_for_forward(inputs[1])

    @staticmethod
    def backward(ctx: Context, *grads: Tensor) -> Slopes:
        return None, ctx.rule.predict_product(ctx.saved_tensors[0], grads[0])

    @staticmethod
    def jvp(ctx: Context, *tangents: Tensor) -> Tensor:
        refuse_nested_forward()
        return ctx.rule.predict_product(ctx.saved_tensors[0], tangents[1])


def _raw_alone(derived: Iterable[bool]) -> None:
    if any(list(derived)[2:]):
        raise NotImplementedError(UNDERIVED)


def linked(rule: Rule, raw: Tensor, *given: Tensor | None) -> tuple[Tensor, ...]:
    """The values by operations that torch.jit.trace can record: value + gradient * (raw - raw.detach()), whose slope is the gradient."""
    still = raw.detach()
    value, gradient, *others = rule.outcome(still, *given)
    limit = torch.finfo(gradient.dtype).max  # infinity times the difference, 0, would be NaN
    step = torch.where(still.isfinite(), raw - still, 0.0)
    return (value + rule.gather(gradient.detach().clamp(-limit, limit) * step), *others)


def _values(rule: Rule, raw: Tensor, *given: Tensor | None) -> tuple[Tensor, ...]:
    if tracing():
        return linked(rule, raw, *given)
    value, _, *others = Value.apply(rule, raw, *given)
    return (value, *others)


def _recorded(function: type[Function], method: str) -> Callable[..., Any]:
    """The function, or under torch.jit.trace the rule's own operations, which can be recorded."""

    def compute(rule: Rule, *args: Any) -> Any:
        return getattr(rule, method)(*args) if tracing() else function.apply(rule, *args)

    return compute


COMPUTES: dict[str, Callable[..., Any]] = {  # (rule, raw, *given)
    "value": _values,
    "gradient": _recorded(Gradient, "slope"),
    "hessian": _recorded(Hessian, "hessian"),
    "predict": _recorded(Prediction, "predict"),
}
FINDERS: dict[str, Callable[..., Rule]] = {}  # functions that find the rule for the strings and numbers that stand for it in a graph


@torch.compiler.allow_in_graph
def traced(what: str, key: tuple[str | float, ...], raw: Tensor, *given: Any) -> Any:
    """COMPUTES[what] as a single node of torch.compile's graph, for the rule that FINDERS gives for the key.

    The rule is passed as strings and numbers because the tracer would replace an object by a fake.
    """
    return COMPUTES[what](FINDERS[str(key[0])](*key[1:]), raw, *given)
