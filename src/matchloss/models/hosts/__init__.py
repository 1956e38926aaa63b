"""The libraries that grow trees, by the name that `--model` takes; each is imported when it is asked for."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matchloss.models.training import Host

PACKAGES = {"trees": "sklearn", "lightgbm": "lightgbm", "xgboost": "xgboost", "catboost": "catboost"}


def check_installed(kind: str) -> None:
    """ImportError, with the pip command, where the library is not installed."""
    if importlib.util.find_spec(PACKAGES[kind]) is None:
        extra = "sklearn" if kind == "trees" else kind
        raise ImportError(f'--model {kind} needs {PACKAGES[kind]}: pip install "matchloss[{extra}]"')


def host_of(kind: str) -> Host:
    """The library behind a kind of model; ImportError, with the pip command, where it is not installed."""
    check_installed(kind)
    return importlib.import_module(f"matchloss.models.hosts.{PACKAGES[kind]}_trees").HOST
