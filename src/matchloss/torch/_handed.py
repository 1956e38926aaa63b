"""Looks up PyTorch's own names: what its modules have and ours lack, as it is at the time of access."""

from __future__ import annotations

from types import ModuleType
from typing import Any


def is_public(name: str, value: object) -> bool:
    """Whether a name belongs to a PyTorch module's public API: it is not private, and not an import such as math."""
    if name.startswith("_"):
        return False
    if isinstance(value, ModuleType):
        return value.__name__.startswith("torch.nn.")
    return callable(value) and (getattr(value, "__module__", None) or "torch").partition(".")[0] == "torch"


def names(*hosts: ModuleType) -> set[str]:
    """The public names of these PyTorch modules."""
    return {name for host in hosts for name, value in vars(host).items() if is_public(name, value)}


def look_up(owner: str, name: str, *hosts: ModuleType) -> Any:
    """PyTorch's object of this name; AttributeError with Python's usual message if there is none."""
    for host in hosts:
        if is_public(name, value := getattr(host, name, None)):
            return value
    raise AttributeError(f"module {owner!r} has no attribute {name!r}")
