"""What goes into a page as it is: the files of assets/, and data as JSON."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any


def asset(name: str) -> str:
    """The text of a file of assets/."""
    return resources.files("matchloss.report").joinpath("assets", name).read_text(encoding="utf-8")


def script_json(data: Any) -> str:
    """JSON in which no text can end the script element or start a comment."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
