"""What a planted loss is written in: the same few operations in NumPy, PyTorch and JAX, so that each defect is one text."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

FRAMEWORKS = ("numpy", "torch", "jax")


class Maths:
    """NumPy's; the others differ in a few places."""

    name = "numpy"

    def __init__(self, xp: Any = np) -> None:
        self.xp = xp

    def __getattr__(self, name: str) -> Any:
        if name == "xp":  # asked for while it is unpickled
            raise AttributeError(name)
        return getattr(self.xp, name)

    def __reduce__(self) -> Any:
        return maths, (self.name,)

    def softplus(self, x: Any) -> Any:
        """log(1 + exp(x)), without overflow."""
        return self.xp.logaddexp(self.xp.zeros_like(x), x)

    def sigmoid(self, x: Any) -> Any:
        """1 / (1 + exp(-x)), without overflow."""
        return self.xp.exp(-self.softplus(-x))

    def total(self, x: Any, axis: int | None = None) -> Any:
        """Their sum."""
        return self.xp.sum(x) if axis is None else self.xp.sum(x, axis)

    def logsumexp(self, x: Any) -> Any:
        """Of each row."""
        top = self.xp.max(x, axis=1)
        return top + self.xp.log(self.xp.exp(x - top[:, None]).sum(1))

    def softmax(self, x: Any) -> Any:
        """Of each row."""
        return self.xp.exp(x - self.logsumexp(x)[:, None])

    def one_hot(self, labels: Any, like: Any) -> Any:
        """Labels as rows of 0 and 1."""
        return self.xp.asarray(self.xp.arange(like.shape[1]) == labels[:, None], dtype=like.dtype)

    def held(self, x: Any) -> Any:
        """x, as a constant when differentiated."""
        return x

    def cast(self, x: Any, dtype: str) -> Any:
        """x in another dtype."""
        return x.astype(dtype)

    def rolled(self, x: Any) -> Any:
        """Each number in its neighbour's place."""
        return self.xp.roll(x, 1)


class Jax(Maths):
    """jax.numpy."""

    name = "jax"

    def held(self, x: Any) -> Any:
        import jax

        return jax.lax.stop_gradient(x)


class Torch(Maths):
    """torch."""

    name = "torch"

    def softplus(self, x: Any) -> Any:
        return -self.xp.nn.functional.logsigmoid(-x)

    def sigmoid(self, x: Any) -> Any:
        return self.xp.sigmoid(x)

    def logsumexp(self, x: Any) -> Any:
        return self.xp.logsumexp(x, 1)

    def softmax(self, x: Any) -> Any:
        return self.xp.softmax(x, 1)

    def one_hot(self, labels: Any, like: Any) -> Any:
        return self.xp.nn.functional.one_hot(labels, like.shape[1]).to(like.dtype)

    def held(self, x: Any) -> Any:
        return x.detach()

    def cast(self, x: Any, dtype: str) -> Any:
        return x.to(getattr(self.xp, dtype))


@cache
def maths(framework: str) -> Maths:
    """Of a framework, which is imported here."""
    if framework == "torch":
        import torch

        return Torch(torch)
    if framework == "jax":
        import jax.numpy as jnp

        return Jax(jnp)
    return Maths()
