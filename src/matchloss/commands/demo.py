"""`matchloss demo`: models of real flights, and which loss fits them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from matchloss.commands.tools import check_writable, progress


def demo(
    report: Annotated[Path, typer.Option(help="Where the page goes; models and their page go beside it.")] = Path("matchloss-demo.html"),
) -> None:
    """Models of 327,346 real flights under four losses, and which loss fits them: the delay as a number, and as a label; then linear
    models beside boosted trees."""
    from matchloss.comparison.flights import compare_flights, compare_models
    from matchloss.comparison.text import comparison_text, standings_text
    from matchloss.fit.flights import ABOUT, fit_flights
    from matchloss.fit.text import fits_table
    from matchloss.models.saved import write_model
    from matchloss.report import write_fit_page, write_page
    from matchloss.tables.flights import read_flights
    from matchloss.terminal import console, sentence

    began = time.perf_counter()
    check_writable(report)
    beside = report.with_name(f"{report.stem}-fits{report.suffix}")
    check_writable(beside)
    with progress() as tell:
        tell("reading the flights")
        table = read_flights()
        fits = fit_flights(table, tell)
        compared = compare_flights(table, tell)
        both = compare_models(table, tell)
    console().print(fits_table(list(fits.values())))
    for line in ABOUT:
        console().print(sentence(line, "dim"))
    for comparison in compared:
        console().print(comparison_text(comparison))
    for comparison in both:
        console().print(standings_text(comparison))
    console().print("\nIn short")
    for comparison in [*compared, *both]:
        for verdict in comparison.verdicts:
            console().print(sentence(f"{comparison.target}: {verdict.sentence}", "bold"))
    for name, fitted in fits.items():
        write_model(report.with_name(f"{report.stem}-{name}.json"), fitted.model)
    with progress() as tell:
        tell(f"writing {report}")
        write_fit_page(beside, list(fits.values()))
        write_page(report, [*compared, *both])
    models = report.resolve().with_name(f"{report.stem}-*.json")
    print(f"\nDone in {time.perf_counter() - began:.0f} seconds. The page: {report.resolve()}")
    print(f"The page of the fits: {beside.resolve()}\nThe models: {models}, for `matchloss show` and `matchloss predict`")
