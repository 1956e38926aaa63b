"""Whether a call is plain and eager, so that its CPU tensors' memory may be read. The only file that uses private names of PyTorch.

If a version of PyTorch lacks one of these names, every call uses PyTorch's functions and none reads memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import handle_torch_function, has_torch_function

P = ParamSpec("P")
R = TypeVar("R")

PRIVATE = (
    (torch, "_C._functorch.peek_interpreter_stack"),
    (torch, "_C._functorch.get_interpreter_stack"),
    (torch, "_C._functorch.is_functorch_wrapped_tensor"),
    (torch, "_C._functorch.TransformType.Jvp"),
    (torch, "_C._len_torch_dispatch_stack"),
    (torch, "_C._storage_Use_Count"),
    (torch, "_C._functorch.is_legacy_batchedtensor"),
    (torch, "_C._is_tracing"),
    (forward_ad, "_current_level"),
)


def find(root: Any, path: str) -> Any:
    """root.a.b.c, or None where a part is missing."""
    for name in path.split("."):
        root = getattr(root, name, None)
    return root


_innermost, _interpreters, _is_wrapped, _FORWARD, _modes, _holders, _is_batched, _tracing, _level = (find(*at) for at in PRIVATE)
_KNOWN = None not in (_innermost, _is_wrapped, _modes, _is_batched, _tracing, _level)
_PLAIN = (Tensor, torch.nn.Parameter)
_compiling = torch.compiler.is_compiling


def readable(*tensors: Tensor | None) -> bool:
    """Whether these are ordinary CPU tensors and nothing traces, so that `.detach().numpy()` may read their memory."""
    if not _KNOWN or _compiling() or _modes() or _tracing():
        return False
    for t in tensors:  # all() with a generator would take twice as long
        if t is not None and (type(t) not in _PLAIN or not t.is_cpu or t.layout is not torch.strided or _is_wrapped(t)):
            return False
    return True


def tracing() -> bool:
    """Whether torch.jit.trace is recording."""
    return _tracing is not None and _tracing()


def batched(gradient: Tensor) -> bool:
    """Whether a gradient that arrives in backward has no readable memory, for example a batch of them (`is_grads_batched`)."""
    return not _KNOWN or type(gradient) is not Tensor or not gradient.is_cpu or _is_wrapped(gradient) or _is_batched(gradient)


def plain(*tensors: Tensor | None) -> bool:
    """Whether the tensors are readable and no torch.func transform and no forward derivative is active."""
    return _KNOWN and not _compiling() and _innermost() is None and forward_ad._current_level < 0 and readable(*tensors)


def refuse_nested_forward() -> None:
    """NotImplementedError for a forward derivative of a forward derivative."""
    stack = [] if _interpreters is None else _interpreters() or ()
    if sum(level.key() == _FORWARD for level in stack) > 1:
        raise NotImplementedError(
            "a forward derivative of a forward derivative: PyTorch would give 0 for it; use torch.func.hessian (forward over reverse)"
        )


def storage_holders(tensor: Tensor) -> int | None:
    """PyTorch's count of the tensors that hold this memory; None if this version does not tell."""
    return None if _holders is None else _holders(tensor.untyped_storage()._cdata)


def overridable(function: Callable[P, R]) -> Callable[P, R]:
    """Makes a function follow PyTorch's __torch_function__ protocol, by which an argument such as an fx.Proxy can override it."""

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        if has_torch_function(args) or (kwargs and has_torch_function(tuple(kwargs.values()))):
            return handle_torch_function(called, (*args, *kwargs.values()), *args, **kwargs)
        return function(*args, **kwargs)

    return called
