"""The floor plan holds: what a module imports lies below it, and no modules import each other in a circle."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src"
# From the ground up. A room imports rooms before it in this list, and itself. "matchloss" is the package's own __init__.
ROOMS = (
    "errors", "files", "urls", "names", "signatures", "engine", "losses", "torch", "jax", "hosts", "matchloss", "scoring", "linear",
    "boosting", "sklearn", "xgboost", "lightgbm", "catboost",
    "tables", "dask", "terminal", "models", "comparison", "fit", "judging", "audit", "report", "commands", "cli", "__main__",
)  # fmt: skip


def modules() -> dict[str, Path]:
    """Every module of the package by its name."""
    found = {}
    for path in sorted((SRC / "matchloss").rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(name: str) -> Iterator[str]:
    """The package's modules that this one imports, when it is imported or later, but for those that only its types name."""
    for node in walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("matchloss"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


def walk(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from walk(node)


def room(module: str) -> str:
    """The room that a module stands in."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "matchloss"


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_what_lies_below_it(name: str) -> None:
    here = room(name)
    assert here in ROOMS, f"{here} is a new room: give it its place in ROOMS"
    for other in imports(name):
        there = room(other)
        assert there == here or ROOMS.index(there) < ROOMS.index(here), f"{name} imports {other}, which lies above it"


def circles() -> list[list[str]]:
    """Modules that import each other, by way of others or not: strongly connected parts of the graph (Tarjan 1972)."""
    graph = {name: {other for other in imports(name) if other != name} for name in MODULES}
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in graph[name]:
            if other not in index:
                visit(other)
            if other in stack:
                low[name] = min(low[name], low[other])
        if low[name] == index[name]:
            part = []
            while not part or part[-1] != name:
                part.append(stack.pop())
            if len(part) > 1:
                found.append(sorted(part))

    for name in graph:
        if name not in index:
            visit(name)
    return found


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles() == []


def test_the_page_shows_every_room() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    shown = set(re.findall(r"(\w+)(?:/|\.py)", text))
    rooms = {room(name) for name in MODULES} - {"matchloss", "__main__"}
    assert rooms <= shown, f"docs/architecture.md does not show {sorted(rooms - shown)}"
