"""Options that several commands share, each with its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
TestFraction = Annotated[float, typer.Option(help="The share of rows held out to score on.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the draw of held-out rows.")]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model that `matchloss fit` wrote.")]
OwnLoss = Annotated[
    str | None,
    typer.Option(help="The loss of your own that the model was made with, as module:class; no model has code imported by itself."),
]
