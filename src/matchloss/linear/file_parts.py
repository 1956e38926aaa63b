"""The parts of a model's file, each read without trust: a function takes a value from the file and returns what it must be, or raises."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, get_args

from matchloss.errors import DomainError
from matchloss.files import strict_json
from matchloss.linear.columns import kind_of
from matchloss.linear.plan import Category, Number
from matchloss.losses import CATALOGUE, Loss, TargetKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matchloss.linear.plan import Level

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


def name_of(loss: type[Loss]) -> str:
    """A loss's name in a file: its catalogue name, or module:class for a person's own. ModelError if it has neither."""
    if CATALOGUE.get(loss.name) is loss:
        return loss.name
    if loss.__module__.startswith("matchloss."):
        raise ModelError(f"{loss.__name__} is not in the catalogue, so that no file can name it")
    if loss.__module__ == "__main__" or "<locals>" in loss.__qualname__:
        raise ModelError(f"{loss.__name__} is not in a module that can be imported, so that no file can name it")
    return f"{loss.__module__}:{loss.__qualname__}"


class Described(Protocol):
    """What the files of all kinds of models say."""

    @property
    def loss(self) -> Loss: ...  # noqa: D102
    @property
    def target(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> TargetKind: ...  # noqa: D102
    @property
    def classes(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def about(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def readings(self) -> Mapping[str, Reading]: ...  # noqa: D102


@dataclass(frozen=True)
class Head:
    """The same, read."""

    loss: Loss
    target: str
    kind: TargetKind
    classes: tuple[str, ...]
    about: dict[str, Any]
    readings: dict[str, Reading]


HEAD = ("loss", "target", "about", "readings")  # its keys in a file


def head_out(model: Described) -> dict[str, Any]:
    """What a file says of a model; ModelError for a loss that no file can name."""
    return {
        "loss": {"name": name_of(type(model.loss)), "parameters": model.loss.parameters},
        "target": {"name": model.target, "kind": model.kind, "classes": list(model.classes)},
        "about": dict(model.about),
        "readings": {name: {"words": list(reading.words), "time": reading.time} for name, reading in model.readings.items()},
    }


def head_in(parts: Mapping[str, Any], own: type[Loss] | None) -> Head:
    """What a file says of a model; `own` is the class of a loss that is not in the catalogue."""
    loss = loss_in(parts["loss"], own)
    target = object_in(parts["target"], "target", ("name", "kind", "classes"))
    kind, classes = target["kind"], tuple(text_in(name, "a class") for name in list_in(target["classes"], "classes"))
    if not (isinstance(kind, str) and kind in KINDS):
        raise Wrong(f"kind is {short(kind)}; it must be {', '.join(KINDS)}")
    check_classes(kind, classes, loss)
    name = text_in(target["name"], "the target's name")
    return Head(loss, name, kind, classes, about_in(parts["about"], ABOUT_DEPTH), readings_in(parts["readings"]))  # pyright: ignore[reportArgumentType]


def content_of(path: Path) -> dict[str, Any]:
    """The JSON object in the file; ModelError for a file that holds anything else."""
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
    return found if isinstance(found, dict) else {}


def dumps(value: Any) -> str:
    """Strict JSON on one line."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False)


def written(head: Mapping[str, Any], columns: Sequence[Mapping[str, Any]]) -> str:
    """JSON with a line for each column of the table, so that two models can be compared with diff."""
    lines = [f" {dumps(key)}: {dumps(value)}" for key, value in head.items()]
    rows = ",\n".join(f"  {dumps(column)}" for column in columns)
    return "{\n" + ",\n".join([*lines, f' "columns": [\n{rows}\n ]']) + "\n}\n"


def column_out(column: Number | Category) -> dict[str, Any]:
    """A column of a design."""
    if isinstance(column, Number):
        return {"name": column.name, "type": "number", "fill": column.fill, "indicator": column.indicator}
    return {"name": column.name, "type": "category", "required": column.required, "levels": list(column.levels)}


def column_in(value: Any, more: tuple[str, ...] = ()) -> Number | Category:
    """A column of a design; `more` are keys that it has besides its own."""
    if not isinstance(value, dict):
        raise Wrong(f"a column is {short(value)}; it must be an object")
    if value.get("type") == "number":
        parts = object_in(value, "a column of numbers", ("name", "type", "fill", "indicator", *more))
        name, fill, indicator = text_in(parts["name"], "a column's name"), parts["fill"], parts["indicator"]
        if type(indicator) is not bool or (indicator and fill is None):
            raise Wrong(f"{short(name)}: indicator is {short(indicator)} and fill {short(fill)}")
        return Number(name, None if fill is None else number_in(fill, f"{short(name)}: fill"), indicator)
    if value.get("type") == "category":
        parts = object_in(value, "a column of levels", ("name", "type", "required", "levels", *more))
        name = text_in(parts["name"], "a column's name")
        if type(parts["required"]) is not bool:
            raise Wrong(f"{short(name)}: required is {short(parts['required'])}; it must be true or false")
        return Category(name, levels_in(list_in(parts["levels"], f"{short(name)}: levels"), name), parts["required"])
    raise Wrong(f"a column's type is {short(value.get('type'))}; it must be number or category")


def check_names(columns: Sequence[Number | Category]) -> None:
    """Wrong where two columns have the same name."""
    names = [column.name for column in columns]
    if len(set(names)) < len(names):
        raise Wrong(f"the column {short(next(n for n in names if names.count(n) > 1))} is there twice")


class Wrong(ValueError):
    """What is wrong, and at which place in the file."""


class OtherLoss(ValueError):
    """The file is valid but needs a loss other than the one given."""


def loss_in(value: Any, own: type[Loss] | None) -> Loss:
    """The loss that a file names; `own` is the class of one that is not in the catalogue."""
    parts = object_in(value, "loss", ("name", "parameters"))
    name = text_in(parts["name"], "the loss's name")
    cls = CATALOGUE.get(name)
    if own is not None and name != name_of(own):
        raise OtherLoss(f"was made with the loss {short(name)}, not with {name_of(own)}")
    if cls is None and own is None and all(part.isidentifier() for part in name.replace(":", ".", 1).split(".")) and ":" in name:
        raise OtherLoss(f"was made with {name}, a loss that is not in the catalogue; it is imported only if you name it: --loss {name}")
    cls = cls or own
    if cls is None:
        raise Wrong(f"there is no loss {short(name)}")
    wanted = tuple(f.name for f in fields(cls))
    given = object_in(parts["parameters"], f"the parameters of {cls.name}", wanted)
    try:
        return cls(**{name: number_in(given[name], name) for name in wanted})
    except DomainError as error:
        raise Wrong(str(error)) from error


def check_classes(kind: str, classes: tuple[str, ...], loss: Loss) -> None:
    """Wrong where classes, kind of target and loss do not go together."""
    if len(set(classes)) < len(classes):
        raise Wrong("two classes have the same name")
    fits = {"number": not classes, "count": not classes, "binary": len(classes) == 2, "multiclass": len(classes) > 2}
    if not fits[kind]:
        raise Wrong(f"{len(classes)} classes do not go with the kind {kind}")
    if kind not in loss.suits:
        raise Wrong(f"the loss {loss.name} does not go with the kind {kind}")


def levels_in(levels: list[Any], name: str) -> tuple[Level, ...]:
    """The levels of a column, the missing one last."""
    known = levels[:-1] if levels and levels[-1] is None else levels
    for level in known:
        if type(level) not in (str, bool, int, float) or (type(level) is int and level not in INTEGERS):
            raise Wrong(f"{short(name)}: {short(level)} is no level, or not in its place: the missing one is the last")
        if isinstance(level, str):
            text_in(level, f"{short(name)}: a level")
    if len({kind_of([level]) for level in known}) > 1:
        raise Wrong(f"{short(name)}: levels must be all text, all numbers or all booleans")
    if len(set(known)) < len(known):
        raise Wrong(f"{short(name)}: a level is there twice")
    return tuple(levels)


def readings_in(value: Any) -> dict[str, Reading]:
    """How columns are read."""
    if not isinstance(value, dict):
        raise Wrong(f"readings is {short(value)}; it must be an object")
    made = {}
    for name, reading in value.items():
        what = f"the reading of {short(name)}"
        parts = object_in(reading, what, ("words", "time"))
        words = tuple(text_in(word, f"a word in {what}") for word in list_in(parts["words"], f"the words in {what}"))
        made[text_in(name, "a column's name")] = Reading(words, text_in(parts["time"], f"the time in {what}"))
    return made


def about_in(value: Any, depth: int) -> dict[str, Any]:
    """How a model was made."""
    if not isinstance(value, dict) or depth == 0:
        raise Wrong("about must be an object of texts, numbers and a few groups of them")
    return {text_in(key, "a key in about"): _fact(fact, depth) for key, fact in value.items()}


def _fact(fact: Any, depth: int) -> Any:
    if isinstance(fact, dict):
        return about_in(fact, depth - 1)
    if fact is None or isinstance(fact, bool | int | float):
        return fact
    return text_in(fact, "a fact in about")


def object_in(value: Any, what: str, keys: tuple[str, ...]) -> dict[str, Any]:
    """An object with exactly these keys."""
    if not isinstance(value, dict):
        raise Wrong(f"{what} is {short(value)}; it must be an object")
    for key in keys:
        if key not in value:
            raise Wrong(f"{what} has no {key}")
    for key in value:
        if key not in keys:
            raise Wrong(f"{what} has {short(key)}, which no model of this schema has")
    return value


def list_in(value: Any, what: str) -> list[Any]:
    """A list."""
    if not isinstance(value, list):
        raise Wrong(f"{what} is {short(value)}; it must be a list")
    return value


def row_in(value: Any, what: str, size: int) -> list[float]:
    """So many numbers."""
    row = list_in(value, what)
    if len(row) != size:
        raise Wrong(f"{what} has {len(row)} numbers in a row; there are {size} classes")
    return [number_in(number, what) for number in row]


def number_in(value: Any, what: str) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Wrong(f"{what} is {short(value)}; it must be a finite number")
    return float(value)


def text_in(value: Any, what: str) -> str:
    """Text that UTF-8 can hold."""
    if not isinstance(value, str):
        raise Wrong(f"{what} is {short(value)}; it must be text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise Wrong(f"{what} has half of a character: {short(value)}") from None
    return value


def short(value: Any) -> str:
    """The value as written in the file, shortened, in ASCII."""
    if isinstance(value, list | dict):  # may be nested too deeply to be written out
        return "a list" if isinstance(value, list) else "an object"
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:36]}..."
