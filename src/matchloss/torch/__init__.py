"""The losses of matchloss for PyTorch: `Loss(ml.Poisson())` and `loss(ml.Poisson(), raw, target)` for every loss of the catalogue.

PyTorch's own functions and modules stand beside them under their own names, with its arguments and its results: `cross_entropy`,
`BCEWithLogitsLoss`, ...
"""

from matchloss.torch import functional, linear, modules
from matchloss.torch._evaluate import host_call, host_evaluate, host_predict
from matchloss.torch._loss import Loss, loss
from matchloss.torch._sampling import sample_targets
from matchloss.torch.functional import *
from matchloss.torch.linear import *
from matchloss.torch.modules import *

__all__ = ["Loss", "host_call", "host_evaluate", "host_predict", "loss", "sample_targets"]
__all__ += functional.__all__
__all__ += linear.__all__
__all__ += modules.__all__
