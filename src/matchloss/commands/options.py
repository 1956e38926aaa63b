"""Options that several commands share, each with its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matchloss.errors import UsageError

Data = Annotated[Path, typer.Argument(metavar="DATA", help="A CSV, Parquet or Arrow file, also in gzip or zip; - is standard input.")]
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
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model that `matchloss fit` wrote.")]
OwnLoss = Annotated[
    str | None,
    typer.Option(help="The loss of your own that the model was made with, as module:class; no model has code imported by itself."),
]
