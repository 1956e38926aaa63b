"""Losses of structures in PyTorch: the names that people know, values exact in the tails, every gradient from the forward pass.

Gradients are first derivatives; a second one raises NotImplementedError. Scores are float32 or float64; half types are computed in float32.
Errors name the group and the position: DomainError, ShapeError (ValueErrors), TypeError.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from matchloss.errors import ShapeError
from matchloss.losses.structured import CTC, Cox, RiskSets, Transcripts
from matchloss.losses.structured._risk import ALIVE
from matchloss.torch._plain import overridable
from matchloss.torch._structured import KERNELS, Array, Kernel, check_raw, key_of, reduced

__all__ = ["CTCLoss", "RiskSets", "cox_loss", "ctc_loss", "ctc_loss_with_logits"]

Lengths = Tensor | Sequence[int]


def _ctc_kernel(blank: int, zero_infinity: bool, from_logits: bool) -> Kernel:
    loss = CTC(blank, zero_infinity)

    def compute(raw: tuple[Array, ...], given: tuple[Array, ...], weight: Array, graded: bool) -> tuple[Array, tuple[Array, ...]]:
        return loss.compute(raw, Transcripts(*given), weight, graded, from_logits)

    return Kernel(lambda raw, given: raw[0].shape[1], compute, singles=True)


KERNELS["ctc"] = _ctc_kernel


def _ctc(
    name: str, z: Tensor, targets: Tensor, input_lengths: Lengths, target_lengths: Lengths, blank: int, reduction: str, zero_infinity: bool
) -> Tensor:
    check_raw(**{name: z})
    if z.ndim not in (2, 3):
        raise ShapeError(f"{name} has shape {tuple(z.shape)}; (T, N, C) is needed, or (T, C) of one sequence")
    heard, said = (torch.as_tensor(x, dtype=torch.int64).reshape(-1) for x in (input_lengths, target_lengths))
    batch = z if z.ndim == 3 else z.unsqueeze(1)
    key = key_of("ctc", blank=int(blank), zero_infinity=bool(zero_infinity), from_logits=name == "logits")
    weight = torch.ones(batch.shape[1], dtype=torch.float64)
    values = reduced(key, (batch,), (targets, said, heard), weight, reduction, said.clamp(min=1) * batch.shape[1])
    return values.squeeze(0) if z.ndim == 2 and reduction == "none" else values


@overridable
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Lengths,
    target_lengths: Lengths,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """`torch.nn.functional.ctc_loss`, whose gradient is that of log_probs as they are given: right for leaves, too.

    log_probs (T, N, C) or (T, C), after `log_softmax`; targets (N, S) padded, or (sum of target_lengths,). Mean: each value over its
    target length (at least 1), then over the batch. Without log_softmax before it use `ctc_loss_with_logits`, which is exact for
    confident frames and faster. DomainError for a sequence without an alignment (PyTorch: inf), unless zero_infinity.
    Source: Graves, Fernandez, Gomez and Schmidhuber (2006).

    >>> import torch
    >>> from matchloss.torch import ctc_loss
    >>> log_probs = torch.full((2, 1, 3), 1 / 3).log().requires_grad_()
    >>> loss = ctc_loss(log_probs, torch.tensor([[1]]), [2], [1])
    >>> loss.backward()
    >>> round(loss.item(), 4), log_probs.grad[0]      # minus the probability of each class at the frame, given the target
    (1.0986, tensor([[-0.3333, -0.6667,  0.0000]]))
    """
    return _ctc("log_probs", log_probs, targets, input_lengths, target_lengths, blank, reduction, zero_infinity)


@overridable
def ctc_loss_with_logits(
    logits: Tensor,
    targets: Tensor,
    input_lengths: Lengths,
    target_lengths: Lengths,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """`ctc_loss(logits.log_softmax(-1), ...)` in one pass: expected minus observed for each logit, exact where a path is nearly sure.

    Arguments and errors are those of `ctc_loss`.

    >>> import torch
    >>> from matchloss.torch import ctc_loss_with_logits
    >>> logits = torch.zeros(2, 1, 3, requires_grad=True)
    >>> ctc_loss_with_logits(logits, torch.tensor([[1]]), [2], [1]).backward()
    >>> logits.grad[0]
    tensor([[ 9.9341e-09, -3.3333e-01,  3.3333e-01]])
    """
    return _ctc("logits", logits, targets, input_lengths, target_lengths, blank, reduction, zero_infinity)


class CTCLoss(nn.CTCLoss):
    """`torch.nn.CTCLoss`, by `matchloss.torch.ctc_loss`; `with_logits=True` by `ctc_loss_with_logits`.

    >>> import torch
    >>> from matchloss.torch import CTCLoss
    >>> CTCLoss(with_logits=True)(torch.zeros(2, 1, 3), torch.tensor([[1]]), [2], [1])
    tensor(1.0986)
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False, *, with_logits: bool = False) -> None:
        super().__init__(blank, reduction, zero_infinity)
        self.with_logits = with_logits

    def forward(self, log_probs: Tensor, targets: Tensor, input_lengths: Lengths, target_lengths: Lengths) -> Tensor:
        """The loss of a batch; with_logits: log_probs are logits."""
        function = ctc_loss_with_logits if self.with_logits else ctc_loss
        return function(log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity)


def _cox_kernel(ties: str, risk: str, names: str, mean: bool) -> Kernel:
    loss = Cox(ties)

    def compute(raw: tuple[Array, ...], given: tuple[Array, ...], weight: Array, graded: bool) -> tuple[Array, tuple[Array, ...]]:
        target = ALIVE[risk] if risk else RiskSets(**dict(zip(names.split(), given, strict=True)))
        values, gradients = loss.compute(raw, target, None, graded)
        scale = weight[0] / (target.death_weight.sum() if mean else 1.0)
        return values.sum(keepdims=True) * scale, tuple(g * scale for g in gradients)

    return Kernel(lambda raw, given: 1, compute)


KERNELS["cox"] = _cox_kernel


@overridable
def cox_loss(
    log_hz: Tensor,
    event: Tensor | RiskSets,
    time: Tensor | None = None,
    ties_method: str = "efron",
    reduction: str = "mean",
    strata: Tensor | None = None,
    *,
    entry: Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """The negative log partial likelihood of log hazards (n,) or (n, 1), with torchsurv's arguments; also late entry and weights.

    event (n,) 0 or 1, time (n,); or in the place of event `RiskSets(time, event, entry, strata, weight)`, sorted once for many calls.
    Mean: over events, by their weights. Gradient: expected minus observed deaths. DomainError where no row has an event.
    Sources: Cox (1972); Efron (1977).

    >>> import torch
    >>> from matchloss.torch import cox_loss
    >>> log_hz = torch.zeros(3, requires_grad=True)
    >>> cox_loss(log_hz, torch.tensor([1, 0, 1]), torch.tensor([1.0, 2.0, 3.0]), reduction="sum").backward()
    >>> log_hz.grad
    tensor([-0.6667,  0.3333,  0.3333])
    """
    check_raw(log_hz=log_hz)
    if reduction not in ("mean", "sum"):
        raise ValueError(f"{reduction!r} is not a valid value for reduction; allowed: 'mean', 'sum'")
    eta = log_hz.squeeze(-1) if log_hz.ndim == 2 and log_hz.shape[1] == 1 else log_hz
    if isinstance(event, RiskSets):
        key, given = key_of("cox", ties=ties_method, risk=event.serial, names="", mean=reduction == "mean"), ()
    elif time is None:
        raise TypeError("time is missing: pass event and time, or RiskSets(time, event)")
    else:
        named = {"time": time, "event": event, "entry": entry, "strata": strata, "weight": sample_weight}
        here = {name: x for name, x in named.items() if x is not None}
        key, given = key_of("cox", ties=ties_method, risk="", names=" ".join(here), mean=reduction == "mean"), tuple(here.values())
    return reduced(key, (eta,), given, torch.ones(1, dtype=torch.float64), "sum")
