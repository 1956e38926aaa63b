"""`[tool.matchloss.audit]` of a pyproject.toml: which functions a project audits, and how."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from matchloss.audit.calling.convention import Convention
from matchloss.audit.given import convention_given
from matchloss.errors import UsageError
from matchloss.tables.words import suggest

SETTINGS = {"functions": list, "fail-on": str, "only": list, "budget": str, "seed": int, "baseline": str}


@dataclass(frozen=True)
class Project:
    """What a project says; empty where it says nothing."""

    path: Path
    functions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # names to parts of their conventions
    settings: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)  # where each function is named

    def place(self, name: str) -> str:
        """Where the file names a function: "pyproject.toml, line 12"."""
        return f"{self.path.name}, line {self.lines[name]}" if name in self.lines else ""


def project(path: Path = Path("pyproject.toml")) -> Project:
    """The project of a file; an empty one where there is no such file or table. UsageError says what is wrong, and where."""
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text).get("tool", {}).get("matchloss", {}).get("audit", {})
    except FileNotFoundError:
        return Project(path)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path.name} cannot be read: {error}") from error
    for name, value in table.items():
        if name not in SETTINGS:
            raise UsageError(f"{path.name}: [tool.matchloss.audit] has no {name}{suggest(name, list(SETTINGS)) or ''}")
        if not isinstance(value, SETTINGS[name]):
            raise UsageError(f"{path.name}: {name} of [tool.matchloss.audit] is {value!r}; write a {SETTINGS[name].__name__}")
    functions = dict(_function(path, entry) for entry in table.get("functions", []))
    lines = {name: n for name in functions for n, line in reversed(list(enumerate(text.splitlines(), 1))) if f'"{name}"' in line}
    return Project(path, functions, {k: v for k, v in table.items() if k != "functions"}, lines)


def _function(path: Path, entry: Any) -> tuple[str, Mapping[str, Any]]:
    """A name, or a table of a name and parts of how it is called."""
    parts = {"name": entry} if isinstance(entry, str) else entry
    if not isinstance(parts, dict) or not isinstance(parts.get("name"), str):
        raise UsageError(f'{path.name}: a function of [tool.matchloss.audit] is {entry!r}; write "module:function", or a table with a name')
    given = {k: v for k, v in parts.items() if k != "name"}
    known = [f.name for f in fields(Convention)]
    for part in given:
        if part not in known:
            raise UsageError(f"{path.name}: {parts['name']} has no {part}{suggest(part, known) or ''}")
    return parts["name"], convention_given(None, None, [f"{k}={v}" for k, v in given.items()])
