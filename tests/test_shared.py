"""Several fits of the same rows at once: one reading of each block serves all whose passes coincide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import matchloss as ml
from matchloss.linear.objective import Log
from matchloss.linear.rows import TableRows
from matchloss.linear.solve import Options, Solution, _libraries, blas_on_one_thread, minimise, of_source
from matchloss.linear.sources.memory import Memory
from matchloss.linear.sources.shared import Meeting, Shared, Together, at_once
from matchloss.linear.sources.source import Source
from matchloss.losses import Loss

N = 30_000
r = np.random.default_rng(4)
CODES = np.column_stack([r.integers(0, 4, N), r.integers(0, 30, N)]).astype(np.int32)
NUMBERS = (r.normal(size=N) + 1e6, r.normal(size=N))
ROWS = TableRows(N, NUMBERS, CODES, (4, 30), np.array([1, 2, 4, 5, 6, *range(8, 37)], np.intp))
Z = NUMBERS[1] + (CODES[:, 0] == 1) - 0.5
LABELS = (Z + r.logistic(size=N) > 0).astype(np.float64)


def fits(losses: list[Loss], outputs: int | None = None) -> list[Callable[[Source], Solution]]:
    def fit(loss: Loss) -> Callable[[Source], Solution]:
        return lambda source: minimise(of_source(loss, source, 1e-6, outputs, True), Options(l2=1e-6))

    return [fit(loss) for loss in losses]


def test_the_solutions_are_those_of_single_fits_and_blocks_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    passes, summed = [], Memory.sum
    losses = [ml.Logistic(), ml.get("sigmoid_brier"), ml.get("cloglog"), ml.Logistic()]
    with blas_on_one_thread():
        alone = [fit(Memory(ROWS, LABELS)) for fit in fits(losses)]
        monkeypatch.setattr(Memory, "sum", lambda self, term: (passes.append(term), summed(self, term))[1])
        together = at_once(Memory(ROWS, LABELS), fits(losses))
    for one, same in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.coef, same.coef, rtol=1e-9, atol=1e-9 * np.abs(same.coef).max())
        assert one.converged and one.passes == same.passes
    assert len(passes) <= max(one.passes for one in together) + 12 < sum(one.passes for one in together)
    assert any(isinstance(term, Together) and len(term.terms) == 4 for term in passes)


def test_classes_too() -> None:
    labels = (Z > 0).astype(np.int64) + (Z > 1)
    losses: list[Loss] = [ml.CrossEntropy(), ml.CrossEntropy()]
    with blas_on_one_thread():
        together = at_once(Memory(ROWS, labels), fits(losses, 3))
        alone = [fit(Memory(ROWS, labels)) for fit in fits(losses, 3)]
    for one, same in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.coef, same.coef, rtol=1e-6, atol=1e-6 * np.abs(same.coef).max())


def test_a_fit_that_fails_keeps_no_other_waiting() -> None:
    def fails(source: Source) -> Solution:
        raise ValueError("no")

    good = fits([ml.Logistic()])[0]
    found: list[Solution] = []
    with pytest.raises(ValueError, match="no"):
        at_once(Memory(ROWS, LABELS), [fails, lambda source: found.append(good(source))])
    assert found[0].converged


def test_an_error_of_a_pass_reaches_every_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Memory, term: Any) -> Any:
        raise OSError("the disk is gone")

    monkeypatch.setattr(Memory, "sum", broken)
    with pytest.raises(OSError, match="the disk is gone"):
        at_once(Memory(ROWS, LABELS), fits([ml.Logistic(), ml.Logistic()]))


def test_rows_that_are_read_in_another_way_have_passes_of_their_own() -> None:
    source = Memory(ROWS, LABELS)
    meeting = Meeting(source, 1)
    shared = Shared(source, meeting)
    other = shared.with_rows(replace(ROWS, shift=np.array([1e6, 0.0])))
    assert other.largest_last().rows.levels == (4, 30) and shared.largest_last().source.rows is not None
    with blas_on_one_thread():
        f, g = (of_source(ml.Logistic(), s, 0.0, None, False) for s in (shared, other))
        for one in (f, g):
            one.measure(np.zeros(one.size), Log(9))
    assert meeting.passes == 1


def test_blas_gets_its_threads_back_when_the_last_one_leaves() -> None:
    """Whoever enters first need not leave last, as threads do."""
    libraries = _libraries()
    before = [library.num_threads for library in libraries]
    first, second = blas_on_one_thread(), blas_on_one_thread()
    try:
        for library in libraries:
            library.set_num_threads(2)
        first.__enter__()
        second.__enter__()
        assert {library.num_threads for library in libraries} == {1}
        first.__exit__(None, None, None)
        assert {library.num_threads for library in libraries} == {1}
        second.__exit__(None, None, None)
        assert {library.num_threads for library in libraries} == {2}
    finally:
        for library, threads in zip(libraries, before, strict=True):
            library.set_num_threads(threads)
