"""Names that a person writes: "module:attribute" or "module.attribute", and losses with parameters, "huber(delta=2)".

Nothing is imported that a name does not say.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.util
import os
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

CALL = re.compile(r"\s*([^()]*?)\s*\((.*)\)\s*", re.DOTALL)


class UnknownName(ValueError):
    """A name that leads to nothing that can be imported; the message has the nearest names that do."""


def resolve(name: str) -> Any:
    """The function, class, method or object of that name; UnknownName if there is none, or if importing its module fails.

    >>> resolve("statistics:fmean") is resolve("statistics.fmean")
    True
    >>> resolve("statistics:fmeen")
    Traceback (most recent call last):
    matchloss.names.UnknownName: statistics has no fmeen; did you mean fmean or mean?
    """
    module, colon, path = name.partition(":")
    parts = module.split(".") + (path.split(".") if colon else [])
    if not all(part.isidentifier() for part in parts):
        raise UnknownName(f"{name!r} is no name; name a function as module:function, such as torch.nn.functional:cross_entropy")
    at = _module(parts[0], name)
    where = parts[0]
    for i, part in enumerate(parts[1:], 1):
        if colon and i < len(module.split(".")):
            at = _module(f"{where}.{part}", name)
        else:
            at = _attribute(at, where, part, name, dotted=not colon)
        where = f"{where}.{part}"
    if isinstance(at, ModuleType):
        raise UnknownName(f"{where} is a module; name a function in it, as {where}:function")
    return at


def split_names(text: str) -> list[str]:
    """The names in a list with commas; a comma between parentheses belongs to its name.

    >>> split_names("poisson, pinball(alpha=0.9),huber( delta = 2 )")
    ['poisson', 'pinball(alpha=0.9)', 'huber( delta = 2 )']
    """
    return [name for name in (part.strip() for part in re.split(r",(?![^()]*\))", text)) if name]


def with_parameters(name: str) -> tuple[str, dict[str, float]]:
    """The name alone, and the parameters that stand in parentheses after it. ValueError for parameters that cannot be read.

    >>> with_parameters("huber(delta=2)"), with_parameters("poisson")
    (('huber', {'delta': 2.0}), ('poisson', {}))
    """
    found = CALL.fullmatch(name)
    if found is None:
        return name.strip(), {}
    given: dict[str, float] = {}
    for part in split_names(found[2]):
        parameter, equals, value = (piece.strip() for piece in part.partition("="))
        if parameter in given:
            raise ValueError(f"{name!r} gives {parameter} twice")
        try:
            given[parameter] = float(value)
        except ValueError:
            equals = ""
        if not (equals and parameter.isidentifier()):
            raise ValueError(f"{part!r} in {name!r} cannot be read; a parameter is written NAME=NUMBER, as in huber(delta=2)")
    return found[1], given


@contextlib.contextmanager
def modules_from_here() -> Iterator[None]:
    """Modules in the working directory can be imported, as under `python -m`."""
    here = os.getcwd()
    before = sys.path[:]
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path[:] = before


def nearest(name: str, known: Iterable[str]) -> str:
    """ "; did you mean a, b or c?" with the known names that are near, whatever their case and underscores; else nothing."""
    private = name.startswith("_")
    folded = {_fold(k): k for k in sorted(known, reverse=True) if private or not k.startswith("_")}
    near = [folded[k] for k in difflib.get_close_matches(_fold(name), list(folded), n=3, cutoff=0.6)]
    return f"; did you mean {' or '.join(filter(None, [', '.join(near[:-1]), near[-1]]))}?" if near else ""


def _fold(name: str) -> str:
    return name.lower().replace("_", "")


def _module(module: str, name: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise _failed(module, error) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may even call sys.exit
        raise _failed(module, error) from error
    package, _, last = module.rpartition(".")
    if not package:
        if name == module:
            raise UnknownName(f"no module is called {module}; name a function as module:function")
        near = nearest(last, {*sys.stdlib_module_names, *(m.name for m in pkgutil.iter_modules())})
        raise UnknownName(f"no module is called {module}, for {name!r}{near}")
    parent = sys.modules[package]
    if _importable(parent) or not hasattr(parent, last):
        raise UnknownName(f"{package} has no module {last}{nearest(last, _inside(parent))}")
    raise UnknownName(f"{module} is no module; the function is named {package}:{last}")


def _failed(module: str, error: BaseException) -> UnknownName:
    return UnknownName(f"importing {module} failed: {type(error).__name__}: {error}")


def _attribute(at: Any, where: str, part: str, name: str, dotted: bool) -> Any:
    """An attribute; with dots alone, else a module inside a package."""
    try:
        return getattr(at, part)
    except AttributeError:
        pass
    except Exception as error:  # of a package that imports its parts when they are asked for
        raise _failed(f"{where}.{part}", error) from error
    if dotted and _importable(at) and importlib.util.find_spec(f"{where}.{part}"):
        return _module(f"{where}.{part}", name)
    known = {*dir(at), *(_inside(at) if dotted else ())}
    raise UnknownName(f"{where} has no {part}{nearest(part, known)}")


def _importable(at: Any) -> bool:
    return isinstance(at, ModuleType) and hasattr(at, "__path__")


def _inside(package: Any) -> set[str]:
    """Names of the modules in a package, none of which is imported."""
    return {m.name for m in pkgutil.iter_modules(package.__path__)} if _importable(package) else set()
