"""What the tests of every page share: a browser, a visit that remembers each complaint, and names that try to get out."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HOSTILE = "</script><b>x</b>&\"'\u2028"
LOOKS = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def page_data(page: str) -> Any:
    """What the page's scripts draw."""
    found = re.search(r'<script type="application/json" id="page-data">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def assert_refers_to_nothing(page: str) -> None:
    """One small file: no address in it but data and places on the page itself, and a policy that forbids the rest."""
    assert len(page.encode()) < 2_500_000
    page = re.sub(r'<script id="vega">.*?</script>', "", page, count=1, flags=re.S)  # may load what it is told to, and is told nothing
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:|#)""", page)
    assert not re.search(r"url\(\s*[\"']?(?!#)|@import|fetch\(|XMLHttpRequest|\bimport\(", page)
    assert "default-src 'none'" in page


def assert_all_or_nothing(write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong, the old page stays and nothing else is left."""
    path = tmp_path / "page.html"
    path.write_text("old")
    write(path)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    with pytest.raises(OSError, match="nowhere"):
        write(tmp_path / "nowhere" / "page.html")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        write(tmp_path / "folder")
    path.write_text("older")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write(path)
    assert path.read_text() == "older"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "page.html"]


def _needed(what: str) -> None:
    """Without a browser there is nothing to see, except in CI, where that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(f"CI has to open the page, and {what} is missing")
    pytest.skip(f"{what} is missing")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    if program is None:
        _needed("Chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _needed("playwright")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield chromium
        chromium.close()


class Visit:
    """An open page that remembers every complaint and every request; `drawn` is there once its charts are."""

    def __init__(
        self, browser: Any, file: Path, width: int = 1280, scheme: str = "light", drawn: str = "svg.chart path[d*=L]", scripts: bool = True
    ):
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce", java_script_enabled=scripts
        )
        self.page = self.context.new_page()
        self.complaints, self.requests = [], []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.address = file.as_uri()
        self.width, self.scheme, self.drawn, self.scripts = width, scheme, drawn, scripts

    def __enter__(self) -> Visit:
        self.page.goto(self.address)
        if self.scripts:
            self.page.wait_for_selector("html[data-ready=yes]")
            self.page.wait_for_selector(self.drawn, state="attached")
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        self.context.close()
        if kind is None:
            assert self.complaints == []
            assert [url for url in self.requests if not url.startswith("data:")] == [self.address]

    def assert_fits(self) -> None:
        """No scrolling sideways, the colours that were asked for, no escaped text that came to life, and no number that is none."""
        assert self.page.evaluate("document.documentElement.scrollWidth") <= self.width
        ground = self.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", ground)[:3])) > 600) == (self.scheme == "light")
        assert not self.page.locator("b").count()
        texts = "ns => ns.map(n => n.textContent).filter(t => /NaN|undefined|null|Infinity/.test(t))"
        assert self.page.eval_on_selector_all("svg.chart text", texts) == []

    def slide(self, slider: str, value: float) -> None:
        self.page.locator(f"#{slider}").evaluate("(n, v) => { n.value = v; n.dispatchEvent(new Event('input', {bubbles: true})) }", value)
