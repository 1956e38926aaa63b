"""The known defects of the peers are there, and the audit finds each of them by a right check."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict

import pytest

import sweeps
from audited.known import KNOWN, Known
from audited.renamed import NAME, audited, renamed, told
from sweeps import sweep


def library_of(group: list[Known]) -> str:
    """The library that a group's function is of, by its defects' names."""
    return group[0].name.split()[0].rstrip(":")


# One audit for all the defects of a function.
AUDITS = {(id(known.target), known.kind, str(known.keywords)): known for known in KNOWN}
GROUPS = [[known for known in KNOWN if (id(known.target), known.kind, str(known.keywords)) == key] for key in AUDITS]
FIRST = [next(group for group in GROUPS if library_of(group) == library) for library in dict.fromkeys(map(library_of, GROUPS))]
DEMONSTRATIONS = sorted({known.shows for known in KNOWN}, key=lambda shows: shows.__name__)


@pytest.mark.parametrize("shows", DEMONSTRATIONS, ids=lambda shows: shows.__name__)
def test_the_defect_is_there(shows: Callable[[], None]) -> None:
    shows()


# `make test` takes a function of each library; `test_the_defect_is_there` takes all.
@pytest.mark.parametrize("group", sweep(GROUPS, lambda group: group in FIRST), ids=lambda group: group[0].name)
def test_the_audit_finds_the_defects_by_itself_whatever_the_name(group: list[Known]) -> None:
    checks = None if sweeps.everything else sorted({check for known in group for check in known.checks})
    report = audited(group[0], checks=checks)
    for known in group:
        right = [f for f in report.findings if f.check in known.checks and re.search(known.mention, str(asdict(f)))]
        found = [(f.check, f.severity, f.message) for f in report.findings]
        assert right, f"{known.name}: not by any of {known.checks}; found:\n{found}"
    if sweeps.everything or group in GROUPS[::8]:
        other = audited(group[0], renamed(group[0].target), checks=checks)
        assert NAME in other.subject and told(other) == told(report)
