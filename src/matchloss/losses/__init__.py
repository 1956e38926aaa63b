"""WHAT is minimised: every loss, a formula written once."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from matchloss.losses import binary, catalogue, families, margins, regression, simplex  # noqa: F401
from matchloss.losses._domain import Interval, Simplex, TargetKind, Usual
from matchloss.losses._loss import CATALOGUE, Evaluation, Loss, PointwiseLoss
from matchloss.losses._simplex import SimplexLoss

__all__ = ["CATALOGUE", "Evaluation", "Interval", "Loss", "PointwiseLoss", "Simplex", "SimplexLoss", "TargetKind", "Usual"]


class _CallableModule(ModuleType):
    """Makes `ml.losses` both this package and, when called, the catalogue, whichever of the two was bound to the name last."""

    def __call__(self) -> list[dict[str, Any]]:
        return catalogue.losses()


sys.modules[__name__].__class__ = _CallableModule
