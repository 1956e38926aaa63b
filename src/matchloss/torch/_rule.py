"""The rule of a loss: what autograd asks of it."""

from __future__ import annotations

from torch import Tensor

Sums = tuple[float, Tensor | None, *tuple[float, ...]]  # the value, its gradient or None, and the extra results
Slopes = tuple[Tensor | None, ...]  # what backward returns: one for each of forward's arguments, None where it has no derivative


class Rule:
    """A loss of rows, as autograd needs it. `given` holds the target and weights (or None), which have no derivative.

    `values`, `total` and `gradient` read memory: they need plain CPU tensors and `can_run`. The other methods take any tensors. Extra
    results beside values and gradients, such as the z-loss part of the values, have no derivative either.
    """

    can_run: bool = True
    thrice: bool = False  # whether PyTorch may differentiate `product`

    def spread(self, per_row: Tensor) -> Tensor:
        """One number per row, reshaped so that it broadcasts with raw."""
        return per_row

    def gather(self, terms: Tensor) -> Tensor:
        """The sum over the entries of each row."""
        return terms

    def values(self, raw: Tensor, *given: Tensor | None) -> tuple[Tensor, ...]:
        """weight * value of each row."""
        raise NotImplementedError

    def total(self, raw: Tensor, scale: float, graded: bool, overwrite: bool, *given: Tensor | None) -> Sums:
        """scale * sum(weight * value) as a float and, from the same pass, its gradient or None; `overwrite` puts it in raw's memory."""
        raise NotImplementedError

    def gradient(self, raw: Tensor, factor: Tensor | None, overwrite: bool, *given: Tensor | None) -> Tensor:
        """weight * gradient of each row, times its factor; the target has been checked."""
        raise NotImplementedError

    def outcome(self, raw: Tensor, *given: Tensor | None) -> tuple[Tensor, ...]:
        """weight * value and weight * gradient of each row."""
        raise NotImplementedError

    def slope(self, raw: Tensor, *given: Tensor | None) -> Tensor:
        """Only the weight * gradient of `outcome`."""
        return self.outcome(raw, *given)[1]

    def product(self, raw: Tensor, v: Tensor, *given: Tensor | None) -> Tensor:
        """weight * hessian of each row, times v."""
        raise NotImplementedError

    def hessian(self, raw: Tensor, target: Tensor, weight: Tensor | None, curvature: str) -> Tensor:
        """weight * hessian of each row (simplex losses: its diagonal), or the given curvature in its place."""
        raise NotImplementedError

    def predict(self, raw: Tensor) -> Tensor:
        """The prediction."""
        raise NotImplementedError

    def predict_product(self, raw: Tensor, v: Tensor) -> Tensor:
        """The derivative of the prediction times v."""
        raise NotImplementedError
