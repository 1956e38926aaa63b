"""Columns of numbers as a frame of the library that the person uses."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import numpy as np


def as_frame(columns: dict[str, Any], backend: str) -> Any:
    """A frame of these columns: of `backend`, or else of pandas or polars, whichever is loaded or installed."""
    import narwhals.stable.v2 as nw

    if not backend:
        loaded = [name for name in ("pandas", "polars") if name in sys.modules]
        backend = loaded[0] if loaded else "pyarrow"
    made = {name: values.tolist() if isinstance(values, np.ndarray) else list(values) for name, values in columns.items()}
    return nw.from_dict(made, backend=import_module(backend)).to_native()
