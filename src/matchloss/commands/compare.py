"""`matchloss compare`: which loss fits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matchloss.commands.options import Categorical, Counts, Data, Drop, Keep, Rows, Seed, Target, TestFraction
from matchloss.commands.tools import check_writable, names_in, progress


def compare(
    data: Data,
    target: Target,
    losses: Annotated[str, typer.Option(help="Losses to compare instead of the usual ones, with commas; module:class for your own.")] = "",
    keep: Keep = "",
    drop: Drop = "",
    categorical: Categorical = "",
    rows: Rows = None,
    counts: Counts = None,
    test_fraction: TestFraction = 0.2,
    seed: Seed = 0,
    report: Annotated[Path | None, typer.Option(help="Write the comparison to this HTML page too.")] = None,
) -> None:
    """Fit the same linear model under each loss that suits the target, and score all of them on held-out rows."""
    from matchloss.comparison import run, text
    from matchloss.names import modules_from_here, split_names
    from matchloss.terminal import console

    check_writable(report)
    with progress() as tell, modules_from_here():
        tell(f"reading {data}")
        found = run.compare(
            data,
            target,
            losses=split_names(losses) or None,
            keep=names_in(keep),
            drop=names_in(drop),
            categorical=names_in(categorical),
            rows=rows,
            counts=counts,
            test_fraction=test_fraction,
            seed=seed,
            progress=tell,
        )
    console().print(text.comparison_text(found))
    if report:
        from matchloss.report import write_page

        with progress() as tell:
            tell(f"writing {report}")
            write_page(report, [found])
        print(f"\nThe page: {report.resolve()}")
