"""Results as a frame of the library that is at hand."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

FRAMES = ("polars", "pandas", "pyarrow")


def frame(columns: Mapping[str, Any]) -> Any:
    """A Polars, pandas or Arrow table of these columns, the first of these libraries that is installed; ImportError if none is."""
    for library in FRAMES:
        try:
            module = importlib.import_module(library)
        except ImportError:
            continue
        return module.table(dict(columns)) if library == "pyarrow" else module.DataFrame(dict(columns))
    raise ImportError("a frame needs one of polars, pandas and pyarrow: pip install 'matchloss[linear]' brings the last")
