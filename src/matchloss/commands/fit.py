"""`matchloss fit`: one loss fitted to a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from matchloss.commands.options import Dask, Data, Offset, Pictures, learns_from_a_table
from matchloss.commands.tools import (
    check_folder,
    check_writable,
    names_in,
    on_cluster,
    parameters_in,
    progress,
    write_pictures,
    write_report,
)
from matchloss.errors import UsageError


@learns_from_a_table
def fit(
    data: Data,
    target: Annotated[str | None, typer.Option(help="The column to predict; with --loss cox, give --time and --event instead.")] = None,
    loss: Annotated[str | None, typer.Option(help="The loss, instead of the one that suits the target; module:class for your own.")] = None,
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of the loss, such as power=1.5; may be repeated.")
    ] = None,
    model: Annotated[str, typer.Option(help="The kind of model: linear, trees, lightgbm, xgboost or catboost.")] = "linear",
    formula: Annotated[
        str | None, typer.Option(help='Which columns enter, and how: "late ~ C(carrier) * distance + bs(hour, df=6)".')
    ] = None,
    l1: Annotated[
        float, typer.Option(help="A penalty that makes coefficients 0, for numbers in units of their standard deviations.")
    ] = 0.0,
    l2: Annotated[float | None, typer.Option(help="Ridge on coefficients; by default the one that `matchloss compare` takes.")] = None,
    offset: Offset = None,
    *,
    time: Annotated[str | None, typer.Option(help="With --loss cox: the column of times.")] = None,
    event: Annotated[
        str | None, typer.Option(help="With --loss cox: the column that says whether the time ended with an event, 1 or 0.")
    ] = None,
    entry: Annotated[str | None, typer.Option(help="With --loss cox: when each row comes under observation.")] = None,
    strata: Annotated[str | None, typer.Option(help="With --loss cox: a column whose values have baselines of their own.")] = None,
    group: Annotated[str | None, typer.Option(help="With --loss conditional_logit: which set each row belongs to.")] = None,
    order: Annotated[str, typer.Option(help="With --loss ordered_logit: the labels from lowest to highest, separated by commas.")] = "",
    table: dict[str, Any],
    missing: Annotated[str, typer.Option(help="What to do with rows with missing values: error, drop, or indicate.")] = "indicate",
    summary: Annotated[
        bool, typer.Option("--summary", help="Also give standard errors, p values and intervals of a linear model.")
    ] = False,
    memory: Annotated[
        str | None, typer.Option(help="How much memory the rows may take, such as 2GB; by default half of what is free.")
    ] = None,
    scratch: Annotated[
        Path | None, typer.Option(help="The folder for the rows of a larger table; by default the one for temporary files.")
    ] = None,
    dask: Dask = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a fit that was killed, from the checkpoint beside --out.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the model to this JSON file.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write what was found to this HTML page too.")] = None,
    pictures: Pictures = None,
) -> None:
    """Fit a model under one loss, and score it on held-out rows."""
    from matchloss.fit import run, text
    from matchloss.fit.structured import is_trained
    from matchloss.linear.model import name_of
    from matchloss.models.saved import write_model
    from matchloss.names import modules_from_here
    from matchloss.tables.losses import get_loss
    from matchloss.terminal import console

    check_writable(out, "the model")
    if resume and out is None:
        raise UsageError("--resume goes on from the checkpoint beside the model: --out names it")
    check_writable(report)
    check_folder(pictures)
    structured = {"time": time, "event": event, "entry": entry, "strata": strata, "group": group}
    if loss is not None and is_trained(loss):
        beyond = {
            "--l1": l1, "--l2": l2, "--formula": formula, "--offset": offset, "--memory": memory, "--dask": dask,
            "--scratch": scratch, "--resume": resume, "--model": model != "linear", "--folds": table["folds"],
            "--split": table["split"] != "auto", "--exposure": table["exposure"], "--rows": table["rows"],
            "--dates": table["dates"] != "drop", "--counts": table["counts"] is not None, "--missing": missing != "indicate",
        }  # fmt: skip
        said = next((name for name, x in beyond.items() if x), None)
        if said:
            raise UsageError(f"{said} is not for --loss {loss}, a loss of structures")
        own = {name: table[name] for name in ("weight", "drop", "keep", "categorical", "encoding")}
        given: dict[str, Any] = {"target": target, "order": names_in(order), "ties": _ties(loss, param or []), **structured, **own}
        return _structured(data, loss, given, summary, out, report, pictures)
    if formula is not None:
        from matchloss.tables.formula import target_of

        if target not in (None, target_of(formula)):
            raise UsageError(f"--target is {target}, and --formula predicts {target_of(formula)}; one of the two is enough")
        target = target_of(formula)
    if target is None:
        raise UsageError("--target is missing: it names the column to predict")
    stray = next((name for name, column in (structured | {"order": order or None}).items() if column is not None), None)
    if stray:
        raise UsageError(f"--{stray} is for --loss cox, conditional_logit or ordered_logit")
    beyond = {"--memory": memory, "--scratch": scratch, "--resume": resume}
    said = next((name for name, given in beyond.items() if given), None)
    if dask and said:
        raise UsageError(f"{said} is for files that are read here; of --dask the workers read them, and keep the rows")
    with progress() as tell, modules_from_here(), on_cluster(data, dask) as (rows, client):
        if out and loss:
            name_of(type(get_loss(loss, parameters_in(param or []))))  # before any work is done
        tell(f"reading {data}")
        found = run.fit(
            rows,
            target,
            source=data if dask else None,
            loss=loss,
            parameters=parameters_in(param or []),
            model=model,
            l1=l1,
            l2=l2,
            formula=formula,
            offset=offset,
            **table,
            missing=missing,  # pyright: ignore[reportArgumentType]
            summary=summary,
            memory=memory,
            scratch=scratch,
            checkpoint=None if out is None or dask else out.with_name(f"{out.name}.checkpoint"),
            resume=resume,
            client=client,
            progress=tell,
        )
    console().print(text.fit_text(found))
    print()
    if out:
        _, *beside = write_model(out, found.model)
        print(f"The model: {out.resolve()}")
        for path in beside:
            print(f"Its trees: {path.resolve()}")
    if report:
        from matchloss.report import write_fit_page

        write_report(report, write_fit_page, [found])
    if pictures:
        from matchloss.report.fit_page import fit_charts

        write_pictures(pictures, fit_charts([found]))


def _ties(loss: str, param: list[str]) -> str:
    """How Cox's model takes ties: --param ties=breslow."""
    found = [value for name, _, value in (option.partition("=") for option in param) if name.strip() == "ties"]
    if len(found) < len(param) or (found and not loss.startswith("cox")):
        raise UsageError(f"--param is for the ties of --loss cox (ties=efron or ties=breslow), not for --loss {loss}")
    return found[-1].strip() if found else "efron"


def _structured(
    data: str, loss: str, given: dict[str, Any], summary: bool, out: Path | None, report: Path | None, pictures: Path | None
) -> None:
    from matchloss.fit.structured import fit_structured, structured_text
    from matchloss.tables.words import plural
    from matchloss.terminal import console, sentence
    from matchloss.urls import located

    with progress() as tell:
        tell(f"reading {data}")
        fitted = fit_structured(located(data), loss, **given)
    console().print()
    console().print(structured_text(fitted.model, data, coefficients=not summary))
    print()
    console().print(sentence(f"{plural(len(fitted.rows), 'row')} of {data}."))
    for note in fitted.notes:
        console().print(sentence(note))
    if summary:
        print(f"\n{fitted.inference.summary()}")
    if out:
        fitted.model.save(out)
        print(f"\nThe model: {out.resolve()}")
    if report:
        from matchloss.report import write_structured_page

        write_report(report, write_structured_page, fitted)
    if pictures:
        from matchloss.report.structured_page import structured_charts

        write_pictures(pictures, structured_charts(fitted))
