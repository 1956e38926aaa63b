"""`matchloss predict`: a model and a table in, predictions out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matchloss.commands.options import Data, Encoding, Model, OwnLoss
from matchloss.commands.tools import check_writable, names_in, own_loss, progress


def predict(
    model: Model,
    data: Data,
    out: Annotated[Path, typer.Option(help="Where the predictions go, a row for each: .parquet or .csv.")],
    key: Annotated[str, typer.Option(help="Columns of the table to write too, such as an id, with commas between.")] = "",
    encoding: Encoding = None,
    loss: OwnLoss = None,
) -> None:
    """Predict each row of a table, in batches, so that it may be larger than memory."""
    from matchloss.fit.predict import predict_file
    from matchloss.models.saved import describe_unseen, read_model
    from matchloss.tables.words import plural
    from matchloss.terminal import console, sentence
    from matchloss.urls import located

    check_writable(out, "the predictions")
    fitted = read_model(model, own_loss(loss))
    with progress() as tell:
        tell(f"reading {data}")
        done = predict_file(fitted, located(data), out, tell, key=names_in(key), encoding=encoding)
    print(f"{fitted.target}: {plural(done.rows, 'row')} predicted.")
    for said in done.said:
        console().print(sentence(said))
    if done.without:
        gaps = plural(done.without, "row")
        console().print(sentence(f"{gaps} without a prediction: a value is missing, and --missing drop kept such rows from training."))
    for said in describe_unseen(fitted, done.unseen):
        console().print(sentence(said))
    print(f"The predictions: {out.resolve()}")
