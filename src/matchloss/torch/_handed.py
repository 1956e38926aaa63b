"""Names that are PyTorch's own: what its modules have and ours have not is handed through, as it is when it is asked for."""

from __future__ import annotations

from types import ModuleType
from typing import Any


def is_public(name: str, value: object) -> bool:
    """Whether a name of a module of PyTorch is part of it, and neither private nor something that it imports, such as math."""
    if name.startswith("_"):
        return False
    if isinstance(value, ModuleType):
        return value.__name__.startswith("torch.nn.")
    return callable(value) and (getattr(value, "__module__", None) or "torch").partition(".")[0] == "torch"


def names(*hosts: ModuleType) -> set[str]:
    """The public names of modules of PyTorch."""
    return {name for host in hosts for name, value in vars(host).items() if is_public(name, value)}


def look_up(owner: str, name: str, *hosts: ModuleType) -> Any:
    """PyTorch's object of this name; AttributeError, in Python's words, where it has none."""
    for host in hosts:
        if is_public(name, value := getattr(host, name, None)):
            return value
    raise AttributeError(f"module {owner!r} has no attribute {name!r}")
