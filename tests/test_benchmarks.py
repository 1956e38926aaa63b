"""What the benchmarks say is kept: a section a processor, and the ratio of two sides."""

from __future__ import annotations

from typing import Any

from benchmarks.__main__ import HEAD, with_section
from benchmarks.against import compare


def test_a_run_replaces_the_section_of_its_own_processor_alone() -> None:
    first = with_section("", "A 7", "2026-01-01", ["one", "", "### a table"])
    both = with_section(first, "B", "2026-01-02", ["two"])
    again = with_section(both, "A 7", "2026-01-03", ["three"])
    assert again == f"{HEAD}\n\n## A 7, 2026-01-03\n\nthree\n\n## B, 2026-01-02\n\ntwo\n"


class Recorded:
    """A side whose seconds are known."""

    def __init__(self, name: str, seconds: list[float], error: str = "") -> None:
        self.name, self.seconds, self.error = name, iter(seconds), error

    def ask(self, **question: Any) -> dict[str, Any]:
        return {"error": self.error} if self.error else {"seconds": 1.0 if "open" in question else next(self.seconds)}


def compared(old: Recorded, new: Recorded) -> Any:
    return compare(old, new, "a case", 2)  # pyright: ignore[reportArgumentType]


def test_the_least_of_the_rounds_counts_and_arrays_are_made_again_where_sides_differ() -> None:
    assert compared(Recorded("old", [2.0, 3.0]), Recorded("new", [4.0, 2.0])) == (2.0, 2.0)
    assert compared(Recorded("old", [2.0, 2.0, 2.0, 1.98]), Recorded("new", [3.0, 3.0, 2.0, 2.5])) == (1.98, 2.0)


def test_a_case_that_one_side_has_not_is_said() -> None:
    assert compared(Recorded("old", [], "no such thing"), Recorded("new", [1.0])) == "old: no such thing"
