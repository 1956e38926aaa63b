"""Structured losses on one, two and three threads: the same bits, on inputs of several blocks."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from matchloss.engine import threads
from matchloss.losses.structured import (
    CLIP,
    CTC,
    Choice,
    ChoiceSets,
    LinearChainCRF,
    OrderedLogit,
    Paths,
    PlackettLuce,
    Rankings,
    SigLIP,
    Transcripts,
)
from sweeps import sweep

R = np.random.default_rng(0)
SPEECH, PAIRS = R.normal(size=(12, 7, 5)), R.normal(size=(2, 1100, 3))
SAID = Transcripts(R.integers(1, 5, (7, 4)), [4, 3, 0, 2, 4, 1, 3], [12, 11, 9, 12, 10, 12, 8])
ROWS, LABELS = R.normal(size=9_000), R.integers(0, 4, 9_000)
TAGS = Paths(LABELS[:2250].reshape(450, 5))
THIRDS = np.arange(0, 9_001, 3)
WORK: dict[str, Callable[[], Any]] = {
    "ctc": lambda: CTC().evaluate(SPEECH, SAID),
    "crf": lambda: LinearChainCRF().evaluate(
        (ROWS.reshape(450, 5, 4), np.eye(4), ROWS[:4], ROWS[4:8]), Paths(LABELS[:2250].reshape(450, 5))
    ),
    "plackett_luce": lambda: PlackettLuce().evaluate(ROWS, Rankings(THIRDS)),
    "conditional_logit": lambda: Choice().evaluate(ROWS, ChoiceSets(THIRDS, np.arange(9_000) % 3 == 0)),
    "ordered_logit": lambda: OrderedLogit().evaluate((ROWS, [-1.0, 0.0, 1.0]), LABELS),
    "clip": lambda: CLIP().evaluate((PAIRS[0], PAIRS[1], 2.0), None),
    "siglip": lambda: SigLIP().evaluate((PAIRS[0], PAIRS[1], 2.0, -1.0), None),
}


@pytest.mark.parametrize("name", sweep(WORK, lambda name: name in ("ctc", "crf", "ordered_logit")))
def test_the_number_of_threads_changes_no_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)  # three threads, however many cores there are
    monkeypatch.delenv("MATCHLOSS_THREADS", raising=False)
    found = []
    for count in (1, 2, 3):
        with threads.at_most(count):
            assert threads.count() == count
            made = WORK[name]()
        slopes = made.gradient if isinstance(made.gradient, tuple) else (made.gradient,)
        found.append([np.asarray(x).tobytes() for x in (made.value, *slopes)])
    assert found[0] == found[1] == found[2]
