"""A fitted linear model as a value, and as a JSON file that is read without running or trusting any of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from matchloss.errors import DomainError
from matchloss.files import replacing, strict_json
from matchloss.linear.columns import kind_of
from matchloss.linear.plan import Category, Design, Number
from matchloss.losses import CATALOGUE, Loss, TargetKind

if TYPE_CHECKING:
    from matchloss.linear.plan import Level

Floats = NDArray[np.float64]

FORMAT = "matchloss model"
SCHEMA = 2
OLDER = {1: {"readings": {}}}  # what files of an older schema lack
LIMIT = 2**30  # bytes
INTEGERS = range(-(2**63), 2**64)  # what a column of a table can hold
KINDS: tuple[TargetKind, ...] = get_args(TargetKind)
ABOUT_DEPTH = 3


@dataclass(frozen=True)
class Reading:
    """How a column of a table is read before it enters: words that stand for a missing number, or how its times are written."""

    words: tuple[str, ...] = ()
    time: str = ""


class ModelError(ValueError):
    """A file that holds no valid model, or a model that cannot be written; the message names the file and what is wrong."""


@dataclass(frozen=True, eq=False)
class Model:
    """raw = intercept + X @ coef, X made by `design`; the prediction is loss.predict(raw).

    Pointwise losses: intercept a number and coef (p,). Simplex losses: intercept (K,) and coef (p, K), K the number of classes.
    """

    loss: Loss
    design: Design
    intercept: float | Floats
    coef: Floats
    target: str
    kind: TargetKind
    classes: tuple[str, ...] = ()  # names of the labels; with a single raw prediction per row, a positive one means the second class
    about: Mapping[str, Any] = field(default_factory=dict)  # how it was made: strings, finite numbers, None, and groups of these
    readings: Mapping[str, Reading] = field(default_factory=dict)  # of the columns that do not enter as they are written

    def raw(self, frame: Any) -> tuple[Floats, dict[str, int]]:
        """Raw predictions (n,) or (n, K) for any data frame's rows, and for each column the number of rows with an unknown level."""
        from matchloss.linear.solve import raw_of

        rows = self.design.rows(frame)
        return raw_of(rows, self.intercept, self.coef), dict(rows.unseen)

    def predict(self, frame: Any) -> tuple[Floats, dict[str, int]]:
        """Predictions (n,) in the target's units or probabilities (n, K), and for each column the number of rows with an unknown level.

        A model of two classes with a single raw prediction per row gives the probability of the second class.
        """
        raw, unseen = self.raw(frame)
        return np.asarray(self.loss.predict(raw)), unseen


def write_model(path: str | Path, model: Model) -> None:
    """Write `model` to `path` in one step, so that a killed process leaves the old file. OSError if the file cannot be written.

    Floats are read back bit for bit. A loss of your own is written as module:class. ModelError for a loss that a file cannot name, or
    for numbers that are not finite.
    """
    path = Path(path)
    text = _as_text(path, model)
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def name_of(loss: type[Loss]) -> str:
    """A loss's name in a file: its catalogue name, or module:class for a person's own. ModelError if it has neither."""
    if CATALOGUE.get(loss.name) is loss:
        return loss.name
    if loss.__module__.startswith("matchloss."):
        raise ModelError(f"{loss.__name__} is not in the catalogue, so that no file can name it")
    if loss.__module__ == "__main__" or "<locals>" in loss.__qualname__:
        raise ModelError(f"{loss.__name__} is not in a module that can be imported, so that no file can name it")
    return f"{loss.__module__}:{loss.__qualname__}"


def read_model(path: str | Path, loss: type[Loss] | None = None) -> Model:
    """The model in the file at `path`; ModelError, with a one-sentence message, if the file holds anything else.

    Nothing is imported because a file names it. A model with a loss of your own is read only if you pass its class as `loss`.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(LIMIT + 1)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    if not content:
        raise ModelError(f"{path} is empty")
    if len(content) > LIMIT:
        raise ModelError(f"{path} is larger than any model: more than {LIMIT:,} bytes")
    try:
        found = strict_json(content)
    except ValueError as error:
        raise ModelError(f"{path} is not a matchloss model: {error}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ModelError(f'{path} is not a matchloss model: it does not say "format": "{FORMAT}"')
    schema = found.get("schema")
    if type(schema) is int and schema > SCHEMA:
        raise ModelError(f"{path} was written by a later version of matchloss (schema {schema}; this one reads {SCHEMA})")
    if type(schema) is int and schema in OLDER:
        found = {"schema": SCHEMA} | OLDER[schema] | {key: value for key, value in found.items() if key != "schema"}
    try:
        return _as_model(found, loss)
    except _Wrong as error:
        raise ModelError(f"{path} is a damaged model: {error}") from error
    except _OtherLoss as error:
        raise ModelError(f"{path} {error}") from error


# ---- out ----


def _as_text(path: Path, model: Model) -> str:
    """JSON with one line per column of the table, so that two models can be compared with diff."""
    loss = model.loss
    try:
        name = name_of(type(loss))
    except ModelError as error:
        raise ModelError(f"{path} is not written: {error}") from error
    head = {
        "format": FORMAT,
        "schema": SCHEMA,
        "loss": {"name": name, "parameters": loss.parameters},
        "target": {"name": model.target, "kind": model.kind, "classes": list(model.classes)},
        "about": dict(model.about),
        "readings": {name: {"words": list(reading.words), "time": reading.time} for name, reading in model.readings.items()},
        "intercept": np.asarray(model.intercept, dtype=np.float64).tolist(),
    }
    columns, start, coef = [], 0, np.asarray(model.coef, dtype=np.float64)
    for column in model.design.columns:
        size = len(column.names)
        columns.append(_column_out(column) | {"coef": coef[start : start + size].tolist()})
        start += size
    if start != len(coef):
        raise ModelError(f"{path} is not written: the design has {start} coefficients, coef {len(coef)}")
    try:
        lines = [f" {json.dumps(key)}: {_dumps(value)}" for key, value in head.items()]
        rows = ",\n".join(f"  {_dumps(column)}" for column in columns)
        text = "{\n" + ",\n".join([*lines, f' "columns": [\n{rows}\n ]']) + "\n}\n"
        _as_model(strict_json(text.encode("utf-8")), type(loss))  # make sure that it can be read back
    except ValueError as error:
        raise ModelError(f"{path} is not written: {error}") from error
    return text


def _dumps(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False)


def _column_out(column: Number | Category) -> dict[str, Any]:
    if isinstance(column, Number):
        return {"name": column.name, "type": "number", "fill": column.fill, "indicator": column.indicator}
    return {"name": column.name, "type": "category", "required": column.required, "levels": list(column.levels)}


# ---- in: every function takes a value from the file and returns what it must be, or raises ----


class _Wrong(ValueError):
    """What is wrong, and at which place in the file."""


class _OtherLoss(ValueError):
    """The file is valid but needs a loss other than the one given."""


def _as_model(found: dict[str, Any], own: type[Loss] | None) -> Model:
    parts = _object(found, "the model", ("format", "schema", "loss", "target", "about", "readings", "intercept", "columns"))
    if type(parts["schema"]) is not int or parts["schema"] != SCHEMA:
        raise _Wrong(f"schema is {_short(parts['schema'])}; this version reads {SCHEMA}")
    loss = _loss(parts["loss"], own)
    target = _object(parts["target"], "target", ("name", "kind", "classes"))
    kind, classes = target["kind"], tuple(_text(name, "a class") for name in _list(target["classes"], "classes"))
    if not (isinstance(kind, str) and kind in KINDS):
        raise _Wrong(f"kind is {_short(kind)}; it must be {', '.join(KINDS)}")
    _check_classes(kind, classes, loss)
    outputs = len(classes) if loss.family == "simplex" else None
    columns, coef = [], []
    for value in _list(parts["columns"], "columns"):
        column, numbers = _column(value, outputs)
        columns.append(column)
        coef += numbers
    names = [column.name for column in columns]
    if len(set(names)) < len(names):
        raise _Wrong(f"the column {_short(next(n for n in names if names.count(n) > 1))} is there twice")
    return Model(
        loss=loss,
        design=Design(tuple(columns)),
        intercept=_number(parts["intercept"], "intercept") if outputs is None else np.array(_row(parts["intercept"], "intercept", outputs)),
        coef=np.array(coef, dtype=np.float64).reshape((len(coef),) if outputs is None else (len(coef), outputs)),
        target=_text(target["name"], "the target's name"),
        kind=kind,  # pyright: ignore[reportArgumentType]
        classes=classes,
        about=_about(parts["about"], ABOUT_DEPTH),
        readings=_readings(parts["readings"]),
    )


def _loss(value: Any, own: type[Loss] | None) -> Loss:
    parts = _object(value, "loss", ("name", "parameters"))
    name = _text(parts["name"], "the loss's name")
    cls = CATALOGUE.get(name)
    if own is not None and name != name_of(own):
        raise _OtherLoss(f"was made with the loss {_short(name)}, not with {name_of(own)}")
    if cls is None and own is None and all(part.isidentifier() for part in name.replace(":", ".", 1).split(".")) and ":" in name:
        raise _OtherLoss(f"was made with {name}, a loss that is not in the catalogue; it is imported only if you name it: --loss {name}")
    cls = cls or own
    if cls is None:
        raise _Wrong(f"there is no loss {_short(name)}")
    wanted = tuple(f.name for f in fields(cls))
    given = _object(parts["parameters"], f"the parameters of {cls.name}", wanted)
    try:
        return cls(**{name: _number(given[name], name) for name in wanted})
    except DomainError as error:
        raise _Wrong(str(error)) from error


def _check_classes(kind: str, classes: tuple[str, ...], loss: Loss) -> None:
    if len(set(classes)) < len(classes):
        raise _Wrong("two classes have the same name")
    fits = {"number": not classes, "count": not classes, "binary": len(classes) == 2, "multiclass": len(classes) > 2}
    if not fits[kind]:
        raise _Wrong(f"{len(classes)} classes do not go with the kind {kind}")
    if kind not in loss.suits:
        raise _Wrong(f"the loss {loss.name} does not go with the kind {kind}")


def _column(value: Any, outputs: int | None) -> tuple[Number | Category, list[Any]]:
    if not isinstance(value, dict):
        raise _Wrong(f"a column is {_short(value)}; it must be an object")
    if value.get("type") == "number":
        parts = _object(value, "a column of numbers", ("name", "type", "fill", "indicator", "coef"))
        name, fill, indicator = _text(parts["name"], "a column's name"), parts["fill"], parts["indicator"]
        if type(indicator) is not bool or (indicator and fill is None):
            raise _Wrong(f"{_short(name)}: indicator is {_short(indicator)} and fill {_short(fill)}")
        column = Number(name, None if fill is None else _number(fill, f"{_short(name)}: fill"), indicator)
    elif value.get("type") == "category":
        parts = _object(value, "a column of levels", ("name", "type", "required", "levels", "coef"))
        name = _text(parts["name"], "a column's name")
        if type(parts["required"]) is not bool:
            raise _Wrong(f"{_short(name)}: required is {_short(parts['required'])}; it must be true or false")
        column = Category(name, _levels(_list(parts["levels"], f"{_short(name)}: levels"), name), parts["required"])
    else:
        raise _Wrong(f"a column's type is {_short(value.get('type'))}; it must be number or category")
    what = f"{_short(name)}: coef"
    coef = _list(parts["coef"], what)
    if len(coef) != len(column.names):
        raise _Wrong(f"{what} has {len(coef)} entries; the column has {len(column.names)} coefficients")
    return column, [_number(c, what) if outputs is None else _row(c, what, outputs) for c in coef]


def _levels(levels: list[Any], name: str) -> tuple[Level, ...]:
    known = levels[:-1] if levels and levels[-1] is None else levels
    for level in known:
        if type(level) not in (str, bool, int, float) or (type(level) is int and level not in INTEGERS):
            raise _Wrong(f"{_short(name)}: {_short(level)} is no level, or not in its place: the missing one is the last")
        if isinstance(level, str):
            _text(level, f"{_short(name)}: a level")
    if len({kind_of([level]) for level in known}) > 1:
        raise _Wrong(f"{_short(name)}: levels must be all text, all numbers or all booleans")
    if len(set(known)) < len(known):
        raise _Wrong(f"{_short(name)}: a level is there twice")
    return tuple(levels)


def _readings(value: Any) -> dict[str, Reading]:
    if not isinstance(value, dict):
        raise _Wrong(f"readings is {_short(value)}; it must be an object")
    made = {}
    for name, reading in value.items():
        what = f"the reading of {_short(name)}"
        parts = _object(reading, what, ("words", "time"))
        words = tuple(_text(word, f"a word in {what}") for word in _list(parts["words"], f"the words in {what}"))
        made[_text(name, "a column's name")] = Reading(words, _text(parts["time"], f"the time in {what}"))
    return made


def _about(value: Any, depth: int) -> dict[str, Any]:
    if not isinstance(value, dict) or depth == 0:
        raise _Wrong("about must be an object of texts, numbers and a few groups of them")
    return {_text(key, "a key in about"): _fact(fact, depth) for key, fact in value.items()}


def _fact(fact: Any, depth: int) -> Any:
    if isinstance(fact, dict):
        return _about(fact, depth - 1)
    if fact is None or isinstance(fact, bool | int | float):
        return fact
    return _text(fact, "a fact in about")


def _object(value: Any, what: str, keys: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Wrong(f"{what} is {_short(value)}; it must be an object")
    for key in keys:
        if key not in value:
            raise _Wrong(f"{what} has no {key}")
    for key in value:
        if key not in keys:
            raise _Wrong(f"{what} has {_short(key)}, which no model of schema {SCHEMA} has")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise _Wrong(f"{what} is {_short(value)}; it must be a list")
    return value


def _row(value: Any, what: str, size: int) -> list[float]:
    row = _list(value, what)
    if len(row) != size:
        raise _Wrong(f"{what} has {len(row)} numbers in a row; there are {size} classes")
    return [_number(number, what) for number in row]


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _Wrong(f"{what} is {_short(value)}; it must be a finite number")
    return float(value)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise _Wrong(f"{what} is {_short(value)}; it must be text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise _Wrong(f"{what} has half of a character: {_short(value)}") from None
    return value


def _short(value: Any) -> str:
    """The value as written in the file, shortened, in ASCII."""
    if isinstance(value, list | dict):  # may be nested too deeply to be written out
        return "a list" if isinstance(value, list) else "an object"
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:36]}..."
