"""Whose arrays a function is written for, read from its code: what the process happens to have imported says nothing of it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from types import CodeType, ModuleType
from typing import Any

from matchloss.audit.calling.frameworks import CLASSES

ROOTS = {"numpy": "numpy", "jaxlib": "jax", **{name: name for name in CLASSES}}
DEPTH = 3  # of functions that call functions


def frameworks_of(fn: Any, loaded: Sequence[str]) -> list[str]:
    """Frameworks to try, the likeliest first: those with derivatives that the function refers to, or where it refers to none, its module;
    then NumPy; then those that are loaded, since a function may take any library's arrays and return those of its own."""
    seen: set[int] = set()
    own = set(_refers(fn, DEPTH, seen))
    if not own:
        module = sys.modules.get(getattr(fn, "__module__", None) or type(fn).__module__)
        own = {root for value in list(vars(module).values()) for root in _refers(value, 0, seen)} if module else set()
    named = [n for n in CLASSES if n in own and (n in loaded or (n not in sys.modules and find_spec(n)))]
    return list(dict.fromkeys([*named, "numpy", *loaded]))


def _root(name: Any) -> str | None:
    return ROOTS.get(str(name).partition(".")[0])


def _refers(thing: Any, depth: int, seen: set[int]) -> Iterator[str]:
    """The frameworks that a value is of, or that its code and what it holds refer to."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    own = thing.__name__ if isinstance(thing, ModuleType) else getattr(thing, "__module__", None) or type(thing).__module__
    if root := _root(own):
        yield root
    elif depth and not isinstance(thing, ModuleType):
        for part in _parts(thing):
            yield from [root] if isinstance(part, str) and (root := _root(part)) else _refers(part, depth - 1, seen)


def _parts(thing: Any) -> Iterator[Any]:
    """What a function, a class or an object is made of; names as text."""
    if isinstance(thing, functools.partial):
        yield from (thing.func, *thing.args)
    elif hasattr(thing, "__func__"):
        yield from (thing.__func__, getattr(thing, "__self__", None))
    elif isinstance(code := getattr(thing, "__code__", None), CodeType):
        known = thing.__globals__
        for name in (*_names(code), *(str(a).partition("[")[0].partition(".")[0] for a in thing.__annotations__.values())):
            yield known.get(name, name)
        for cell in thing.__closure__ or ():
            try:
                yield cell.cell_contents
            except ValueError:  # not filled yet
                continue
        if hasattr(thing, "__wrapped__"):
            yield thing.__wrapped__
    elif isinstance(thing, type):
        yield from thing.__mro__[1:]
        yield from (value for value in vars(thing).values() if callable(value))
    elif hasattr(thing, "__dict__"):
        yield from (type(thing), *vars(thing).values())


def _names(code: CodeType) -> Iterator[str]:
    """Those that code refers to, with what is defined inside of it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
