"""Where charts become pictures: in a page, with the libraries that draw them inlined once, or in files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matchloss.files import replacing
from matchloss.report._inline import asset, script_json
from matchloss.report.pictures.style import DARK, LIGHT

if TYPE_CHECKING:
    import altair as alt

SCALE = 2  # pixels of a PNG for each of a page


def write(charts: Mapping[str, alt.Chart], directory: str | Path, formats: tuple[str, ...] = ("png", "svg")) -> list[Path]:
    """A file for each chart and format, directory/name.png and directory/name.svg; each is whole or not there.

    OSError if a file cannot be written; ImportError without vl-convert-python.
    """
    converter, folder, made = _converter(), Path(directory), []
    folder.mkdir(parents=True, exist_ok=True)
    for name, chart in charts.items():
        spec = json.dumps(_spec(chart))
        for kind in formats:
            drawn = converter.vegalite_to_svg(spec).encode() if kind == "svg" else converter.vegalite_to_png(spec, scale=SCALE)
            path = folder / f"{name}.{kind}"
            with replacing(path) as partial:
                partial.write_bytes(drawn)
            made.append(path)
    return made


def embed(charts: Mapping[str, alt.Chart]) -> str:
    """HTML of all charts, with what draws them; nothing is loaded."""
    return "".join(place(name, chart) for name, chart in charts.items()) + drawing(charts)


def place(name: str, chart: alt.Chart | None = None) -> str:
    """Where the page draws this chart."""
    said = chart.description if chart is not None and isinstance(chart.description, str) else ""
    return f'<div class="drawn" data-picture="{escape(name)}" role="img" aria-label="{escape(said)}"></div>'


def drawing(charts: Mapping[str, alt.Chart]) -> str:
    """The scripts that draw a page's charts in their places, light or dark as the page is; once on a page."""
    specs = {name: {k: v for k, v in _spec(chart).items() if k not in ("config", "$schema")} for name, chart in charts.items()}
    given = script_json({"charts": specs, "light": LIGHT | {"background": None}, "dark": DARK})
    return (
        f'<script id="vega">{_bundle()}</script>\n'
        f'<script type="application/json" id="pictures">{given}</script>\n<script>{asset("pictures.js")}</script>'
    )


def _spec(chart: alt.Chart) -> dict[str, Any]:
    text = json.dumps(chart.to_dict(validate=False), ensure_ascii=False)  # tests hold every chart to the schema
    return json.loads(text.replace("\u2028", " ").replace("\u2029", " "))  # Vega reads no text that holds these two


@cache
def _bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script that loads nothing; no text in it ends the script element."""
    return _converter().javascript_bundle().replace("</script", "<\\/script")


def _converter() -> Any:
    try:
        import vl_convert
    except ImportError as error:
        raise ImportError("pictures need vl-convert-python: pip install 'matchloss[cli]'") from error
    return vl_convert
