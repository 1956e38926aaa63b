"""The cache of machine code on disk, and what happens without one.

A loop's file is named by a digest of everything it is made from: the formula with all helpers and constants that it names, the engine's
files, the argument types, LLVM, the processor and its features. It lies in MATCHLOSS_CACHE if that is set; otherwise beside this package
or in the user's cache folder: both are asked, and the first that can be written gets a new file. A file is written under another name and
moved, and begins with a digest of its own bytes, so that one that is cut off or foreign is no hit. A folder that cannot be read or
written is passed over.
"""

from __future__ import annotations

import dis
import hashlib
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from matchloss.engine.values import NotCompilable

_engine = Path(__file__).parent


@dataclass
class Counts:
    """What this process has done so far: loops compiled, loops found on disk, and the seconds of processor time that compiling took."""

    compiled: int = 0
    found: int = 0
    seconds: float = 0.0


COUNTS = Counts()


def engine_key(folder: Path = _engine) -> str:
    """A digest of the engine's files."""
    return hashlib.sha256(b"".join(p.name.encode() + p.read_bytes() for p in sorted(folder.glob("*.py")))).hexdigest()


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
    text, loop = _describe_code(function.__code__), hasattr(function, "text_flags")
    if loop:
        text.append(function.text_flags)  # pyright: ignore[reportFunctionMemberAccess]
    for name, thing in sorted(names_of(function).items()):
        if isinstance(thing, FunctionType):
            engine = (thing.__module__ or "").startswith("matchloss.engine.")  # its files are in the key
            text += [name, thing.__qualname__] if engine else [name, *_describe(thing, seen)]
        elif _is_constant(thing):
            text.append(f"{name}={thing!r}")
        elif loop and isinstance(thing, ModuleType | type):
            text.append(f"{name}={thing.__name__}")
        elif loop and isinstance(thing, tuple) and hasattr(thing, "_fields"):
            text.append(f"{name}={type(thing).__qualname__}")
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
    """A digest of these formulas or texts, everything that they name, and the engine."""
    text = [ENGINE, str(sys.version_info[:2])]
    for function in functions:
        text += _describe(function, set()) if isinstance(function, FunctionType) else ["-"]
    return hashlib.sha256("\n".join(text).encode()).hexdigest()


@cache
def folders() -> tuple[Path, ...]:
    """Where loops may lie, in the order in which they are asked for one."""
    asked = os.environ.get("MATCHLOSS_CACHE", "").strip()
    if asked:
        return (Path(asked),)
    if sys.platform == "win32":
        home = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        home = Path.home() / "Library" / "Caches"
    else:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return _engine.parent / "__pycache__" / "loops", home / "matchloss" / "loops"


def read(name: str) -> bytes | None:
    """The machine code of this name, or None."""
    for folder in _usable():
        try:
            data = (folder / f"{name}.o").read_bytes()
        except OSError:
            continue
        if hashlib.sha256(data[32:]).digest() == data[:32]:
            COUNTS.found += 1
            return data[32:]
    return None


def write(name: str, code: bytes) -> None:
    """Keeps machine code for later processes, if a folder can be written."""
    for folder in _usable():
        part = folder / f"{name}.{os.getpid()}.part"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            part.write_bytes(hashlib.sha256(code).digest() + code)
            part.replace(folder / f"{name}.o")
            return
        except OSError:
            with suppress(OSError):
                part.unlink()


def _usable() -> tuple[Path, ...]:
    try:
        return folders()
    except (OSError, RuntimeError):  # a user without a home
        return ()


ENGINE = engine_key()
