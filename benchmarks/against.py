"""Two checkouts on one machine: the cases of benchmarks.cases by each, in turn, round after round.

Each side is a process of its own that imports its own `src`, and these benchmarks; both hold the same case at a time, and only one works.

A checkout against a copy of itself shows how far a ratio can be trusted: run that first.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.tables import machine

ROOT = Path(__file__).parent.parent
MEAN, WORST = 1.03, 1.10  # the most that the geometric mean of the ratios new / old, and any one of them, may be
LEAST = 0.02  # seconds: shorter steps are repeated so long in each round
OPENINGS, AGREE = 4, 0.03  # how often a case's arrays are made; sides as close as this agree
PAUSE = 0.02  # seconds before each: the OpenMP threads of the other side go on spinning for a while


class Side:
    """A process that times cases with one checkout's matchloss."""

    def __init__(self, name: str, checkout: Path, suite: str) -> None:
        self.name = name
        source = checkout / "src"
        if not (source / "matchloss").is_dir():
            raise SystemExit(f"{checkout} is no checkout of matchloss: {source / 'matchloss'} is not there")
        command = [sys.executable, "-m", "benchmarks.against", suite]
        env = os.environ | {"PYTHONPATH": str(source)}
        self._process = subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.cases: list[str] = []
        found = self._answer()
        if "error" in found:
            print(f"{suite}: {name}: {found['error']}", flush=True)
        elif not Path(found["from"]).is_relative_to(source.resolve()):
            raise SystemExit(f"{name} took matchloss from {found['from']}, not from {source}")
        else:
            self.cases = found["cases"]

    def ask(self, **question: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return json.loads(line) if line else {"error": f"the process ended with {self._process.wait()}"}

    def __enter__(self) -> Side:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


def compare(old: Side, new: Side, case: str, rounds: int) -> tuple[float, float] | str:
    """The least seconds of a call by each side, or why there are none.

    Arrays are made anew up to OPENINGS times, by each side first in turn, since where they lie in memory decides up to a third of the time.
    Sides that agree after the first opening need no other.
    """
    least = {old: math.inf, new: math.inf}
    for opening in range(OPENINGS):
        order = (old, new) if opening % 2 == 0 else (new, old)
        opened = [side.ask(open=case) for side in order]
        for side, answer in zip(order, opened, strict=True):
            if "error" in answer:
                return f"{side.name}: {answer['error']}"
        number = max(1, math.ceil(LEAST / max(min(a["seconds"] for a in opened), 1e-7)))
        for i in range(rounds):
            for side in order if i % 2 == 0 else order[::-1]:
                answer = side.ask(number=number)
                if "error" in answer:
                    return f"{side.name}: {answer['error']}"
                least[side] = min(least[side], answer["seconds"])
        if abs(math.log(least[new] / least[old])) < AGREE:
            break
    return least[old], least[new]


def main(checkout: Path, suites: list[str], rounds: int) -> int:
    """Prints the ratios new / old of all cases; 1 where they are more than the limits, or a case failed on the new side alone."""
    from benchmarks.cases import SUITES

    start, ratios, failed = time.monotonic(), dict[str, float](), list[str]()
    print("\n".join(machine()))
    print(f"old: {checkout.resolve()}, new: {ROOT}; best of {rounds} rounds in turn; load average {os.getloadavg()[0]:.1f}", flush=True)
    for suite in suites or SUITES:
        before = time.monotonic()
        with Side("old", checkout.resolve(), suite) as old, Side("new", ROOT, suite) as new:
            for case in new.cases if old.cases else ():
                name = f"{suite}: {case}"
                times = compare(old, new, case, rounds)
                if isinstance(times, str):
                    failed.append(f"{name}: {times}")
                    print(f"{name:66} {times}", flush=True)
                else:
                    ratios[name] = times[1] / times[0]
                    mark = "  slower" if ratios[name] > WORST else ""
                    print(f"{name:66} {_words(times[0])} {_words(times[1])}  {ratios[name]:.3f}{mark}", flush=True)
        inside = [r for name, r in ratios.items() if name.startswith(f"{suite}: ")]
        if inside:
            print(f"{suite}: geometric mean {_mean(inside):.3f}, worst {max(inside):.3f}, {time.monotonic() - before:.0f} s\n", flush=True)
        else:
            failed.append(f"{suite}: no case was timed")
    if not ratios:
        print("no case was timed")
        return 1
    worst = max(ratios, key=lambda name: ratios[name])
    mean = _mean(list(ratios.values()))
    print(f"{len(ratios)} cases in {time.monotonic() - start:.0f} s: geometric mean of new / old {mean:.3f}, at most {MEAN}")
    print(f"worst {ratios[worst]:.3f}, at most {WORST}: {worst}")
    print(*(f"slower: {name}: {r:.3f}" for name, r in sorted(ratios.items(), key=lambda pair: -pair[1]) if r > WORST), sep="\n")
    print(*(f"not timed: {why}" for why in failed), sep="\n")
    return int(mean > MEAN or ratios[worst] > WORST or bool(failed))


def _mean(ratios: list[float]) -> float:
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def _words(seconds: float) -> str:
    return f"{1e3 * seconds:9.2f} ms" if seconds >= 1e-3 else f"{1e6 * seconds:9.2f} us"


def work(suite: str) -> None:
    """One side: reads questions, one a line, and answers each with a line."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints does not disturb the answers

    def answer(**words: Any) -> None:
        answers.write(json.dumps(words) + "\n")
        answers.flush()

    try:
        import matchloss
        from benchmarks.cases import SUITES

        cases = SUITES[suite]()
    except Exception as error:
        answer(error=f"{type(error).__name__}: {error}")
        return
    answer(cases=list(cases), **{"from": str(matchloss.__file__)})
    step: Any = None
    for line in sys.stdin:
        question = json.loads(line)
        try:
            if "open" in question:
                step = None  # the last case's arrays go first
                step = cases[question["open"]]()
                step()  # compiles
                answer(seconds=_seconds(step, 1))
            else:
                time.sleep(PAUSE)
                step()  # the other side's arrays have taken the cache
                answer(seconds=_seconds(step, question["number"]))
        except Exception as error:
            answer(error=f"{type(error).__name__}: {error}")


def _seconds(step: Any, number: int) -> float:
    start = time.perf_counter()
    for _ in range(number):
        step()
    return (time.perf_counter() - start) / number


if __name__ == "__main__":
    work(sys.argv[1])
