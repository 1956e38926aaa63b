"""Cross entropy of a linear layer, chunk by chunk, as one autograd Function: the whole logits never exist."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from matchloss.engine import threads
from matchloss.engine.rows import Stats
from matchloss.torch import _products
from matchloss.torch._cross_entropy import per_row
from matchloss.torch._cross_entropy_rule import CrossEntropyRule, losses_of, weights_of
from matchloss.torch._plain import batched
from matchloss.torch._rule import Slopes
from matchloss.torch._targets import BadRow, Target, Targets, refuse_row
from matchloss.torch._tensors import WHOLE, empty, loss_dtype

CHUNK_BYTES = 256 << 20
CHUNK_TOKENS = 512  # least tokens per chunk; smaller products are slow
HALF_SCALE = 256.0  # lifts float16's probabilities out of the subnormal range; undone in float32
OUTPUTS = ("log_probability", "logsumexp", "argmax", "entropy")


class TokenOutputs(NamedTuple):
    """Further results for each token from the pass over the logits, detached, of the labels' shape: None if not asked for, 0 for
    ignored tokens."""

    log_probability: Tensor | None = None  # of the label
    logsumexp: Tensor | None = None
    argmax: Tensor | None = None
    entropy: Tensor | None = None


class Gradients(NamedTuple):
    """The gradients that a sweep was asked for, still to be multiplied by `factor`."""

    input: Tensor | None = None
    weight: Tensor | None = None
    bias: Tensor | None = None
    factor: float = 1.0


def tokens_of(n: int, classes: int, size: int, chunk_bytes: int, chunk_tokens: int | None) -> int:
    """Tokens per chunk, so that a chunk's logits take about chunk_bytes and all chunks have equal size."""
    most = chunk_tokens or max(CHUNK_TOKENS, chunk_bytes // (size * classes))
    return -(-n // -(-n // min(n, most))) if n else 1


def sweep(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    rule: CrossEntropyRule,
    rows: Targets,
    weights: NDArray[np.float64],
    wants: tuple[bool, bool, bool],
    *,
    tokens: int,
    spread: bool = False,
) -> tuple[Stats, Gradients]:
    """Statistics of every row, and the wanted gradients with respect to x (n, D), weight (V, D), bias (V,).

    For each chunk: compute the logits, turn them into their gradient in place, multiply that into the gradients, reuse the memory.
    """
    n, classes, dtype = x.shape[0], weight.shape[0], x.dtype
    half, graded = dtype not in WHOLE, any(wants)
    scale = HALF_SCALE if dtype is torch.float16 and graded else 1.0
    weights = weights * scale
    chunks = range(0, n, tokens)
    z_all = empty((min(tokens, n), classes), dtype)
    sums = np.empty((len(Stats._fields), n))
    gx = torch.empty_like(x) if wants[0] else None
    gw = None
    if wants[1]:
        gw = empty(tuple(weight.shape), torch.float32 if half and len(chunks) > 1 else dtype)
        if not n:
            gw.zero_()
    gb = torch.zeros(classes, dtype=torch.float64 if dtype is torch.float64 else torch.float32) if wants[2] else None
    with threads.at_most(torch.get_num_threads()), torch.autocast("cpu", enabled=False):
        library = _products.choose(x, weight)
        with _products.as_many_threads(library):
            for start in chunks:
                part = slice(start, min(start + tokens, n))
                z, some = z_all[: part.stop - start], x[part]
                _products.times_rows(library, some, weight, z)
                if bias is not None:
                    z += bias
                try:
                    stats = rule.sweep(z, z if graded else None, weights[part], *rows.part(part).given, spread=spread)
                except BadRow as error:
                    raise BadRow(error.row + start) from None
                sums[:, part] = stats
                if gx is not None:
                    _products.times_columns(library, z, weight, gx[part])
                if gw is not None:
                    _products.add_outer(library, z, some, gw, start == 0)
                if gb is not None:
                    gb += z.sum(0, dtype=gb.dtype)
    gx = None if gx is None else rule.gathered(gx)
    return Stats(*sums), Gradients(gx, gw, gb, 1.0 / scale)


class Plan:
    """The state of one call: what backward needs, and forward's results that are not part of the graph."""

    def __init__(
        self,
        rule: CrossEntropyRule,
        rows: Targets,
        target: Target,
        factor: float,
        reduction: str,
        outputs: Sequence[str],
        chunk_bytes: int,
        chunk_tokens: int | None,
    ) -> None:
        self.rule, self.rows, self.target, self.factor, self.reduction, self.outputs = rule, rows, target, factor, reduction, outputs
        self.chunk_bytes, self.chunk_tokens = chunk_bytes, chunk_tokens
        self.kept: Tensor | None = None if rows.kept is None else rows.kept.nonzero()[:, 0]
        self.used = rows if self.kept is None else rows.part(self.kept)
        self.gradients: Gradients | None = None
        self.z_part: Tensor | None = None
        self.tokens = TokenOutputs()

    def weights(self, factors: Any) -> NDArray[np.float64]:
        """A weight for each row that is used, times a factor (one for each of all rows, or one for all)."""
        factors = factors[self.kept.numpy()] if np.ndim(factors) and self.kept is not None else factors
        return weights_of(self.used.weight, factors, self.used.n)

    def sweep(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        weights: NDArray[np.float64],
        wants: tuple[bool, bool, bool],
        spread: bool = False,
    ) -> tuple[Stats, Gradients]:
        """A sweep over the rows that are used; errors name the index among all rows."""
        x = x if self.kept is None else x.index_select(0, self.kept)
        tokens = tokens_of(x.shape[0], weight.shape[0], x.element_size(), self.chunk_bytes, self.chunk_tokens)
        try:
            return sweep(x.contiguous(), weight.contiguous(), bias, self.rule, self.used, weights, wants, tokens=tokens, spread=spread)
        except BadRow as error:
            refuse_row(self.target, error.row if self.kept is None else int(self.kept[error.row]), weight.shape[0])

    def spread_out(self, values: NDArray[Any], fill: float = 0.0) -> NDArray[Any]:
        """The values of the rows that are used, placed among all rows."""
        if self.kept is None:
            return values
        whole = np.full(self.rows.n, fill, values.dtype)
        whole[self.kept.numpy()] = values
        return whole


class Context(Protocol):
    """PyTorch's `ctx` of Layer, with our attribute."""

    plan: Plan
    saved_tensors: tuple[Tensor, Tensor, Tensor | None, *tuple[Tensor | None, ...]]
    needs_input_grad: tuple[bool, bool, bool, bool]

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...


class Layer(torch.autograd.Function):
    """The loss in chunks. With a reduction forward computes the gradients too; without, backward does, from recomputed logits."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, weight: Tensor, bias: Tensor | None, plan: Plan) -> Tensor:
        ctx.save_for_backward(x, weight, bias, *plan.rows.given)  # the target too, so that backward raises if it has been changed in place
        ctx.plan = plan
        now = plan.reduction != "none" and x.dtype is not torch.float16
        of_x, of_weight, of_bias, _ = ctx.needs_input_grad
        wants, weights, spread = (now and of_x, now and of_weight, now and of_bias), plan.weights(plan.factor), "entropy" in plan.outputs
        stats, gradients = plan.sweep(x.detach(), weight.detach(), None if bias is None else bias.detach(), weights, wants, spread)
        plan.gradients = gradients if any(wants) else None
        dtype = loss_dtype(x)
        losses, z_part = losses_of(stats, weights, plan.rule.options.z_loss)
        made = {
            "log_probability": lambda: stats.log_probability,
            "logsumexp": lambda: stats.logsumexp,
            "argmax": lambda: stats.place,
            "entropy": lambda: stats.entropy,
        }
        plan.tokens = TokenOutputs(**{name: _tensor(plan, made[name](), name, dtype) for name in plan.outputs})
        if plan.reduction == "none":
            plan.z_part = None if z_part is None else torch.from_numpy(plan.spread_out(z_part)).to(dtype)
            return torch.from_numpy(plan.spread_out(losses)).to(dtype)
        total = losses.sum()
        plan.z_part = None if z_part is None else torch.tensor(z_part.sum(), dtype=dtype)
        return torch.tensor(total if plan.factor < np.inf or total else np.nan, dtype=dtype)  # 0 / 0: all weights are 0

    @staticmethod
    def backward(ctx: Context, *grads: Tensor) -> Slopes:
        (x, weight, bias, *_), plan, g = ctx.saved_tensors, ctx.plan, grads[0]
        if torch.is_grad_enabled() or batched(g):
            return _again(ctx, x, weight, bias, g)
        gradients, plan.gradients = plan.gradients, None
        if gradients is None:  # not computed yet, or a second backward through a retained graph
            factors, scale = plan.factor * g.detach().double().numpy(), 1.0
            if x.dtype is torch.float16 and factors.any():  # float16 underflows below 6e-8, so multiply at the end, in float32
                scale = float(np.abs(factors).max())
                factors = factors / scale
            gradients = plan.sweep(x, weight, bias, plan.weights(factors), ctx.needs_input_grad[:3])[1]
        else:
            scale = g.item()
        scale *= gradients.factor
        gx, gw, gb = (None if t is None else t if scale == 1.0 else t.mul_(scale) for t in gradients[:3])
        if gx is not None and plan.kept is not None:
            gx = torch.zeros_like(x).index_copy_(0, plan.kept, gx)
        return gx, None if gw is None else gw.to(weight.dtype), None if gb is None else gb.to(x.dtype), None


def _tensor(plan: Plan, values: NDArray[Any], name: str, dtype: torch.dtype) -> Tensor:
    whole = np.array(plan.spread_out(values, -1.0 if name == "argmax" else 0.0))
    return torch.from_numpy(whole).to(torch.int64 if name == "argmax" else dtype)


def _again(ctx: Context, x: Tensor, weight: Tensor, bias: Tensor | None, g: Tensor) -> Slopes:
    """The gradients from whole logits, which can be differentiated again."""
    plan = ctx.plan
    if not plan.rule.whole:
        raise NotImplementedError("a second derivative of a loss whose vocabulary is split over processes")
    inputs = [t for t, wanted in zip((x, weight, bias), ctx.needs_input_grad[:3], strict=True) if wanted and t is not None]
    with torch.enable_grad():
        some = x if plan.kept is None else x.index_select(0, plan.kept)
        losses = per_row(plan.rule, F.linear(some, weight, bias), plan.used)[0] * plan.factor
        if plan.reduction != "none":
            losses = losses.sum()
        elif plan.kept is not None:
            g = g.index_select(0, plan.kept)
        found = iter(torch.autograd.grad(losses, inputs, g, create_graph=torch.is_grad_enabled()))
    return *(next(found) if wanted else None for wanted in ctx.needs_input_grad[:3]), None
