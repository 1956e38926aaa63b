"""The trainers of structured losses as JSON files, read without running or trusting any of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from matchloss.files import replacing
from matchloss.linear.file_parts import ModelError, column_in, column_out, content_of, list_in, number_in, text_in
from matchloss.linear.plan import Design, Number

if TYPE_CHECKING:
    from matchloss.linear.dense import Structured

FORMAT = "matchloss structured model"
SCHEMA = 1
ALWAYS = ("covariance_", "objective_", "n_steps_")


def write(path: str | Path, model: Structured) -> None:
    """Writes a fitted estimator in one step. ModelError for numbers that are not finite, OSError if it cannot be written."""
    path = Path(path)
    design = model.design_ or Design(tuple(map(Number, model.coef_names_)))
    columns, start = [], 0
    for column in design.columns:
        columns.append(column_out(column) | {"coef": model.coef_[start : start + len(column.names)].tolist()})
        start += len(column.names)
    text = {
        "format": FORMAT,
        "schema": SCHEMA,
        "estimator": type(model).__name__,
        "parameters": model.get_params(),
        "array": model.design_ is None,
        "named": model.named_,
        "columns": columns,
        "state": {name: _out(getattr(model, name)) for name in (*ALWAYS, *model.state)},
    }
    try:
        lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(value, allow_nan=False, ensure_ascii=False)}" for key, value in text.items())
    except ValueError as error:
        raise ModelError(f"{path} is not written: {error}") from error
    with replacing(path) as partial:
        partial.write_text("{\n" + lines + "\n}\n", encoding="utf-8", newline="\n")


def _out(x: Any) -> Any:
    if isinstance(x, np.ndarray | np.generic):
        return x.tolist()
    return [_out(y) for y in x] if isinstance(x, list) else x


def _in(name: str, value: Any) -> Any:
    """A fitted attribute: None, a number, an array of numbers or texts, or a list of arrays."""
    if isinstance(value, list) and value and all(isinstance(row, list) for row in value):
        rows = [_in(name, row) for row in value]
        return np.array(rows) if name == "covariance_" else rows
    if isinstance(value, list):
        made = np.array(value if value else [], dtype=None if value else np.float64)
        if made.dtype.kind not in "ifUb" or (made.dtype.kind == "f" and not np.isfinite(made).all()):
            raise ValueError(f"{name} is no list of finite numbers, or of texts")
        return made
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise ValueError(f"{name} is a {type(value).__name__}")


def is_structured(path: str | Path) -> bool:
    """Whether the file says that it holds one of these."""
    try:
        with Path(path).open("rb") as file:
            return FORMAT.encode() in file.read(200)
    except OSError:
        return False


def read(path: str | Path) -> Structured:
    """The fitted estimator in a file; ModelError, with a one-sentence message, for any other content."""
    from matchloss.linear import ConditionalLogit, CoxRegression, OrderedRegressor

    kinds: dict[str, type[Structured]] = {cls.__name__: cls for cls in (ConditionalLogit, CoxRegression, OrderedRegressor)}
    path = Path(path)
    try:
        found = content_of(path)
        if found.get("format") != FORMAT or found.get("schema") != SCHEMA:
            raise ModelError(f'{path} is not a matchloss model: it does not say "format": "{FORMAT}" and "schema": {SCHEMA}')
        made = kinds[found["estimator"]](**{str(name): value for name, value in found["parameters"].items()})
        columns = [column_in(value, ("coef",)) for value in found["columns"]]
        made.design_ = None if found["array"] is True else Design(tuple(columns))
        made.n_features_in_ = len(columns)
        named = found.get("named", {})  # files of before have none
        made.named_ = {text_in(role, "a role"): text_in(name, "a column") for role, name in named.items()}
        coef = []
        for column, value in zip(columns, found["columns"], strict=True):
            mine = [number_in(c, "coef") for c in list_in(value["coef"], "coef")]
            if len(mine) != len(column.names):
                raise ValueError(f"{column.name} has {len(mine)} coefficients; {len(column.names)} are needed")
            coef += mine
        for name in (*ALWAYS, *made.state):
            setattr(made, name, _in(name, found["state"][name]))
        made.coef_ = np.array(coef, np.float64)
        made.check()
    except ModelError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{path} is a damaged model: {type(error).__name__}: {error}") from error
    return made
