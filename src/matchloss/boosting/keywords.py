"""Estimators with all keywords of the host's own estimators, whichever the installed version has."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from matchloss.boosting.losses import check_labels

C = TypeVar("C", bound=type)


def with_keywords_of(parent: type, without: str = "") -> Callable[[C], C]:
    """Gives a subclass's constructor, `(self, loss, *, curvature, **parent's)`, a signature that lists the parent's keywords but one.

    scikit-learn reads an estimator's parameters off this signature, and so do editors and `help`.
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


def before_fit(check: Callable[..., None]) -> Callable[[C], C]:
    """Let `check(model, X, y, ...)` look at the arguments of `fit`. Its signature stays the host's, since scikit-learn routes by it."""

    def decorate(cls: C) -> C:
        fit: Any = cls.fit  # pyright: ignore[reportAttributeAccessIssue]

        @functools.wraps(fit)
        def checked(self: Any, X: Any, y: Any = None, *more: Any, **given: Any) -> Any:
            check(self, X, y, *more, **given)
            return fit(self, X, y, *more, **given)

        setattr(cls, "fit", checked)  # noqa: B010
        return cls

    return decorate


def one_label_a_row(model: Any, X: Any, y: Any, *_: Any, **__: Any) -> None:
    """For `before_fit`: missing labels and rows of distributions are refused with a helpful message."""
    check_labels(y, type(model).__name__)
