"""Options that several commands share, each with its help."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from matchloss.commands.tools import names_in
from matchloss.errors import UsageError

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA", help="A CSV, Parquet or Arrow file, also in gzip or zip, a folder of them, or a URL; - is standard input."
    ),
]
Target = Annotated[str, typer.Option(help="The column to predict.")]
Drop = Annotated[str, typer.Option(help="Columns to leave out, with commas between.")]
Rows = Annotated[int | None, typer.Option(help="Take so many rows, drawn at random.")]
Keep = Annotated[str, typer.Option(help="Columns to use although they look like ids, times, free text or the target itself.")]
Categorical = Annotated[str, typer.Option(help="Columns whose numbers are names of categories, with commas between.")]
Weight = Annotated[str | None, typer.Option(help="A column with the weight of each row.")]
Exposure = Annotated[str | None, typer.Option(help="A column of exposures, such as years: the target, a count, becomes a rate.")]
Dates = Annotated[str, typer.Option(help="Columns of times: drop leaves them out, parts makes year, month, weekday and hour of them.")]
Counts = Annotated[bool | None, typer.Option("--counts/--no-counts", help="The target counts something, or does not.")]
Encoding = Annotated[str | None, typer.Option(help="The encoding of a text file, such as cp1250, instead of the one that is found.")]
Split = Annotated[str, typer.Option(help="How rows are held out: auto, random, stratified, group:COLUMN or time:COLUMN.")]
Folds = Annotated[int | None, typer.Option(help="How many folds; 5 by default.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the draw of held-out rows.")]


def _gone(value: float | None) -> None:
    if value is not None:
        raise UsageError("there is no --test-fraction any more: --split says how rows are held out, and --folds in how many parts")


TestFraction = Annotated[float | None, typer.Option(hidden=True, callback=_gone)]
Memory = Annotated[str | None, typer.Option(help="How much the rows may take in memory, such as 2GB; half of what is free.")]
Scratch = Annotated[Path | None, typer.Option(help="The folder for the rows of a table that is larger; that for temporary files.")]
Dask = Annotated[str | None, typer.Option(metavar="ADDRESS", help="The scheduler of a Dask cluster, whose workers read the files.")]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model that `matchloss fit` wrote.")]
Models = Annotated[str, typer.Option("--model", help="Kinds of models, with commas between: linear, trees, lightgbm, xgboost, catboost.")]
Pictures = Annotated[Path | None, typer.Option(help="Write the pictures to this folder, each as PNG and SVG.")]
OwnLoss = Annotated[
    str | None,
    typer.Option(help="The loss of your own that the model was made with, as module:class; no model has code imported by itself."),
]


def _of_a_table(
    split: Split = "auto",
    folds: Folds = None,
    test_fraction: TestFraction = None,
    keep: Keep = "",
    drop: Drop = "",
    categorical: Categorical = "",
    weight: Weight = None,
    exposure: Exposure = None,
    rows: Rows = None,
    counts: Counts = None,
    dates: Dates = "drop",
    seed: Seed = 0,
    encoding: Encoding = None,
) -> dict[str, Any]:
    """The options of a command that learns from a table, as arguments of `matchloss.tables.options.Options`."""
    return {
        "split": split,
        "folds": folds,
        "keep": names_in(keep),
        "drop": names_in(drop),
        "categorical": names_in(categorical),
        "weight": weight,
        "exposure": exposure,
        "rows": rows,
        "counts": counts,
        "dates": dates,
        "seed": seed,
        "encoding": encoding,
    }


def learns_from_a_table(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options above in the place of its argument `table`, which gets what `_of_a_table` makes of them."""
    shared = inspect.signature(_of_a_table, eval_str=True).parameters
    own = inspect.signature(command, eval_str=True)

    @wraps(command)
    def called(**given: Any) -> None:
        command(**{name: x for name, x in given.items() if name not in shared}, table=_of_a_table(**{name: given[name] for name in shared}))

    shown = [p for name, of in own.parameters.items() for p in (shared.values() if name == "table" else (of,))]
    called.__signature__ = own.replace(parameters=[p.replace(kind=p.KEYWORD_ONLY) for p in shown])  # pyright: ignore[reportAttributeAccessIssue]
    return called
