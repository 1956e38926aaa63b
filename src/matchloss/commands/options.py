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
        metavar="DATA", help="A CSV, Parquet or Arrow file (gzip or zip too), a folder of files, or a URL; - is standard input."
    ),
]
Target = Annotated[str, typer.Option(help="The column to predict.")]
Drop = Annotated[str, typer.Option(help="Columns to leave out, separated by commas.")]
Rows = Annotated[int | None, typer.Option(help="Use only this many rows, drawn at random.")]
Keep = Annotated[str, typer.Option(help="Columns to use even if they look like ids, times, free text or the target itself.")]
Categorical = Annotated[str, typer.Option(help="Columns whose numbers are names of categories, separated by commas.")]
Weight = Annotated[str | None, typer.Option(help="A column with the weight of each row.")]
Exposure = Annotated[
    str | None, typer.Option(help="A column of exposures, such as years: the target is a count, and is turned into a rate.")
]
Offset = Annotated[str | None, typer.Option(help="A column that is added to the raw predictions; `predict` reads it too.")]
Dates = Annotated[str, typer.Option(help="Columns of times: drop leaves them out, parts turns them into year, month, weekday and hour.")]
Counts = Annotated[bool | None, typer.Option("--counts/--no-counts", help="Whether the target counts something.")]
Encoding = Annotated[str | None, typer.Option(help="The encoding of a text file, such as cp1250, instead of the one that is found.")]
Split = Annotated[str, typer.Option(help="How rows are held out: auto, random, stratified, group:COLUMN or time:COLUMN.")]
Folds = Annotated[int | None, typer.Option(help="The number of folds; 5 by default.")]
Seed = Annotated[int, typer.Option(min=0, help="The seed for drawing the held-out rows.")]


def _gone(value: float | None) -> None:
    if value is not None:
        raise UsageError("there is no --test-fraction any more: --split says how rows are held out, and --folds in how many parts")


TestFraction = Annotated[float | None, typer.Option(hidden=True, callback=_gone)]
Memory = Annotated[str | None, typer.Option(help="How much memory the rows may take, such as 2GB; by default half of what is free.")]
Scratch = Annotated[Path | None, typer.Option(help="The folder for the rows of a larger table; by default the one for temporary files.")]
Dask = Annotated[str | None, typer.Option(metavar="ADDRESS", help="The scheduler of a Dask cluster, whose workers read the files.")]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model that `matchloss fit` wrote.")]
Models = Annotated[str, typer.Option("--model", help="Kinds of models, separated by commas: linear, trees, lightgbm, xgboost, catboost.")]
Pictures = Annotated[Path | None, typer.Option(help="Write the pictures to this folder, each as PNG and SVG.")]
OwnLoss = Annotated[
    str | None,
    typer.Option(help="Your own loss that the model was made with, as module:class; it is imported only if you name it here."),
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
