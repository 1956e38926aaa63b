"""Cross entropy of rows of logits as a rule for autograd: compiled loops if memory can be read, the engine's formulas otherwise."""

from __future__ import annotations

from contextlib import nullcontext
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from matchloss.engine import row_text, threads
from matchloss.engine.row_targets import Mixture, sum_tolerance
from matchloss.engine.row_text import Jet, Options
from matchloss.engine.rows import SMALL, Stats, run_labels, run_mixture
from matchloss.losses.simplex import CrossEntropy
from matchloss.torch import _autograd
from matchloss.torch._rule import Rule
from matchloss.torch._targets import BadRow
from matchloss.torch._tensors import TORCH, TORCH_ROWS, WHOLE, empty_like, loss_dtype, numbers

NAMES = {torch.float32: "float32", torch.float64: "float64", torch.bfloat16: "bfloat16", torch.float16: "float16"}
AS_TORCH = nullcontext()  # one thread
PLAIN = Options()
NO_MORE = (None,) * 5
LABELS = CrossEntropy().programs["exact"]


class CrossEntropyRule(Rule):
    """Cross entropy of rows of K logits. `given` are the parts of `Targets`; labels may be passed without the other parts.

    With z-loss it returns, beside the values, their z-loss part. A row with an invalid target raises BadRow.
    """

    thrice = True
    whole = True  # whether this process has all classes of each row

    def __init__(self, options: Options) -> None:
        self.options = options

    def spread(self, per_row: Tensor) -> Tensor:
        return per_row.unsqueeze(-1)

    def gather(self, terms: Tensor) -> Tensor:
        return terms.to(loss_dtype(terms)).sum(-1)

    def values(self, raw: Tensor, *given: Tensor | None) -> tuple[Tensor, ...]:
        made = self.run(raw.detach(), None, 1.0, *given)
        return tuple(torch.from_numpy(x).to(loss_dtype(raw)) for x in made if x is not None)

    def total(self, raw: Tensor, scale: float, graded: bool, overwrite: bool, *given: Tensor | None) -> tuple[Any, ...]:
        if self is PLAIN_RULE and graded and not overwrite and raw.numel() <= SMALL and raw.is_contiguous():
            return small_total(raw, scale, *given)  # pyright: ignore[reportArgumentType]
        z = raw.detach()
        gradient = None if not graded else z if overwrite else empty_like(z)
        losses, part = self.run(z, gradient, scale, *given)
        total = np.add.reduce(losses, dtype=np.float64)
        total = total if scale < np.inf or total else np.nan  # 0 / 0: all weights are 0
        return (total, gradient) if part is None else (total, gradient, part.sum())

    def gradient(self, raw: Tensor, factor: Tensor | None, overwrite: bool, *given: Tensor | None) -> Tensor:
        z = raw.detach()
        gradient = z if overwrite else empty_like(z)
        self.run(z, gradient, 1.0 if factor is None else factor.detach().double().numpy(), *given)
        return gradient

    def run(self, z: Tensor, gradient: Tensor | None, factor: Any, *given: Tensor | None) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """The rows' losses times weight and factor, and their z-loss part or None; writes the gradient of their sum."""
        z, n = z.contiguous(), z.shape[0]
        index, share, base, _, _, weight = (*given, *NO_MORE)[:6]
        with AS_TORCH if z.numel() <= SMALL else threads.at_most(torch.get_num_threads()):
            if index is not None and share is None and base is None and self.options == PLAIN and z.dtype in WHOLE:
                if weight is None and type(factor) is float:  # saves the memory of one weight per row
                    weights = even_weights(n, factor, z.dtype) if z.numel() <= SMALL else factor
                else:
                    weights = weights_of(weight, factor, n)
                labels = np.ascontiguousarray(index.numpy())
                losses, bad = run_labels(LABELS, z.numpy(), labels, weights, None if gradient is None else gradient.numpy())
                if bad >= 0:
                    raise BadRow(bad)
                return losses, None
            weights = weights_of(weight, factor, n)
            stats = self.sweep(z, gradient, weights, *given)
        return losses_of(stats, weights, self.options.z_loss)

    def sweep(self, z: Tensor, gradient: Tensor | None, weights: NDArray[np.float64], *given: Tensor | None, spread: bool = False) -> Stats:
        """Unweighted statistics of the rows; writes the gradient of their losses times `weights`."""
        target, into = mixture(*given), None if gradient is None else numbers(gradient)
        dense = given[3] if len(given) > 3 else None
        tolerance = 1e-4 if dense is None else max(sum_tolerance(dense.dtype), sum_tolerance(loss_dtype(z)))
        stats, bad = run_mixture(NAMES[z.dtype], numbers(z), target, weights, self.options, into, tolerance=tolerance, spread=spread)
        if bad >= 0:
            raise BadRow(bad)
        return stats

    def gathered(self, gradient: Tensor) -> Tensor:
        """The gradient of the logits' inputs, summed over the processes of a group if each has only a part of it."""
        return gradient

    def outcome(self, raw: Tensor, *given: Tensor | None) -> tuple[Tensor, ...]:
        x, _, w = self._jet(raw, *given)
        value, gradient = weighted(w, x.value)[..., 0], weighted(w, x.gradient).to(raw.dtype)
        z_loss = self.options.z_loss
        return (value, gradient, weighted(w, z_loss * x.logsumexp * x.logsumexp)[..., 0]) if z_loss else (value, gradient)

    def product(self, raw: Tensor, v: Tensor, *given: Tensor | None) -> Tensor:
        x, t, w = self._jet(raw, *given)
        return weighted(w, row_text.hessian_product(TORCH_ROWS, x, t, self.options, v.to(x.p.dtype))).to(v.dtype)

    def _jet(
        self, z: Tensor, index: Tensor | None = None, share: Tensor | None = None, base: Tensor | None = None,
        dense: Tensor | None = None, scale: Tensor | None = None, weight: Tensor | None = None,
    ) -> tuple[Jet, Tensor, Tensor | None]:  # fmt: skip
        """The formulas computed with PyTorch's functions, the target as one tensor, and the weights."""
        work = loss_dtype(z)
        z = z.to(work)
        t: Any = 0.0
        if dense is not None:
            t = dense.to(work) if scale is None else dense.to(work) * scale
        if base is not None:
            t = t + base
        if index is not None and (share is None or index.shape[-1] == 1):
            at = index.unsqueeze(-1) if share is None else index
            t = t + torch.where(torch.arange(z.shape[-1], device=z.device) == at, 1.0 if share is None else share.to(work), 0.0)
        elif index is not None and share is not None:
            t = t + torch.zeros_like(z).scatter_add(-1, index, share.to(work))
        t = t + torch.zeros_like(z)
        return row_text.jet(TORCH, TORCH_ROWS, z, t, self.options), t, None if weight is None else weight.to(work).unsqueeze(-1)


PLAIN_RULE = CrossEntropyRule(PLAIN)
_autograd.FINDERS["cross entropy"] = lambda *options: CrossEntropyRule(Options(*options))


def small_total(raw: Tensor, scale: float, labels: Tensor) -> tuple[float, Tensor]:
    """CrossEntropyRule.total of few rows with labels alone: what surrounds the loop takes longer than the loop."""
    z = raw.detach().numpy()
    gradient = np.empty_like(z)
    losses, bad = run_labels(LABELS, z, labels.contiguous().numpy(), even_weights(len(z), scale, raw.dtype), gradient)
    if bad >= 0:
        raise BadRow(bad)
    return np.add.reduce(losses, dtype=np.float64), torch.from_numpy(gradient)


@lru_cache(64)
def even_weights(n: int, factor: float, dtype: torch.dtype) -> NDArray[Any]:
    """An array of the same weight for each of n rows."""
    return np.full(n, factor, np.float32 if dtype is torch.float32 else np.float64)


def weights_of(weight: Tensor | None, factor: Any, n: int) -> NDArray[np.float64]:
    """A weight for each of n rows, times a factor (one per row, or one for all); 0 stays 0 even if the factor is infinite."""
    if weight is None:
        return np.full(n, factor) if np.ndim(factor) == 0 else factor
    w = weight.numpy()
    with np.errstate(invalid="ignore"):
        return np.where(w == 0.0, 0.0, w * factor)


def losses_of(stats: Stats, weights: NDArray[np.float64], z_loss: float) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """The loss of each row times its weight, always 0 in rows of weight 0, and its z_loss logsumexp^2 part or None."""
    with np.errstate(invalid="ignore"):
        losses = np.where(weights == 0.0, 0.0, weights * stats.value)
        if not z_loss:
            return losses, None
        part = np.where(weights == 0.0, 0.0, z_loss * weights * stats.logsumexp**2)
    return part + losses, part


def weighted(w: Tensor | None, x: Tensor) -> Tensor:
    """w x, but 0 where w is 0 even if x is NaN or infinite."""
    return x if w is None else torch.where(w == 0, torch.zeros_like(x), w * x)


def mixture(
    index: Tensor | None = None, share: Tensor | None = None, base: Tensor | None = None, dense: Tensor | None = None,
    scale: Tensor | None = None, _: Tensor | None = None,
) -> Mixture:  # fmt: skip
    """The parts of a target as the loop takes them."""
    at = None if index is None else index.numpy() if index.ndim == 2 else index.unsqueeze(-1).numpy()
    shares = np.ones(at.shape) if share is None and at is not None else None if share is None else share.numpy()
    even, by_class = (None if a is None else a.reshape(-1).numpy() for a in (base, scale))
    full = None if dense is None else dense.float() if dense.dtype not in WHOLE else dense
    return Mixture(at, shares, even, None if full is None else full.numpy(), by_class)
