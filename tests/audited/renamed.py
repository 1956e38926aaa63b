"""The same function under a name that says something else."""

from __future__ import annotations

import copy
import functools
import inspect
from typing import Any

import jax  # noqa: F401  (an audit tries the frameworks that are loaded: here all of them, whatever ran before)
import torch  # noqa: F401

from audited.subjects import Tried
from matchloss.audit import Report, audit

NAME = "mean_quantile_hinge"


def audited(tried: Tried, target: Any = None, **options: Any) -> Report:
    """The audit of a function, or of what stands for it, in this process."""
    given = {**tried.keywords, **options}
    return audit(copy.deepcopy(tried.target) if target is None else target, tried.kind, isolate=False, **given)


def renamed(target: Any) -> Any:
    """A function that calls it, with its signature; an object's equal, of a class that is called otherwise."""
    target = copy.deepcopy(target)
    if inspect.isroutine(target) or isinstance(target, functools.partial):

        def other(*args: Any, **kwargs: Any) -> Any:
            return target(*args, **kwargs)

        other.__name__ = other.__qualname__ = NAME
        other.__signature__ = inspect.signature(target)  # type: ignore[attr-defined]
        return other
    target.__class__ = type(NAME, (type(target),), {})
    return target


def told(report: Report) -> list[tuple[Any, ...]]:
    """What a report says, without code: that names the function."""
    return [(f.check, f.severity, f.message, dict(f.counterexample)) for f in report.findings] + [
        (outcome.check, outcome.status) for outcome in report.checks
    ]
