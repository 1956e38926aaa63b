"""What is known of functions before the audit sees them: it is there, and the benchmark counts it as it should."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from benchmarks.audit import called, defects_table, functions_table
from benchmarks.audit_cases.case import Case
from benchmarks.audit_cases.defects import DEFECTS
from benchmarks.audit_cases.derivatives import Defect
from benchmarks.audit_cases.functions import CASES
from benchmarks.audit_cases.measure import GROUPS, Planted, audited, shows, tasks
from matchloss.audit import Convention, audit

BY_NAME = {defect.name: defect for defect in DEFECTS}
HERE = [case for case in CASES if case.wrong and find_spec(case.name.partition(":")[0].partition(".")[0])]
RNG = np.random.default_rng(0)


def rows(defect: Defect) -> tuple[Any, Any]:
    """Rows at which a defect of its kind may be seen, with equal and far ones among them."""
    if defect.kind == "multiclass":
        labels = np.array([0, 1, 2, -100] if "ignored" in defect.name else [0, 1, 2, 0])
        x = np.concatenate([RNG.normal(size=(2, 3)), [[800.0, 0.0, 0.0], [0.0, 800.0, 0.0]]])
        return x, RNG.dirichlet(np.ones(3), size=4) if "distribution" in defect.name else labels
    x = np.array([0.25, 1.0, 3.5, -2.0, 30.0, 800.0 if defect.name.startswith("finite") else 6.0, 0.5, -12.3456])
    if "inside the log" in defect.name:
        return 1 / (1 + np.exp(-x)), np.arange(8) % 2.0
    y = {"binary": np.arange(8) % 2.0, "count": np.arange(8.0), "positive": np.arange(8) + 0.5}
    return x, y.get(defect.kind, np.array([0.25, 0.0, 1.0, -1.0, 1.0, 0.0, 0.0, 0.0]))


def seen(fn: Any, defect: Defect) -> list[Any]:
    """All that a NumPy function gives for these rows, by every way of asking."""
    x, y = rows(replace(defect))
    found = []
    with np.errstate(all="ignore"):
        if hasattr(fn, "gradient"):
            return [fn.value(x, y), fn.gradient(x, y), fn.hessian(x, y)]
        for keywords in ({}, {"reduction": "sum"}, {"sample_weight": np.arange(1.0, 1 + len(x))}):
            try:
                found += [np.array(fn(x, y.copy(), **keywords), dtype=float) for _ in range(2)]
            except TypeError:
                continue
        wide = np.stack([x, x], axis=1)[:, 0]
        found.append(np.array(fn(wide, y.copy()), dtype=float))
        held = y.copy()
        fn(x, held)
        narrow = np.full(70_000, 2.0, dtype=np.float16)
        if defect.kind == "regression":
            found.append(np.array(fn(narrow, np.zeros_like(narrow)) if "sum before" in defect.name else 0.0, dtype=float))
        return [*found, held]


@pytest.mark.parametrize("defect", [d for d in DEFECTS if "numpy" in d.frameworks and d.name != "cost: all pairs"], ids=lambda d: d.name)
def test_the_defect_is_there_and_not_in_its_twin(defect: Defect) -> None:
    global RNG
    RNG = np.random.default_rng(0)
    twin = seen(defect.twin("numpy"), defect)
    RNG = np.random.default_rng(0)
    planted = seen(defect.of("numpy", defect.sizes[-1]), defect)
    assert all(np.isfinite(v).all() for v in twin)
    assert any(not np.array_equal(a, b, equal_nan=True) for a, b in zip(twin, planted, strict=True))


@pytest.mark.parametrize("case", HERE, ids=lambda case: case.title)
def test_what_is_said_to_be_wrong_is(case: Case) -> None:
    assert case.wrong and all(case.shown(wrong) for wrong in case.wrong)


def test_there_are_as_many_as_are_asked_for() -> None:
    count = Counter(case.library for case in CASES)
    assert len(CASES) >= 60 and min(count.values()) >= 5 and len(count) == 10
    assert len(BY_NAME) == len(DEFECTS) >= 40 and {f for d in DEFECTS for f in d.frameworks} == {"numpy", "torch", "jax"}
    assert all(len({t.title for t in tasks(g, every)}) == len(tasks(g, every)) for g in GROUPS for every in (False, True))
    assert all((case.reading is None) == bool(case.why) for case in CASES)


def test_a_planted_sign_is_found_and_its_twin_is_sound() -> None:
    defect = BY_NAME["gradient: the sign"]
    found, sound = audited(Planted(defect, "numpy", 1.0)), audited(Planted(defect, "numpy", 0.0))
    assert found["outcome"] == "broken" and [f["failed"] for f in found["findings"] if f["check"] == "gradient"] == [""]
    assert sound["outcome"] == "sound"


SMALL = ("jumps: the wrong branch in a tail", "minimum: scaled", "proper: something inside the log",
         "proper: a power of the distribution", "proper: a class counts less in the normaliser", "invariance: a shift matters",
         "reductions: the sum before the mean", "weights: an ignored row counts in the mean")  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
def test_a_small_defect_is_an_error_and_its_twin_has_none(name: str) -> None:
    defect = BY_NAME[name]
    found, sound = audited(Planted(defect, "numpy", defect.sizes[-1])), audited(Planted(defect, "numpy", 0.0))
    assert found["outcome"] == "broken" and not found["crashed"] and not any(f["failed"] for f in found["findings"])
    assert sound["outcome"] == "sound"


def test_a_steep_slope_is_no_jump_and_a_step_of_that_size_is() -> None:
    def steep(raw: Any, target: Any) -> Any:
        return np.abs(raw - target) * (1.0 + 1e15 * (target == 0))

    assert not [f for f in audit(steep, "regression", checks=["jumps"]).findings if f.severity == "error"]
    assert audit(lambda raw, target: (raw - target) ** 2 + 0.01 * (raw > 2), "regression", checks=["jumps"]).outcome == "broken"


def made_up(case: Case | Planted, severity: str = "", check: str = "gradient", wrong: tuple[str, ...] = (), judged: bool = True) -> Any:
    findings = [{"check": check, "severity": severity, "snippet": ""}] if severity else []
    outcome = "broken" if severity == "error" else "sound" if judged else "not judged"
    result = {"title": case.title, "outcome": outcome, "convention": {"kind": ""} if judged else None, "wrong parts": list(wrong)}
    return case, {**result, "findings": findings, "group": "numpy defects", "seconds": 1.0}


def test_what_is_counted() -> None:
    readable = [case for case in CASES if case.reading is not None and not case.wrong]
    unreadable = next(case for case in CASES if case.reading is None)
    known = next(case for case in CASES if case.wrong)
    pairs = [
        made_up(readable[0]), made_up(readable[1], wrong=("kind",)), made_up(readable[2], "error"), made_up(readable[3], judged=False),
        made_up(unreadable, judged=False), made_up(unreadable), made_up(known, "error", min(known.wrong[0].checks)),
    ]  # fmt: skip
    by = called(pairs)
    assert [len(by[how]) for how in ("rightly", "wrongly", "not judged", "left")] == [3, 2, 1, 1]
    lines = {line.what: line.measured for line in functions_table(pairs, [made_up(Planted(DEFECTS[0], "numpy", 0.0), "warning")]).lines}
    assert lines["called rightly, of those with a reading"] == pytest.approx(60)
    assert lines["errors that are true"] == 50 and lines["sound functions with a warning"] == 25
    planted = Planted(BY_NAME["gradient: the sign"], "numpy", 1.0)
    found = defects_table([made_up(planted, "error"), made_up(planted, "error", "domain"), made_up(planted, "warning")])
    assert [line.measured for line in found.lines] == pytest.approx([200 / 3, 100 / 3])


def test_the_right_reading_is_told_from_others() -> None:
    case = next(case for case in CASES if case.title == "mean_poisson_deviance" and case.reading)
    assert case.reading is not None
    right = Convention("count", input="prediction", order="target, prediction", reduction="mean")
    assert case.reading.wrong_parts(right) == []
    assert case.reading.wrong_parts(replace(right, input="raw")) == ["input is 'raw', not 'prediction'"]


def test_a_snippet_that_does_not_run_or_prints_something_else_fails() -> None:
    task = Planted(BY_NAME["gradient: the sign"], "numpy", 1.0)
    assert shows("print(1.5)\n# 1.5; right: 2.0", "", task) == ""
    assert shows("print(2.0)\n# 1.5; right: 2.0", "", task).startswith("it claims 1.5 and prints 2.0")
    assert shows("print(x)", "", task).startswith("NameError")
    assert shows("raise KeyError(3)", "it raises KeyError", task) == ""
