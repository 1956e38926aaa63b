"""A fitted linear model as a value, and as a JSON file that is read without running or trusting any of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.files import replacing, strict_json
from matchloss.linear.columns import offset_in
from matchloss.linear.file_parts import (
    HEAD,
    ModelError,
    OtherLoss,
    Reading,
    Wrong,
    check_names,
    column_in,
    column_out,
    content_of,
    head_in,
    head_out,
    list_in,
    name_of,
    number_in,
    object_in,
    row_in,
    short,
    text_in,
    written,
)
from matchloss.linear.plan import Category, Design, Number

if TYPE_CHECKING:
    from matchloss.linear.formula import Terms
    from matchloss.losses import Loss, TargetKind

__all__ = ["Model", "ModelError", "Reading", "name_of", "read_model", "write_model"]

Floats = NDArray[np.float64]

FORMAT = "matchloss model"
SCHEMA = 3  # of a model with a formula or an offset; all others are as SCHEMA 2 wrote them
PLAIN = 2
OLDER = {1: {"readings": {}, "formula": None, "offset": None}, 2: {"formula": None, "offset": None}}  # what these files lack
TREES = "matchloss model of trees"  # the format of matchloss.models


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
    formula: Terms | None = None  # makes the columns of `design` of those of a table
    offset: str | None = None  # a column that is added to the raw predictions

    def raw(self, frame: Any) -> tuple[Floats, dict[str, int]]:
        """Raw predictions (n,) or (n, K) for any data frame's rows, and for each column the number of rows with an unknown level."""
        from matchloss.linear.solve import raw_of

        rows = self.design.rows(frame if self.formula is None else self.formula.expanded(frame))
        offset = None if self.offset is None else offset_in(frame, self.offset)
        return raw_of(rows, self.intercept, self.coef, offset=offset), dict(rows.unseen)

    def predict(self, frame: Any) -> tuple[Floats, dict[str, int]]:
        """Predictions (n,) in the target's units or probabilities (n, K), and for each column the number of rows with an unknown level.

        A model of two classes with a single raw prediction per row gives the probability of the second class.
        """
        raw, unseen = self.raw(frame)
        return np.asarray(self.loss.predict(raw)), unseen

    def save(self, path: str | Path) -> None:
        """Writes it to a JSON file; see write_model."""
        write_model(path, self)


def write_model(path: str | Path, model: Model) -> None:
    """Write `model` to `path` in one step, so that a killed process leaves the old file. OSError if the file cannot be written.

    Floats are read back bit for bit. A loss of your own is written as module:class. ModelError for a loss that a file cannot name, or
    for numbers that are not finite.
    """
    path = Path(path)
    text = _as_text(path, model)
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def read_model(path: str | Path, loss: type[Loss] | None = None) -> Model:
    """The model in the file at `path`; ModelError, with a one-sentence message, if the file holds anything else.

    Nothing is imported because a file names it. A model with a loss of your own is read only if you pass its class as `loss`.
    """
    path = Path(path)
    found = content_of(path)
    if found.get("format") == TREES:
        raise ModelError(f"{path} is a model of trees, which matchloss.models.saved.read_model reads")
    if found.get("format") != FORMAT:
        raise ModelError(f'{path} is not a matchloss model: it does not say "format": "{FORMAT}"')
    schema = found.get("schema")
    if type(schema) is int and schema > SCHEMA:
        raise ModelError(f"{path} was written by a later version of matchloss (schema {schema}; this one reads {SCHEMA})")
    try:
        return _as_model(found, loss)
    except Wrong as error:
        raise ModelError(f"{path} is a damaged model: {error}") from error
    except OtherLoss as error:
        raise ModelError(f"{path} {error}") from error


# ---- out ----


def _as_text(path: Path, model: Model) -> str:
    """JSON with one line per column of the table, so that two models can be compared with diff."""
    try:
        head = {"format": FORMAT, "schema": PLAIN, **head_out(model)}
        if model.formula is not None or model.offset is not None:
            from matchloss.linear.formula_file import terms_out

            formula = None if model.formula is None else terms_out(model.formula)
            head |= {"schema": SCHEMA, "formula": formula, "offset": model.offset}
    except ModelError as error:
        raise ModelError(f"{path} is not written: {error}") from error
    head["intercept"] = np.asarray(model.intercept, dtype=np.float64).tolist()
    columns, start, coef = [], 0, np.asarray(model.coef, dtype=np.float64)
    for column in model.design.columns:
        size = len(column.names)
        columns.append(column_out(column) | {"coef": coef[start : start + size].tolist()})
        start += size
    if start != len(coef):
        raise ModelError(f"{path} is not written: the design has {start} coefficients, coef {len(coef)}")
    try:
        text = written(head, columns)
        _as_model(strict_json(text.encode("utf-8")), type(model.loss))  # make sure that it can be read back
    except ValueError as error:
        raise ModelError(f"{path} is not written: {error}") from error
    return text


# ---- in ----


def _as_model(found: dict[str, Any], own: type[Loss] | None) -> Model:
    schema = found.get("schema")
    if "schema" in found and (type(schema) is not int or schema not in (SCHEMA, *OLDER)):
        raise Wrong(f"schema is {short(schema)}; this version reads {SCHEMA}")
    if schema in OLDER:
        found = {"schema": SCHEMA} | OLDER[schema] | {key: value for key, value in found.items() if key != "schema"}
    parts = object_in(found, "the model", ("format", "schema", *HEAD, "formula", "offset", "intercept", "columns"))
    head = head_in(parts, own)
    outputs = len(head.classes) if head.loss.family == "simplex" else None
    columns, coef = [], []
    for value in list_in(parts["columns"], "columns"):
        column = column_in(value, ("coef",))
        columns.append(column)
        coef += _coefficients(value["coef"], column, outputs)
    check_names(columns)
    given, formula = parts["intercept"], None
    if parts["formula"] is not None:
        from matchloss.linear.formula_file import terms_in

        formula = terms_in(parts["formula"])
    return Model(
        loss=head.loss,
        design=Design(tuple(columns)),
        intercept=number_in(given, "intercept") if outputs is None else np.array(row_in(given, "intercept", outputs)),
        coef=np.array(coef, dtype=np.float64).reshape((len(coef),) if outputs is None else (len(coef), outputs)),
        target=head.target,
        kind=head.kind,
        classes=head.classes,
        about=head.about,
        readings=head.readings,
        formula=formula,
        offset=None if parts["offset"] is None else text_in(parts["offset"], "the offset's column"),
    )


def _coefficients(value: Any, column: Number | Category, outputs: int | None) -> list[Any]:
    what = f"{short(column.name)}: coef"
    coef = list_in(value, what)
    if len(coef) != len(column.names):
        raise Wrong(f"{what} has {len(coef)} entries; the column has {len(column.names)} coefficients")
    return [number_in(c, what) if outputs is None else row_in(c, what, outputs) for c in coef]
