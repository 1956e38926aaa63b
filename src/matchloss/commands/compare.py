"""`matchloss compare`: which loss fits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from matchloss.commands.options import Dask, Data, Memory, Models, Offset, Pictures, Scratch, Target, learns_from_a_table
from matchloss.commands.tools import check_folder, check_writable, on_cluster, progress, write_pictures, write_report

if TYPE_CHECKING:
    from matchloss.comparison.result import Comparison


@learns_from_a_table
def compare(
    data: Data,
    target: Target,
    losses: Annotated[
        str, typer.Option(help="Losses to compare instead of the usual ones, such as huber(delta=2),poisson; module:class for your own.")
    ] = "",
    model: Models = "linear",
    quantile: Annotated[str, typer.Option(help="Compare quantiles at these levels, such as 0.1,0.5,0.9.")] = "",
    score: Annotated[str | None, typer.Option(help="The score that ranks the losses, such as poisson_deviance, where it can.")] = None,
    *,
    offset: Offset = None,
    table: dict[str, Any],
    memory: Memory = None,
    scratch: Scratch = None,
    dask: Dask = None,
    json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON, and nothing else.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the comparison as Markdown, and nothing else.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write the comparison to this HTML page too.")] = None,
    pictures: Pictures = None,
) -> None:
    """Find out which loss fits: train the same model under each loss that suits the target, and judge it on rows that it did not see."""
    from matchloss.comparison.run import compare
    from matchloss.errors import UsageError
    from matchloss.names import modules_from_here

    if json and markdown:
        raise UsageError("--json and --markdown both say how to print; give one of them")
    check_writable(report)
    check_folder(pictures)
    with progress() as tell, modules_from_here(), on_cluster(data, dask) as (rows, client):
        found = compare(
            rows,
            target,
            losses=losses or None,
            model=model,
            quantile=quantile or None,
            score=score,
            sample_weight=table.pop("weight"),
            **table,
            offset=offset,
            memory=memory,
            scratch=scratch,
            client=client,
            progress=tell,
        )
    _show(found, json, markdown)
    if report:
        from matchloss.report import write_page

        if not (json or markdown):
            print()
        write_report(report, write_page, [found], quiet=bool(json or markdown))
    if pictures:
        from matchloss.report.compare_page import compare_charts

        write_pictures(pictures, compare_charts([found]), quiet=json or markdown)


def _show(found: Comparison, as_json: bool, as_markdown: bool) -> None:
    from matchloss.comparison import text
    from matchloss.terminal import console

    if as_json:
        import json

        print(json.dumps(found.to_dict(), ensure_ascii=False, indent=1))
    elif as_markdown:
        print(text.comparison_markdown(found))
    else:
        console().print(text.comparison_text(found), crop=False)
