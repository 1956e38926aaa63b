"""`matchloss audit`: does a loss keep its promises."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from matchloss.commands.tools import check_writable, names_in, progress


def audit(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Functions by name, such as torch.nn.functional:cross_entropy.")],
    kind: Annotated[str | None, typer.Option(help="What they predict: regression, binary, multiclass, count or positive.")] = None,
    framework: Annotated[str | None, typer.Option(help="Whose arrays they take: numpy, torch or jax.")] = None,
    parts: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Another part of how they are called, such as input=prediction; may be repeated."),
    ] = None,
    metric: Annotated[str | None, typer.Option(help="Of a booster's objective: a metric by name, held against it.")] = None,
    only: Annotated[str, typer.Option(help="Checks to run instead of all, with commas between.")] = "",
    report: Annotated[Path | None, typer.Option(help="Write all findings to this HTML page too, with code that shows each.")] = None,
    fail_on: Annotated[str, typer.Option(help="The least that ends with exit code 1: error, warning, note, or never.")] = "error",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the inputs that are drawn.")] = 0,
    budget: Annotated[str, typer.Option(help="Time for all checks of one function, such as 5s.")] = "10s",
) -> None:
    """Does a loss keep its promises? Twenty checks of any function, each finding with an input that shows it."""
    import matchloss.audit as auditing
    from matchloss.audit import given, text
    from matchloss.audit.report import exit_code
    from matchloss.errors import UsageError
    from matchloss.names import modules_from_here
    from matchloss.report import write_audit_page
    from matchloss.terminal import console, sentence

    check_writable(report)
    convention: dict[str, Any] = given.convention_given(kind, framework, parts or []) | ({"metric": metric} if metric else {})
    seconds = given.seconds_given(budget)
    checks, fail_on = given.checks_given(names_in(only)), given.severity_given(fail_on)
    found: list[auditing.Report] = []
    unknown: list[str] = []
    several = list(dict.fromkeys(names))
    for i, name in enumerate(several, 1):
        try:
            with progress(f"{i} of {len(several)}, " if len(several) > 1 else "") as tell, modules_from_here():
                tell(f"importing {name}")
                found.append(auditing.audit(name, seed=seed, budget=seconds, checks=checks, progress=tell, **convention))
        except auditing.UnknownName as error:  # the others are audited all the same
            unknown.append(str(error))
        else:
            console().print(text.report_group(found[-1]), crop=False)
    if len(found) > 1:
        console().print("", text.reports_table(found), sep="\n")
    if found:
        print()
        for line in text.closing(found, report is None, fail_on):
            console().print(sentence(line, "dim", hanging=0))
    if found and report:
        write_audit_page(report, found)
        print(f"The page: {report.resolve()}")
    if unknown:
        raise UsageError("; ".join(unknown))
    raise typer.Exit(exit_code(found, fail_on))
