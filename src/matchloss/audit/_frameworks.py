"""NumPy, PyTorch and JAX for the audit: arrays in and out, and derivatives. The only file of the audit that names them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
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
    differentiable = False
    pads = False  # whether every new shape costs a compilation

    def array(self, x: Any, dtype: str) -> Any:
        """x, NumPy's, as an array of this framework; integers when the dtype is "int64"."""
        return np.ascontiguousarray(x, dtype=dtype)

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

    def gradient_code(self, call: str) -> list[str]:
        """Python that prints the derivative in x of the sum of `call`, an expression in x."""
        raise NotImplementedError


class Torch(Framework):
    """PyTorch on the CPU."""

    name = "torch"
    dtypes = ("float64", "float32", "bfloat16", "float16")
    imports = "import torch"
    differentiable = True

    def __init__(self) -> None:
        self.torch = importlib.import_module("torch")

    def array(self, x: Any, dtype: str) -> Any:
        """As NumPy's."""
        return self.torch.tensor(np.asarray(x)).to(getattr(self.torch, dtype))

    def owns(self, out: Any) -> bool:
        """As NumPy's."""
        return isinstance(out, self.torch.Tensor)

    def numbers(self, out: Any) -> Numbers:
        """As NumPy's."""
        return out.detach().double().numpy(force=True) if self.owns(out) else np.asarray(out, dtype=np.float64)

    def dtype_of(self, out: Any) -> str:
        """As NumPy's."""
        return str(out.dtype).removeprefix("torch.")

    def gradient(self, total: Total, x: Any) -> Any:
        """By backward."""
        x = x.detach().requires_grad_()
        return self.torch.autograd.grad(total(x), x)[0]

    def hessian_columns(self, total: Total, x: Any) -> list[Any]:
        """By backward twice."""
        x = x.detach().requires_grad_()
        (gradient,) = self.torch.autograd.grad(total(x), x, create_graph=True)
        sums = [gradient.sum()] if x.ndim < 2 else list(gradient.sum(0))
        if not gradient.requires_grad:  # piecewise linear: no graph is left
            return [self.torch.zeros_like(x) for _ in sums]
        found = [self.torch.autograd.grad(s, x, retain_graph=True, allow_unused=True)[0] for s in sums]
        return [self.torch.zeros_like(x) if column is None else column for column in found]

    def tangent(self, values: Total, x: Any, v: Any) -> Any:
        """By torch.func.jvp."""
        return self.torch.func.jvp(values, (x,), (v,))[1]

    def code(self, x: Any, dtype: str, differentiated: bool = False) -> str:
        """As NumPy's."""
        more = ", requires_grad=True" if differentiated else ""
        return f"torch.tensor({literal(x)}, dtype=torch.{dtype}{more})"

    def gradient_code(self, call: str) -> list[str]:
        """As NumPy's."""
        return [f"{call}.sum().backward()", "print(x.grad)"]


class Jax(Framework):
    """JAX on the CPU, with 64-bit numbers enabled within each call."""

    name = "jax"
    dtypes = ("float64", "float32", "bfloat16", "float16")
    imports = "import jax, jax.numpy as jnp"
    differentiable = True
    pads = True

    def __init__(self) -> None:
        self.jax, self.jnp = importlib.import_module("jax"), importlib.import_module("jax.numpy")
        self.wide = self.jax.enable_x64 if hasattr(self.jax, "enable_x64") else importlib.import_module("jax.experimental").enable_x64

    def context(self) -> AbstractContextManager[Any]:
        """64-bit numbers enabled."""
        return self.wide(True)

    def array(self, x: Any, dtype: str) -> Any:
        """As NumPy's."""
        with self.wide(True):
            return self.jnp.asarray(np.asarray(x)).astype(getattr(self.jnp, dtype))

    def owns(self, out: Any) -> bool:
        """As NumPy's."""
        return isinstance(out, self.jax.Array)

    def numbers(self, out: Any) -> Numbers:
        """As NumPy's."""
        return np.asarray(out).astype(np.float64)

    def dtype_of(self, out: Any) -> str:
        """As NumPy's."""
        return str(out.dtype)

    def gradient(self, total: Total, x: Any) -> Any:
        """By jax.grad."""
        return self.jax.grad(total)(x)

    def hessian_columns(self, total: Total, x: Any) -> list[Any]:
        """By jax.grad of jax.grad."""
        first = self.jax.grad(total)
        if x.ndim < 2:
            return [self.jax.grad(lambda z: first(z).sum())(x)]
        _, back = self.jax.vjp(lambda z: first(z).sum(0), x)
        return [back(row)[0] for row in self.jnp.eye(x.shape[-1], dtype=x.dtype)]

    def tangent(self, values: Total, x: Any, v: Any) -> Any:
        """By jax.jvp."""
        return self.jax.jvp(values, (x,), (v,))[1]

    def code(self, x: Any, dtype: str, differentiated: bool = False) -> str:
        """As NumPy's."""
        return f"jnp.array({literal(x, 'jnp')}, dtype=jnp.{dtype})"

    def gradient_code(self, call: str) -> list[str]:
        """As NumPy's."""
        return [f"print(jax.grad(lambda x: {call}.sum())(x))"]


MADE: dict[str, Framework] = {"numpy": Framework()}
CLASSES: dict[str, type[Framework]] = {"torch": Torch, "jax": Jax}


def framework(name: str) -> Framework:
    """The framework, imported when it is first asked for."""
    if name not in MADE:
        MADE[name] = CLASSES[name]()
    return MADE[name]


def literal(x: Any, module: str = "") -> str:
    """Numbers and nested lists as Python, with inf and nan."""
    if isinstance(x, np.ndarray | list | tuple):
        return "[" + ", ".join(literal(item, module) for item in x) + "]" if np.ndim(x) else literal(np.asarray(x)[()], module)
    number = x.item() if isinstance(x, np.generic) else x
    if isinstance(number, float) and not np.isfinite(number):
        name = "nan" if np.isnan(number) else "inf" if number > 0 else "-inf"
        return f'float("{name}")' if not module else f"-{module}.inf" if name == "-inf" else f"{module}.{name}"
    return repr(number)
