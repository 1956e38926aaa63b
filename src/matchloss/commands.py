"""What `matchloss` can be told to do; each command imports what it needs when it runs."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

try:
    import typer
except ImportError as error:
    raise ImportError('the command line needs typer and rich: pip install "matchloss[cli]"') from error

if TYPE_CHECKING:
    from matchloss.compare.result import Comparison

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Loss functions whose error signal is the difference between the output you got and the output you wanted.",
)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        import matchloss

        print(matchloss.__version__)
        raise typer.Exit


@app.command()
def compare(
    data: Annotated[Path, typer.Argument(help="A CSV (plain or gzip) or Parquet file; empty fields and NA are missing.")],
    target: Annotated[str, typer.Option(help="The column to predict.")],
    losses: Annotated[str, typer.Option(help="Losses to compare instead of the usual ones, with commas between.")] = "",
    drop: Annotated[str, typer.Option(help="Columns to leave out, with commas between.")] = "",
    categorical: Annotated[str, typer.Option(help="Numeric columns to take as categories, with commas between.")] = "",
    rows: Annotated[int | None, typer.Option(help="Take so many rows, drawn at random.")] = None,
    counts: Annotated[bool, typer.Option("--counts", help="The target counts something.")] = False,
    test_fraction: Annotated[float, typer.Option(help="The share of rows held out to score on.")] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw of held-out rows.")] = 0,
    report: Annotated[Path | None, typer.Option(help="Write the comparison to this HTML page too.")] = None,
) -> None:
    """Fit the same linear model under each loss that suits the target, and score all of them on held-out rows."""
    from matchloss.compare import run, text
    from matchloss.tables.read import read_table
    from matchloss.terminal import console

    _check_writable(report)
    with _progress() as tell:
        tell(f"reading {data}")
        found = run.compare(
            read_table(data),
            target,
            source=data.name,
            losses=_names(losses) or None,
            drop=_names(drop),
            categorical=_names(categorical),
            rows=rows,
            counts=counts,
            test_fraction=test_fraction,
            seed=seed,
            progress=tell,
        )
    console().print(text.comparison_text(found))
    if report:
        _write(report, [found])
        print(f"\nThe page: {report.resolve()}")


@app.command()
def losses(name: Annotated[str | None, typer.Argument(help="A loss, by its name or a peer's: its card.")] = None) -> None:
    """The catalogue, or the card of one loss."""
    import matchloss as ml
    from matchloss.compare import text
    from matchloss.tables.losses import get_loss
    from matchloss.terminal import console

    out = console()
    if name is None:
        out.print(text.catalogue(ml.losses()))
        print(f"  {text.LETTERS}")
        print("  `matchloss losses NAME` shows the card of one")
    else:
        out.print(text.card(get_loss(name)))


@app.command()
def demo(report: Annotated[Path, typer.Option(help="Where the page goes.")] = Path("matchloss-demo.html")) -> None:
    """Which loss fits 327,346 real flights: arrival delay as a number, and as a label."""
    from matchloss.compare import text
    from matchloss.compare.flights import compare_flights
    from matchloss.terminal import console

    began = time.perf_counter()
    _check_writable(report)
    with _progress() as tell:
        found = compare_flights(tell)
    for comparison in found:
        console().print(text.comparison_text(comparison))
    _write(report, found)
    print(f"\nDone in {time.perf_counter() - began:.0f} seconds. The page: {report.resolve()}")


def _names(option: str) -> list[str]:
    return [name for name in (part.strip() for part in option.split(",")) if name]


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Tells the person at the terminal what goes on; says nothing where nobody looks."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: None
        return
    with console.status("starting") as status:
        yield lambda text: status.update(text)


def _check_writable(report: Path | None) -> None:
    """Refuse a page that could not be written before any work is done."""
    if report is None:
        return
    from matchloss.tables.errors import DataError

    folder = report.resolve().parent
    if report.is_dir():
        raise DataError(f"the page cannot be written: {report} is a folder")
    if not folder.is_dir():
        raise DataError(f"the page cannot be written: there is no folder {folder}")
    if not os.access(folder, os.W_OK):
        raise DataError(f"the page cannot be written: no permission in {folder}")


def _write(report: Path, found: Sequence[Comparison]) -> None:
    from matchloss.report import write_page

    with _progress() as tell:
        tell(f"writing {report}")
        write_page(report, found)
