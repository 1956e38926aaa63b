"""The known defects of the peers are there, and the audit finds each of them by a right check."""

from __future__ import annotations

import pytest

from audited.known import KNOWN


@pytest.mark.parametrize("shows", sorted({known.shows for known in KNOWN}, key=lambda f: f.__name__), ids=lambda f: f.__name__)
def test_the_defect_is_there(shows) -> None:
    shows()
