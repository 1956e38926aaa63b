"""docs/ledger.md says what is true: a sample of its rows is made again, and everything that it is about is there."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from ledger.page import anchor, row, said
from ledger.run import report_of
from ledger.subjects import ENTRIES, LIBRARIES, THREADS, Entry
from sweeps import sweep

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "ledger.md"
SAMPLE = (
    "torch.nn.functional:soft_margin_loss",
    "torch.nn.functional:kl_div",
    "optax.losses:squared_error",
    "sklearn._loss:HalfPoissonLoss",
    "entmax:sparsemax_loss",
    "statsmodels.genmod.families:Gamma",
    "scoringrules:brier_score",
    "model_diagnostics.scoring:SquaredError",
)

SAMPLED = [entry for entry in ENTRIES if entry.name in SAMPLE]


def shown(entry: Entry) -> str:
    """As a test's id."""
    return f"{entry.module}:{entry.call}"


@pytest.mark.parametrize("entry", ENTRIES, ids=shown)
def test_every_subject_can_be_imported_and_has_its_row(entry: Entry) -> None:
    assert callable(entry.target()) or hasattr(entry.target(), "gradient_hessian") or hasattr(entry.target(), "resid_dev")
    name = f"`{entry.call}`"
    assert re.search(rf"^\| \[?{re.escape(name)}(\]\(#{anchor(entry)}\))? \| {entry.kind} \|", PAGE.read_text(), re.MULTILINE)


@pytest.mark.parametrize("entry", sweep(SAMPLED, lambda entry: not entry.name.startswith("torch")), ids=shown)
@pytest.mark.filterwarnings("ignore")  # of the library's own
def test_the_rows_findings_and_code_of_a_sample_are_still_true(entry: Entry, capsys: pytest.CaptureFixture[str]) -> None:
    library = next(name for name, entries in LIBRARIES.items() if entry in entries)
    text = PAGE.read_text()
    for name in (library, "numpy", "jax" if library == "optax" else library):
        if f"{name} {version(name)}" not in text:
            pytest.skip(f"the page is about another version of {name} than {version(name)}")
    report = report_of(entry)
    lines = text.splitlines()
    assert row(entry, report) in lines
    mine = text[text.index(f"{{ #{anchor(entry)} }}") :] if report.findings else ""
    for finding in report.findings:
        assert said(finding) in mine.partition("\n#### ")[0].splitlines()
        capsys.readouterr()
        exec(compile(finding.snippet, f"code of {shown(entry)}, {finding.check}", "exec"), {})
        assert capsys.readouterr().out, finding.snippet


def test_the_page_is_about_the_pinned_versions() -> None:
    pinned = dict(line.split("==") for line in (ROOT / "ledger" / "requirements.txt").read_text().split())
    text = PAGE.read_text()
    for name in (*LIBRARIES, "jax", "numpy"):
        assert re.search(rf"\b{name} {re.escape(pinned[name])}(\+cpu)?[,.]", text), name


def test_rows_have_anchors_of_their_own_and_threads_their_addresses() -> None:
    assert len({anchor(entry) for entry in ENTRIES}) == len(ENTRIES)
    text = PAGE.read_text()
    for address in {*sum((entry.threads for entry in ENTRIES), ()), *sum(THREADS.values(), ())}:
        assert re.fullmatch(r"https://github\.com/[\w-]+/[\w-]+/(issues|pull)/\d+", address)
    for address in sum(THREADS.values(), ()):
        assert f"]({address})" in text
    for link in re.findall(r"\]\(#([\w-]+)\)", text):
        assert f"{{ #{link} }}" in text
