"""How right an audit is: of functions whose reading and errors were written down before, and of planted defects and their sound twins.

`python -m benchmarks audit` takes about half an hour. With MATCHLOSS_AUDITED set to a folder, a group's results are kept there and read
from there again, so that it can be run in parts; `python -m benchmarks.audit_cases.measure GROUP` makes one.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.audit_cases.case import Case
from benchmarks.audit_cases.measure import GROUPS, Planted, installed, tasks
from benchmarks.tables import Line, Table

Result = dict[str, Any]
Pair = tuple[Case | Planted, Result]
KEPT = "MATCHLOSS_AUDITED"


def results(group: str) -> list[Result]:
    """Of a group: kept ones where there are, else measured in a process of its own."""
    kept = Path(os.environ[KEPT]) / f"{group.replace(' ', '_')}.jsonl" if KEPT in os.environ else None
    if kept is not None and kept.is_file():
        text = kept.read_text(encoding="utf-8")
    else:
        command = [sys.executable, "-m", "benchmarks.audit_cases.measure", group]
        text = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"KERAS_BACKEND": "torch"}).stdout
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(text, encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def errors(result: Result) -> list[Any]:
    """The findings that are errors."""
    return [f for f in result["findings"] if f["severity"] == "error"]


def is_true(case: Case, finding: Any) -> bool:
    """Whether an error was written down before, or shown to be one since."""
    return any(finding["check"] in wrong.checks for wrong in case.wrong)


def named(findings: Iterable[Any]) -> set[str]:
    """The checks that findings are of, and those that they touch."""
    return {name for f in findings for name in (f["check"], *f.get("touches", ()))}


def called(pairs: Iterable[Pair]) -> dict[str, list[str]]:
    """Titles by how they were called: "rightly", "wrongly", "not judged", "left": rightly not judged, as there is no reading, and "whole":
    those that have none by rows, called as losses of a whole batch."""
    found: dict[str, list[str]] = {"rightly": [], "wrongly": [], "not judged": [], "left": [], "whole": []}
    for case, result in pairs:
        if not isinstance(case, Case):
            continue
        if result.get("convention") is None:
            how = "left" if case.reading is None else "not judged"
        elif case.reading is None:
            how = "whole" if case.whole and result["convention"].get("structure") == "batch" else "wrongly"
        else:
            how = "wrongly" if result["wrong parts"] else "rightly"
        found[how].append(case.title)
    return found


def some(titles: Sequence[str], most: int = 12) -> str:
    """The first of them in a line, and how many more there are."""
    more = f" and {len(titles) - most} more" if len(titles) > most else ""
    return " ".join(", ".join(titles[:most]).split()) + more


def share(part: int, of: int) -> float:
    """In per cent."""
    return 100 * part / max(of, 1)


def functions_table(pairs: Sequence[Pair], twins: Sequence[Pair]) -> Table:
    """Functions of other libraries."""
    made = Table(
        "Audit: functions outside of the ledger", f"{len(pairs)} functions; reading and errors were written down before any audit of them"
    )
    by = called(pairs)
    readable = sum(isinstance(case, Case) and case.reading is not None for case, _ in pairs)
    made.add(
        Line("called rightly, of those with a reading", share(len(by["rightly"]), readable), 90.0, True, " %", 1, f"{readable} functions")
    )
    made.add(Line("called wrongly, of all", share(len(by["wrongly"]), len(pairs)), 2.0, unit=" %", digits=1, detail=some(by["wrongly"])))
    made.add(Line("not judged, of those with a reading", share(len(by["not judged"]), readable), unit=" %", digits=1,
                  detail=some(by["not judged"])))  # fmt: skip
    whole = sum(isinstance(case, Case) and case.whole for case, _ in pairs)
    made.add(Line("judged as losses of a whole batch, of those", share(len(by["whole"]), whole), unit=" %", digits=1,
                  detail=some(by["whole"])))  # fmt: skip
    every = [(case, f) for case, result in pairs for f in errors(result) if isinstance(case, Case)]
    false = [f"{case.title}: {f['check']}" for case, f in every if not is_true(case, f)]
    false += [f"{twin.title}: {f['check']}" for twin, result in twins for f in errors(result)]
    count = len(every) + sum(len(errors(result)) for _, result in twins)
    told = sum(any(f["check"] in w.checks and w.told for w in case.wrong) for case, f in every)
    detail = f"of {count}, of which {told} were not written down before; not: {some(false)}"
    made.add(Line("errors that are true", share(count - len(false), count), 95.0, True, " %", 1, detail))
    sound = [
        (c, r) for c, r in (*pairs, *twins) if r.get("convention") and (isinstance(c, Planted) or (c.reading is not None and not c.wrong))
    ]
    warned = [c.title for c, r in sound if any(f["severity"] == "warning" for f in r["findings"])]
    made.add(Line("sound functions with a warning", share(len(warned), len(sound)), 10.0, unit=" %", digits=1,
                  detail=f"of {len(sound)}: {some(warned)}"))  # fmt: skip
    return made


def defects_table(pairs: Sequence[Pair]) -> Table:
    """Planted defects."""
    kinds = len({task.defect.name for task, _ in pairs if isinstance(task, Planted)})
    made = Table("Audit: planted defects", f"{kinds} kinds in three frameworks, of sizes from gross to .01, {len(pairs)} functions")
    found = [(t, r) for t, r in pairs if r["outcome"] == "broken"]
    right = [(t, r) for t, r in found if isinstance(t, Planted) and t.defect.checks & named(errors(r))]
    missed = [f"{t.title} ({r['group'].split()[0]})" for t, r in pairs if (t, r) not in found]
    elsewhere = [f"{t.title} ({r['group'].split()[0]})" for t, r in found if (t, r) not in right]
    made.add(Line("found as an error", share(len(found), len(pairs)), 95.0, True, " %", 1, f"not: {some(missed)}"))
    made.add(Line("in the right check", share(len(right), len(pairs)), 90.0, True, " %", 1, f"elsewhere: {some(elsewhere)}"))
    return made


def use_table(pairs: Sequence[Pair]) -> Table:
    """What a person waits for and copies."""
    made = Table("Audit: use", "seconds of each audit of the tables above, alone on a core; every snippet run in a namespace of its own")
    seconds = [result["seconds"] for _, result in pairs]
    worst = max(pairs, key=lambda pair: pair[1]["seconds"])
    made.add(Line("seconds a function, median", statistics.median(seconds), 4.0, unit=" s"))
    made.add(Line("seconds a function, worst", max(seconds), 30.0, unit=" s", detail=worst[0].title))
    snippets = [(task, f) for task, result in pairs for f in result["findings"] if f["snippet"]]
    failed = [f"{task.title}: {f['check']}: {f['failed']}" for task, f in snippets if f["failed"]]
    made.add(Line("snippets that run and show it", share(len(snippets) - len(failed), len(snippets)), 100.0, True, " %", 1,
                  f"of {len(snippets)}; not: {some(failed, 5)}"))  # fmt: skip
    crashed = [f"{task.title}: {reason}" for task, result in pairs for reason in (result.get("crashed") or ()) or _crash(result)]
    made.add(Line("crashes of the audit itself", len(crashed), 0.0, digits=0, detail=some(crashed, 5)))
    return made


def _crash(result: Result) -> Iterator[str]:
    if result["outcome"] == "crashed":
        yield result["why"]


def run(groups: Sequence[str] = GROUPS) -> list[Table]:
    """All groups that can be measured here."""
    pairs: dict[str, list[Pair]] = {"functions": [], "defects": [], "twins": []}
    for group in groups:
        if not installed(group):
            print(f"{group} is not installed: left out")
            continue
        what = group.partition(" ")[2] or "functions"
        by_title = {result["title"]: result for result in results(group)}
        pairs[what] += [(task, by_title[task.title]) for task in tasks(group) if task.title in by_title]
    made = [functions_table(pairs["functions"], pairs["twins"])] if pairs["functions"] or pairs["twins"] else []
    made += [defects_table(pairs["defects"])] if pairs["defects"] else []
    return [*made, use_table([pair for some in pairs.values() for pair in some])]
