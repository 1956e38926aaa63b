"""`matchloss fit`: one loss fitted to a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matchloss.commands.options import Counts, Data, Drop, Rows, Seed, Target, TestFraction
from matchloss.commands.tools import check_writable, names_in, parameters_in, progress


def fit(
    data: Data,
    target: Target,
    loss: Annotated[str | None, typer.Option(help="The loss, instead of the one that suits the target; module:class for your own.")] = None,
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of the loss, such as power=1.5; may be repeated.")
    ] = None,
    l2: Annotated[float, typer.Option(help="Ridge: adds l2 / 2 times the sum of squared coefficients to the mean loss.")] = 0.0,
    categorical: Annotated[str, typer.Option(help="Columns to take as categories, with commas between.")] = "",
    drop: Drop = "",
    weight: Annotated[str | None, typer.Option(help="A column with the weight of each row.")] = None,
    rows: Rows = None,
    counts: Counts = False,
    test_fraction: TestFraction = 0.2,
    seed: Seed = 0,
    missing: Annotated[str, typer.Option(help="Rows with missing values: error, drop, or indicate.")] = "indicate",
    out: Annotated[Path | None, typer.Option(help="Write the model to this JSON file.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write what was found to this HTML page too.")] = None,
) -> None:
    """Fit a linear model under one loss, and score it on held-out rows."""
    from matchloss.fit import run, text
    from matchloss.linear.model import name_of, write_model
    from matchloss.names import modules_from_here
    from matchloss.tables.losses import get_loss
    from matchloss.tables.read import read_table
    from matchloss.terminal import console

    check_writable(out, "the model")
    check_writable(report)
    with progress() as tell, modules_from_here():
        if out and loss:
            name_of(type(get_loss(loss, parameters_in(param or []))))  # before any work is done
        tell(f"reading {data}")
        found = run.fit(
            read_table(data),
            target,
            source=data.name,
            loss=loss,
            parameters=parameters_in(param or []),
            l2=l2,
            categorical=names_in(categorical),
            drop=names_in(drop),
            weight=weight,
            rows=rows,
            counts=counts,
            test_fraction=test_fraction,
            seed=seed,
            missing=missing,  # pyright: ignore[reportArgumentType]
            progress=tell,
        )
    console().print(text.fit_text(found))
    print()
    if out:
        write_model(out, found.model)
        print(f"The model: {out.resolve()}")
    if report:
        from matchloss.report import write_fit_page

        with progress() as tell:
            tell(f"writing {report}")
            write_fit_page(report, [found])
        print(f"The page: {report.resolve()}")
