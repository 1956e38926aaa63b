"""`matchloss score`: how good forecasts are, how calibrated, and whether they differ."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matchloss.commands.options import Counts, Pictures, Weight
from matchloss.commands.tools import check_folder, check_writable, names_in, progress, write_pictures, write_report


def score(
    data: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="CSV or Parquet files with forecasts, such as `matchloss predict` writes, or their URLs."),
    ],
    target: Annotated[str, typer.Option(help="The column with what happened.")],
    prediction: Annotated[
        list[str] | None,
        typer.Option(help="A column of forecasts, or the prefix of the columns of the classes' probabilities; may be repeated."),
    ] = None,
    quantile: Annotated[
        float | None, typer.Option(help="The forecasts are of this quantile, such as 0.9; without it, of the mean.")
    ] = None,
    interval: Annotated[
        list[str] | None, typer.Option(metavar="LOW,HIGH", help="The columns with the ends of a forecast interval; may be repeated.")
    ] = None,
    coverage: Annotated[float | None, typer.Option(help="The share of rows that an interval should hold; 0.9 by default.")] = None,
    truth: Annotated[str | None, typer.Option(help="The file with the target, if the files of forecasts do not have it.")] = None,
    on: Annotated[str, typer.Option(help="Columns by which to match the rows of several files, instead of by their order.")] = "",
    counts: Counts = None,
    weight: Weight = None,
    group: Annotated[str | None, typer.Option(help="A column whose equal values mark dependent rows, such as a patient's.")] = None,
    order: Annotated[str | None, typer.Option(help="A column with the time of each row, if rows close in time are alike.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write the judgement to this HTML page too, with pictures.")] = None,
    pictures: Pictures = None,
    json: Annotated[Path | None, typer.Option(help="Write the judgement to this JSON file too.")] = None,
) -> None:
    """Judge forecasts: proper scores beside the best constant's, calibration apart from discrimination, and which differences are real."""
    from matchloss.judging import judge
    from matchloss.judging.text import judgement_text
    from matchloss.judging.write import write_json
    from matchloss.tables.errors import DataError
    from matchloss.terminal import console
    from matchloss.urls import located

    check_writable(report)
    check_writable(json, "the judgement")
    check_folder(pictures)
    pairs = [tuple(names_in(pair)) for pair in interval or []]
    for given, pair in zip(interval or [], pairs, strict=True):
        if len(pair) != 2:
            raise DataError(f"--interval is {given}; write the columns of both ends with a comma between, such as low,high")
    with progress() as tell:
        found = judge(
            [located(file) for file in data],
            target,
            prediction or [],
            truth=None if truth is None else located(truth),
            on=names_in(on),
            progress=tell,
            quantile=quantile,
            intervals=pairs,
            coverage=coverage,
            counts=counts,
            weight=weight,
            group=group,
            order=order,
        )
    console().print(judgement_text(found))
    if report or pictures or json:
        print()
    if report:
        from matchloss.report import write_score_page

        write_report(report, write_score_page, found)
    if pictures:
        from matchloss.report.score_page import score_charts

        write_pictures(pictures, score_charts(found))
    if json:
        write_json(json, found)
        print(f"The judgement: {json.resolve()}")
