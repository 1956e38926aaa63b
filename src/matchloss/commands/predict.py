"""`matchloss predict`: a model and a table in, predictions out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from matchloss.commands.options import Data, Encoding, Model, OwnLoss
from matchloss.commands.tools import check_writable, names_in, own_loss, progress
from matchloss.errors import UsageError


def predict(
    model: Model,
    data: Data,
    out: Annotated[Path, typer.Option(help="The file for the predictions, one row each: .parquet or .csv.")],
    key: Annotated[str, typer.Option(help="Columns of the table to write too, such as an id, separated by commas.")] = "",
    times: Annotated[str, typer.Option(help="For --loss cox: also write survival until these times, separated by commas.")] = "",
    group: Annotated[
        str | None, typer.Option(help="For conditional_logit: the column of sets, if it had another name in training.")
    ] = None,
    strata: Annotated[str | None, typer.Option(help="For cox: the column of strata, if it had another name in training.")] = None,
    encoding: Encoding = None,
    loss: OwnLoss = None,
) -> None:
    """Predict each row of a table. It is read in batches, so it may be larger than memory (except for --loss cox and the like)."""
    from matchloss.fit.predict import predict_file
    from matchloss.linear.structured_file import is_structured
    from matchloss.models.saved import describe_unseen, read_model
    from matchloss.tables.words import plural
    from matchloss.terminal import console, sentence
    from matchloss.urls import located

    check_writable(out, "the predictions")
    if is_structured(model):
        return _structured(model, located(data), out, _numbers(times), group, strata, names_in(key), encoding)
    stray = next((name for name, x in {"--times": times, "--group": group, "--strata": strata}.items() if x), None)
    if stray:
        raise UsageError(f"{stray} is for models of --loss {'conditional_logit' if stray == '--group' else 'cox'}")
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


def _structured(
    model: Path, data: Any, out: Path, times: list[float], group: str | None, strata: str | None, key: list[str], encoding: str | None
) -> None:
    from matchloss.fit.predict_structured import predict_structured
    from matchloss.linear import ConditionalLogit, CoxRegression
    from matchloss.linear.structured_file import read
    from matchloss.tables.words import plural
    from matchloss.terminal import console, sentence

    fitted = read(model)
    survives = isinstance(fitted, CoxRegression)
    of_sets = isinstance(fitted, ConditionalLogit)
    for option, given, fits in (("--times", times, survives), ("--strata", strata, survives), ("--group", group, of_sets)):
        if given and not fits:
            raise UsageError(f"{option} is not for a model of {type(fitted).__name__}")
    with progress() as tell:
        tell(f"reading {data}")
        done = predict_structured(fitted, data, out, times=times, group=group, strata=strata, key=key, encoding=encoding)
    print(f"{plural(done.rows, 'row')} predicted.")
    for said in done.said:
        console().print(sentence(said))
    if done.without:
        console().print(sentence(f"{plural(done.without, 'row')} without a prediction: a value is missing."))
    print(f"The predictions: {out.resolve()}")


def _numbers(times: str) -> list[float]:
    try:
        return [float(text) for text in names_in(times)]
    except ValueError as error:
        raise UsageError(f"--times is {times}; write numbers with commas between, such as 10,20") from error
