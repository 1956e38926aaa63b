"""matchloss."""

from matchloss.losses.regression import *
from matchloss.losses.binary import *
from matchloss.losses.families import *
from matchloss.losses.simplex import *
from matchloss.losses.catalogue import get, losses
from matchloss.losses import Evaluation
from matchloss.errors import DomainError, ShapeError

__version__ = "0.1.0.dev0"
