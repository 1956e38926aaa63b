"""Where compiled loops are kept, and what happens when they cannot be.

numba writes them beside this package or into the user's cache folder (NUMBA_CACHE_DIR overrides). A loop's key covers the text it is
made of: the formula with every helper and constant it names, the elementary functions, the flags and the versions. The key is
also the loop's name, so that processes which compile different loops at once never share an index file. numba's own key adds the
processor and its features.
"""

from __future__ import annotations

import dis
import hashlib
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import llvmlite
import numba
import numpy.ma  # noqa: F401  # numba imports it in a loop's first call, outside FIRST_CALLS: a child forked just then would hang

from matchloss.engine import threads
from matchloss.engine.namespaces import NotCompilable

_engine = Path(__file__).parent


def engine_key(folder: Path = _engine) -> str:
    """A digest of every file of the engine, and of the versions under it."""
    sources = b"".join(p.name.encode() + p.read_bytes() for p in sorted(folder.glob("*.py")))
    versions = f"{numba.__version__} {llvmlite.__version__} {sys.version_info[:3]}"
    return hashlib.sha256(sources + versions.encode()).hexdigest()


def names_of(function: FunctionType) -> dict[str, Any]:
    """What a function takes from outside: globals it loads and variables it closes over, by name."""
    code, found = function.__code__, {}
    for instruction in dis.get_instructions(code):
        if instruction.opname == "LOAD_GLOBAL" and instruction.argval in function.__globals__:
            found[instruction.argval] = function.__globals__[instruction.argval]
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        found[name] = cell.cell_contents
    return found


def _is_constant(x: Any) -> bool:
    return isinstance(x, int | float) or (isinstance(x, tuple) and all(map(_is_constant, x)))


def _describe(function: FunctionType, seen: set[FunctionType]) -> list[str]:
    if function in seen:
        return []
    seen.add(function)
    text = _describe_code(function.__code__)
    for name, thing in sorted(names_of(function).items()):
        if isinstance(thing, FunctionType):
            text += [name, *_describe(thing, seen)]
        elif _is_constant(thing):
            text.append(f"{name}={thing!r}")
        else:
            raise NotCompilable(
                f"{function.__qualname__} names {name!r}, a {type(thing).__name__}; a formula may name helpers and numbers only"
            )
    return text


def _describe_code(code: CodeType) -> list[str]:
    inner = [part for c in code.co_consts if isinstance(c, CodeType) for part in _describe_code(c)]
    constants = [repr(c) for c in code.co_consts if not isinstance(c, CodeType)]
    return [code.co_code.hex(), *constants, *code.co_names, *code.co_varnames, *code.co_freevars, *inner]


def key(*functions: Callable[..., Any] | None) -> str:
    """The digest of some formulas with all that they name, on this engine."""
    text = [ENGINE]
    for function in functions:
        text += _describe(function, set()) if isinstance(function, FunctionType) else ["-"]
    return hashlib.sha256("\n".join(text).encode()).hexdigest()


def steady(helper: Any, name: str) -> Any:
    """An inlined helper with the same identity in every process. numba gives it a random one, and a loop that closes over it would be
    compiled anew by each process."""
    helper._set_uuid(str(uuid.uuid5(uuid.NAMESPACE_OID, f"{ENGINE} {name}")))
    return helper


def compiled(function: Callable[..., Any], name: str, signature: tuple[Any, ...], flags: dict[str, Any]) -> Callable[..., Any]:
    """The compiled loop, from disk where it is there and whole, else made and kept; without a cache where none can be had."""
    function.__name__ = function.__qualname__ = name
    with threads.FIRST_CALLS:
        for attempt in ("read", "rewrite", "without"):
            try:
                loop: Any = numba.njit(nogil=True, cache=attempt != "without", **flags)(function)
                if attempt == "rewrite":
                    loop._cache.flush()
                loop.compile(signature)
            except Exception as error:  # no writable folder, a truncated or foreign file, a full disk: never the user's error
                if attempt == "without":
                    raise NotCompilable(f"numba cannot compile {name}: {error}") from error
            else:
                loop.disable_compile()
                return loop
    raise AssertionError("unreachable")


ENGINE = engine_key()
