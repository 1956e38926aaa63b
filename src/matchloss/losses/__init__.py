"""WHAT is minimised: every loss, a formula written once."""

from matchloss.losses import regression
from matchloss.losses._domain import Interval, Simplex
from matchloss.losses._loss import CATALOGUE, Evaluation, Loss, PointwiseLoss

__all__ = ["CATALOGUE", "Evaluation", "Interval", "Loss", "PointwiseLoss", "Simplex"]
