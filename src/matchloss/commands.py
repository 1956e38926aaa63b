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
    from matchloss.fit.result import FitResult
    from matchloss.losses import Loss

OWN_LOSS = "The loss of your own that the model was made with, as module:class; no model has code imported by itself."
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
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A CSV (plain or gzip) or Parquet file; empty fields and NA are missing.")],
    target: Annotated[str, typer.Option(help="The column to predict.")],
    losses: Annotated[str, typer.Option(help="Losses to compare instead of the usual ones, with commas; module:class for your own.")] = "",
    drop: Annotated[str, typer.Option(help="Columns to leave out, with commas between.")] = "",
    categorical: Annotated[str, typer.Option(help="Numeric columns to take as categories, with commas between.")] = "",
    rows: Annotated[int | None, typer.Option(help="Take so many rows, drawn at random.")] = None,
    counts: Annotated[bool, typer.Option("--counts", help="The target counts something.")] = False,
    test_fraction: Annotated[float, typer.Option(help="The share of rows held out to score on.")] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw of held-out rows.")] = 0,
    report: Annotated[Path | None, typer.Option(help="Write the comparison to this HTML page too.")] = None,
) -> None:
    """Fit the same linear model under each loss that suits the target, and score all of them on held-out rows."""
    from matchloss.compare import run, text
    from matchloss.names import modules_from_here
    from matchloss.tables.read import read_table
    from matchloss.terminal import console

    _check_writable(report)
    with _progress() as tell, modules_from_here():
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
def fit(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A CSV (plain or gzip) or Parquet file; empty fields and NA are missing.")],
    target: Annotated[str, typer.Option(help="The column to predict.")],
    loss: Annotated[str | None, typer.Option(help="The loss, instead of the one that suits the target; module:class for your own.")] = None,
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of the loss, such as power=1.5; may be repeated.")
    ] = None,
    l2: Annotated[float, typer.Option(help="Ridge: adds l2 / 2 times the sum of squared coefficients to the mean loss.")] = 0.0,
    categorical: Annotated[str, typer.Option(help="Columns to take as categories, with commas between.")] = "",
    drop: Annotated[str, typer.Option(help="Columns to leave out, with commas between.")] = "",
    weight: Annotated[str | None, typer.Option(help="A column with the weight of each row.")] = None,
    rows: Annotated[int | None, typer.Option(help="Take so many rows, drawn at random.")] = None,
    counts: Annotated[bool, typer.Option("--counts", help="The target counts something.")] = False,
    test_fraction: Annotated[float, typer.Option(help="The share of rows held out to score on.")] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw of held-out rows.")] = 0,
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

    _check_writable(out, "the model")
    _check_writable(report)
    with _progress() as tell, modules_from_here():
        if out and loss:
            name_of(type(get_loss(loss, _parameters(param or []))))  # before any work is done
        tell(f"reading {data}")
        found = run.fit(
            read_table(data),
            target,
            source=data.name,
            loss=loss,
            parameters=_parameters(param or []),
            l2=l2,
            categorical=_names(categorical),
            drop=_names(drop),
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
        _write_fits(report, [found])
        print(f"The page: {report.resolve()}")


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model that `matchloss fit` wrote.")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A CSV (plain or gzip) or Parquet file, of any size.")],
    out: Annotated[Path, typer.Option(help="Where the predictions go, a row for each: .parquet or .csv.")],
    loss: Annotated[str | None, typer.Option(help=OWN_LOSS)] = None,
) -> None:
    """Predict each row of a table, in batches, so that it may be larger than memory."""
    from matchloss.fit.predict import predict_file
    from matchloss.linear.model import read_model
    from matchloss.tables.columns import describe_unseen
    from matchloss.tables.words import plural
    from matchloss.terminal import console, sentence

    _check_writable(out, "the predictions")
    fitted = read_model(model, _own(loss))
    with _progress() as tell:
        tell(f"reading {data}")
        done = predict_file(fitted, data, out, tell)
    print(f"{fitted.target}: {plural(done.rows, 'row')} predicted.")
    if done.without:
        gaps = plural(done.without, "row")
        console().print(sentence(f"{gaps} without a prediction: a value is missing, and --missing drop kept such rows from training."))
    for said in describe_unseen(fitted.design, done.unseen, "row"):
        console().print(sentence(said))
    print(f"The predictions: {out.resolve()}")


@app.command()
def show(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model that `matchloss fit` wrote.")],
    loss: Annotated[str | None, typer.Option(help=OWN_LOSS)] = None,
) -> None:
    """The card of a model: what it predicts and from what, how it came about, its scores and coefficients."""
    from matchloss.fit import text
    from matchloss.linear.model import read_model
    from matchloss.terminal import console

    console().print(text.model_text(read_model(model, _own(loss)), model.name))


@app.command()
def audit(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Functions by name, such as torch.nn.functional:cross_entropy.")],
    kind: Annotated[str | None, typer.Option(help="What they predict: regression, binary, multiclass, count or positive.")] = None,
    framework: Annotated[str | None, typer.Option(help="Whose arrays they take: numpy, torch or jax.")] = None,
    parts: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Another part of how they are called, such as input=prediction; may be repeated."),
    ] = None,
    only: Annotated[str, typer.Option(help="Checks to run instead of all, with commas between.")] = "",
    report: Annotated[Path | None, typer.Option(help="Write all findings to this HTML page too, with code that shows each.")] = None,
    fail_on: Annotated[str, typer.Option(help="The least that ends with exit code 1: error, warning, note, or never.")] = "error",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the inputs that are drawn.")] = 0,
    time_limit: Annotated[float, typer.Option(help="Seconds for all checks of one function.")] = 10.0,
) -> None:
    """Does a loss keep its promises? Twenty checks of any function, each finding with an input that shows it."""
    import matchloss.audit as auditing
    from matchloss.audit import given, text
    from matchloss.errors import UsageError
    from matchloss.names import modules_from_here
    from matchloss.report import write_audit_page
    from matchloss.terminal import console, sentence

    _check_writable(report)
    convention = given.convention_given(kind, framework, parts or [])
    checks, severities = given.checks_given(_names(only)), given.severities_given(fail_on)
    if not time_limit > 0:
        raise UsageError(f"--time-limit is {time_limit:g}; it must be more than 0")
    found: list[auditing.Report] = []
    unknown: list[str] = []
    several = list(dict.fromkeys(names))
    for i, name in enumerate(several, 1):
        try:
            with _progress(f"{i} of {len(several)}, " if len(several) > 1 else "") as tell, modules_from_here():
                tell(f"importing {name}")
                found.append(auditing.audit(name, seed=seed, time_limit=time_limit, checks=checks, progress=tell, **convention))
        except auditing.UnknownName as error:  # the others are audited all the same
            unknown.append(str(error))
        else:
            console().print(text.report_group(found[-1]), crop=False)
    if len(found) > 1:
        console().print("", text.reports_table(found), sep="\n")
    if found:
        print()
        for line in text.closing(found, report is None, severities):
            console().print(sentence(line, "dim", hanging=0))
    if found and report:
        write_audit_page(report, found)
        print(f"The page: {report.resolve()}")
    if unknown:
        raise UsageError("; ".join(unknown))
    if any(given.failed(one, severities) for one in found):
        raise typer.Exit(1)


@app.command()
def losses(name: Annotated[str | None, typer.Argument(metavar="NAME", help="A loss, by its name or a peer's: its card.")] = None) -> None:
    """The catalogue, or the card of one loss."""
    import matchloss as ml
    from matchloss.compare import text
    from matchloss.names import modules_from_here
    from matchloss.tables.losses import get_loss
    from matchloss.terminal import console

    out = console()
    if name is None:
        out.print(text.catalogue(ml.losses()))
        print(f"  {text.LETTERS}")
        print("  `matchloss losses NAME` shows the card of one")
    else:
        with modules_from_here():
            out.print(text.card(get_loss(name)))


@app.command()
def demo(
    report: Annotated[Path, typer.Option(help="Where the page goes; models and their page go beside it.")] = Path("matchloss-demo.html"),
) -> None:
    """Models of 327,346 real flights under four losses, and which loss fits them: the delay as a number, and as a label."""
    from matchloss.compare.flights import compare_flights
    from matchloss.compare.text import comparison_text
    from matchloss.fit.flights import ABOUT, fit_flights
    from matchloss.fit.text import fits_table
    from matchloss.linear.model import write_model
    from matchloss.tables.flights import read_flights
    from matchloss.terminal import console, sentence

    began = time.perf_counter()
    _check_writable(report)
    beside = report.with_name(f"{report.stem}-fits{report.suffix}")
    _check_writable(beside)
    with _progress() as tell:
        tell("reading the flights")
        table = read_flights()
        fits = fit_flights(table, tell)
        compared = compare_flights(table, tell)
    console().print(fits_table(list(fits.values())))
    for line in ABOUT:
        console().print(sentence(line, "dim"))
    for comparison in compared:
        console().print(comparison_text(comparison))
    for name, fitted in fits.items():
        write_model(report.with_name(f"{report.stem}-{name}.json"), fitted.model)
    _write_fits(beside, list(fits.values()))
    _write(report, compared)
    models = report.resolve().with_name(f"{report.stem}-*.json")
    print(f"\nDone in {time.perf_counter() - began:.0f} seconds. The page: {report.resolve()}")
    print(f"The page of the fits: {beside.resolve()}\nThe models: {models}, for `matchloss show` and `matchloss predict`")


def _names(option: str) -> list[str]:
    return [name for name in (part.strip() for part in option.split(",")) if name]


def _own(name: str | None) -> type[Loss] | None:
    """The class of the loss that the person names."""
    from matchloss.losses import Loss
    from matchloss.names import modules_from_here
    from matchloss.tables.losses import named

    if name is None:
        return None
    with modules_from_here():
        found = named(name)
    return type(found) if isinstance(found, Loss) else found


def _parameters(options: Sequence[str]) -> dict[str, float]:
    from matchloss.tables.errors import DataError

    given: dict[str, float] = {}
    for option in options:
        name, _, value = (part.strip() for part in option.partition("="))
        try:
            number = float(value)
        except ValueError as error:
            raise DataError(f"--param is {option}; write a name and a number, such as power=1.5") from error
        if name in given:
            raise DataError(f"--param names {name} twice")
        given[name] = number
    return given


@contextlib.contextmanager
def _progress(before: str = "") -> Iterator[Callable[[str], None]]:
    """Tells the person at the terminal what goes on, each time with `before` in front; says nothing where nobody looks."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: None
        return
    with console.status("starting") as status:
        yield lambda text: status.update(Text(before + text))  # a name with brackets is no markup


def _check_writable(path: Path | None, what: str = "the page") -> None:
    """Refuse a file that could not be written before any work is done."""
    if path is None:
        return
    from matchloss.tables.errors import DataError

    folder = path.resolve().parent
    if path.is_dir():
        raise DataError(f"{what} cannot be written: {path} is a folder")
    if not folder.is_dir():
        raise DataError(f"{what} cannot be written: there is no folder {folder}")
    if not os.access(folder, os.W_OK):
        raise DataError(f"{what} cannot be written: no permission in {folder}")


def _write(report: Path, found: Sequence[Comparison]) -> None:
    from matchloss.report import write_page

    with _progress() as tell:
        tell(f"writing {report}")
        write_page(report, found)


def _write_fits(report: Path, found: Sequence[FitResult]) -> None:
    from matchloss.report import write_fit_page

    with _progress() as tell:
        tell(f"writing {report}")
        write_fit_page(report, found)
