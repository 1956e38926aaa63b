"""The known defects of the peers are there, and the audit finds each of them by a right check."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict

import pytest

from audited.known import KNOWN, Known
from audited.renamed import NAME, audited, renamed, told

DEMONSTRATIONS = sorted({known.shows for known in KNOWN}, key=lambda shows: shows.__name__)


@pytest.mark.parametrize("shows", DEMONSTRATIONS, ids=lambda shows: shows.__name__)
def test_the_defect_is_there(shows: Callable[[], None]) -> None:
    shows()


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_the_audit_finds_the_defect_by_itself_whatever_its_name(known: Known) -> None:
    report, other = audited(known), audited(known, renamed(known.target))
    right = [f for f in report.findings if f.check in known.checks and re.search(known.mention, str(asdict(f)))]
    assert right, f"not by any of {known.checks}; found:\n{[(f.check, f.severity, f.message) for f in report.findings]}"
    assert NAME in other.subject and told(other) == told(report)
