"""PyTorch's loss modules, as subclasses of its own, so that constructors, state, repr and `isinstance` work as before.

Each has PyTorch's constructor plus, by keyword, the options of its function in `matchloss.torch.functional`. `sample_weight` and
`normalizer` differ from batch to batch and are arguments of the call. Shapes and errors are those of the function.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from matchloss.errors import ShapeError
from matchloss.torch import functional as F
from matchloss.torch._cross_entropy import options_of
from matchloss.torch._dropin import Number, look_up, public_names

if TYPE_CHECKING:
    from torch.nn import LinearCrossEntropyLoss as LinearBase
else:  # PyTorch before 2.13 has none
    LinearBase = getattr(nn, "LinearCrossEntropyLoss", nn.modules.loss._WeightedLoss)

__all__ = [
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HuberLoss",
    "L1Loss",
    "LinearCrossEntropyLoss",
    "MSELoss",
    "MultiLabelSoftMarginLoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
]


class CrossEntropyLoss(nn.CrossEntropyLoss):
    """`torch.nn.CrossEntropyLoss`, by `matchloss.torch.cross_entropy`.

    >>> import torch
    >>> from matchloss.torch import CrossEntropyLoss
    >>> CrossEntropyLoss(label_smoothing=0.1)(torch.zeros(2, 4), torch.tensor([0, 3]))
    tensor(1.3863)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        *,
        z_loss: float = 0.0,
        return_z_loss: bool = False,
        softcap: float | None = None,
        temperature: float = 1.0,
        overwrite: bool = False,
        group: Any = None,
    ) -> None:
        super().__init__(weight, size_average, ignore_index, reduce, reduction, label_smoothing)
        self.z_loss, self.return_z_loss = z_loss, return_z_loss
        self.softcap, self.temperature = softcap, temperature
        self.overwrite, self.group = overwrite, group

    def forward(self, input: Tensor, target: Any, *, sample_weight: Tensor | None = None, normalizer: Number | None = None) -> Any:
        """The loss of a batch."""
        return F.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
            sample_weight=sample_weight,
            normalizer=normalizer,
            z_loss=self.z_loss,
            return_z_loss=self.return_z_loss,
            softcap=self.softcap,
            temperature=self.temperature,
            overwrite=self.overwrite,
            group=self.group,
        )


class Criterion(nn.Module):
    """What the modules below share: calling our function with the options that PyTorch's constructor stored."""

    function: Callable[..., Tensor]
    options: tuple[str, ...] = ("reduction",)

    def forward(self, input: Tensor, target: Tensor, *, sample_weight: Tensor | None = None, normalizer: Number | None = None) -> Tensor:
        """The loss of a batch: arguments, errors and result are the function's."""
        return self.call(input, target, sample_weight=sample_weight, normalizer=normalizer)

    def call(self, *tensors: Tensor | float, sample_weight: Tensor | None, normalizer: Number | None) -> Tensor:
        """Our function on these tensors."""
        options = {name: getattr(self, name) for name in self.options}
        return self.function(*tensors, **options, sample_weight=sample_weight, normalizer=normalizer)


class BCEWithLogitsLoss(Criterion, nn.BCEWithLogitsLoss):
    """`torch.nn.BCEWithLogitsLoss`, by `matchloss.torch.binary_cross_entropy_with_logits`.

    >>> import torch
    >>> from matchloss.torch import BCEWithLogitsLoss
    >>> BCEWithLogitsLoss(pos_weight=torch.tensor([3.0]))(torch.zeros(2), torch.tensor([1.0, 0.0]))
    tensor(1.3863)
    """

    function = staticmethod(F.binary_cross_entropy_with_logits)
    options = ("weight", "reduction", "pos_weight", "overwrite")

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
        *,
        overwrite: bool = False,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction, pos_weight)
        self.overwrite = overwrite


class MSELoss(Criterion, nn.MSELoss):
    """`torch.nn.MSELoss`, by `matchloss.torch.mse_loss`.

    >>> import torch
    >>> from matchloss.torch import MSELoss
    >>> MSELoss()(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 1.0]))
    tensor(2.)
    """

    function = staticmethod(F.mse_loss)


class L1Loss(Criterion, nn.L1Loss):
    """`torch.nn.L1Loss`, by `matchloss.torch.l1_loss`.

    >>> import torch
    >>> from matchloss.torch import L1Loss
    >>> L1Loss()(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 1.0]))
    tensor(1.)
    """

    function = staticmethod(F.l1_loss)


class HuberLoss(Criterion, nn.HuberLoss):
    """`torch.nn.HuberLoss`, by `matchloss.torch.huber_loss`.

    >>> import torch
    >>> from matchloss.torch import HuberLoss
    >>> HuberLoss(delta=2.0)(torch.tensor([9.0]), torch.tensor([0.0]))
    tensor(16.)
    """

    function = staticmethod(F.huber_loss)
    options = ("reduction", "delta")


class SmoothL1Loss(Criterion, nn.SmoothL1Loss):
    """`torch.nn.SmoothL1Loss`, by `matchloss.torch.smooth_l1_loss`.

    >>> import torch
    >>> from matchloss.torch import SmoothL1Loss
    >>> SmoothL1Loss(beta=2.0)(torch.tensor([9.0]), torch.tensor([0.0]))
    tensor(8.)
    """

    function = staticmethod(F.smooth_l1_loss)
    options = ("reduction", "beta")


class PoissonNLLLoss(Criterion, nn.PoissonNLLLoss):
    """`torch.nn.PoissonNLLLoss`, by `matchloss.torch.poisson_nll_loss`.

    >>> import torch
    >>> from matchloss.torch import PoissonNLLLoss
    >>> PoissonNLLLoss()(torch.tensor([0.0]), torch.tensor([3.0]))
    tensor(1.)
    """

    function = staticmethod(F.poisson_nll_loss)
    options = ("log_input", "full", "eps", "reduction")

    def forward(
        self, log_input: Tensor, target: Tensor, *, sample_weight: Tensor | None = None, normalizer: Number | None = None
    ) -> Tensor:
        """The loss of a batch: arguments, errors and result are the function's."""
        return self.call(log_input, target, sample_weight=sample_weight, normalizer=normalizer)


class SoftMarginLoss(Criterion, nn.SoftMarginLoss):
    """`torch.nn.SoftMarginLoss`, by `matchloss.torch.soft_margin_loss`.

    >>> import torch
    >>> from matchloss.torch import SoftMarginLoss
    >>> SoftMarginLoss()(torch.tensor([0.0]), torch.tensor([-1.0]))
    tensor(0.6931)
    """

    function = staticmethod(F.soft_margin_loss)


class MultiLabelSoftMarginLoss(Criterion, nn.MultiLabelSoftMarginLoss):
    """`torch.nn.MultiLabelSoftMarginLoss`, by `matchloss.torch.multilabel_soft_margin_loss`.

    >>> import torch
    >>> from matchloss.torch import MultiLabelSoftMarginLoss
    >>> MultiLabelSoftMarginLoss()(torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 1.0]]))
    tensor(0.4100)
    """

    function = staticmethod(F.multilabel_soft_margin_loss)
    options = ("weight", "reduction")


class GaussianNLLLoss(Criterion, nn.GaussianNLLLoss):
    """`torch.nn.GaussianNLLLoss`, by `matchloss.torch.gaussian_nll_loss`.

    >>> import torch
    >>> from matchloss.torch import GaussianNLLLoss
    >>> GaussianNLLLoss()(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 1.0]), torch.tensor([4.0, 1.0]))
    tensor(0.5966)
    """

    function = staticmethod(F.gaussian_nll_loss)
    options = ("full", "eps", "reduction")

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        var: Tensor | float,
        *,
        sample_weight: Tensor | None = None,
        normalizer: Number | None = None,
    ) -> Tensor:
        """The loss of a batch: arguments, errors and result are the function's."""
        return self.call(input, target, var, sample_weight=sample_weight, normalizer=normalizer)


class LinearCrossEntropyLoss(LinearBase):
    """`torch.nn.LinearCrossEntropyLoss`: `matchloss.torch.linear_cross_entropy` with its own weight (and bias), kept in `linear`.

    Every keyword of linear_cross_entropy that is not a tensor is an option here; sample_weight and normalizer are arguments of the call.

    >>> import torch
    >>> from matchloss.torch import LinearCrossEntropyLoss
    >>> loss = LinearCrossEntropyLoss(8, 1000, label_smoothing=0.1)
    >>> loss(torch.zeros(4, 8), torch.tensor([0, 1, 2, 3]))
    tensor(6.9078, grad_fn=<...>)
    """

    OPTIONS = frozenset({"z_loss", "return_z_loss", "softcap", "temperature", "outputs", "chunk_bytes", "group"})

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: Any = None,
        **more: Any,
    ) -> None:
        nn.modules.loss._WeightedLoss.__init__(self, weight, reduction=reduction)
        if unknown := sorted(set(more) - self.OPTIONS):
            raise TypeError(f"LinearCrossEntropyLoss has no option {unknown[0]!r}")
        if weight is not None and tuple(weight.shape) != (num_classes,):
            raise ShapeError(f"weight has shape {tuple(weight.shape)}, and one weight a class asks for {(num_classes,)}")
        options_of(more.get("softcap"), more.get("temperature", 1.0), more.get("z_loss", 0.0))
        self.num_classes, self.out_features = num_classes, tuple(out_features)
        self.ignore_index, self.label_smoothing, self.options, self.more = ignore_index, label_smoothing, options, more
        self.linear = nn.Linear(in_features, math.prod(self.out_features, start=num_classes), bias=bias, device=device, dtype=dtype)

    def forward(self, input: Tensor, target: Any, sample_weight: Tensor | None = None, normalizer: Number | None = None) -> Any:
        """The loss of a batch: input (..., in_features), targets and errors as in linear_cross_entropy."""
        shape, bias = (self.num_classes, *self.out_features), self.linear.bias
        return F.linear_cross_entropy(
            input, self.linear.weight if not self.out_features else self.linear.weight.reshape(*shape, -1), target,
            linear_bias=None if bias is None else bias.reshape(shape), weight=self.weight, reduction=self.reduction,
            ignore_index=self.ignore_index, label_smoothing=self.label_smoothing, options=self.options,
            sample_weight=sample_weight, normalizer=normalizer, **self.more,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """PyTorch's text, and those of our options that were given."""
        linear = self.linear
        given = {
            "in_features": linear.in_features, "num_classes": self.num_classes, "out_features": self.out_features,
            "bias": linear.bias is not None, "reduction": self.reduction, "ignore_index": self.ignore_index,
            "label_smoothing": self.label_smoothing, "options": self.options, **self.more,
        }  # fmt: skip
        return ", ".join(f"{name}={value}" for name, value in given.items())


def __getattr__(name: str) -> Any:
    return look_up(__name__, name, torch.nn.modules)


def __dir__() -> list[str]:
    return sorted({*__all__, *public_names(torch.nn.modules)})
