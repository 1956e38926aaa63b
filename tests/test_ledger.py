"""docs/ledger.md says what ledger/*.json says, and a sample of that is made again."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from ledger.causes import CAUSES
from ledger.page import PAGE, occurrences, page, reports
from ledger.page import address as address_of
from ledger.run import report_of
from ledger.subjects import ENTRIES, LIBRARIES, THREADS, Entry
from matchloss.audit.formats import as_data
from sweeps import sweep

ROOT = Path(__file__).parent.parent
SAMPLE = (
    "sklearn._loss:HalfPoissonLoss",
    "statsmodels.genmod.families:Gamma",
    "scoringrules:brier_score",
    "torch.nn.functional:soft_margin_loss",
    "entmax:sparsemax_loss",
    "optax.losses:squared_error",
)
SAMPLED = [entry for entry in ENTRIES if entry.name in SAMPLE]
FUNCTIONS: list[dict[str, Any]] = [report for library in reports() for report in library["reports"]]


def shown(entry: Entry) -> str:
    """As a test's id, and as the data names it."""
    return f"{entry.module}:{entry.call}"


def test_the_page_is_what_the_data_make_it() -> None:
    assert PAGE.read_text() == page(reports())


def test_every_subject_has_its_report_and_can_be_imported() -> None:
    assert [report["function"] for report in FUNCTIONS] == [shown(entry) for entry in ENTRIES]
    for entry in ENTRIES:
        assert callable(entry.target()) or hasattr(entry.target(), "gradient_hessian") or hasattr(entry.target(), "resid_dev")


def test_every_error_and_warning_has_its_cause() -> None:
    told = [id(finding) for cause in CAUSES for _, finding in occurrences(cause, FUNCTIONS)]
    assert len(told) == len(set(told))
    left = [
        (r["function"], f["check"], f["message"]) for r in FUNCTIONS for f in r["findings"] if f["severity"] != "note" and id(f) not in told
    ]
    assert not left


@pytest.mark.parametrize("entry", sweep(SAMPLED, lambda entry: entry.name in SAMPLE[:1]), ids=shown)
@pytest.mark.filterwarnings("ignore")  # of the library's own
def test_a_sample_is_still_true(entry: Entry) -> None:
    library = next(name for name, entries in LIBRARIES.items() if entry in entries)
    data = next(data for data in reports() if data["library"] == library)
    if data["version"] != version(library):
        pytest.skip(f"the data are about another version of {library} than {version(library)}")
    said = next(report for report in data["reports"] if report["function"] == shown(entry))
    assert [(f["check"], f["severity"], f["message"]) for f in said["findings"]] == [
        (f["check"], f["severity"], f["message"]) for f in as_data(report_of(entry))["findings"]
    ]


def test_the_data_are_about_the_pinned_versions() -> None:
    pinned = dict(line.split("==") for line in (ROOT / "ledger" / "requirements.txt").read_text().split())
    for data in reports():
        assert data["version"].removesuffix("+cpu") == pinned[data["library"]]


def test_threads_have_their_addresses() -> None:
    own = {*sum((entry.threads for entry in ENTRIES), ()), *sum(THREADS.values(), ())}
    for address in own | {address_of(thread) for cause in CAUSES for thread in cause.threads}:
        assert re.fullmatch(r"https://github\.com/[\w-]+/[\w-]+/(issues|pull)/\d+", address)
