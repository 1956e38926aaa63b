"""A fit of a structured loss to a table: Cox's model of times, choices of sets, labels in an order."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl
from rich.console import Group
from rich.text import Text

from matchloss.errors import DomainError
from matchloss.losses.structured import NAMES, StructuredLoss
from matchloss.tables.errors import DataError
from matchloss.tables.frames import open_data
from matchloss.tables.recode import clean
from matchloss.tables.roles import LEFT_OUT, role_of
from matchloss.tables.words import plural, suggest
from matchloss.terminal import blocks, facts, plain, width

if TYPE_CHECKING:
    from matchloss.linear.dense import Structured
    from matchloss.linear.inference.structured import StructuredInference

ROLES = {"y": "target", "groups": "group", "sample_weight": "weight"}
TRAINED = ("cox", "conditional_logit", "ordered_logit", "ordered_probit")


def is_trained(loss: str | None) -> bool:
    """Whether a name is that of a structured loss with a trainer."""
    return loss in NAMES and NAMES[loss].name in TRAINED


@dataclass(frozen=True, eq=False)
class StructuredFit:
    """A fitted estimator, the rows that it was fitted to, and what was done to the table."""

    model: Structured
    loss: StructuredLoss
    source: str
    rows: pl.DataFrame
    given: dict[str, Any]  # what `fit` took beside the rows
    dropped: int  # rows with a missing value
    notes: tuple[str, ...]

    @cached_property
    def inference(self) -> StructuredInference:
        """How sure the estimates are."""
        model: Any = self.model
        return model.inference(self.rows, **self.given)


def fit_structured(
    data: Any,
    loss: str,
    *,
    target: str | None = None,
    time: str | None = None,
    event: str | None = None,
    entry: str | None = None,
    strata: str | None = None,
    group: str | None = None,
    weight: str | None = None,
    order: Sequence[str] = (),
    ties: str = "efron",
    drop: Collection[str] = (),
    keep: Collection[str] = (),
    categorical: Collection[str] = (),
    encoding: str | None = None,
) -> StructuredFit:
    """Fits the trainer of a structured loss to a table, whose columns are named. Rows with a missing value are left out, and counted.

    Cox: time and event, perhaps entry, strata and weight; ties. conditional_logit: target (1: chosen) and group,
    perhaps weight, one for all rows of a set. ordered_logit and
    ordered_probit: target, perhaps weight; text in the order of a declared categorical or of `order`, the labels from lowest to highest.
    Ids, times, free text and columns of one value are left out and said, unless `keep` names them. DataError for columns.
    """
    name = NAMES[loss].name
    given = {"target": target, "time": time, "event": event, "entry": entry, "strata": strata, "group": group, "weight": weight}
    needs = {"cox": ("time", "event"), "conditional_logit": ("target", "group")}.get(name, ("target",))
    takes = (*needs, *(("entry", "strata") if name == "cox" else ()), "weight")
    for option, column in given.items():
        if option in needs and column is None:
            raise DataError(f"--loss {name} needs --{option}, a column")
        if option not in takes and column is not None:
            raise DataError(f"--loss {name} takes no --{option}; it takes {', '.join(f'--{o}' for o in takes)}")
    if order and "ordered" not in name:
        raise DataError(f"--order is for the labels of ordered_logit and ordered_probit, not for --loss {name}")
    read = open_data(data, encoding)
    named = {option: column for option, column in given.items() if column is not None}
    asked = [*named.items(), *((how, c) for how, cs in (("drop", drop), ("keep", keep), ("categorical", categorical)) for c in cs)]
    for option, column in asked:
        if column not in read.table.columns:
            raise DataError(f"--{option} {column}: there is no such column{suggest(column, read.table.columns)}")
    frame = read.table.drop([column for column in drop if column not in named.values()])
    cleaned = clean(frame, target or "", {*named.values(), *categorical}, read.comma)
    frame, left = _entering(cleaned.table, set(named.values()), set(keep), set(categorical))
    whole = frame.drop_nulls().filter(pl.all_horizontal(pl.selectors.float().is_not_nan())) if frame.width else frame
    gone = (f"{plural(len(frame) - len(whole), 'row')} with a missing value left out.",) if len(whole) < len(frame) else ()
    notes = (*read.said, *cleaned.said, *cleaned.alerts, *left, *gone)
    if whole.is_empty():
        raise DataError(f"{read.name}: no row has a value in every column; --drop leaves columns out")
    levels = tuple(column for column in categorical if column in whole.columns)
    estimator, rows, arguments = _trainer(name, whole, named, order, ties, levels)
    try:
        made = estimator.fit(rows, **arguments)
    except DomainError:
        raise
    except ValueError as error:  # no maximum, dependent columns, classes without rows: said of the columns, by name
        raise DataError(f"{read.name}: {error}") from error
    parameters = {"ties": ties} if name == "cox" else {}
    return StructuredFit(made, NAMES[loss](**parameters), read.name, rows, arguments, len(frame) - len(whole), notes)


def _entering(frame: pl.DataFrame, named: set[str], keep: set[str], categorical: set[str]) -> tuple[pl.DataFrame, list[str]]:
    """The frame without columns that cannot be features, and a sentence for each of these."""
    out, said = [], []
    for column in frame.select(pl.exclude(named)):
        found = role_of(column, column.name in categorical)
        if found.role in ("number", "category") or (column.name in keep and found.role in LEFT_OUT):
            continue
        out.append(column.name)
        answer = f"; --keep {column.name} takes it all the same" if found.role in LEFT_OUT else ""
        said.append(f"{column.name} is left out: {found.why}{answer}.")
    return frame.drop(out), said


def _trainer(
    name: str, whole: pl.DataFrame, named: dict[str, str], order: Sequence[str], ties: str, categorical: tuple[str, ...]
) -> tuple[Any, pl.DataFrame, dict[str, Any]]:
    """The trainer of this loss, its rows, and what its methods take beside them."""
    from matchloss.linear import ConditionalLogit, CoxRegression, OrderedRegressor

    target, weight = named.get("target"), named.get("weight")
    if name == "cox":
        optional = {key: named.get(key) for key in ("entry", "strata")} | {"sample_weight": weight}
        return CoxRegression(ties, categorical), whole, {"time": named["time"], "event": named["event"]} | optional
    if name == "conditional_logit":
        return ConditionalLogit(categorical), whole, {"y": target, "groups": named["group"], "sample_weight": weight}
    labels = whole[str(target)]
    if labels.dtype == pl.String and not order:
        found = labels.unique().sort().to_list()
        raise DataError(f"{target} is text without an order: --order says it, from lowest to highest, of {', '.join(found[:8])}")
    classes: list[Any] | None = list(order) or None
    if classes and labels.dtype.is_numeric():
        classes = [float(label) for label in classes]
    weights = None if weight is None else whole[weight].to_numpy()
    rows = whole.drop([weight] if weight else [])
    return OrderedRegressor(name.removeprefix("ordered_"), classes, categorical), rows, {"y": target, "sample_weight": weights}


def structured_text(model: Structured, source: str, coefficients: bool = True) -> Group:
    """The card of a model: which columns it was fitted with, how the fit ended, and its coefficients."""
    summary, named = model.summary_, {ROLES.get(role, role): column for role, column in model.named_.items()}
    (head, *rows), most = summary.rows(), width() // 2
    body = [(" ".join(name[i : i + most] for i in range(0, len(name), most)), *cells) for name, *cells in map(tuple, rows)]
    parts = [Text(plain(f"{summary.title}, by {source}"), style="bold"), facts(summary.facts | named)]
    return Group(*parts, Text(), blocks([tuple(head), *body], width())) if coefficients else Group(*parts)
