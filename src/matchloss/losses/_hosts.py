"""The one place that names the libraries whose arrays losses take."""

from __future__ import annotations

from typing import Any

HOSTS = {"torch": "matchloss.torch", "jax": "matchloss.jax", "jaxlib": "matchloss.jax", "cupy": "matchloss.cupy"}


def refuse_foreign(*arrays: Any) -> None:
    """TypeError for arrays of a library that this version does not compute with."""
    for a in arrays:
        library = type(a).__module__.partition(".")[0]
        if library in HOSTS:
            raise TypeError(
                f"{library} arrays are not computed yet ({HOSTS[library]} comes in a later version); "
                "pass NumPy arrays, for example numpy.asarray(x)"
            )
