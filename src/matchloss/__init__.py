"""matchloss: the loss whose error signal is the difference between the output you got and the output you wanted.

One definition of each loss, exact and fast: `ml.Logistic()`, `ml.get("tweedie", power=1.2)`, `ml.match(lambda m, raw: m.tanh(raw))`;
`ml.losses()` is the catalogue. A loss takes `(raw, target)`: `loss.evaluate`, `loss.gradient`, `loss.predict`, `loss.best_constant`, ...
"""

from typing import TYPE_CHECKING
from typing import Any as _Any

from matchloss import hosts as _hosts
from matchloss.engine.arrays import Evaluation
from matchloss.errors import DomainError, ShapeError
from matchloss.losses import Interval, Loss, PointwiseLoss, Simplex, SimplexLoss
from matchloss.losses.binary import *
from matchloss.losses.catalogue import called as _called
from matchloss.losses.catalogue import get, losses
from matchloss.losses.families import *
from matchloss.losses.margins import *
from matchloss.losses.match import MatchingLoss, match
from matchloss.losses.regression import *
from matchloss.losses.simplex import *

__version__ = "0.1.0.dev0"
_ELSEWHERE = {"LinearRegressor": "linear", "LinearClassifier": "linear"}

if TYPE_CHECKING:
    from matchloss.comparison.run import compare as compare


def __getattr__(name: str) -> _Any:
    """`ml.compare`, imported when it is asked for since it needs the extra `cli`; of a name that is not here, what to write instead."""
    if name == "compare":
        import importlib

        return importlib.import_module("matchloss.comparison.run").compare
    instead = f"from matchloss.{_ELSEWHERE[name]} import {name}" if name in _ELSEWHERE else "" if name.startswith("_") else _called(name)
    raise AttributeError(f"module 'matchloss' has no attribute {name!r}" + (f"; write {instead}" if instead else ""))


def __dir__() -> list[str]:
    return sorted([*globals(), "compare"])
