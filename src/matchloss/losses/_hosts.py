"""Which library computes with an array. Losses ask here, so that they need not know any host.

A host is a module with `host_call`, `host_evaluate` and `host_predict`; matchloss.hosts says how each is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

LIBRARIES = ("torch", "jax", "jaxlib", "cupy")


class Host(Protocol):
    """What losses need from the module that handles another library's arrays."""

    host_call: Callable[..., Any]
    host_evaluate: Callable[..., Any]
    host_predict: Callable[..., Any]


OPENERS: dict[str, Callable[[], Host]] = {}  # keyed by the library's name
_hosts: dict[type, Host | None] = {}  # keyed by an array's type; None for NumPy's and Python's own


def host_of(*arrays: Any) -> Host | None:
    """The module that computes with these arrays, or None for NumPy; TypeError for arrays of a library without such a module."""
    for a in arrays:
        cls = type(a)
        host = _hosts[cls] if cls in _hosts else _found(cls)
        if host is not None:
            return host
    return None


def _found(cls: type) -> Host | None:
    library = library_of(cls)
    host = None
    if library in OPENERS:
        host = OPENERS[library]()
    elif library is not None:
        raise TypeError(f"{library} arrays are not computed; pass NumPy, PyTorch or JAX arrays")
    _hosts[cls] = host
    return host


def library_of(cls: type) -> str | None:
    """The library that an array type comes from, directly or by inheritance; None if it is none of the hosts'."""
    for base in cls.__mro__:
        library = base.__module__.partition(".")[0]
        if library in LIBRARIES:
            return library
    return None


def refuse_foreign(*arrays: Any) -> None:
    """TypeError for arrays of another library, in methods that work with NumPy only."""
    for a in arrays:
        library = library_of(type(a))
        if library is not None:
            raise TypeError(f"{library} arrays are not computed here; pass NumPy arrays, for example numpy.asarray(x)")
