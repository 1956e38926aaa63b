"""Interleaved timings. Steps that are compared run in turn, round after round, so that what disturbs the machine disturbs all alike."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

Step = Callable[[], object]
PAUSE = 0.01  # seconds before each step: the OpenMP threads of a step just done go on spinning, and would slow down the next one


def best_of(
    steps: dict[str, Step], rounds: int, before: Step | None = None, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """The least time of each step in seconds. `before` runs ahead of each step, outside its time.

    clock: time.process_time counts what the processor works for this process on all of its threads. For steps on one thread that is the
    time by the clock, and other work on the machine does not disturb it.

    The least, not the mean: a disturbance only adds. One round more goes first, for compiling, page faults and caches.
    """
    best = dict.fromkeys(steps, float("inf"))
    gc.disable()
    try:
        for i in range(rounds + 1):
            for name, step in steps.items():
                if before is not None:
                    before()
                time.sleep(PAUSE)
                start = clock()
                step()
                taken = clock() - start
                if i:
                    best[name] = min(best[name], taken)
    finally:
        gc.enable()
    return best


def best_loop(steps: dict[str, Step], number: int, rounds: int, clock: Callable[[], float] = time.perf_counter) -> dict[str, float]:
    """The least time of one call, for short steps: each is timed over `number` calls on end. clock: as in `best_of`."""

    def repeated(step: Step) -> Step:
        def run() -> None:
            for _ in range(number):
                step()

        return run

    best = best_of({name: repeated(step) for name, step in steps.items()}, rounds, clock=clock)
    return {name: t / number for name, t in best.items()}
