"""Looking at the arguments of a host's `fit` before it does."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from matchloss.boosting.losses import check_labels

C = TypeVar("C", bound=type)


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
