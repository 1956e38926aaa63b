"""How long calls take, in a unit that a slow machine and a busy one change as they change the calls: additions of so many numbers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

ENOUGH = 0.05  # seconds after which a call is not timed again
SLOW = 1e4  # additions; a call that takes longer is not repeated with more numbers
SEEN = 200.0  # additions below which a call is too short to be judged
GROWTH = 2.5  # times what 8 times the time is, for 8 times the rows: n^2 has 64 times, n log n at most 11
now = time.thread_time  # what other processes take is not in it; how much they slow this one is


class Taken(NamedTuple):
    """The fastest of some calls, and of additions beside them: whatever else the machine does only ever adds."""

    seconds: float
    addition: float

    @property
    def additions(self) -> float:
        """How many additions the call is worth."""
        return self.seconds / self.addition

    def and_again(self, other: Taken) -> Taken:
        """Both measurements together."""
        return Taken(min(self.seconds, other.seconds), min(self.addition, other.addition))

    def grows(self, less: Taken) -> bool:
        """Whether 8 times the rows take clearly more than 8 times the time; where caches end, additions do so too."""
        return self.additions > SEEN and self.seconds > GROWTH * less.seconds * max(8.0, self.addition / less.addition)


def taken(call: Callable[[], Any], numbers: int, most: int = 5) -> Taken:
    """How long the call, of arrays of so many numbers, takes."""
    return Taken(fastest(call, most), addition(numbers))


def fastest(call: Callable[[], Any], most: int) -> float:
    """Seconds of this thread in the fastest of a few calls."""
    best, spent = np.inf, 0.0
    while most and spent <= ENOUGH:
        start = now()
        call()
        seconds = now() - start
        best, spent, most = min(best, seconds), spent + seconds, most - 1
    return float(best)


def addition(numbers: int) -> float:
    """Seconds that adding so many numbers takes."""
    ones = np.ones(numbers)

    def nine() -> None:
        for _ in range(9):
            np.add(ones, ones)

    return fastest(nine, 20) / 9
