"""NumPy, PyTorch and JAX for the audit: arrays in and out, and derivatives. The only file of the audit that names them."""

from __future__ import annotations

import importlib
import random
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Total = Callable[[Any], Any]  # a framework's array -> its scalar


class Framework:
    """NumPy: arrays without derivatives."""

    name = "numpy"
    dtypes: tuple[str, ...] = ("float64", "float32")
    imports = "import numpy as np"
    module = "np"  # as Python calls it
    differentiable = False
    pads = False  # whether every new shape costs a compilation
    gradient_code: tuple[str, ...] = ()  # Python that prints the derivative in x of the sum of an expression in x
    hessian_code = ""  # that sum's second derivative
    tangent_code = ""  # and the forward derivative along v
    views: tuple[tuple[str, Callable[[Any], Any], str], ...] = ()  # other layouts of an array: in words, made, as Python

    def __init__(self) -> None:
        self.views = (
            ("strided", lambda a: np.repeat(a, 2, axis=0)[::2], "{0} = np.repeat({0}, 2, axis=0)[::2]"),
            ("reversed", lambda a: a[::-1].copy()[::-1], "{0} = {0}[::-1].copy()[::-1]"),
            ("transposed", lambda a: a.copy(order="F") if a.ndim > 1 else a, '{0} = {0}.copy(order="F")'),
            ("read-only", lambda a: np.broadcast_to(a.copy(), a.shape), "{0}.setflags(write=False)"),
        )

    def array(self, x: Any, dtype: str) -> Any:
        """x, NumPy's, as a new array of this framework, since what is audited may write; integers when the dtype is "int64"."""
        return np.array(x, dtype=dtype, order="C")

    def context(self) -> AbstractContextManager[Any]:
        """What every call of the audited function runs in."""
        return nullcontext()

    def owns(self, out: Any) -> bool:
        """Whether this is what a function of this framework's arrays should return."""
        return isinstance(out, np.ndarray | np.number | float | int)

    def numbers(self, out: Any) -> Numbers:
        """A result, of this framework or not, as NumPy's float64."""
        return np.asarray(out, dtype=np.float64)

    def dtype_of(self, out: Any) -> str:
        """The dtype's name."""
        return str(np.asarray(out).dtype)

    def round(self, x: Numbers, dtype: str) -> Numbers:
        """The nearest numbers of this dtype, as float64."""
        with np.errstate(over="ignore"):
            return self.numbers(self.array(x, dtype))

    def state(self) -> dict[str, Any]:
        """What a call must leave as it was, by what a person calls it: each a value that can be compared."""
        kept: Any = np.random.get_state()  # noqa: NPY002
        return {
            "the random numbers of NumPy": (kept[0], kept[1].tobytes(), *kept[2:]), "the random numbers of Python": random.getstate(),
            "how NumPy treats floating point errors": tuple(sorted(np.geterr().items())),
            "how NumPy prints": repr(np.get_printoptions()), "the filters of warnings": tuple(warnings.filters),
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Put it back, as far as it can be."""
        name, keys, *rest = state["the random numbers of NumPy"]
        np.random.set_state((name, np.frombuffer(keys, dtype=np.uint32), *rest))  # noqa: NPY002
        random.setstate(state["the random numbers of Python"])
        np.seterr(**dict(state["how NumPy treats floating point errors"]))
        if tuple(warnings.filters) != state["the filters of warnings"]:
            warnings.filters[:] = state["the filters of warnings"]  # type: ignore[index]

    def outline(self, function: Callable[..., Any], arrays: tuple[Any, ...]) -> Any:
        """The result, or what has its shape and dtype."""
        return function(*arrays)

    def compiled(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, quicker where many calls of the same shapes are to come."""
        return call

    def disturb(self) -> None:
        """Draw random numbers, so that the same seed again is another state."""
        random.random()
        np.random.random()  # noqa: NPY002

    def alone(self) -> AbstractContextManager[Any]:
        """One thread, so that its time is the thread's."""
        return nullcontext()

    def largest(self, function: Callable[..., Any], arrays: tuple[Any, ...]) -> float | None:
        """Bytes that a call holds at most at a time, or those of its largest array; None where that cannot be told."""
        if tracemalloc.is_tracing():
            return None
        tracemalloc.start()
        try:
            function(*arrays)
            return float(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()

    def gradient(self, total: Total, x: Any) -> Any:
        """The derivative of a scalar function at the array x."""
        raise NotImplementedError

    def hessian_columns(self, total: Total, x: Any) -> list[Any]:
        """For each place k of the last axis (one where x has a single axis) the derivative of the sum of the gradient's k-th entries."""
        raise NotImplementedError

    def tangent(self, values: Total, x: Any, v: Any) -> Any:
        """The derivative of an array-valued function along v, in forward mode."""
        raise NotImplementedError

    def code(self, x: Any, dtype: str, differentiated: bool = False) -> str:
        """Python that makes the array."""
        return f"np.array({literal(x, 'np')}, dtype=np.{dtype})"


class _Torch(Framework):
    """PyTorch on the CPU."""

    name = "torch"
    dtypes = ("float64", "float32", "bfloat16", "float16")
    imports, module = "import torch", "torch"
    gradient_code = ("{}.sum().backward()", "print(x.grad)")
    hessian_code = "print(torch.autograd.functional.hessian(lambda x: {}.sum(), x))"
    tangent_code = "print(torch.func.jvp(lambda x: {}, (x,), (v,))[1])"
    differentiable = True

    def __init__(self) -> None:
        self.torch = importlib.import_module("torch")
        self.views = (
            ("strided", lambda a: a.repeat_interleave(2, 0)[::2], "{0} = {0}.repeat_interleave(2, 0)[::2]"),
            ("transposed", lambda a: a.T.contiguous().T if a.ndim > 1 else a, "{0} = {0}.T.contiguous().T"),
        )

    def array(self, x: Any, dtype: str) -> Any:
        return self.torch.tensor(np.asarray(x)).to(getattr(self.torch, dtype))

    def owns(self, out: Any) -> bool:
        return isinstance(out, self.torch.Tensor)

    def numbers(self, out: Any) -> Numbers:
        return out.detach().double().numpy(force=True) if self.owns(out) else np.asarray(out, dtype=np.float64)

    def dtype_of(self, out: Any) -> str:
        return str(getattr(out, "dtype", type(out).__name__)).removeprefix("torch.")

    def state(self) -> dict[str, Any]:
        torch = self.torch
        return super().state() | {
            "the random numbers of torch": torch.get_rng_state().numpy().tobytes(), "torch's default dtype": torch.get_default_dtype(),
            "whether torch records gradients": torch.is_grad_enabled(), "how many threads torch uses": torch.get_num_threads(),
        }  # fmt: skip

    def disturb(self) -> None:
        super().disturb()
        self.torch.rand(1)

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        torch = self.torch
        torch.set_rng_state(torch.tensor(np.frombuffer(state["the random numbers of torch"], dtype=np.uint8)))
        torch.set_default_dtype(state["torch's default dtype"])
        torch.set_grad_enabled(state["whether torch records gradients"])
        if torch.get_num_threads() != state["how many threads torch uses"]:
            torch.set_num_threads(state["how many threads torch uses"])

    @contextmanager
    def alone(self) -> Iterator[None]:
        threads = self.torch.get_num_threads()
        self.torch.set_num_threads(1)
        try:
            yield
        finally:
            self.torch.set_num_threads(threads)

    def largest(self, function: Callable[..., Any], arrays: tuple[Any, ...]) -> float | None:
        """The bytes of the largest tensor that an operation makes."""
        mode = importlib.import_module("torch.utils._python_dispatch").TorchDispatchMode
        tensor = self.torch.Tensor
        most = [0.0]

        class Watch(mode):  # type: ignore[misc, valid-type]
            def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                out = function(*args, **(kwargs or {}))
                for made in out if isinstance(out, tuple | list) else (out,):
                    if isinstance(made, tensor):
                        most[0] = max(most[0], float(made.numel() * made.element_size()))
                return out

        with Watch():
            function(*arrays)
        return most[0]

    def gradient(self, total: Total, x: Any) -> Any:
        x = x.detach().requires_grad_()
        return self.torch.autograd.grad(total(x), x)[0]

    def hessian_columns(self, total: Total, x: Any) -> list[Any]:
        x = x.detach().requires_grad_()
        (gradient,) = self.torch.autograd.grad(total(x), x, create_graph=True)
        sums = [gradient.sum()] if x.ndim < 2 else list(gradient.sum(0))
        if not gradient.requires_grad:  # piecewise linear: no graph is left
            return [self.torch.zeros_like(x) for _ in sums]
        found = [self.torch.autograd.grad(s, x, retain_graph=True, allow_unused=True)[0] for s in sums]
        return [self.torch.zeros_like(x) if column is None else column for column in found]

    def tangent(self, values: Total, x: Any, v: Any) -> Any:
        return self.torch.func.jvp(values, (x,), (v,))[1]

    def code(self, x: Any, dtype: str, differentiated: bool = False) -> str:
        more = ", requires_grad=True" if differentiated else ""
        return f"torch.tensor({literal(x)}, dtype=torch.{dtype}{more})"


class _Jax(Framework):
    """JAX on the CPU, with 64-bit numbers enabled within each call."""

    name = "jax"
    dtypes = ("float64", "float32", "bfloat16", "float16")
    imports, module = "import jax, jax.numpy as jnp", "jnp"
    gradient_code = ("print(jax.grad(lambda x: {}.sum())(x))",)
    hessian_code = "print(jax.hessian(lambda x: {}.sum())(x))"
    tangent_code = "print(jax.jvp(lambda x: {}, (x,), (v,))[1])"
    differentiable = True
    pads = True

    def __init__(self) -> None:
        self.jax, self.jnp = importlib.import_module("jax"), importlib.import_module("jax.numpy")
        self.wide = self.jax.enable_x64 if hasattr(self.jax, "enable_x64") else importlib.import_module("jax.experimental").enable_x64

    def context(self) -> AbstractContextManager[Any]:
        return self.wide(True)

    def array(self, x: Any, dtype: str) -> Any:
        with self.wide(True):
            return self.jnp.asarray(np.asarray(x)).astype(getattr(self.jnp, dtype))

    def outline(self, function: Callable[..., Any], arrays: tuple[Any, ...]) -> Any:
        """Traced where it can be, since every shape and dtype costs a compilation."""
        try:
            return self.jax.eval_shape(function, *arrays)
        except Exception:  # a function that looks at numbers
            return function(*arrays)

    def compiled(self, call: Callable[..., Any]) -> Callable[..., Any]:
        return self.jax.jit(call)

    def largest(self, function: Callable[..., Any], arrays: tuple[Any, ...]) -> float | None:
        """The bytes of the largest array that an operation makes, traced, not run."""
        return _largest(self.jax.make_jaxpr(function)(*arrays).jaxpr)

    def owns(self, out: Any) -> bool:
        return isinstance(out, self.jax.Array | self.jax.ShapeDtypeStruct)

    def numbers(self, out: Any) -> Numbers:
        return np.asarray(out).astype(np.float64)

    def dtype_of(self, out: Any) -> str:
        return str(getattr(out, "dtype", type(out).__name__))

    def gradient(self, total: Total, x: Any) -> Any:
        return self.jax.grad(total)(x)

    def hessian_columns(self, total: Total, x: Any) -> list[Any]:
        first = self.jax.grad(total)
        if x.ndim < 2:
            return [self.jax.grad(lambda z: first(z).sum())(x)]
        _, back = self.jax.vjp(lambda z: first(z).sum(0), x)
        return [back(row)[0] for row in self.jnp.eye(x.shape[-1], dtype=x.dtype)]

    def tangent(self, values: Total, x: Any, v: Any) -> Any:
        return self.jax.jvp(values, (x,), (v,))[1]

    def code(self, x: Any, dtype: str, differentiated: bool = False) -> str:
        return f"jnp.array({literal(x, 'jnp')}, dtype=jnp.{dtype})"


def _largest(jaxpr: Any) -> float:
    """Bytes of the largest array within a traced function."""
    most = 0.0
    for equation in jaxpr.eqns:
        sizes = [float(np.prod(v.aval.shape)) * v.aval.dtype.itemsize for v in equation.outvars if hasattr(v.aval, "shape")]
        parts = [q for p in equation.params.values() for q in (p if isinstance(p, tuple | list) else (p,))]
        inner = [getattr(q, "jaxpr", q) for q in parts]
        most = max([most, *sizes, *(_largest(q) for q in inner if hasattr(q, "eqns"))])
    return most


CLASSES: dict[str, type[Framework]] = {"torch": _Torch, "jax": _Jax}


@cache
def framework(name: str) -> Framework:
    """The framework, imported when it is first asked for."""
    return {"numpy": Framework, **CLASSES}[name]()


def literal(x: Any, module: str = "") -> str:
    """Numbers and nested lists as Python, with inf and nan."""
    if isinstance(x, np.ndarray | list | tuple):
        return "[" + ", ".join(literal(item, module) for item in x) + "]" if np.ndim(x) else literal(np.asarray(x)[()], module)
    number = x.item() if isinstance(x, np.generic) else x
    if isinstance(number, float) and not np.isfinite(number):
        name = "nan" if np.isnan(number) else "inf" if number > 0 else "-inf"
        return f'float("{name}")' if not module else f"-{module}.inf" if name == "-inf" else f"{module}.{name}"
    return repr(number)
