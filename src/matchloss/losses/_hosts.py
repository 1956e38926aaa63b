"""The one place that names the libraries whose arrays losses take.

A host is a module with `host_call`, `host_evaluate` and `host_predict`; it is imported when the first array of its library arrives.
"""

from __future__ import annotations

from typing import Any

LIBRARIES = ("torch", "jax", "jaxlib", "cupy")
_hosts: dict[type, Any] = {}  # by the type of an array, None for NumPy's and Python's


def host_of(*arrays: Any) -> Any:
    """The module that computes with these arrays, or None for NumPy; TypeError for a library that none computes with."""
    for a in arrays:
        kind = type(a)
        host = _hosts[kind] if kind in _hosts else _found(kind)
        if host is not None:
            return host
    return None


def _found(kind: type) -> Any:
    library = library_of(kind)
    host = None
    if library == "torch":  # statements, which torch.compile follows; it does not follow importlib
        import matchloss.torch as host
    elif library is not None and library.startswith("jax"):
        import matchloss.jax as host
    elif library is not None:
        raise TypeError(f"{library} arrays are not computed; pass NumPy, PyTorch or JAX arrays")
    _hosts[kind] = host
    return host


def library_of(kind: type) -> str | None:
    """The library that a type of array comes from, itself or by inheritance; None for others."""
    for base in kind.__mro__:
        library = base.__module__.partition(".")[0]
        if library in LIBRARIES:
            return library
    return None


def refuse_foreign(*arrays: Any) -> None:
    """TypeError where a method computes with NumPy alone."""
    for a in arrays:
        library = library_of(type(a))
        if library is not None:
            raise TypeError(f"{library} arrays are not computed here; pass NumPy arrays, for example numpy.asarray(x)")
