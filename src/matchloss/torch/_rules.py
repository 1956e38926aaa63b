"""How a loss is computed on tensors: by the engine's compiled loops over their memory, or by its formulas with torch functions.

A rule has the same methods for both kinds of loss. `weight` is one number >= 0 per row, or None. Where values cannot be read, a row with
a bad target or weight gives NaN. Gradients and hessians are the formula's own; nothing here is left to autograd.
"""

from __future__ import annotations

import math
from dataclasses import fields
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from matchloss.engine import pointwise, rows, threads, totals
from matchloss.engine.arrays import Evaluation, refuse
from matchloss.engine.row_targets import sum_tolerance
from matchloss.engine.row_text import Parts, parts
from matchloss.errors import DomainError
from matchloss.losses import Loss, PointwiseLoss, SimplexLoss
from matchloss.torch import _autograd
from matchloss.torch._autograd import Product
from matchloss.torch._plain import readable
from matchloss.torch._rule import Rule
from matchloss.torch._tensors import TORCH, TORCH_ROWS, empty, empty_like, line, solve, whole

CODES = {torch.float32: "f4", torch.float64: "f8"}
EXACT_IN_FLOAT32 = {torch.float32, torch.float16, torch.bfloat16, torch.bool, torch.int8, torch.uint8, torch.int16}
SMALL = 1 << 15  # up to this many numbers a second thread does not pay


class LossRule(Rule):
    """What both kinds of loss share. `given` holds the target, and a weight >= 0 per row or None."""

    def __init__(self, loss: Loss) -> None:
        self.loss = loss
        self.core: Any = loss.simplified
        self.program: Any = loss.programs["exact"]

    def composite(self, raw: Tensor, target: Tensor, weight: Tensor | None, curvature: str = "exact") -> Evaluation:
        """Value, gradient and hessian by the formula over torch functions."""
        raise NotImplementedError

    def prediction(self, raw: Tensor) -> Tensor:
        """The prediction by the formula over torch functions."""
        raise NotImplementedError

    def some_target(self, raw: Tensor) -> Tensor:
        """Valid targets, for results that do not depend on the target."""
        raise NotImplementedError

    def gradient(self, raw: Tensor, factor: Tensor | None, overwrite: bool, target: Tensor, weight: Tensor | None) -> Tensor:
        if factor is not None:
            weight = factor if weight is None else torch.where(weight == 0, 0.0, factor * weight)
        made = self.total(raw, 1.0, True, False, target, weight)[1]
        assert made is not None
        return made

    def total(
        self, raw: Tensor, scale: float, graded: bool, overwrite: bool, target: Tensor, weight: Tensor | None
    ) -> tuple[float, Tensor | None]:
        raise NotImplementedError

    def outcome(self, raw: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, ...]:
        if readable(raw, target, weight) and self.can_run:
            return (*self.values(raw, target, weight), self.gradient(raw, None, False, target, weight))
        return self.composite(raw, target, weight)[:2]

    def slope(self, raw: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        if readable(raw, target, weight) and self.can_run:
            return self.gradient(raw, None, False, target, weight)
        return self.composite(raw, target, weight).gradient

    def hessian(self, raw: Tensor, target: Tensor, weight: Tensor | None, curvature: str) -> Tensor:
        if readable(raw, target, weight):
            z, y, w = (None if x is None else whole(x) for x in (raw, target, weight))
            return torch.from_numpy(np.asarray(self.loss.evaluate(z, y, w, False, False, True, curvature).hessian))
        return self.composite(raw, target, weight, curvature).hessian

    def predict(self, raw: Tensor) -> Tensor:
        if readable(raw):
            return torch.from_numpy(np.asarray(self.loss.predict(whole(raw))))
        return self.prediction(raw)

    def predict_product(self, raw: Tensor, v: Tensor) -> Tensor:
        if not self.loss.matching:
            raise NotImplementedError(f"the derivative of predict is not offered for {self.loss!r}: of matching losses it is the hessian")
        return Product.apply(self, raw, v, self.some_target(raw), None)  # pyright: ignore[reportReturnType]


class PointwiseRule(LossRule):
    """The rule of a loss of one raw prediction per row."""

    @cached_property
    def can_run(self) -> bool:
        if not self.program.fallback:
            return True
        from matchloss.engine.cache import NotCompilable

        try:
            totals.loop_of(self.program, "f4", True, False)
        except NotCompilable:
            return False
        return True

    def __init__(self, loss: PointwiseLoss) -> None:
        super().__init__(loss)
        self._loops: dict[tuple[str, bool, bool], totals.Loop] = {}

    def composite(self, raw: Tensor, target: Tensor, weight: Tensor | None, curvature: str = "exact") -> Evaluation:
        program = self.loss.programs[curvature]
        z, y = _wide(raw), _wide(target, raw)
        value, gradient, hessian = program.formula(TORCH, z, y, *program.constants)
        if program.curvature is not None:
            hessian = program.curvature(TORCH, z, y, *program.constants)
        fine = (y >= program.low) & (y <= program.high)
        return Evaluation(*(_finish(x + 0.0 * z, fine, weight, raw.dtype) for x in (value, gradient, hessian)))

    def product(self, raw: Tensor, v: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        return self.composite(raw, target, weight).hessian * v

    def prediction(self, raw: Tensor) -> Tensor:
        z = _wide(raw)
        return (self.core.predict_formula(TORCH, z, *self.core.constants) + 0.0 * z).to(raw.dtype)

    def some_target(self, raw: Tensor) -> Tensor:
        return torch.full_like(raw, min(max(1.0, self.program.low), self.program.high))

    def values(self, raw: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, ...]:
        out = empty_like(raw)
        with threads.at_most(torch.get_num_threads()):
            pointwise.by_loop(
                self.program, whole(raw), whole(target), None if weight is None else whole(weight), [line(out), None, None], False
            )
        return (out,)

    def total(
        self, raw: Tensor, scale: float, graded: bool, overwrite: bool, target: Tensor, weight: Tensor | None
    ) -> tuple[float, Tensor | None]:
        raw = raw.detach()
        work, given_target, given_weight = raw.dtype, target, weight
        if target.dtype is not work:
            work = work if target.dtype in EXACT_IN_FLOAT32 else torch.float64
            target = target.to(work)
        if weight is not None and weight.dtype is not work:
            weight = weight.to(work)
        given, raw = raw, raw if raw.dtype is work else raw.to(work)
        loop = self._loop(CODES[work], graded, weight is not None)
        z, y, w = line(raw), line(target), None if weight is None else line(weight)
        if overwrite:
            self._check(given_target, given_weight)
        sink = None if not graded else given if overwrite and raw is given else empty_like(raw)
        g = None if sink is None else line(sink)
        try:
            if z.shape[0] <= pointwise.BLOCK:  # a single thread, so there is no limit to set
                result = totals.total(loop, self.program, z, y, w, scale, g)
            else:
                with threads.at_most(torch.get_num_threads()):
                    result = totals.total(loop, self.program, z, y, w, scale, g)
        except DomainError:  # it names the index in the flat memory; check again for the index in the tensor's shape
            self._check(given_target, given_weight)
            raise
        if sink is not None and work is not given.dtype:
            sink = given.copy_(sink) if overwrite else sink.to(given.dtype)
        return result * scale, sink

    def _check(self, target: Tensor, weight: Tensor | None) -> None:
        pointwise.check(self.program, whole(target), None if weight is None else whole(weight))

    def _loop(self, *variant: Any) -> totals.Loop:
        loop = self._loops.get(variant)
        if loop is None:
            loop = self._loops[variant] = totals.loop_of(self.program, *variant)
        return loop


class SimplexRule(LossRule):
    """The rule of a loss of K raw predictions per row; targets are labels (...,) or distributions (..., K)."""

    def __init__(self, loss: SimplexLoss) -> None:
        super().__init__(loss)
        self._loops: dict[tuple[str, bool, int], Any] = {}

    def spread(self, per_row: Tensor) -> Tensor:
        return per_row.unsqueeze(-1)

    def gather(self, terms: Tensor) -> Tensor:
        return terms.sum(-1)

    def _parts(self, raw: Tensor, target: Tensor) -> tuple[Parts, Tensor, Tensor]:
        z = _wide(raw) if raw.device.type == "cpu" else raw
        if is_labels(raw, target):
            t = (target.unsqueeze(-1) == torch.arange(raw.shape[-1], device=raw.device)).to(z.dtype)
            fine = (target >= 0) & (target < raw.shape[-1])
        else:
            t = target.to(z.dtype)
            fine = (t >= 0).all(-1) & ((t.sum(-1) - 1).abs() <= sum_tolerance(target.dtype))
        return parts(TORCH, TORCH_ROWS, self.program, z, t, solve), t, fine

    def composite(self, raw: Tensor, target: Tensor, weight: Tensor | None, curvature: str = "exact") -> Evaluation:
        program = self.loss.programs[curvature]
        x, t, fine = self._parts(raw, target)
        v, gradient, hessian = program.entry(TORCH, x.p, x.c, t, x.own, x.others, x.share, *program.constants)
        if program.curvature is not None:
            hessian = program.curvature(TORCH, x.p)
        elif curvature == "fisher" and not self.loss.matching:  # the hessian is affine in the target: its mean over drawn labels
            hessian = self.composite(raw, x.p, None).hessian
        base = program.base(TORCH, x.gap, x.d, x.rest, *program.constants)
        value = (base + torch.where(t == 0, 0.0, t * v).sum(-1, keepdim=True)).squeeze(-1)
        rest = (_finish(e, fine.unsqueeze(-1), None if weight is None else weight.unsqueeze(-1), raw.dtype) for e in (gradient, hessian))
        return Evaluation(_finish(value, fine, weight, raw.dtype), *rest)

    def product(self, raw: Tensor, v: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        x, t, fine = self._parts(raw, target)
        made = self.core.product(TORCH, TORCH_ROWS, x, t, v.to(x.p.dtype))
        return _finish(made, fine.unsqueeze(-1), None if weight is None else weight.unsqueeze(-1), raw.dtype)

    def prediction(self, raw: Tensor) -> Tensor:
        return self._parts(raw, self.some_target(raw))[0].p.to(raw.dtype)

    def some_target(self, raw: Tensor) -> Tensor:
        return torch.zeros(raw.shape[:-1], dtype=torch.int64, device=raw.device)

    def values(self, raw: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, ...]:
        out = empty(raw.shape[:-1], raw.dtype)
        self._run(raw, target, weight, [line(out), None, None])
        return (out,)

    def total(
        self, raw: Tensor, scale: float, graded: bool, overwrite: bool, target: Tensor, weight: Tensor | None
    ) -> tuple[float, Tensor | None]:
        if not math.isfinite(scale):  # every weight is 0
            dead = torch.zeros(raw.shape[:-1]) if weight is None else weight
            return math.nan, self.spread(torch.where(dead == 0, 0.0, math.nan)).expand(raw.shape).to(raw.dtype, copy=True)
        if not graded:
            value = np.empty(math.prod(raw.shape[:-1]))
            self._run(raw, target, weight, [value, None, None])
            return float(np.add.reduce(value)) * scale, None
        raw = raw.detach()
        sink, dtype = empty_like(raw), raw.numpy().dtype
        value = np.empty(math.prod(raw.shape[:-1]), dtype)
        factor = np.full(value.shape, scale, dtype) if weight is None else whole(weight).reshape(-1) * scale
        gradient = line(sink).reshape(-1, raw.shape[-1])
        if not self._run_small(raw, target, factor, value, gradient):
            self._run(raw, target, factor, [value, gradient, None])
        total = float(np.add.reduce(value, dtype=np.float64))
        return total if weight is not None or not total else total / float(factor[0]) * scale, sink

    def _run_small(self, raw: Tensor, target: Tensor, factor: Any, value: Any, gradient: Any) -> bool:
        """Runs the loop once on a few rows that need no conversion; False if they do need one, or if a row is bad."""
        labels = target.dtype is torch.int64
        if raw.numel() > SMALL or not (labels or target.dtype is raw.dtype) or not (raw.is_contiguous() and target.is_contiguous()):
            return False
        key = CODES[raw.dtype], labels, raw.shape[-1]
        if key not in self._loops:
            self._loops[key] = rows.loop_of(self.program, key[0], (True, True, False), labels, True, key[2])
        loop, settings = self._loops[key]
        z, y = raw.numpy().reshape(gradient.shape), target.numpy().reshape(value.shape if labels else gradient.shape)
        tolerance = sum_tolerance(target.dtype)
        return not z.size or loop(z, y, factor, tolerance, *settings, value, gradient, None, self.program.constants) < 0

    def _run(self, raw: Tensor, target: Tensor, weight: Any, outs: list[Any]) -> None:
        w = whole(weight) if isinstance(weight, Tensor) else None if weight is None else weight.reshape(raw.shape[:-1])
        with threads.at_most(torch.get_num_threads()):
            rows.by_loop(self.program, whole(raw), whole(target), is_labels(raw, target), w, outs, sum_tolerance(target.dtype))


@lru_cache(maxsize=1024)
def rule_of(loss: Loss) -> LossRule:
    """The rule of a loss."""
    if isinstance(loss, PointwiseLoss):
        return PointwiseRule(loss)
    if isinstance(loss, SimplexLoss):
        return SimplexRule(loss)
    raise TypeError(f"loss is {loss!r}; it must be a loss of matchloss, for example matchloss.Logistic()")


_serials: dict[Loss, str] = {}
_losses: dict[str, Loss] = {}


def traced(what: str, loss: Loss, raw: Tensor, *given: Any) -> Any:
    """_autograd.traced for a loss."""
    return _autograd.traced(what, ("loss", _serial_of(loss), loss.token), raw, *given)


@torch._dynamo.assume_constant_result
def _serial_of(loss: Loss) -> str:
    """A string that stands for the loss in a graph. `traced` also reads loss.token, so that the tracer guards on it."""
    if not loss.token:  # the tracer's fake of a loss made inside: it has its class's defaults, not what it was made with
        if fields(loss):
            return ""
        loss = type(loss)()
    if loss not in _serials:
        _serials[loss] = str(len(_serials))
        _losses[_serials[loss]] = loss
    return _serials[loss]


def _of_serial(serial: str, token: str) -> LossRule:
    if not serial:
        raise NotImplementedError(f"{token} is made inside a compiled function; make the loss outside and use it there")
    return rule_of(_losses[serial])


_autograd.FINDERS["loss"] = _of_serial


def is_labels(raw: Tensor, target: Tensor) -> bool:
    """Whether a simplex loss's target is labels."""
    return target.ndim == raw.ndim - 1


def check_weight(weight: Tensor) -> float:
    """The sum of the weights; DomainError for the first that is negative or not finite."""
    weight = weight.detach()
    w = (weight.float() if weight.dtype is torch.bfloat16 else weight).numpy()
    total = float(np.add.reduce(w, axis=None, dtype=np.float64))
    if w.size and not (np.minimum.reduce(w, axis=None) >= 0 and total < math.inf):
        refuse("sample_weight", w, ~((w >= 0) & (w < np.inf)), "finite and >= 0")
    return total


def _wide(x: Tensor, like: Tensor | None = None) -> Tensor:
    """x in float64 if the device has it: pointwise formulas are computed in it and rounded once."""
    device = (x if like is None else like).device.type
    return x.to(torch.float32 if device == "mps" else torch.float64)


def _finish(x: Tensor, fine: Tensor, weight: Tensor | None, dtype: torch.dtype) -> Tensor:
    """x times the weight; NaN in rows that are not fine, and 0 in rows of weight 0 even if they are not."""
    if weight is None:
        return torch.where(fine, x, math.nan).to(dtype)
    fine = fine & (weight >= 0) & (weight < math.inf)
    return torch.where(weight == 0, 0.0, torch.where(fine, x * weight.to(x.dtype), math.nan)).to(dtype)
