"""matchloss."""

from matchloss.losses.regression import *

__version__ = "0.1.0.dev0"
