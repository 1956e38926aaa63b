"""How structured losses join autograd: one opaque operator gives the values of all groups and, in the same pass, every gradient.

PyTorch never sees inside: torch.compile keeps the operator as a node of its graph, vmap calls it once an entry of the batch. The groups'
weights hold the reduction, so that a scalar loss is the sum of its values. Tensors of other devices are computed on the CPU.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function

from matchloss.engine import threads
from matchloss.errors import ShapeError
from matchloss.torch._plain import plain
from matchloss.torch._tensors import FLOATS, loss_dtype, whole

TWICE = "second derivatives of a structured loss are not offered: detach its gradient, or use a loss of rows"
REDUCTIONS = ("none", "mean", "sum")
Array = NDArray[Any]


class Kernel(NamedTuple):
    """A loss as the operator calls it; `given` are the tensors that describe what was observed."""

    groups: Callable[[Sequence[Tensor], Sequence[Tensor]], int]  # how many values, from shapes alone
    compute: Callable[[tuple[Array, ...], tuple[Array, ...], Array, bool], tuple[Array, tuple[Array, ...]]]
    singles: bool = False  # whether float32 scores are computed as they are


KERNELS: dict[str, Callable[..., Kernel]] = {}  # by family: makes a kernel from options, numbers and texts


@lru_cache(maxsize=1024)
def kernel_of(key: str) -> Kernel:
    """The kernel that a string in a graph stands for."""
    family, *options = key.split(";")
    return KERNELS[family](**{name: ast.literal_eval(text) for name, _, text in (option.partition("=") for option in options)})


def key_of(family: str, **options: Any) -> str:
    """The string that stands for a kernel: strings are what tracers hand through unchanged."""
    return ";".join([family, *(f"{name}={value!r}" for name, value in options.items())])


def host_array(t: Tensor) -> Array:
    """A tensor's numbers as a C-ordered array; half precision as float32."""
    return np.ascontiguousarray(whole(t.detach().cpu()))


def run(raw: Sequence[Tensor], given: Sequence[Tensor], weight: Tensor, key: str, graded: bool) -> list[Tensor]:
    """weight * value of each group in float64, and the gradient of their sum in each tensor of raw (none if not graded)."""
    kernel = kernel_of(key)
    single = kernel.singles and all(loss_dtype(t) is torch.float32 for t in raw)
    arrays = tuple(host_array(t) if single else host_array(t).astype(np.float64, copy=False) for t in raw)
    with threads.at_most(torch.get_num_threads()):
        values, gradients = kernel.compute(arrays, tuple(host_array(t) for t in given), host_array(weight), graded)
    made = [torch.from_numpy(values).to(raw[0].device)]
    return made + [torch.from_numpy(x).reshape(t.shape).to(t.device, loss_dtype(t)) for x, t in zip(gradients, raw, strict=graded)]


def pull(
    raw: Sequence[Tensor], given: Sequence[Tensor], weight: Tensor, gradients: Sequence[Tensor], factor: Tensor, key: str
) -> list[Tensor]:
    """The gradients of sum(factor * values): those at hand times the factor where it is one number, otherwise a second evaluation."""
    if factor.numel() and bool((factor == factor.reshape(-1)[0]).all()):
        g = factor.reshape(-1)[0].item()
        return [(x if g == 1 else x * g).to(t.dtype) for x, t in zip(gradients, raw, strict=True)]
    made = run(raw, given, weight * factor.to(weight.dtype), key, True)[1:]
    return [x.to(t.dtype) for x, t in zip(made, raw, strict=True)]


@torch.library.custom_op("matchloss::structured", mutates_args=())
def run_traced(raw: list[Tensor], given: list[Tensor], weight: Tensor, key: str, graded: bool) -> list[Tensor]:
    """`run`, opaque to tracers."""
    return run(raw, given, weight, key, graded)


@run_traced.register_fake
def _(raw: list[Tensor], given: list[Tensor], weight: Tensor, key: str, graded: bool) -> list[Tensor]:
    values = raw[0].new_empty(kernel_of(key).groups(raw, given), dtype=torch.float64)
    return [values, *(x.new_empty(x.shape, dtype=loss_dtype(x)) for x in raw)] if graded else [values]


@torch.library.custom_op("matchloss::structured_backward", mutates_args=())
def pull_traced(raw: list[Tensor], given: list[Tensor], weight: Tensor, gradients: list[Tensor], factor: Tensor, key: str) -> list[Tensor]:
    """`pull`, opaque to tracers; its results are copies."""
    return [x.clone() for x in pull(raw, given, weight, gradients, factor, key)]


@pull_traced.register_fake
def _(raw: list[Tensor], given: list[Tensor], weight: Tensor, gradients: list[Tensor], factor: Tensor, key: str) -> list[Tensor]:
    return [torch.empty_like(x, memory_format=torch.contiguous_format) for x in raw]


def visible(*tensors: Tensor) -> bool:
    """Whether a Function's forward gets numbers, and not a tracer's stand-ins for them."""
    return all(type(t) in (Tensor, torch.nn.Parameter) for t in tensors) and not torch.compiler.is_compiling()


class Values(Function):
    """weight * value of each group; the gradients that came with them wait for backward. n: how many of the tensors are raw."""

    @staticmethod
    def forward(key: str, graded: bool, n: int, weight: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple((run if visible(*tensors) else run_traced)(list(tensors[:n]), list(tensors[n:]), weight, key, graded))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.key, _, ctx.n, weight, *tensors = inputs
        ctx.save_for_backward(weight, *tensors, *output[1:])
        ctx.many = len(tensors)
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        weight, *rest = ctx.saved_tensors
        tensors, gradients = rest[: ctx.many], rest[ctx.many :]
        nothing = (None,) * (4 + ctx.many)
        if grads[0] is None:
            return nothing
        return *nothing[:4], *Pull.apply(ctx.key, ctx.n, grads[0], weight, *tensors, *gradients), *nothing[4 + ctx.n :]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        return _each(Values, info, in_dims, args)


class Pull(Function):
    """What backward gives: the gradients times the factors that arrived. It has no derivative."""

    @staticmethod
    def forward(key: str, n: int, factor: Tensor, weight: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        raw, given, gradients = tensors[:n], tensors[n : len(tensors) - n], tensors[len(tensors) - n :]
        return tuple((pull if visible(factor, *tensors) else pull_traced)(list(raw), list(given), weight, list(gradients), factor, key))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        raise NotImplementedError(TWICE)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        return _each(Pull, info, in_dims, args)


for _function in (Values, Pull):  # PyTorch asks for it at every call, and making it anew takes 0.1 ms
    setattr(_function.forward, "__signature__", inspect.signature(_function.forward))  # noqa: B010


def _each(function: type[Function], info: Any, in_dims: tuple[int | None, ...], args: Sequence[Any]) -> Any:
    """vmap's rule: the function once an entry of the batch."""
    rows = [
        function.apply(*(x if d is None else x.select(d, i) for x, d in zip(args, in_dims, strict=True))) for i in range(info.batch_size)
    ]
    made = tuple(torch.stack(parts) for parts in zip(*rows, strict=True))
    return made, (0,) * len(made)


@torch.compiler.allow_in_graph
def _values(key: str, graded: bool, n: int, weight: Tensor, *tensors: Tensor) -> Tensor:
    """The values alone, as one node of a graph."""
    return Values.apply(key, graded, n, weight, *tensors)[0]


def check_raw(**raw: Any) -> None:
    """TypeError for a tensor that is not floating, or no tensor."""
    for name, x in raw.items():
        if not isinstance(x, Tensor):
            raise TypeError(f"{name} is a {type(x).__name__}; it must be a torch.Tensor: pass torch.as_tensor({name})")
        if x.dtype not in FLOATS:
            raise TypeError(f"{name} has dtype {x.dtype}; allowed: float32, float64, bfloat16, float16")


def reduced(key: str, raw: Sequence[Tensor], given: Sequence[Tensor], weight: Tensor, reduction: str, over: Any = None) -> Tensor:
    """The values times their weights, or their sum; with "mean" divided by `over`, a number or one a group, in advance."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction!r} is not a valid value for reduction; allowed: 'none', 'mean', 'sum'")
    dtype = torch.float64 if any(x.dtype is torch.float64 for x in raw) else torch.float32
    if reduction == "mean":
        if weight.numel() == 0:
            raise ShapeError("there is no group: the mean of nothing is not defined")
        weight = weight / over
    graded = not plain(*raw) or (torch.is_grad_enabled() and any(x.requires_grad for x in raw))
    values = _values(key, graded, len(raw), weight, *raw, *given)
    return (values if reduction == "none" else values.sum()).to(dtype)
