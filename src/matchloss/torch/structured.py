"""Losses of structures in PyTorch: the names that people know, values exact in the tails, every gradient from the forward pass.

Gradients are first derivatives; a second one raises NotImplementedError. Scores are float32 or float64; half types are computed in float32.
Errors name the group and the position: DomainError, ShapeError (ValueErrors), TypeError.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from matchloss.errors import DomainError, ShapeError
from matchloss.losses.structured import CTC, Cox, LinearChainCRF, Paths, PlackettLuce, Rankings, RiskSets, Transcripts
from matchloss.losses.structured._risk import ALIVE
from matchloss.torch._contrastive import clip_loss, info_nce_loss, siglip_loss
from matchloss.torch._plain import overridable
from matchloss.torch._structured import KERNELS, Array, Kernel, check_raw, host_array, key_of, reduced, visible

__all__ = [
    "CRF",
    "CTCLoss",
    "RiskSets",
    "clip_loss",
    "cox_loss",
    "crf_decode",
    "crf_loss",
    "ctc_loss",
    "ctc_loss_with_logits",
    "info_nce_loss",
    "list_mle_loss",
    "plackett_luce_loss",
    "siglip_loss",
]

Lengths = Tensor | Sequence[int]


def _ctc_kernel(blank: int, zero_infinity: bool, from_logits: bool) -> Kernel:
    loss = CTC(blank, zero_infinity)

    def compute(raw: tuple[Array, ...], given: tuple[Array, ...], weight: Array, graded: bool) -> tuple[Array, tuple[Array, ...]]:
        return loss.compute(raw, Transcripts(*given), weight, graded, from_logits)

    return Kernel(lambda raw, given: raw[0].shape[1], compute, singles=True)


KERNELS["ctc"] = _ctc_kernel


def _tensors(**given: Any) -> None:
    """TypeError for something else than a tensor; None passes."""
    for name, x in given.items():
        if x is not None and not isinstance(x, Tensor):
            raise TypeError(f"{name} is a {type(x).__name__}; it must be a torch.Tensor: pass torch.as_tensor({name})")


def _whole(name: str, lengths: Any, many: int) -> Tensor:
    """One whole number a sequence, (N,), of a tensor or a sequence; TypeError and DomainError for others: nothing is cut off."""
    x = torch.as_tensor(lengths)
    if x.dtype.is_complex or (x.dtype is torch.bool and x.numel()):
        raise TypeError(f"{name} has dtype {x.dtype}; whole numbers are needed")
    if x.numel() != many or x.ndim > 1:
        raise ShapeError(f"{name} has shape {tuple(x.shape)}; one number a sequence, ({many},), is needed")
    x = x.reshape(-1)
    if x.dtype.is_floating_point and visible(x):
        bad = ~(x == x.floor()) | ~x.isfinite()
        if bool(bad.any()):
            at = int(bad.int().argmax())
            raise DomainError(f"{name}[{at}] is {x[at].item()!r}; allowed: whole numbers")
    return x.to(torch.int64)


def _ctc(
    name: str, z: Tensor, targets: Tensor, input_lengths: Lengths, target_lengths: Lengths, blank: int, reduction: str, zero_infinity: bool
) -> Tensor:
    check_raw(**{name: z})
    if z.ndim not in (2, 3):
        raise ShapeError(f"{name} has shape {tuple(z.shape)}; (T, N, C) is needed, or (T, C) of one sequence")
    batch = z if z.ndim == 3 else z.unsqueeze(1)
    heard, said = (_whole(n, x, batch.shape[1]) for n, x in (("input_lengths", input_lengths), ("target_lengths", target_lengths)))
    _tensors(targets=targets)
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
    _tensors(time=time, strata=strata, entry=entry, sample_weight=sample_weight)
    if not isinstance(event, RiskSets):
        _tensors(event=event)
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


def _crf_kernel() -> Kernel:
    loss = LinearChainCRF()

    def compute(raw: tuple[Array, ...], given: tuple[Array, ...], weight: Array, graded: bool) -> tuple[Array, tuple[Array, ...]]:
        return loss.compute(raw, Paths(*given), weight, graded)

    return Kernel(lambda raw, given: raw[0].shape[0], compute, singles=True)


KERNELS["crf"] = _crf_kernel


@overridable
def crf_loss(
    emissions: Tensor,
    tags: Tensor,
    lengths: Tensor | None,
    transitions: Tensor,
    start: Tensor,
    end: Tensor,
    reduction: str = "mean",
) -> Tensor:
    """Minus the log probability of tags (N, T) in a linear-chain CRF, for each sequence; gradients in all scores.

    emissions (N, T, K), transitions (K, K) from row to column, start (K,), end (K,); lengths (N,), or None: all T. Mean: over sequences.
    Errors: DomainError for tags, lengths and scores, ShapeError for shapes. Source: Lafferty, McCallum and Pereira (2001).

    >>> import torch
    >>> from matchloss.torch import crf_loss
    >>> z = torch.zeros(1, 3, 2, requires_grad=True)
    >>> crf_loss(z, torch.tensor([[0, 1, 1]]), None, torch.zeros(2, 2), torch.zeros(2), torch.zeros(2)).backward()
    >>> z.grad[0]
    tensor([[-0.5000,  0.5000],
            [ 0.5000, -0.5000],
            [ 0.5000, -0.5000]])
    """
    check_raw(emissions=emissions, transitions=transitions, start=start, end=end)
    _tensors(tags=tags, lengths=lengths)
    if emissions.ndim != 3 or emissions.shape[:2] != tags.shape:
        raise ShapeError(f"emissions has shape {tuple(emissions.shape)}, tags {tuple(tags.shape)}; (N, T, K) and (N, T) are needed")
    raw = (emissions, transitions, start, end)
    given = (tags,) if lengths is None else (tags, lengths)
    weight = torch.ones(emissions.shape[0], dtype=torch.float64)
    return reduced(key_of("crf"), raw, given, weight, reduction, emissions.shape[0])


def crf_decode(emissions: Tensor, lengths: Tensor | None, transitions: Tensor, start: Tensor, end: Tensor) -> list[Tensor]:
    """The best path of each sequence, by Viterbi's algorithm. Arguments and errors are those of `crf_loss`.

    >>> import torch
    >>> from matchloss.torch import crf_decode
    >>> crf_decode(torch.tensor([[[2.0, 0.0], [0.0, 1.0]]]), None, torch.zeros(2, 2), torch.zeros(2), torch.zeros(2))
    [tensor([0, 1])]
    """
    check_raw(emissions=emissions, transitions=transitions, start=start, end=end)
    _tensors(lengths=lengths)
    sizes = None if lengths is None else host_array(lengths)
    raw = tuple(host_array(x) for x in (emissions, transitions, start, end))
    return [torch.from_numpy(path).to(emissions.device) for path in LinearChainCRF().decode(raw, sizes)]


class CRF(nn.Module):
    """pytorch-crf's module: a linear-chain CRF with `start_transitions`, `transitions` and `end_transitions` as parameters.

    forward(emissions, tags, mask, reduction) is the log likelihood, as there (the loss is minus it); reduction "sum", "mean", "none" or
    "token_mean". mask: True for steps inside, from the first one on. Shapes (T, N, K) and (T, N), or with batch_first (N, T, K) and (N, T).
    Source: Lafferty, McCallum and Pereira (2001).

    >>> import torch
    >>> from matchloss.torch import CRF
    >>> crf = CRF(num_tags=2, batch_first=True)
    >>> loss = -crf(torch.zeros(1, 3, 2), torch.tensor([[0, 1, 1]]))
    >>> crf.decode(torch.tensor([[[9.0, 0.0], [0.0, 9.0]]]))
    [[0, 1]]
    """

    def __init__(self, num_tags: int, batch_first: bool = False) -> None:
        if num_tags < 1:
            raise DomainError(f"num_tags is {num_tags}; allowed: 1 or more")
        super().__init__()
        self.num_tags, self.batch_first = num_tags, batch_first
        self.start_transitions = nn.Parameter(torch.empty(num_tags))
        self.end_transitions = nn.Parameter(torch.empty(num_tags))
        self.transitions = nn.Parameter(torch.empty(num_tags, num_tags))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform in [-0.1, 0.1]."""
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)

    def __repr__(self) -> str:
        return f"CRF(num_tags={self.num_tags})"

    def forward(self, emissions: Tensor, tags: Tensor, mask: Tensor | None = None, reduction: str = "sum") -> Tensor:
        """The log likelihood of the tags."""
        if reduction not in ("none", "sum", "mean", "token_mean"):
            raise ValueError(f"invalid reduction: {reduction}; allowed: 'none', 'sum', 'mean', 'token_mean'")
        z, y, lengths = self._first(emissions), self._first(tags), self._lengths(mask, emissions)
        kind = "sum" if reduction == "token_mean" else reduction
        value = -crf_loss(z, y, lengths, self.transitions, self.start_transitions, self.end_transitions, kind)
        return value / (y.numel() if lengths is None else lengths.sum()) if reduction == "token_mean" else value

    def decode(self, emissions: Tensor, mask: Tensor | None = None) -> list[list[int]]:
        """The best path of each sequence, as lists."""
        z, lengths = self._first(emissions), self._lengths(mask, emissions)
        return [path.tolist() for path in crf_decode(z, lengths, self.transitions, self.start_transitions, self.end_transitions)]

    def _first(self, x: Tensor) -> Tensor:
        return x if self.batch_first else x.transpose(0, 1)

    def _lengths(self, mask: Tensor | None, emissions: Tensor) -> Tensor | None:
        if mask is None:
            return None
        if not isinstance(mask, Tensor):
            raise TypeError(f"mask is a {type(mask).__name__}; it must be a torch.Tensor of True and False")
        if mask.shape != emissions.shape[:2]:
            raise ShapeError(f"mask has shape {tuple(mask.shape)}; the first two of emissions, {tuple(emissions.shape[:2])}, are needed")
        inside = self._first(mask).bool()
        if inside.shape[1] and not torch.compiler.is_compiling():
            bad = ~inside[:, 0] | (inside[:, 1:] & ~inside[:, :-1]).any(1)
            if bool(bad.any()):
                raise DomainError(f"mask of sequence {int(bad.int().argmax())}: allowed: True from the first step on, then False")
        return inside.sum(1)


def _plackett_luce_kernel(top: int | None, by: str) -> Kernel:
    loss = PlackettLuce(top)

    def compute(raw: tuple[Array, ...], given: tuple[Array, ...], weight: Array, graded: bool) -> tuple[Array, tuple[Array, ...]]:
        lists = Rankings.by_relevance(given[1], given[0]) if by == "relevance" else Rankings(*given)
        return loss.compute(raw, lists, weight, graded)

    return Kernel(lambda raw, given: given[0].shape[0] - 1, compute)


KERNELS["plackett_luce"] = _plackett_luce_kernel


def _lists(scores: Tensor, given: tuple[Tensor, ...], top: int | None, by: str, reduction: str) -> Tensor:
    check_raw(scores=scores)
    _tensors(indptr=given[0], **dict(zip((by,), given[1:], strict=False)))
    if given[0].ndim != 1:
        raise ShapeError(f"indptr has shape {tuple(given[0].shape)}; one bound more than there are lists, (lists + 1,), is needed")
    many = max(given[0].shape[0] - 1, 0)
    key = key_of("plackett_luce", top=top, by=by)
    return reduced(key, (scores,), given, torch.ones(many, dtype=torch.float64), reduction, max(many, 1))


@overridable
def plackett_luce_loss(
    scores: Tensor, indptr: Tensor, order: Tensor | None = None, top: int | None = None, reduction: str = "mean"
) -> Tensor:
    """Minus the log probability of the order of each list, under Plackett and Luce's model. Mean: over lists.

    scores (entries,) of all lists, one after the other; list i is entries indptr[i] to indptr[i + 1]. order (entries,): the positions of
    each list from best to worst; None: entries stand in that order. top: how many places count. DomainError for empty lists and orders.
    Sources: Luce (1959); Plackett (1975).

    >>> import torch
    >>> from matchloss.torch import plackett_luce_loss
    >>> scores = torch.zeros(5, requires_grad=True)
    >>> plackett_luce_loss(scores, torch.tensor([0, 3, 5]), top=1, reduction="sum").backward()
    >>> scores.grad
    tensor([-0.6667,  0.3333,  0.3333, -0.5000,  0.5000])
    """
    given = (indptr,) if order is None else (indptr, order)
    return _lists(scores, given, top, "order", reduction)


@overridable
def list_mle_loss(scores: Tensor, relevance: Tensor, indptr: Tensor, top: int | None = None, reduction: str = "mean") -> Tensor:
    """ListMLE: `plackett_luce_loss` of the order of falling relevance, without padding. Equal relevances stay as they are given.

    scores, relevance (entries,) of all lists; indptr as there. Source: Xia, Liu, Wang, Zhang and Li (2008).

    >>> import torch
    >>> from matchloss.torch import list_mle_loss
    >>> list_mle_loss(torch.zeros(5), torch.tensor([1.0, 3.0, 2.0, 0.0, 1.0]), torch.tensor([0, 3, 5]), reduction="none")
    tensor([1.7918, 0.6931])
    """
    return _lists(scores, (indptr, relevance), top, "relevance", reduction)
