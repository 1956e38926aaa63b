"""WHAT is minimised: every loss, a formula written once."""

from matchloss.losses import regression, binary, families, simplex  # noqa: F401, I001  (the order of the catalogue)
from matchloss.losses._domain import Interval, Simplex
from matchloss.losses._loss import CATALOGUE, Evaluation, Loss, PointwiseLoss

__all__ = ["CATALOGUE", "Evaluation", "Interval", "Loss", "PointwiseLoss", "Simplex"]
