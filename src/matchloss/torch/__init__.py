"""PyTorch's losses, exact and fast, in the place of `torch.nn.functional` and `torch.nn`; and every loss of matchloss for PyTorch.

One changed line is all: `import matchloss.torch as F` for `import torch.nn.functional as F`, or `as nn` for `import torch.nn as nn`. The
losses in `functional.__all__` and `modules.__all__` are ours, with PyTorch's names, arguments and results. Every other public name of
PyTorch's two modules (`relu`, `Linear`, ...) is PyTorch's own object.

`Loss(ml.Poisson())` and `loss(ml.Poisson(), raw, target)` take any loss of the catalogue.

>>> import torch
>>> import matchloss.torch as F
>>> F.relu is torch.nn.functional.relu and F.Linear is torch.nn.Linear
True
>>> F.cross_entropy(F.pad(torch.zeros(2, 3), (0, 1)), torch.tensor([0, 3]))
tensor(1.3863)
"""

from typing import TYPE_CHECKING, Any

try:
    from torch import nn as _nn
except ImportError as error:
    raise ImportError("matchloss.torch needs PyTorch: pip install 'matchloss[torch]'") from error

from matchloss.torch import _dropin, _linear, functional, modules, structured

if TYPE_CHECKING:  # for type checkers and editors; at run time __getattr__ looks them up
    from torch.nn import Buffer, Parameter, init, parallel, utils
    from torch.nn.functional import *  # pyright: ignore[reportWildcardImportFromLibrary]
    from torch.nn.modules import *  # pyright: ignore[reportWildcardImportFromLibrary]

from matchloss.torch._linear import *
from matchloss.torch._loss import Loss, host_call, host_evaluate, host_predict, loss
from matchloss.torch._targets import sample_targets
from matchloss.torch.functional import *
from matchloss.torch.modules import *
from matchloss.torch.structured import *


def __getattr__(name: str) -> Any:
    return _dropin.look_up(__name__, name, _nn.functional, _nn)


def __dir__() -> list[str]:
    return sorted({*__all__, *_dropin.public_names(_nn.functional, _nn)})


__all__ = ["Loss", "functional", "host_call", "host_evaluate", "host_predict", "loss", "modules", "sample_targets", "structured"]
__all__ += functional.__all__
__all__ += _linear.__all__
__all__ += modules.__all__
__all__ += structured.__all__
__all__ += sorted(set(__dir__()) - set(__all__))  # pyright: ignore[reportUnsupportedDunderAll]
