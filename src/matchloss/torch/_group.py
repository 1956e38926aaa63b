"""Cross entropy with the classes split over the processes of a torch.distributed group: each has some columns of the logits.

Each block of rows takes two exchanges: the largest entry of each row, then sums relative to it. Errors that only some processes see
are shared in a first exchange, so that no process waits for ever for one that has raised.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from matchloss.engine.row_targets import Mixture, sum_tolerance
from matchloss.engine.row_text import Options
from matchloss.engine.rows import Stats, run_mixture
from matchloss.errors import DomainError, ShapeError
from matchloss.torch._cross_entropy_rule import NAMES, CrossEntropyRule, mixture
from matchloss.torch._targets import Target, Targets, check_weights, targets_of
from matchloss.torch._tensors import FLOATS, WHOLE, numbers

Loop = tuple[str, NDArray[Any], Mixture, NDArray[np.float64], Options]  # run_mixture's arguments


class Split:
    """This process's share of the classes: `classes` of `total`, starting at `first`."""

    def __init__(self, group: Any, classes: int, target: Target, visible: bool, argmax: bool = False) -> None:
        self.group, self.classes, self.argmax = group, classes, argmax
        labels = target[0] if isinstance(target, tuple | list) else target
        told = 0 if labels.dtype in FLOATS or not visible else int(labels.detach().long().sum())  # to check that all processes agree
        mine = torch.tensor([classes, labels.shape[0] if labels.ndim else 1, told, int(visible)])
        everyone = [torch.zeros_like(mine) for _ in range(dist.get_world_size(group))]
        dist.all_gather(everyone, mine, group)
        sizes = [int(each[0]) for each in everyone]
        if not all(int(each[3]) for each in everyone):
            raise NotImplementedError("group= needs plain CPU tensors in every process, outside torch.func and torch.compile")
        if any(not torch.equal(each[1:], mine[1:]) for each in everyone):
            raise DomainError("target differs between the processes of the group; each holds some of the classes of the same rows")
        self.first, self.total = sum(sizes[: dist.get_rank(group)]), sum(sizes)

    def sum(self, x: Any) -> Any:
        """The sum over all processes."""
        dist.all_reduce(x, dist.ReduceOp.SUM, self.group)
        return x

    def rows(
        self,
        target: Target,
        outer: tuple[int, ...],
        classes: int,
        dtype: torch.dtype,
        *,
        weight: Tensor | None,
        ignore_index: int,
        label_smoothing: float,
        sample_weight: Tensor | None,
        visible: bool,
    ) -> Targets:
        """This process's part of the target. Labels refer to all classes; distributions and class weights have its own columns only."""
        work = torch.float64 if dtype is torch.float64 else torch.float32
        failure: Exception | None = None
        rows = Targets()
        try:  # errors that only one process may see
            if weight is not None:
                check_weights("weight", weight, (classes,), "one weight for each class of this process", True)
            if isinstance(target, Tensor) and target.dtype in FLOATS:
                if tuple(target.shape) != (*outer, classes):
                    raise ShapeError(f"target has shape {tuple(target.shape)}; allowed: this process's columns {(*outer, classes)}")
                rows = self._dense(target, outer, sample_weight)
            else:
                rows = targets_of(
                    target, outer, self.total, dtype, weight=None, ignore_index=ignore_index, label_smoothing=0.0,
                    sample_weight=sample_weight, visible=True, check=True,
                )  # fmt: skip
            if not 0.0 <= label_smoothing <= 1.0:
                raise DomainError(f"label_smoothing is {label_smoothing!r}; allowed: 0 to 1")
        except Exception as error:
            failure = error
        if int(self.sum(torch.tensor(int(failure is not None)))):
            raise failure or RuntimeError("another process of the group found its part of the input wrong")
        if rows.dense is not None:
            self._check_mass(rows)
        keep, n = 1.0 - label_smoothing, int(np.prod(outer, dtype=int))
        if rows.index is not None:
            labels = rows.share is None
            index = rows.index.unsqueeze(-1) if labels else rows.index
            at = index - self.first
            mine = (at >= 0) & (at < self.classes)
            share = torch.ones_like(at, dtype=torch.float64) if rows.share is None else rows.share
            share = share if weight is None else share * weight.double()[at.clamp(0, max(self.classes - 1, 0))]
            share = torch.where(mine, share, 0.0)
            if weight is not None and labels:
                counted = self.sum(share[:, 0].clone())
                rows.count = float((counted if rows.weight is None else counted * rows.weight).sum())
            rows.index, rows.share = torch.where(mine, at, -1), share * keep
        if rows.dense is not None:
            rows.count = float(n) if rows.weight is None else rows.weight.sum()
        if label_smoothing:
            even = torch.ones(classes, dtype=work) if weight is None else weight.to(work)
            rows.base = (even * (label_smoothing / self.total)).unsqueeze(0)
        if rows.dense is not None and (label_smoothing or weight is not None):
            rows.scale = ((torch.ones(classes, dtype=work) if weight is None else weight.to(work)) * keep).unsqueeze(0)
        return rows

    def _dense(self, target: Tensor, outer: tuple[int, ...], sample_weight: Tensor | None) -> Targets:
        if sample_weight is not None:
            check_weights("sample_weight", sample_weight, outer, "one weight a row", True)
        if not bool((target >= 0).all()):
            raise DomainError("target has a probability that is negative or NaN")
        return Targets(dense=target.reshape(-1, self.classes), weight=None if sample_weight is None else sample_weight.reshape(-1).double())

    def _check_mass(self, rows: Targets) -> None:
        dense: Any = rows.dense
        mass = self.sum(dense.double().sum(-1))
        limit = sum_tolerance(dense.dtype)
        wrong = (mass - 1.0).abs() > limit
        wrong = wrong if rows.weight is None else wrong & (rows.weight != 0)
        if bool(wrong.any()):
            row = int(wrong.nonzero()[0])
            raise DomainError(f"target's row {row} sums to {mass[row].item()!r} over all processes; allowed: 1 within {limit:g}")

    def measure(self, loop: Loop, spreads: bool) -> tuple[Stats, NDArray[np.float64]]:
        """Statistics of the whole rows, and what the gradient of a part needs to know of them."""
        local, _ = run_mixture(*loop, None, tolerance=np.inf, spread=spreads)  # a part of a distribution may have any sum
        top = torch.from_numpy(np.array(local.top))
        dist.all_reduce(top, dist.ReduceOp.MAX, self.group)
        top = top.numpy()
        index = loop[2].index
        with np.errstate(invalid="ignore", over="ignore"):
            tie = local.top == top
            far = np.where(tie, 0.0, top - local.top)
            own = np.exp(-far)
            rest = np.where(tie, local.rest, (1.0 + local.rest) * own)
            gap = local.gap + np.where(local.mass == 0.0, 0.0, local.mass * far)
            label_gap = np.zeros_like(far) if index is None else np.where(index[:, 0] < 0, 0.0, local.label_gap + far)
            spread = np.where(own == 0.0, 0.0, own * (local.spread + (1.0 + local.rest) * far))
        sums = self.sum(torch.from_numpy(np.stack([rest, tie.astype(np.float64), gap, local.mass, label_gap, spread]))).numpy()
        rest, gap, mass, label_gap, spread = sums[0] + (sums[1] - 1.0), *sums[2:]
        place = np.where(tie, local.place + self.first, np.inf)
        if self.argmax:
            places = torch.from_numpy(place)
            dist.all_reduce(places, dist.ReduceOp.MIN, self.group)
            place = places.numpy()
        return Stats(top, rest, gap, mass, label_gap, place, spread), np.stack([top, rest, mass], axis=-1)


class SplitRule(CrossEntropyRule):
    """Cross entropy of whole rows of which this process has some columns. All processes get the same value, each its own gradient.

    With `remember` the rule belongs to one call and keeps the exchanged numbers, so that backward needs no exchange.
    """

    whole = False

    def __init__(self, options: Options, split: Split, remember: bool) -> None:
        super().__init__(options)
        self.split, self.remember = split, remember
        self.seen: tuple[Stats, NDArray[np.float64]] | None = None

    def sweep(self, z: Tensor, gradient: Tensor | None, weights: NDArray[np.float64], *given: Tensor | None, spread: bool = False) -> Stats:
        loop = (NAMES[z.dtype], numbers(z), mixture(*given), weights, self.options)
        stats, known = self.seen or self.split.measure(loop, spread)
        if gradient is not None:
            run_mixture(*loop, numbers(gradient), tolerance=np.inf, known=known)
        if self.remember:
            self.seen = stats, known
        return stats

    def gathered(self, gradient: Tensor) -> Tensor:
        narrow = gradient.dtype not in WHOLE
        return gradient.copy_(self.split.sum(gradient.float())) if narrow else self.split.sum(gradient)

    def outcome(self, raw: Tensor, *given: Tensor | None) -> tuple[Tensor, ...]:
        raise NotImplementedError("a second derivative of a loss whose classes are split over processes")
