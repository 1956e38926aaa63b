"""Which versions of a host were tested, and what to say about others."""

from __future__ import annotations

import re
import warnings

_said: set[str] = set()


def missing(host: str, extra: str) -> ImportError:
    """The error for a host that is not installed."""
    return ImportError(f'matchloss.{extra} needs {host}: pip install "matchloss[{extra}]"')


def say_if_unknown(host: str, version: str, first: tuple[int, int], last: tuple[int, int]) -> None:
    """Warn, once in a process, about a version outside those tested: curvatures of built-in objectives change between releases.

    >>> say_if_unknown("XGBoost", "3.2.0", (3, 0), (3, 2))
    """
    found = re.match(r"(\d+)\.(\d+)", version)
    if host in _said or (found and first <= (int(found[1]), int(found[2])) <= last):
        return
    _said.add(host)
    known = ".".join(map(str, first)) + ("" if first == last else " to " + ".".join(map(str, last)))
    warnings.warn(
        f"{host} {version} was not tried with this version of matchloss, which knows {known}: losses train, but may grow other trees than "
        "the built-in objectives, whose curvatures move between releases",
        UserWarning,
        stacklevel=3,
    )
