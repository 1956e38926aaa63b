"""What every page is made of: one self-contained HTML file from a template, its data, and the assets of its name."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import matchloss
from matchloss.files import replacing
from matchloss.report.words import formula

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from matchloss.losses import Loss

ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><rect width="64" height="64" rx="14" fill="#0b5cad"/>'
    '<path d="M12 52 52 12" stroke="#fff" stroke-width="7" stroke-linecap="round"/></svg>'
)


def asset(name: str) -> str:
    """The text of a file of assets/."""
    return resources.files("matchloss.report").joinpath("assets", name).read_text(encoding="utf-8")


def script_json(data: Any) -> str:
    """JSON in which no text can end the script element or start a comment."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def sources(losses: Iterable[Loss]) -> list[dict[str, str]]:
    """Where the losses come from, for the foot of a page; each name once."""
    return [
        {"title": loss.title, "equation": formula(loss.equation), "text": "; ".join(loss.sources)}
        for loss in {loss.name: loss for loss in losses}.values()
        if loss.sources
    ]


def assemble(name: str, data: Any, **context: Any) -> str:
    """The page of the template `name`. It loads nothing: style, scripts, data and icon are inside, and its policy forbids the rest."""
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
        css=Markup(asset("page.css") + asset(f"{name}.css")),
        scripts=Markup(asset("chart.js") + asset(f"{name}.js")),
        data=Markup(script_json(data)),
        **context,
    )


def write(path: Path, text: str) -> None:
    """Write the page in one step: whoever opens `path` sees the old file or the whole new one."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
