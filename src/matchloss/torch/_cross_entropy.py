"""Cross entropy of rows of logits, with PyTorch's meaning of every option: one computation behind cross_entropy and linear_cross_entropy.

Plainly eager CPU tensors run the compiled row loops, everything else the same formulas over PyTorch's functions. As for all losses, the
derivative is the formula's own, twice.
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from matchloss.engine import threads
from matchloss.engine.row_targets import Mixture
from matchloss.engine.row_text import Options
from matchloss.engine.rows import SMALL, run_labels, run_mixture
from matchloss.errors import ShapeError
from matchloss.losses.simplex import CrossEntropy
from matchloss.torch import _memory
from matchloss.torch._composite import composite, loss_dtype, slope
from matchloss.torch._plain import batched, plain
from matchloss.torch._targets import FLOATS, Rows, losses_of, refuse_gradient, refuse_row, rows_of

KINDS = {torch.float32: "float32", torch.float64: "float64", torch.bfloat16: "bfloat16", torch.float16: "float16"}
ONCE = "overwrite=True: the gradient took the logits' memory; there is one backward, and no derivative of it"
REDUCTIONS = ("mean", "sum", "none")
PLAIN = Options()
AS_TORCH = nullcontext()  # one thread
HARD = {torch.float32, torch.float64}
LABELS = CrossEntropy().programs["exact"]


def cross_entropy_rows(
    logits: Tensor,
    target: Any,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    sample_weight: Tensor | None = None,
    normalizer: Any = None,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    overwrite: bool = False,
    group: Any = None,
    return_z_loss: bool = False,
) -> Any:
    """Cross entropy of logits (..., K), class last, with target labels (...), distributions (..., K), or a top-k pair of (..., m).

    The loss is a scalar, or (...) with reduction="none"; float32 where the logits are of half precision. With `return_z_loss` a pair:
    the loss, and the part of it that is z_loss * logsumexp^2, detached.
    """
    if (
        weight is None and sample_weight is None and label_smoothing == 0.0 and softcap is None and z_loss == 0.0 and temperature == 1.0
        and group is None and not return_z_loss and normalizer is None and reduction != "none" and type(target) is Tensor
        and target.dtype is torch.int64 and logits.ndim == 2 and target.shape == logits.shape[:1] and logits.dtype in HARD
        and logits.shape[1] and plain(logits, target) and reduction in REDUCTIONS
    ):  # fmt: skip
        n = target.shape[0]
        factor = 1.0 / n if reduction == "mean" and n else 1.0
        if n and ignore_index < 0 and logits.numel() <= SMALL and not overwrite and logits.is_contiguous() and target.is_contiguous():
            try:
                return Small.apply(logits, Call(None, PLAIN, target, factor, overwrite), ignore_index)
            except Ignored:
                pass
        elif n and not np.count_nonzero(target.numpy() == ignore_index):  # the common case, at the least cost
            return Total.apply(logits, Call(None, PLAIN, target, factor, overwrite))
    shape = shape_of(softcap, temperature, z_loss)
    check_call(logits, reduction)
    tensors = (logits, *(target if isinstance(target, tuple | list) else (target,)), weight, sample_weight)
    visible = plain(*tensors)
    refuse_gradient(weight=weight, sample_weight=sample_weight, **{f"target{i or ''}": t for i, t in enumerate(tensors[1:-2])})
    outer, classes = tuple(logits.shape[:-1]), logits.shape[-1]
    if group is not None:
        from matchloss.torch._group import cross_entropy_split

        return cross_entropy_split(
            logits, target, shape, group, visible, reduction, normalizer, overwrite, return_z_loss,
            weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing, sample_weight=sample_weight,
        )  # fmt: skip
    rows = rows_of(
        target, outer, classes, logits.dtype, weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing,
        sample_weight=sample_weight, visible=visible,
    )  # fmt: skip
    z = logits if logits.ndim == 2 else logits.reshape(-1, classes)
    factor = factor_of(reduction, rows.count, normalizer, visible)
    if visible:
        call = Call(rows, shape, target, factor, overwrite)
        if reduction == "none":
            loss = PerRow.apply(z, call).reshape(outer)
            z_part = None if call.z_part is None else torch.from_numpy(call.z_part).to(loss.dtype).reshape(outer)
        else:
            loss = Total.apply(z, call)
            z_part = None if call.z_part is None else loss.new_tensor(call.z_part.sum())
    else:
        loss, z_part = composite(z, rows, shape)
        if reduction == "none":
            loss, z_part = loss.reshape(outer), z_part.reshape(outer)
        else:
            factor = factor.to(loss.dtype) if isinstance(factor, Tensor) else factor
            loss, z_part = loss.sum() * factor, z_part.sum() * factor
    if return_z_loss:
        return loss, torch.zeros_like(loss, requires_grad=False) if z_part is None else z_part.detach()
    return loss


def shape_of(softcap: float | None, temperature: float, z_loss: float) -> Options:
    """The options that bend the logits, checked."""
    cap = 0.0 if softcap is None else float(softcap)
    if softcap is not None and not 0.0 < cap < torch.inf:
        raise ValueError(f"softcap is {softcap!r}; allowed: greater than 0 and finite, or None")
    if not 0.0 < temperature < torch.inf:
        raise ValueError(f"temperature is {temperature!r}; allowed: greater than 0 and finite")
    if not 0.0 <= z_loss < torch.inf:
        raise ValueError(f"z_loss is {z_loss!r}; allowed: 0 or greater, and finite")
    return Options(cap, float(temperature), float(z_loss))


def check_call(logits: Tensor, reduction: str) -> None:
    """What every call is checked for."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction is {reduction!r}; allowed: {', '.join(map(repr, REDUCTIONS))}")
    if logits.dtype not in FLOATS:
        raise TypeError(f"logits have dtype {logits.dtype}; allowed: float32, float64, bfloat16, float16")
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ShapeError(f"logits have shape {tuple(logits.shape)}; allowed: (..., K) with at least one class")


def factor_of(reduction: str, count: Any, normalizer: Any, visible: bool) -> Any:
    """What the sum of the rows' losses is multiplied by."""
    if reduction != "mean":
        return 1.0
    if isinstance(normalizer, Tensor):
        refuse_gradient(normalizer=normalizer)
    divisor = count if normalizer is None else normalizer
    if visible:
        divisor = float(divisor)
        return 1.0 / divisor if divisor else torch.nan
    return 1.0 / divisor if isinstance(divisor, Tensor) or divisor else torch.nan


class Call:
    """A plainly eager call: what backward needs, and where forward leaves what is not a tensor."""

    __slots__ = ("_rows", "factor", "gradient", "overwrite", "shape", "target", "z_part")

    def __init__(self, rows: Rows | None, shape: Options, target: Any, factor: float, overwrite: bool) -> None:
        self._rows, self.shape, self.target, self.factor, self.overwrite = rows, shape, target, factor, overwrite
        self.gradient: Tensor | None = None
        self.z_part: NDArray[Any] | None = None

    @property
    def rows(self) -> Rows:
        """The target; where there is none yet, plain labels."""
        if self._rows is None:
            index = self.target.reshape(-1, 1)
            self._rows = Rows(index, torch.ones(index.shape, dtype=torch.float64), hard=True)
        return self._rows

    def weights(self, n: int, factor: Any = 1.0) -> Any:
        """A weight a row, or one for all rows of plain labels, times a factor; 0 stays 0 where the factor is infinite."""
        if self._rows is None and np.ndim(factor) == 0:
            return float(factor)
        w = None if self._rows is None else self._rows.weight
        if w is None:
            return np.full(n, factor) if np.ndim(factor) == 0 else factor
        w = w.numpy()
        with np.errstate(invalid="ignore"):
            return np.where(w == 0.0, 0.0, w * factor)

    def run(self, z: Tensor, weights: Any, gradient: Tensor | None, values: bool = True) -> NDArray[np.float64] | None:
        """The rows' losses, each times its weight, and the gradient of their sum; z and gradient may be one."""
        z = z.contiguous()
        if self._rows is None:
            with AS_TORCH if z.numel() <= SMALL else threads.at_most(torch.get_num_threads()):
                out = None if gradient is None else gradient.numpy()
                losses, bad = run_labels(LABELS, z.numpy(), np.ascontiguousarray(self.target.numpy()), weights, out)
            if bad >= 0:
                refuse_row(self.target, bad, z.shape[1])
            return losses
        rows, shape, classes = self._rows, self.shape, z.shape[1]
        with threads.at_most(torch.get_num_threads()):
            if rows.hard and not (shape.softcap or shape.z_loss or shape.temperature != 1.0) and z.dtype in HARD:
                index = rows.index.numpy().reshape(-1)  # pyright: ignore[reportOptionalMemberAccess]
                losses, bad = run_labels(LABELS, z.numpy(), index, weights, None if gradient is None else gradient.numpy())
                if bad >= 0:
                    refuse_row(self.target, bad, classes)
                return losses
            grad = None if gradient is None else numbers(gradient)
            stats, bad = run_mixture(KINDS[z.dtype], numbers(z), parts(rows), weights, shape, grad, tolerance=rows.tolerance)
        if bad >= 0:
            refuse_row(self.target, bad, classes)
        if not values:
            return None
        losses, part = losses_of(stats, weights, shape.z_loss)
        if shape.z_loss:
            self.z_part = part
        return losses


def numbers(t: Tensor) -> NDArray[Any]:
    """A tensor's memory as NumPy sees it; half precision as its bits."""
    return t.numpy() if t.dtype in HARD else t.view(torch.int16).numpy().view(np.uint16)


def parts(rows: Rows) -> Mixture:
    """The rows' target as the loop takes it."""
    index, share = (None if a is None else a.numpy() for a in (rows.index, rows.share))
    base, scale = (None if a is None else a.reshape(-1).numpy() for a in (rows.base, rows.scale))
    dense = None if rows.dense is None else rows.dense.float() if rows.dense.dtype not in HARD else rows.dense
    return Mixture(index, share, base, None if dense is None else dense.numpy(), scale)


class Total(torch.autograd.Function):
    """The rows' losses summed, times a factor; the gradient is made in the same pass."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, call: Call) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        z = logits.detach()
        # float16's smallest number is 6e-8: its gradient waits for the factor of backward, where a GradScaler puts it
        now = ctx.needs_input_grad[0] and (call.overwrite or z.dtype is not torch.float16)
        gradient = None if not now else z if call.overwrite else _memory.empty_like(z)
        if now and call.overwrite:
            torch.autograd.graph.increment_version(logits)
        losses = call.run(z, call.weights(z.shape[0], call.factor), gradient)
        ctx.call, call.gradient = call, gradient
        if not call.overwrite:
            ctx.save_for_backward(logits)
        total = losses.sum(dtype=np.float64)  # pyright: ignore[reportOptionalMemberAccess]
        return torch.tensor(total if call.factor < np.inf or total else np.nan, dtype=loss_dtype(z))  # 0 / 0: no row counts

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        call: Call = ctx.call
        if call.overwrite and (torch.is_grad_enabled() or call.gradient is None or batched(g)):
            raise RuntimeError(ONCE)
        if torch.is_grad_enabled() or batched(g):  # a second derivative, or many first ones at once
            (logits,) = ctx.saved_tensors
            return (g * call.factor).to(logits.dtype) * slope(logits, call.rows, call.shape), None
        gradient, call.gradient = call.gradient, None
        if gradient is None:  # a second backward of a retained graph
            (logits,) = ctx.saved_tensors
            gradient = _memory.empty_like(logits)
            call.run(logits.detach(), call.weights(logits.shape[0], call.factor * g.item()), gradient, values=False)
            return gradient, None
        return gradient if g.item() == 1.0 else gradient.mul_(g), None


class Ignored(Exception):
    """There is a label that is to be ignored."""


@lru_cache(64)
def even_weights(n: int, factor: float, dtype: torch.dtype) -> NDArray[Any]:
    """The same weight for each of n rows."""
    return np.full(n, factor, np.float32 if dtype is torch.float32 else np.float64)


class Small(torch.autograd.Function):
    """Total for few rows of plain labels: what a call costs beside the loop is all that counts there."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, call: Call, ignore_index: int) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        z, labels = logits.detach(), call.target.numpy()
        n, dtype = labels.shape[0], logits.dtype
        call.gradient = gradient = torch.empty_like(z) if ctx.needs_input_grad[0] else None
        out = None if gradient is None else gradient.numpy()
        losses, bad = run_labels(LABELS, z.numpy(), labels, even_weights(n, call.factor, dtype), out)
        if bad >= 0:
            if ignore_index in labels:
                raise Ignored
            refuse_row(call.target, bad, z.shape[1])
        ctx.call = call
        ctx.save_for_backward(logits)
        return torch.scalar_tensor(np.add.reduce(losses, dtype=np.float64), dtype=dtype)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return *Total.backward(ctx, g), None


class PerRow(torch.autograd.Function):
    """The rows' losses; the gradient is made in backward, when each row's factor is known."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, call: Call) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        z = logits.detach()
        losses = call.run(z, call.weights(z.shape[0]), None)
        ctx.call = call
        if call.overwrite:
            call.gradient = z  # the memory; by then `logits` itself may refuse to be read
        else:
            ctx.save_for_backward(logits)
        return torch.from_numpy(losses).to(loss_dtype(z))  # pyright: ignore[reportArgumentType]

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        call: Call = ctx.call
        if call.overwrite:
            z, call.gradient = call.gradient, None
            if z is None or torch.is_grad_enabled() or batched(g):
                raise RuntimeError(ONCE)
            torch.autograd.graph.increment_version(z)
            call.run(z, call.weights(z.shape[0], g.detach().double().numpy()), z, values=False)
            return z, None
        (logits,) = ctx.saved_tensors
        if torch.is_grad_enabled() or batched(g):
            return g.to(logits.dtype).unsqueeze(-1) * slope(logits, call.rows, call.shape), None
        z = logits.detach()
        gradient = _memory.empty_like(z)
        call.run(z, call.weights(z.shape[0], g.detach().double().numpy()), gradient, values=False)
        return gradient, None
