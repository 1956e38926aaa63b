"""Constructors whose signature says what scikit-learn, editors and `help` read there, though they pass their arguments on."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable[..., None])


def with_keywords_of(parent: type, without: str = "") -> Callable[[C], C]:
    """Gives a subclass's constructor, `(self, loss, *, curvature, **parent's)`, a signature that lists the parent's keywords but one.

    So an estimator has all keywords of the host's own estimator, whichever the installed version has.
    """

    def decorate(cls: C) -> C:
        init: Any = cls.__init__
        own = [p for p in inspect.signature(init).parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        names = {p.name for p in own} | {without}
        theirs = [
            p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for p in inspect.signature(parent.__init__).parameters.values()
            if p.name not in names and p.kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        ]
        init.__signature__ = inspect.Signature([*own, *theirs])
        return cls

    return decorate


def with_loss(constructor: F, default: str) -> F:
    """The same constructor, of estimators that take another loss by default.

    >>> class Regressor:
    ...     def __init__(self, loss: str = "squared_error", *, l2: float = 0.0) -> None:
    ...         self.loss, self.l2 = loss, l2
    >>> class Classifier(Regressor):
    ...     __init__ = with_loss(Regressor.__init__, "cross_entropy")
    >>> Classifier(l2=1.0).loss, inspect.signature(Classifier).parameters["loss"].default
    ('cross_entropy', 'cross_entropy')
    """

    @functools.wraps(constructor)
    def made(self: Any, loss: Any = default, **given: Any) -> None:
        constructor(self, loss, **given)

    known = inspect.signature(constructor)
    parameters = [p.replace(default=default) if p.name == "loss" else p for p in known.parameters.values()]
    made.__signature__ = known.replace(parameters=parameters)  # pyright: ignore[reportAttributeAccessIssue]
    return cast(F, made)
