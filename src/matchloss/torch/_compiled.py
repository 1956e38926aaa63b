"""What torch.compile sees of a loss: one call that it does not look into, so that our derivatives stay.

A traced graph holds plain strings: of a loss object the tracer would make a stand-in, and of a number a symbol.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from matchloss.losses import Loss
from matchloss.torch._rules import Rule, rule_of

Computes = Callable[[Rule, Tensor, Tensor | None, Tensor | None, str], Tensor]
COMPUTES: dict[str, Computes] = {}  # "value", "gradient", "hessian", "predict": (rule, raw, target, weight, curvature) -> tensor
_serials: dict[Loss, str] = {}
_losses: dict[str, Loss] = {}


@torch._dynamo.assume_constant_result
def serial_of(loss: Loss) -> str:
    """A string that stands for the loss in a traced graph; the caller reads loss.token, on which the tracer then guards."""
    if loss not in _serials:
        _serials[loss] = str(len(_serials))
        _losses[_serials[loss]] = loss
    return _serials[loss]


@torch.compiler.allow_in_graph
def _opaque(
    what: str, serial: str, token: str, raw: Tensor, target: Tensor | None, weight: Tensor | None, curvature: str = "exact"
) -> Tensor:
    loss = _losses[serial]
    if loss.token != token:  # the tracer showed serial_of a stand-in
        raise NotImplementedError(f"{token} is made inside a compiled function; make the loss outside and use it there")
    return COMPUTES[what](rule_of(loss), raw, target, weight, curvature)


def traced(
    what: str, loss: Loss, raw: Tensor, target: Tensor | None = None, weight: Tensor | None = None, curvature: str = "exact"
) -> Tensor:
    """What COMPUTES holds under this name, as one node of the graph."""
    return _opaque(what, serial_of(loss), loss.token, raw, target, weight, curvature)
