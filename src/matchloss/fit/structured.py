"""A fit of a structured loss to a table: Cox's model of times, choices of sets, labels in an order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl
from rich.console import Group
from rich.text import Text

from matchloss.errors import DomainError
from matchloss.losses.structured import NAMES
from matchloss.tables.errors import DataError
from matchloss.tables.frames import open_data
from matchloss.tables.recode import clean
from matchloss.tables.words import plural, suggest
from matchloss.terminal import blocks, facts, plain, width

if TYPE_CHECKING:
    from matchloss.linear.dense import Structured

ROLES = {"y": "target", "groups": "sets", "sample_weight": "weights"}
TRAINED = ("cox", "conditional_logit", "ordered_logit", "ordered_probit")


def is_trained(loss: str | None) -> bool:
    """Whether a name is that of a structured loss with a trainer."""
    return loss in NAMES and NAMES[loss].name in TRAINED


@dataclass(frozen=True, eq=False)
class StructuredFit:
    """A fitted estimator, and what was done to the table."""

    model: Structured
    rows: int
    notes: tuple[str, ...]


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
    drop: Collection[str] = (),
    encoding: str | None = None,
) -> StructuredFit:
    """Fits the trainer of a structured loss to a table, whose columns are named. Rows with a missing value are left out, and counted.

    Cox: time and event, perhaps entry, strata and weight. conditional_logit: target (1: chosen) and group. ordered_logit and
    ordered_probit: target, perhaps weight; text in the order of a declared categorical, or of numbers. DataError for columns.
    """
    name = NAMES[loss].name
    given = {"target": target, "time": time, "event": event, "entry": entry, "strata": strata, "group": group, "weight": weight}
    needs = {"cox": ("time", "event"), "conditional_logit": ("target", "group")}.get(name, ("target",))
    takes = {"cox": (*needs, "entry", "strata", "weight"), "conditional_logit": needs}.get(name, (*needs, "weight"))
    for option, column in given.items():
        if option in needs and column is None:
            raise DataError(f"--loss {name} needs --{option}, a column")
        if option not in takes and column is not None:
            raise DataError(f"--loss {name} takes no --{option}; it takes {', '.join(f'--{o}' for o in takes)}")
    read = open_data(data, encoding)
    frame = read.table
    named = {option: column for option, column in given.items() if column is not None}
    for option, column in [*named.items(), *(("drop", column) for column in drop)]:
        if column not in frame.columns:
            raise DataError(f"--{option} {column}: there is no such column{suggest(column, frame.columns)}")
    frame = frame.drop([column for column in drop if column not in named.values()])
    frame = clean(frame, target or "", set(named.values()), read.comma).table
    whole = frame.drop_nulls().filter(pl.all_horizontal(pl.selectors.float().is_not_nan())) if frame.width else frame
    notes = (f"{plural(len(frame) - len(whole), 'row')} with a missing value left out",) if len(whole) < len(frame) else ()
    try:
        made = _fitted(name, whole, named)
    except DomainError:
        raise
    except ValueError as error:  # no maximum, dependent columns, classes without rows: said of the columns, by name
        raise DataError(f"{read.name}: {error}") from error
    return StructuredFit(made, len(whole), notes)


def _fitted(name: str, whole: pl.DataFrame, named: dict[str, str]) -> Structured:
    """The trainer of this loss, fitted to complete rows."""
    from matchloss.linear import ConditionalLogit, CoxRegression, OrderedRegressor

    target, weight = named.get("target"), named.get("weight")
    if name == "cox":
        optional = {key: named.get(key) for key in ("entry", "strata")} | {"sample_weight": named.get("weight")}
        return CoxRegression().fit(whole, named["time"], named["event"], **optional)
    if name == "conditional_logit":
        return ConditionalLogit().fit(whole, target, named["group"])
    features = whole.drop([column for column in (weight,) if column])
    weights = None if weight is None else whole[weight].to_numpy()
    return OrderedRegressor(name.removeprefix("ordered_")).fit(features, str(target), weights)


def structured_text(model: Structured, source: str) -> Group:
    """The card of a model: which columns it was fitted with, how the fit ended, its coefficients."""
    summary, named = model.summary_, {ROLES.get(role, role): column for role, column in model.named_.items()}
    (head, *rows), most = summary.rows(), width() // 2
    body = [(" ".join(name[i : i + most] for i in range(0, len(name), most)), *cells) for name, *cells in map(tuple, rows)]
    parts = [Text(plain(f"{summary.title}, by {source}"), style="bold"), facts(summary.facts | named)]
    return Group(*parts, Text(), blocks([tuple(head), *body], width()))
