"""The disk cache of compiled loops, and what happens without one.

numba writes loops beside this package or into the user's cache folder (NUMBA_CACHE_DIR overrides). A loop's key covers everything it
is compiled from: the formula with all helpers and constants that it names, the engine's files, the flags and the versions. The key
is also part of the loop's name, so that processes that compile different loops at the same time never write the same index file.
To the name we add the signature, the processor and its features. numba would add the pickled closure, whose bytes depend on whether Python
read a module from source or from bytecode: a second process compiled again what the first one had saved.
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
import numpy.ma  # noqa: F401  # numba would import it in a loop's first call, without our lock, and a child forked just then would hang

from matchloss.engine import threads
from matchloss.engine.namespaces import NotCompilable

_engine = Path(__file__).parent


def engine_key(folder: Path = _engine) -> str:
    """A digest of the engine's files and the versions of numba, llvmlite and Python."""
    sources = b"".join(p.name.encode() + p.read_bytes() for p in sorted(folder.glob("*.py")))
    versions = f"{numba.__version__} {llvmlite.__version__} {sys.version_info[:3]}"
    return hashlib.sha256(sources + versions.encode()).hexdigest()


def names_of(function: FunctionType) -> dict[str, Any]:
    """The globals and closure variables that a function uses, by name."""
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
    """A digest of these formulas, everything that they name, and the engine."""
    text = [ENGINE]
    for function in functions:
        text += _describe(function, set()) if isinstance(function, FunctionType) else ["-"]
    return hashlib.sha256("\n".join(text).encode()).hexdigest()


def steady(helper: Any, name: str) -> Any:
    """An inlined helper with the same identity in every process. numba would give it a random one, and then each process would
    recompile every loop that uses the helper."""
    helper._set_uuid(str(uuid.uuid5(uuid.NAMESPACE_OID, f"{ENGINE} {name}")))
    return helper


def compiled(function: Callable[..., Any], name: str, signature: tuple[Any, ...], flags: dict[str, Any]) -> Callable[..., Any]:
    """The compiled loop: loaded from disk if possible, otherwise compiled and saved; not saved if the cache does not work."""
    function.__name__ = function.__qualname__ = name
    with threads.FIRST_CALLS:
        for attempt in ("read", "rewrite", "without"):
            try:
                loop: Any = numba.njit(nogil=True, cache=attempt != "without", **flags)(function)
                if attempt != "without":
                    loop._cache._index_key = lambda signature, codegen: (signature, codegen.magic_tuple(), name)
                if attempt == "rewrite":
                    loop._cache.flush()
                loop.compile(signature)
            except Exception as error:  # no writable folder, a damaged file, a full disk: try the next way
                if attempt == "without":
                    raise NotCompilable(f"numba cannot compile {name}: {error}") from error
            else:
                loop.disable_compile()
                return loop
    raise AssertionError("unreachable")


ENGINE = engine_key()
