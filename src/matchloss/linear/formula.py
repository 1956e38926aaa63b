"""Formulas, by formulaic: a frame's columns become those that a formula names, in training and in prediction alike."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from matchloss.linear.columns import Coded, Table, open_table

INTERCEPT = "Intercept"
HOLDS = ("numbers", "text", "booleans")  # what a column that a formula reads may hold


class FormulaError(ValueError):
    """A formula that cannot be read, or that the table has no columns for."""


@dataclass(frozen=True, eq=False)
class Terms:
    """The right side of a formula with all that its terms learned from training rows: levels, knots, means."""

    text: str
    spec: Any
    intercept: bool
    columns: Mapping[str, str]  # that the terms read, and what they hold: one of HOLDS

    def expanded(self, frame: Any) -> Any:
        """The columns of the terms, the intercept left out, as pandas has them; FormulaError where the frame lacks one."""
        made = _materialised(lambda: self.spec.get_model_matrix(frame, context={}, output="pandas", na_action="raise"), self.text, frame)
        return made.drop(columns=INTERCEPT, errors="ignore")


def split(text: str, frame: Any) -> tuple[Any, Any, Terms]:
    """y, X and the terms of "y ~ terms" for a frame: text becomes levels, C(a) makes levels of numbers, a * b adds products.

    >>> import pandas as pd
    >>> y, X, terms = split("y ~ C(a) * x", pd.DataFrame({"y": [1.0, 2, 3, 4], "a": [1, 2, 1, 2], "x": [0.0, 1, 2, 3]}))
    >>> list(X.columns), terms.intercept
    (['C(a)[T.2]', 'x', 'C(a)[T.2]:x'], True)
    """
    left, _ = sides(text)
    X, terms = learned(text, frame)
    return _target(left, frame, text), X, terms


def learned(text: str, frame: Any) -> tuple[Any, Terms]:
    """X and the terms, whatever the left side of the formula is."""
    formulaic, (_, right) = _formulaic(), sides(text)
    table = open_table(frame)
    columns = {name: _holds(table, name) for name in variables(text, table.labels)}
    made = _materialised(lambda: formulaic.model_matrix(right, frame, context={}, output="pandas", na_action="raise"), text, frame)
    X = made.drop(columns=INTERCEPT, errors="ignore")
    if not len(X.columns):
        raise FormulaError(f"{text!r} names no column beside the intercept")
    return X, Terms(text, made.model_spec, INTERCEPT in made.columns, columns)


def sides(text: str) -> tuple[str, str]:
    """The two sides of a formula: what is predicted, and by what terms.

    >>> sides("late ~ C(carrier) + distance")
    ('late', 'C(carrier) + distance')
    """
    if not isinstance(text, str):
        raise TypeError(f'a formula is text, such as "late ~ C(carrier) * distance"; this is {type(text).__name__}')
    left, tilde, right = text.partition("~")
    if not tilde or not left.strip() or not right.strip():
        raise FormulaError(f'{text!r} is no formula of a target and its columns; allowed: "target ~ column + column"')
    return left.strip(), right.strip()


def variables(text: str, there: Mapping[str, Any]) -> list[str]:
    """The columns that the terms name, of those that are there; FormulaError for a formula that cannot be read."""
    formula = _parsed(sides(text)[1], text)
    named = {str(name) for name in formula.required_variables}
    for expr in (factor.expr for term in terms_of(formula) for factor in term.factors if factor.eval_method.value == "python"):
        try:
            named |= {node.id for node in ast.walk(ast.parse(expr, mode="eval")) if isinstance(node, ast.Name)}
        except SyntaxError:  # a name in backquotes, which formulaic itself knows
            continue
    return [name for name in there if name in named]


def terms_of(formula: Any) -> list[Any]:
    """The terms of a formula of a single part; FormulaError for one of several."""
    if type(formula).__name__ != "SimpleFormula":
        raise FormulaError("the formula has several parts; allowed: one list of terms right of the tilde")
    return list(formula)


def _parsed(right: str, text: str) -> Any:
    """formulaic's formula of the terms; nothing is evaluated."""
    formulaic = _formulaic()
    from formulaic.errors import FormulaicError

    try:
        return formulaic.Formula(right)
    except (FormulaicError, SyntaxError, ValueError) as error:
        raise FormulaError(f"{text!r}: {str(error).splitlines()[0] if str(error) else type(error).__name__}") from error


def read_with(
    text: str, transforms: dict[str, Any], factors: Mapping[str, tuple[str, dict[str, Any]]], check: Callable[[Any], None]
) -> Any:
    """formulaic's spec for a formula with what it learned from training rows; `check` sees the formula before anything is made of it."""
    formulaic, (_, right) = _formulaic(), sides(text)
    from formulaic.parser.types import Factor

    formula = _parsed(right, text)
    check(formula)
    encoders = {expr: (Factor.Kind(kind), state) for expr, (kind, state) in factors.items()}
    return formulaic.ModelSpec(formula=formula, transform_state=transforms, encoder_state=encoders, output="pandas")


def _formulaic() -> Any:
    try:
        import formulaic
    except ImportError as error:
        raise ImportError('formulas need formulaic: pip install "matchloss[formula]"') from error
    return formulaic


def _holds(table: Table, name: str) -> str:
    column = table.read(name, as_levels=False)
    return (column.kind or "text") if isinstance(column, Coded) else "numbers"


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
