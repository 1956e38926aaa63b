"""Formulas, by formulaic: a frame's columns become those that a formula names, in training and in prediction alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from matchloss.linear.columns import open_table

INTERCEPT = "Intercept"


class FormulaError(ValueError):
    """A formula that cannot be read, or that the table has no columns for."""


@dataclass(frozen=True, eq=False)
class Terms:
    """The right side of a formula with all that its terms learned from training rows: levels, knots, means."""

    text: str
    spec: Any
    intercept: bool

    def expanded(self, frame: Any) -> Any:
        """The columns of the terms, the intercept left out, as pandas has them; FormulaError where the frame lacks one."""
        made = _materialised(lambda: self.spec.get_model_matrix(frame, output="pandas", na_action="raise"), self.text, frame)
        return made.drop(columns=INTERCEPT, errors="ignore")


def split(text: str, frame: Any) -> tuple[Any, Any, Terms]:
    """y, X and the terms of "y ~ terms" for a frame: text becomes levels, C(a) makes levels of numbers, a * b adds products.

    >>> import pandas as pd
    >>> y, X, terms = split("y ~ C(a) * x", pd.DataFrame({"y": [1.0, 2, 3, 4], "a": [1, 2, 1, 2], "x": [0.0, 1, 2, 3]}))
    >>> list(X.columns), terms.intercept
    (['C(a)[T.2]', 'x', 'C(a)[T.2]:x'], True)
    """
    try:
        import formulaic
    except ImportError as error:
        raise ImportError('formulas need formulaic: pip install "matchloss[formula]"') from error
    if not isinstance(text, str):
        raise TypeError(f'a formula is text, such as "late ~ C(carrier) * distance"; this is {type(text).__name__}')
    left, tilde, right = text.partition("~")
    if not tilde or not left.strip() or not right.strip():
        raise FormulaError(f'{text!r} is no formula of a target and its columns; allowed: "target ~ column + column"')
    made = _materialised(lambda: formulaic.model_matrix(right.strip(), frame, output="pandas", na_action="raise"), text, frame)
    terms = Terms(text, made.model_spec, INTERCEPT in made.columns)
    X = made.drop(columns=INTERCEPT, errors="ignore")
    if not len(X.columns):
        raise FormulaError(f"{text!r} names no column beside the intercept")
    return _target(left.strip(), frame, text), X, terms


def _target(name: str, frame: Any, text: str) -> Any:
    """The left side: a column as it is, or what it says of some."""
    table = open_table(frame)
    if name in table.labels:
        return frame[table.labels[name]]
    import formulaic

    made = _materialised(lambda: formulaic.model_matrix(f"0 + {name}", frame, output="pandas", na_action="raise"), text, frame)
    if len(made.columns) != 1:
        raise FormulaError(f"{name!r}, the target of {text!r}, has {len(made.columns)} columns; allowed: one")
    return np.asarray(made.iloc[:, 0])


def _materialised(work: Any, text: str, frame: Any) -> Any:
    """What formulaic makes, its errors in a sentence."""
    from formulaic.errors import FormulaicError

    try:
        return work()
    except (FormulaicError, ValueError, KeyError, NameError, SyntaxError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        there = ", ".join(map(str, list(open_table(frame).labels)[:8]))
        raise FormulaError(f"{text!r}: {reason}. The table has the columns {there}") from error
