"""A formula's terms as plain data for a model's file, and back. Nothing that a file says is ever run as code.

formulaic evaluates the factors of a formula as Python. So a file may hold only factors made of columns, numbers, arithmetic and the
functions below; they are checked when a model is written, and again when it is read, before formulaic sees them.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from matchloss.linear.file_parts import ModelError, Wrong, list_in, number_in, object_in, short, text_in
from matchloss.linear.formula import HOLDS, FormulaError, Terms, read_with, terms_of

KEYS = ("text", "columns", "transforms", "factors")
FUNCTIONS = {
    *("bs", "cs", "cr", "cc", "poly", "center", "scale", "standardize", "C", "I", "Q", "Treatment", "Sum", "Helmert", "Diff", "Poly"),
    *("log", "log2", "log10", "exp", "exp2", "exp10"),
}
MEMBERS = {
    "np": {
        *("log", "log2", "log10", "log1p", "exp", "exp2", "expm1", "sqrt", "cbrt", "square", "abs", "sign"),
        *("sin", "cos", "tan", "tanh", "arctan", "minimum", "maximum", "clip"),
    },
    "contr": {"treatment", "SAS", "sum", "helmert", "diff", "poly"},
}
NODES = (
    *(ast.Expression, ast.Constant, ast.Name, ast.Load, ast.Tuple, ast.List, ast.keyword, ast.Call, ast.Attribute),
    *(ast.BinOp, ast.UnaryOp, ast.Compare, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Mod, ast.FloorDiv, ast.Pow, ast.USub, ast.UAdd),
    *(ast.Invert, ast.BitAnd, ast.BitOr, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq),
)
DEEP = 6  # of lists and objects in what a transform has learned


def terms_out(terms: Terms) -> dict[str, Any]:
    """The terms for a file: the text, the columns, and what transforms and levels learned. ModelError for what is no plain data."""
    spec = terms.spec
    try:
        check_formula(spec.formula)
        transforms = {expr: _plain(state, f"{expr} learned", DEEP) for expr, state in spec.transform_state.items()}
        factors = {expr: [kind.value, _levels(expr, state)] for expr, (kind, state) in spec.encoder_state.items()}
    except (Wrong, FormulaError) as error:
        raise ModelError(f"a file cannot hold the formula {terms.text!r}: {error}") from error
    return {"text": terms.text, "columns": dict(terms.columns), "transforms": transforms, "factors": factors}


def terms_in(value: Any) -> Terms:
    """The terms that a file holds; Wrong for anything but what `terms_out` writes. ImportError without formulaic."""
    parts = object_in(value, "formula", KEYS)
    text = text_in(parts["text"], "the formula's text")
    if not isinstance(parts["columns"], dict) or not all(holds in HOLDS for holds in parts["columns"].values()):
        raise Wrong(f"the formula's columns hold {', '.join(HOLDS)}, and nothing else")
    columns = {text_in(name, "a column's name"): holds for name, holds in parts["columns"].items()}
    transforms, factors = parts["transforms"], parts["factors"]
    if not isinstance(transforms, dict) or not isinstance(factors, dict):
        raise Wrong("the formula's transforms and factors must be objects")
    learned = {expr: _object(state, f"{expr} learned", DEEP) for expr, state in transforms.items()}
    levels = {expr: _factor(expr, state) for expr, state in factors.items()}
    try:
        spec = read_with(text, learned, levels, check_formula)
    except FormulaError as error:
        raise Wrong(str(error)) from error
    return Terms(text, spec, "1" in map(str, spec.formula), columns)


def check_formula(formula: Any) -> None:
    """Wrong unless every factor is made of columns, numbers, arithmetic and known functions."""
    for term in terms_of(formula):
        for factor in term.factors:
            if factor.eval_method.value == "python":
                _check(factor.expr)


def _check(expr: str) -> None:
    try:
        tree = ast.parse(expr.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Wrong(f"{short(expr)} is no expression") from error
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for node in ast.walk(tree):
        if not isinstance(node, NODES):
            raise Wrong(f"{short(expr)} has more in it than columns, numbers, arithmetic and known functions")
        if isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            if node.attr not in MEMBERS.get(owner, set()):
                raise Wrong(f"{short(expr)} asks for {short(node.attr)}, which is none of the functions that a file may name")
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and not isinstance(node.right, ast.Constant | ast.UnaryOp):
            raise Wrong(f"{short(expr)} has a power that is no number")
        if isinstance(node, ast.Constant) and not isinstance(node.value, str | int | float | None):
            raise Wrong(f"{short(expr)} holds a {type(node.value).__name__}")
    for func in called:
        if not isinstance(func, ast.Attribute) and not (isinstance(func, ast.Name) and func.id in FUNCTIONS):
            name = func.id if isinstance(func, ast.Name) else ast.unparse(func)
            raise Wrong(f"{short(expr)} calls {short(name)}, which is none of the functions that a file may name")


# ---- what formulaic learned ----


def _plain(x: Any, what: str, deep: int) -> Any:
    """Numbers, texts, lists and objects as JSON has them; pairs where keys are no texts, and arrays marked as such."""
    if deep == 0:
        raise Wrong(f"{what} what is nested too deeply")
    x = x.item() if isinstance(x, np.generic) else x
    if x is None or isinstance(x, bool | int | str) or (isinstance(x, float) and np.isfinite(x)):
        return x
    if isinstance(x, np.ndarray) and x.dtype.kind in "fiu" and np.isfinite(x).all():
        return {"array": x.tolist()}
    if isinstance(x, list | tuple):
        return [_plain(y, what, deep - 1) for y in x]
    if isinstance(x, Mapping):
        if all(isinstance(key, str) for key in x):
            return {key: _plain(y, what, deep - 1) for key, y in x.items()}
        return {"pairs": [[_plain(key, what, 1), _plain(y, what, deep - 1)] for key, y in x.items()]}
    raise Wrong(f"{what} a {type(x).__name__}, which is no plain data")


def _learned(x: Any, what: str, deep: int) -> Any:
    """The way back."""
    if deep == 0:
        raise Wrong(f"{what} what is nested too deeply")
    if x is None or isinstance(x, bool | str | int | float):
        return x
    if isinstance(x, list):
        return [_learned(y, what, deep - 1) for y in x]
    if isinstance(x, dict) and set(x) == {"array"}:
        try:
            return np.array(x["array"], np.float64)
        except (TypeError, ValueError) as error:
            raise Wrong(f"{what} an array that holds no numbers") from error
    if isinstance(x, dict) and set(x) == {"pairs"}:
        pairs = [list_in(pair, what) for pair in list_in(x["pairs"], what)]
        if any(len(pair) != 2 or isinstance(pair[0], list | dict) for pair in pairs):
            raise Wrong(f"{what} pairs that are none")
        return {key: _learned(y, what, deep - 1) for key, y in pairs}
    return {text_in(key, what): _learned(y, what, deep - 1) for key, y in cast(dict[str, Any], x).items()}


def _object(x: Any, what: str, deep: int) -> dict[Any, Any]:
    made = _learned(x, what, deep)
    if not isinstance(made, dict):
        raise Wrong(f"{what} {short(x)}; it must be an object")
    return made


def _levels(expr: str, state: Mapping[str, Any]) -> list[Any] | None:
    """The levels of a factor; None for numbers."""
    if "categories" not in state:
        return None
    levels = [level.item() if isinstance(level, np.generic) else level for level in state["categories"]]
    if any(not isinstance(level, str | bool | int | float) for level in levels):
        raise Wrong(f"the levels of {expr} are neither texts nor numbers")
    return levels


def _factor(expr: str, value: Any) -> tuple[str, dict[str, Any]]:
    what = f"the factor {short(expr)}"
    parts = list_in(value, what)
    if len(parts) != 2 or parts[0] not in ("numerical", "categorical", "constant"):
        raise Wrong(f"{what} is {short(value)}; it must be a kind and levels")
    if parts[1] is None:
        return parts[0], {}
    levels = list_in(parts[1], f"the levels of {what}")
    for level in levels:
        if not isinstance(level, str | bool):
            number_in(level, f"a level of {what}")
    return parts[0], {"categories": levels}
