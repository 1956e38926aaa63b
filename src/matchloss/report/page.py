"""What every page is made of: one self-contained HTML file from a template, its data, and the assets of its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import matchloss
from matchloss.files import replacing
from matchloss.report._inline import asset, script_json
from matchloss.report.pictures.render import drawing, place
from matchloss.report.words import formula

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import altair as alt

    from matchloss.losses import Loss

ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><rect width="64" height="64" rx="14" fill="#0b5cad"/>'
    '<path d="M12 52 52 12" stroke="#fff" stroke-width="7" stroke-linecap="round"/></svg>'
)


def sources(losses: Iterable[Loss]) -> list[dict[str, str]]:
    """Where the losses come from, for the foot of a page; each name once."""
    return [
        {"title": loss.title, "equation": formula(loss.equation), "text": "; ".join(loss.sources)}
        for loss in {loss.name: loss for loss in losses}.values()
        if loss.sources
    ]


def assemble(name: str, data: Any, charts: Mapping[str, alt.Chart] | None = None, like: str = "", **context: Any) -> str:
    """The page of the template `name`. It loads nothing: style, scripts, data and icon are inside, and its policy forbids the rest.

    In the template {{ picture(name) }} is where a chart is drawn. `like`: another page, whose style and scripts this one takes.
    """
    pictures = charts or {}
    try:
        import jinja2
        from markupsafe import Markup
    except ImportError as error:
        raise ImportError("pages need jinja2: pip install 'matchloss[cli]'") from error
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, loader=jinja2.FunctionLoader(asset)
    )
    return environment.get_template(f"{name}.html.j2").render(
        version=matchloss.__version__,
        icon="data:image/svg+xml," + quote(ICON),
        css=Markup(asset("page.css") + asset(f"{like or name}.css")),
        scripts=Markup(asset("tables.js") + asset("chart.js") + asset(f"{like or name}.js")),
        data=Markup(script_json(data)),
        picture=lambda chart: Markup(place(chart, pictures[chart])),
        drawing=Markup(drawing(pictures) if pictures else ""),
        **context,
    )


def write(path: Path, text: str) -> None:
    """Write the page in one step: whoever opens `path` sees the old file or the whole new one."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
