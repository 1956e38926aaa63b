"""A judgement as a file."""

from __future__ import annotations

import json
from pathlib import Path

from matchloss.files import replacing
from matchloss.judging.result import Judgement


def write_json(path: Path, found: Judgement) -> None:
    """Write Judgement.to_dict in one step: whoever opens `path` sees the old file or the whole new one."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(found.to_dict(), indent=1, allow_nan=False) + "\n", encoding="utf-8", newline="\n")
