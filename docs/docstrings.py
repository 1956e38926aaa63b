"""Docstrings and formulas as Markdown and HTML, for docs/hooks.py."""

from __future__ import annotations

import inspect
import re
from html import escape
from typing import Any


def plain(text: str) -> str:
    """Text that Markdown leaves as it is, but for `code`."""
    parts = re.split(r"(`[^`\n]+`)", text)
    return "".join(part if i % 2 else re.sub(r"([\\`*_{}\[\]#|])", r"\\\1", escape(part, quote=False)) for i, part in enumerate(parts))


def code(text: str) -> str:
    """A formula in HTML."""
    return f"<code>{escape(text, quote=False)}</code>"


def cell(text: str) -> str:
    """A formula in a cell of a table."""
    return code(text).replace("|", "&#124;")


def split_docstring(thing: Any) -> tuple[str, str]:
    """The prose and the example of a docstring."""
    prose, _, example = (inspect.getdoc(thing) or "").partition(">>>")
    return prose.strip(), (">>>" + example).strip() if example else ""


def prose(text: str) -> str:
    """A docstring's sentence in HTML, its `code` as code."""
    parts = re.split(r"`([^`]+)`", text)
    return "".join(code(part) if i % 2 else escape(part, quote=False) for i, part in enumerate(parts))
