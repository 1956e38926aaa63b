"""The protocol `m` and the row reductions over PyTorch, for formulas where compiled loops cannot run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from matchloss.engine import row_text, special
from matchloss.engine.namespaces import Namespace, RowReductions
from matchloss.torch._plain import readable


def _absent(*_: Any) -> Any:
    raise NotImplementedError("a helper of the protocol may not call another one")


def _first_max(x: Tensor) -> Tensor:
    return torch.arange(x.shape[-1], device=x.device) == torch.argmax(x, dim=-1, keepdim=True)


def _iterate(step: Callable[..., Any], state: tuple[Tensor, ...], limit: int) -> tuple[Tensor, ...]:
    for _ in range(limit):
        state, going = step(state)
        if not bool(going.any()):
            break
    return state


_DIRECT = ("exp", "expm1", "log", "log1p", "sqrt", "abs", "floor", "where", "sin", "cos", "tanh")
_base = Namespace(**{n: getattr(torch, n) for n in _DIRECT}, log1p_unit=torch.log1p, sigmoid=_absent, softplus=_absent, erf=_absent)
TORCH = _base._replace(sigmoid=partial(special.sigmoid, _base), softplus=partial(special.softplus, _base), erf=partial(special.erf, _base))
TORCH_ROWS = RowReductions(
    sum=lambda x: torch.sum(x, dim=-1, keepdim=True),
    max=lambda x: torch.amax(x, dim=-1, keepdim=True),
    first_max=_first_max,
    iterate=_iterate,
)


@torch.library.custom_op("matchloss::deficit", mutates_args=())
def deficit(w: Tensor, power: float) -> Tensor:
    """matchloss.engine.row_text.deficit as a single operator, because its number of iterations depends on values that tracers lack."""
    return row_text.deficit(TORCH, TORCH_ROWS, w, power)


@deficit.register_fake
def _(w: Tensor, power: float) -> Tensor:
    return w.new_empty((*w.shape[:-1], 1))


@deficit.register_vmap
def _(info: Any, in_dims: Any, w: Tensor, power: float) -> tuple[Tensor, int]:
    return deficit(w.movedim(in_dims[0], 0), power), 0


def solve(m: Namespace, r: RowReductions, w: Tensor, power: float) -> Tensor:
    """row_text.deficit, opaque to tracers."""
    return row_text.deficit(m, r, w, power) if readable(w) else deficit(w, power)
