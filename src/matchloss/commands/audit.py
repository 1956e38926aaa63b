"""`matchloss audit`: does a loss keep its promises."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from matchloss.commands.tools import check_writable, names_in, progress


def audit(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME...", help="Functions by name, such as torch.nn.functional:cross_entropy; by default those in pyproject.toml."
        ),
    ] = None,
    kind: Annotated[str | None, typer.Option(help="What the functions predict: regression, binary, multiclass, count or positive.")] = None,
    framework: Annotated[str | None, typer.Option(help="Whose arrays the functions take: numpy, torch or jax.")] = None,
    parts: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Another detail of how they are called, such as input=prediction; may be repeated."
        ),
    ] = None,
    metric: Annotated[str | None, typer.Option(help="For a booster's objective: a metric, by name, to check against it.")] = None,
    only: Annotated[str, typer.Option(help="The checks to run instead of all, separated by commas.")] = "",
    report: Annotated[Path | None, typer.Option(help="Write all findings to this HTML page too, with code that shows each.")] = None,
    fail_on: Annotated[
        str | None, typer.Option(help="The least severe finding that gives exit code 1: error, warning, note, or never.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The seed for drawing inputs.")] = None,
    budget: Annotated[str | None, typer.Option(help="The time for all checks of one function, such as 5s; 10s by default.")] = None,
    format: Annotated[str, typer.Option(help="How the reports are written: text, json, sarif or github.")] = "text",
    baseline: Annotated[Path | None, typer.Option(help="A file of known findings: only new ones are shown and fail the run.")] = None,
    update_baseline: Annotated[bool, typer.Option(help="Write all findings to the baseline.")] = False,
) -> None:
    """Does a loss keep its promises? Run twenty checks on any function; each finding comes with an input that shows it."""
    import matchloss.audit as auditing
    from matchloss.audit import baseline as known_findings
    from matchloss.audit import formats, given, text
    from matchloss.audit.project import project
    from matchloss.audit.report import exit_code
    from matchloss.errors import UsageError
    from matchloss.names import modules_from_here
    from matchloss.report import write_audit_page
    from matchloss.terminal import console, sentence

    own = project()
    said = own.settings
    check_writable(report)
    convention: dict[str, Any] = given.convention_given(kind, framework, parts or []) | ({"metric": metric} if metric else {})
    seconds = given.seconds_given(budget or said.get("budget", "10s"))
    checks = given.checks_given(names_in(only) or said.get("only", []))
    least = given.severity_given(fail_on or said.get("fail-on", "error"))
    kept = baseline or (Path(said["baseline"]) if "baseline" in said else None)
    if format not in formats.FORMATS:
        raise UsageError(f"--format is {format}; allowed: {', '.join(formats.FORMATS)}")
    if update_baseline and kept is None:
        raise UsageError("--update-baseline needs --baseline, the file to write")
    known = known_findings.read_baseline(kept) if kept and not update_baseline else frozenset[tuple[str, ...]]()
    several = list(dict.fromkeys(names or own.functions))
    if not several:
        raise UsageError("name a function, such as torch.nn.functional:cross_entropy, or list functions in [tool.matchloss.audit]")
    plain = format == "text"
    found: list[auditing.Report] = []
    unknown: list[str] = []
    for i, name in enumerate(several, 1):
        options = {**({} if names else own.functions[name]), **convention}
        try:
            with progress(f"{i} of {len(several)}, " if len(several) > 1 else "") as tell, modules_from_here():
                tell(f"importing {name}")
                drawn = said.get("seed", 0) if seed is None else seed
                found.append(auditing.audit(name, seed=drawn, budget=seconds, checks=checks, progress=tell, **options))
        except auditing.UnknownName as error:  # the others are audited all the same
            unknown.append(f"{own.place(name)}: {error}" if not names and own.place(name) else str(error))
        else:
            if plain:
                console().print(text.report_group(known_findings.without_known(found[-1], known)), crop=False)
    if update_baseline and kept:
        known_findings.write_baseline(kept, found)
        known = known_findings.read_baseline(kept)
    new = [known_findings.without_known(one, known) for one in found]
    if not plain:
        print({"json": formats.as_json, "sarif": formats.as_sarif, "github": formats.as_github}[format](new))
    elif len(new) > 1:
        console().print("", text.reports_table(new), sep="\n")
    if new and plain:
        print()
        for line in text.closing(new, report is None, least):
            console().print(sentence(line, "dim", hanging=0))
    if new and report:
        write_audit_page(report, new)
        if plain:
            print(f"The page: {report.resolve()}")
    if update_baseline and plain:
        print(f"The baseline: {kept}")
    if unknown:
        raise UsageError("; ".join(unknown))
    raise typer.Exit(exit_code(new, least))
