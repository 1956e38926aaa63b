"""The compiled loops of a family: loaded from the engine's cache, or compiled at the first call that needs them."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from matchloss.engine import threads

_folder = Path(__file__).parent / "loops"


@cache
def loop(family: str, name: str, dtype: str = "float64") -> Callable[..., Any]:
    """The loop of this name in loops/<family>.py, compiled for scores of this dtype.

    Its key covers the engine, the file, and those files of the folder whose names begin with an underscore, which all families share.
    """
    with threads.FIRST_CALLS:
        from matchloss.engine.cache import key
        from matchloss.engine.compiled import compiled

        text, signature = importlib.import_module(f"matchloss.losses.structured.loops.{family}").LOOPS[name]
        sources = b"".join(p.read_bytes() for p in (*sorted(_folder.glob("_*.py")), _folder / f"{family}.py"))
        digest = hashlib.sha256(key().encode() + sources).hexdigest()
        return compiled(text, f"{family}_{name}_{dtype}", signature(dtype), digest)
