"""Options that several commands share, each with its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[Path, typer.Argument(metavar="DATA", help="A CSV (plain or gzip) or Parquet file; empty fields and NA are missing.")]
Target = Annotated[str, typer.Option(help="The column to predict.")]
Drop = Annotated[str, typer.Option(help="Columns to leave out, with commas between.")]
Rows = Annotated[int | None, typer.Option(help="Take so many rows, drawn at random.")]
Counts = Annotated[bool, typer.Option("--counts", help="The target counts something.")]
TestFraction = Annotated[float, typer.Option(help="The share of rows held out to score on.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the draw of held-out rows.")]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model that `matchloss fit` wrote.")]
OwnLoss = Annotated[
    str | None,
    typer.Option(help="The loss of your own that the model was made with, as module:class; no model has code imported by itself."),
]
