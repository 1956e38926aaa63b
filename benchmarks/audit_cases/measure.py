"""Audits a group of cases and prints what was found, a line of JSON each: `python -m benchmarks.audit_cases.measure keras`."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import re
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from benchmarks.audit_cases.case import Case
from benchmarks.audit_cases.defects import DEFECTS
from benchmarks.audit_cases.derivatives import Defect
from benchmarks.audit_cases.functions import CASES
from benchmarks.audit_cases.maths import FRAMEWORKS

LIBRARIES = tuple(dict.fromkeys(case.library for case in CASES))
GROUPS = (*(f"{f} defects" for f in FRAMEWORKS), *(f"{f} twins" for f in FRAMEWORKS), *LIBRARIES)
SNIPPET_LIMIT = 20  # seconds
PRINTED = 5e-5  # PyTorch prints four places
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|inf|nan)", re.IGNORECASE)
ALIKE = {  # sound functions that are another's twin as well: one of them is audited
    "gradient: a factor": ("gradient: a constant more", "gradient: a factor on a band", "gradient: 0 far off", "gradient: clipped",
                           "gradient: rounded", "jumps: a step", "minimum: shifted", "minimum: scaled"),
    "gradient: the sign": ("gradient: a factor where the label is 1", "gradient: the chain's factor is missing", "hessian: a factor",
                           "jumps: the wrong branch in a tail", "finite: exp of a logit", "accuracy: a probability clamped"),
    "gradient: of the mean, not its log": ("hessian: the sign", "hessian: a factor where the target is 1"),
    "jumps: rounded": ("purity: drift", "purity: noise", "purity: the target is written to", "purity: other rows matter",
                       "layout: memory is read in order", "cost: all pairs", "dtype: half precision inside", "minimum: unbounded below"),
    "finite: exp of logits": ("finite: log of a softmax", "proper: a class counts less in the normaliser", "invariance: a shift matters",
                              "gradient: one class", "gradient: the normaliser is held"),
    "gradient: NaN at 0": ("finite: 0 over 0 at the target",),
    "minimum: a power of a count": ("minimum: the mean is capped",),
    "reductions: the mean's factor": ("reductions: the sum's factor", "reductions: the sum before the mean"),
    "weights: ignored": ("weights: a power", "weights: a row too far", "weights: in the denominator alone"),
    "weights: an ignored row counts in the mean": ("weights: an ignored row's share",),
}  # fmt: skip
SAME = frozenset(name for names in ALIKE.values() for name in names)


@dataclass(frozen=True)
class Planted:
    """A defect of one size in one framework; of size 0 its sound twin."""

    defect: Defect
    framework: str
    size: float

    @property
    def title(self) -> str:
        """For a person."""
        return f"{self.defect.name}, {self.size:g}" if self.size else f"without {self.defect.name}"

    def target(self) -> Any:
        """The function."""
        return self.defect.of(self.framework, self.size) if self.size else self.defect.twin(self.framework)


def tasks(group: str, every: bool = False) -> list[Case | Planted]:
    """The cases of a group; of a defect's sizes one in each framework, another in the next; every: all sizes."""
    framework, _, what = group.partition(" ")
    if what == "twins":
        return [Planted(d, framework, 0.0) for d in DEFECTS if framework in d.frameworks and d.name not in SAME]
    if what == "defects":
        chosen = []
        for i, d in enumerate(DEFECTS):
            sizes = d.sizes if every else (d.sizes[(i + FRAMEWORKS.index(framework)) % len(d.sizes)],)
            chosen += [Planted(d, framework, size) for size in sizes if framework in d.frameworks]
        return chosen
    return [case for case in CASES if case.library == group]


def installed(group: str) -> bool:
    """Whether what the group needs is there."""
    framework, _, what = group.partition(" ")
    module = framework if what else next(case.name for case in CASES if case.library == group).partition(":")[0].partition(".")[0]
    return find_spec(module) is not None


def audited(task: Case | Planted) -> dict[str, Any]:
    """What an audit finds, as plain data."""
    from matchloss.audit import audit

    named = isinstance(task, Case) and not task.arguments and not task.method
    target = task.name if named and isinstance(task, Case) else task.target()
    kind = None if isinstance(task, Case) else task.defect.kind
    if isinstance(task, Planted) and "inside the log" in task.defect.name:
        report = audit(target, kind, input="prediction")
    else:
        report = audit(target, kind)
    findings = [
        {"check": f.check, "severity": f.severity, "message": f.message, "touches": list(f.touches), "snippet": f.snippet,
         "failed": shows(f.snippet, f.message, task) if f.snippet else ""} for f in report.findings
    ]  # fmt: skip
    crashed = [c.reason for c in report.checks if c.status == "crashed"]
    convention = report.convention
    reading = task.reading if isinstance(task, Case) else None
    return {
        "title": task.title,
        "outcome": report.outcome,
        "why": report.why if report.outcome == "not judged" else "",
        "convention": None if convention is None else asdict(convention),
        "wrong parts": [] if convention is None or reading is None else reading.wrong_parts(convention),
        "member": report.member,
        "findings": findings,
        "crashed": crashed,
        "seconds": report.seconds,
    }


class Late(Exception):
    """A snippet takes too long."""


def shows(snippet: str, message: str, task: Case | Planted) -> str:
    """Why a snippet does not run, or does not print what its last comment claims; "" where it does. Names that it lacks are errors."""
    given = {} if _makes_fn(snippet) else {"fn": task.target()}
    out = io.StringIO()

    def late(*_: Any) -> None:
        raise Late(f"more than {SNIPPET_LIMIT} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(SNIPPET_LIMIT)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(snippet, "<snippet>", "exec"), {"__name__": "__main__", **given})
    except Exception as error:
        raised = type(error).__name__
        if raised not in ("NameError", "ImportError", "ModuleNotFoundError", "SyntaxError", "Late") and raised in message + snippet:
            return ""  # which is what it shows
        return f"{raised}: {str(error)[:200]}"
    finally:
        signal.alarm(0)
        if "jax" in sys.modules:
            sys.modules["jax"].config.update("jax_enable_x64", False)
    claim = re.findall(r"^# (.+?); right:", snippet, re.M)
    if not claim:
        return ""
    claimed, printed = _numbers(claim[-1]), _numbers(out.getvalue())
    missing = [c for c in claimed if not any(_near(c, p) for p in printed)]
    return f"it claims {claim[-1][:80]} and prints {out.getvalue().strip()[:120]}" if missing else ""


def _makes_fn(snippet: str) -> bool:
    return re.search(r"\bas fn\b|^fn = |^def fn", snippet, re.M) is not None


def _numbers(text: str) -> list[float]:
    return [float(n) for n in NUMBER.findall(text)]


def _near(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or a == b or abs(a - b) <= 1e-3 * max(abs(a), abs(b)) or abs(a - b) <= PRINTED


def measure(group: str, every: bool = False) -> Iterator[dict[str, Any]]:
    """The group's results, one by one."""
    for task in tasks(group, every):
        started = time.perf_counter()
        try:
            result = audited(task)
        except Exception as error:  # the audit's own
            result = {"title": task.title, "outcome": "crashed", "why": f"{type(error).__name__}: {error}", "findings": [], "seconds": 0.0}
        yield {"group": group, **result, "wall": time.perf_counter() - started}


def main(arguments: list[str]) -> None:
    """Prints the results of the groups."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    group = arguments[0]
    if group.partition(" ")[2] and group.partition(" ")[0] != "numpy":
        import_module(group.partition(" ")[0])
    out = sys.stdout  # which audited functions print to as well
    for result in measure(group, "--every" in arguments):
        print(json.dumps(result), file=out, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
