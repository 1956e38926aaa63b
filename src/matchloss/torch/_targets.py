"""The targets of rows of logits: labels, distributions or top-k pairs, with class weights, smoothing, ignored labels and token weights,
combined into one mixture (matchloss.engine.row_targets.Mixture) over (n, K) logits; and labels drawn from a teacher's distribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import torch
from torch import Tensor

from matchloss.engine.row_targets import check_targets, sum_tolerance
from matchloss.errors import DomainError, ShapeError
from matchloss.torch._plain import readable
from matchloss.torch._tensors import FLOATS, INTEGERS, whole

CHUNK = 1 << 20  # probabilities whose running sums are held at a time (8 MB, which stay in cache)


Pair = tuple[Tensor, Tensor]  # labels and their probabilities, for the classes that are not 0
Target = Tensor | Pair


class BadRow(Exception):
    """Carries the index of the first row with an invalid target."""

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


@dataclass
class Targets:
    """A mixture target of n rows, as tensors on the logits' device; any part may be None."""

    index: Tensor | None = None  # (n, m), int64; without shares (n,), labels
    share: Tensor | None = None  # (n, m)
    base: Tensor | None = None  # (1, K)
    dense: Tensor | None = None  # (n, K)
    scale: Tensor | None = None  # (1, K)
    weight: Tensor | None = None  # (n,), 0 where ignored; None: 1
    kept: Tensor | None = None  # (n,), bool: rows not ignored; None: all
    count: float | Tensor = 0.0  # what reduction="mean" divides by

    @property
    def given(self) -> tuple[Tensor | None, ...]:
        """The parts as arguments of a CrossEntropyRule."""
        return self.index, self.share, self.base, self.dense, self.scale, self.weight

    @property
    def n(self) -> int:
        """The number of rows."""
        return next((part.shape[0] for part in (self.index, self.dense) if part is not None), 0)

    def part(self, rows: slice | Tensor) -> Targets:
        """Some of the rows."""
        index, share, dense, weight = (None if a is None else a[rows] for a in (self.index, self.share, self.dense, self.weight))
        return Targets(index, share, self.base, dense, self.scale, weight)


def refuse_gradient(**tensors: Tensor | None) -> None:
    """ValueError for a tensor that requires a gradient although none is defined for it."""
    for name, t in tensors.items():
        if t is not None and t.requires_grad:
            hint = '; for learnt weights use reduction="none" and multiply' if name == "sample_weight" else ""
            raise ValueError(f"{name} requires grad, and the loss has no derivative in it; pass {name}.detach(){hint}")


def targets_of(
    target: Target,
    shape: tuple[int, ...],
    classes: int,
    dtype: torch.dtype,
    *,
    weight: Tensor | None,
    ignore_index: int,
    label_smoothing: float,
    sample_weight: Tensor | None,
    visible: bool,
    check: bool = False,
) -> Targets:
    """The target of logits (*shape, classes) as rows. A bad row raises, or gets the weight NaN where values are not visible.

    Labels are checked here only with `check` or to look up class weights; otherwise the pass over the logits checks them.
    """
    if not 0.0 <= label_smoothing <= 1.0:
        raise DomainError(f"label_smoothing is {label_smoothing!r}; allowed: 0 to 1")
    work = torch.float64 if dtype is torch.float64 else torch.float32
    if weight is not None:
        check_weights("weight", weight, (classes,), "one weight a class", visible)
    if sample_weight is not None:
        check_weights("sample_weight", sample_weight, shape, "one weight a row", visible)
        sample_weight = sample_weight.reshape(-1).double()
    counted = None if sample_weight is None else sample_weight != 0  # rows of weight 0 are not checked
    if isinstance(target, tuple | list):
        rows = _top(target, shape, classes, counted, visible)
    elif target.dtype in INTEGERS and tuple(target.shape) == shape:
        rows = _labels(target, classes, ignore_index, counted, visible and (check or weight is not None or label_smoothing == 1.0), visible)
    elif target.dtype in FLOATS and tuple(target.shape) == (*shape, classes):
        dense = target.reshape(-1, classes)
        rows = Targets(dense=dense)
        if not visible:
            rows.weight = _poisoned(dense, max(sum_tolerance(target.dtype), sum_tolerance(work)))
    elif tuple(target.shape) in (shape, (*shape, classes)):
        raise TypeError(f"target has dtype {target.dtype}; labels are integers, distributions floats")
    else:
        raise ShapeError(f"target has shape {tuple(target.shape)}; allowed: labels {shape} or distributions {(*shape, classes)}")
    by_class = None if rows.index is None or weight is None else weight.double()[rows.index.clamp(0, classes - 1)]
    if sample_weight is not None:
        rows.weight = sample_weight if rows.weight is None else (rows.weight * sample_weight).masked_fill(sample_weight == 0, 0.0)
    total = rows.weight
    if by_class is not None and rows.share is None:
        total = by_class if total is None else (total * by_class).masked_fill(total == 0, 0.0)
    rows.count = float(rows.n) if total is None else total.sum()
    keep = 1.0 - label_smoothing
    if rows.index is not None and (by_class is not None or keep != 1.0):
        if rows.share is None:
            rows.index = rows.index.unsqueeze(-1)
            share = torch.ones_like(rows.index, dtype=torch.float64) if by_class is None else by_class.unsqueeze(-1)
        else:
            share = rows.share if by_class is None else rows.share * by_class
        rows.share = share * keep
    if label_smoothing:
        even = (
            torch.ones(classes, dtype=work, device=(target if isinstance(target, Tensor) else target[0]).device)
            if weight is None
            else weight.to(work)
        )
        rows.base = (even * (label_smoothing / classes)).unsqueeze(0)
        if rows.dense is not None:
            rows.scale = (even * keep).unsqueeze(0)
    elif weight is not None and rows.dense is not None:
        rows.scale = weight.to(work).unsqueeze(0)
    return rows


def _labels(target: Tensor, classes: int, ignore_index: int, counted: Tensor | None, check: bool, visible: bool) -> Targets:
    y = target.reshape(-1).long()
    rows = Targets(index=y)
    if visible and y.numel():
        low, high = map(int, torch.aminmax(y))
        if not low <= ignore_index <= high and (not check or (low >= 0 and high < classes)):
            return rows  # the common case, in one pass
    kept = y != ignore_index
    if check or not visible:
        wrong = kept & ((y < 0) | (y >= classes))
        wrong = wrong if counted is None else wrong & counted
        if visible and bool(wrong.any()):
            refuse_row(target, int(wrong.nonzero()[0]), classes)
        elif not visible:
            rows.weight = torch.where(wrong, torch.nan, kept.double())
            rows.index = torch.where(kept & ~wrong, y, 0)
    if visible and not bool(kept.all()):
        rows.weight, rows.kept = kept.double(), kept
    return rows


def _top(target: Pair, shape: tuple[int, ...], classes: int, counted: Tensor | None, visible: bool) -> Targets:
    index, share = target
    if index.dtype not in INTEGERS or share.dtype not in FLOATS:
        raise TypeError(f"target is a pair of dtypes {index.dtype} and {share.dtype}; allowed: (integer labels, floating probabilities)")
    if tuple(index.shape[:-1]) != shape or index.ndim != len(shape) + 1 or index.shape != share.shape:
        raise ShapeError(f"target is a pair of shapes {tuple(index.shape)} and {tuple(share.shape)}; allowed: both {(*shape, 'm')}")
    m = index.shape[-1]
    limit = 1.0 + sum_tolerance(share.dtype)
    index, share = index.reshape(-1, m).long(), share.reshape(-1, m).double()
    rows, outside = Targets(index=index, share=share), (index < 0) | (index >= classes)
    wrong = (~(share >= 0) | outside).any(-1) | ~(share.sum(-1) <= limit)
    wrong = wrong if counted is None else wrong & counted
    if visible:
        if bool(wrong.any()):
            row = int(wrong.nonzero()[0])
            where = ", ".join(map(str, _place(row, shape)))
            pairs = list(zip(index[row].tolist(), share[row].tolist(), strict=True))
            raise DomainError(
                f"target's row [{where}] is {pairs[:8]!r}{' ...' if m > 8 else ''}; "
                f"allowed: labels 0..{classes - 1} with probabilities >= 0 that sum to at most 1"
            )
    else:
        rows.weight = torch.ones_like(wrong, dtype=torch.float64).masked_fill(wrong, torch.nan)
        rows.index = index.masked_fill(outside, 0)
    return rows


def _poisoned(dense: Tensor, tolerance: float) -> Tensor:
    good = ((dense.double().sum(-1) - 1.0).abs() <= tolerance) & (dense >= 0).all(-1)
    return torch.where(good, 1.0, torch.nan).double()


def check_weights(name: str, w: Tensor, shape: tuple[int, ...], like: str, visible: bool) -> None:
    """ShapeError unless w has this shape; DomainError for a weight that is negative or not finite, if values are visible."""
    if tuple(w.shape) != shape:
        raise ShapeError(f"{name} has shape {tuple(w.shape)}, and {like} asks for {shape}; shapes are never broadcast")
    if visible and w.numel():
        low, high = map(float, torch.aminmax(w))
        if not (low >= 0 and high < torch.inf):
            place = (~((w >= 0) & (w < torch.inf))).nonzero()[0].tolist()
            raise DomainError(f"{name}[{', '.join(map(str, place))}] is {w[tuple(place)].item()!r}; allowed: finite and >= 0")


def refuse_row(target: Target, row: int, classes: int) -> NoReturn:
    """DomainError for the bad label or distribution that the pass over the logits found in this row."""
    assert isinstance(target, Tensor)  # pairs were checked before the pass
    if target.dtype in INTEGERS:
        where = ", ".join(map(str, _place(row, tuple(target.shape))))
        label = target.reshape(-1)[row].item()
        raise DomainError(f"target{f'[{where}]' if where else ''} is {label}; allowed: labels 0..{classes - 1}, or ignore_index")
    where = ", ".join(map(str, _place(row, tuple(target.shape[:-1]))))
    t = target.reshape(-1, classes)[row].double()
    name = f"target{f'[{where}]' if where else ''}"
    bad = ~(t >= 0)
    if bool(bad.any()):
        j = int(bad.nonzero()[0])
        raise DomainError(f"{name} has {t[j].item()!r} at class {j}; allowed: probabilities >= 0 that sum to 1")
    raise DomainError(f"{name} sums to {t.sum().item()!r}; allowed: probabilities that sum to 1 within {sum_tolerance(target.dtype):g}")


def _place(row: int, shape: tuple[int, ...]) -> list[int]:
    place: list[int] = []
    for size in reversed(shape):
        row, i = divmod(row, size)
        place.append(i)
    return place[::-1]


def sample_targets(probabilities: Tensor, m: int = 1, generator: torch.Generator | None = None) -> Tensor:
    """m labels per row, drawn with replacement, to train on instead of the distribution they come from.

    For a loss that is linear in its target (cross entropy and all simplex losses here), the expected loss at labels drawn from a
    distribution is the loss at the distribution, and the same holds for its gradients. So the mean over the m labels is unbiased, with
    1/m of the variance of one label. Stored labels take m integers per row instead of K floats.

    probabilities: (..., K), any floating dtype, rows that sum to 1. Returns int64 of shape (..., m): use it with plain cross entropy, for
    example of `logits.unsqueeze(-2).expand(..., m, K)`. `generator` makes the draw repeatable; it lives where the probabilities do.

    Raises DomainError for a row that is no distribution, ShapeError for a scalar or K = 0, ValueError for m < 1. Where values cannot be
    read (CUDA, tracing) such a row gets labels -1, which no loss accepts.

    >>> import torch
    >>> from matchloss.torch import sample_targets
    >>> teacher = torch.tensor([[0.9, 0.1, 0.0], [0.0, 0.0, 1.0]])
    >>> labels = sample_targets(teacher, 4, generator=torch.Generator().manual_seed(0))
    >>> labels.shape, labels.dtype, int(labels[1].min())
    (torch.Size([2, 4]), torch.int64, 2)
    """
    if not isinstance(probabilities, Tensor) or not probabilities.is_floating_point():
        raise TypeError(
            f"probabilities must be a floating point tensor, not {getattr(probabilities, 'dtype', type(probabilities).__name__)}"
        )
    if probabilities.ndim == 0 or probabilities.shape[-1] == 0:
        raise ShapeError(f"probabilities have shape {tuple(probabilities.shape)}; rows (..., K) with at least one class are sampled")
    if isinstance(m, bool) or not isinstance(m, int) or m < 1:
        raise ValueError(f"m is {m!r}; it must be a whole number, 1 or more")
    p, classes = probabilities.detach(), probabilities.shape[-1]
    tolerance = sum_tolerance(p.dtype)
    flat = p.reshape(-1, classes)
    height = max(1, CHUNK // classes)
    drawn = [_drawn(flat[i : i + height], m, generator, tolerance) for i in range(0, max(1, flat.shape[0]), height)]
    labels = (drawn[0] if len(drawn) == 1 else torch.cat(drawn)).reshape(*p.shape[:-1], m)
    if readable(p) and labels.numel() and int(labels.min()) < 0:
        check_targets(whole(p), False, classes, None, tolerance)
    return labels


def _drawn(p: Tensor, m: int, generator: torch.Generator | None, tolerance: float) -> Tensor:
    """Inverts the running sum, in float64 because a float32 sum would lose unlikely classes."""
    wide = torch.float32 if p.device.type == "mps" else torch.float64
    reach = p.cumsum(-1, dtype=wide)
    total = reach[:, -1:]
    u = torch.rand(p.shape[0], m, dtype=wide, device=p.device, generator=generator) * total
    u = torch.minimum(u, torch.nextafter(total, torch.zeros_like(total)))  # the product may round up to the total, beyond every class
    labels = torch.searchsorted(reach, u, right=True)
    fine = (p.amin(-1, keepdim=True) >= 0) & ((total - 1).abs() <= tolerance)
    return torch.where(fine, labels, -1)
