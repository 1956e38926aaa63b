"""What an audit says in words, for the terminal, the pages and the docs: the promises, how a function is called, what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matchloss.audit.calling.convention import OTHERS
from matchloss.audit.finding import SEVERITIES
from matchloss.tables.words import plural

if TYPE_CHECKING:
    from matchloss.audit.calling.convention import Convention
    from matchloss.audit.finding import CheckResult, Finding
    from matchloss.audit.report import Report

MOST = 8  # entries of a list that anybody reads
LONG = 240  # characters of a value, beyond which it is cut

PROMISES = {  # in the order of the checks
    "finite": "finite inputs give finite results",
    "limits": "infinite and masked inputs give the limit",
    "gradient": "the gradient is the derivative of the value",
    "hessian": "the second derivative is that of the value",
    "accuracy": "no digits are lost beyond rounding",
    "minimum": "least where the prediction is the target",
    "proper": "on average, least at the truth",
    "linear": "linear in the target",
    "matching": "the error signal is output minus wanted",
    "convex": "convex in the raw output",
    "invariance": "order of classes and a shift of all logits do not matter",
    "jumps": "no jumps in value or gradient",
    "weights": "a weight of 2 is the row twice, of 0 no row",
    "reductions": "rows, mean and sum agree",
    "shapes": "shapes that do not fit are refused",
    "domain": "targets that are not allowed are refused",
    "purity": "same call, same result; inputs stay as they are",
    "dtype": "the precision of the inputs is kept",
    "layout": "strided, read-only, empty: same results",
    "cost": "time and memory grow as the rows do",
}

OBJECTIVE_PROMISES = {  # of a booster's objective, by the same names
    "finite": "gradient and hessian are finite numbers",
    "gradient": "the gradient is that of a loss in the raw prediction",
    "hessian": "the hessian is not negative, and the gradient's slope",
    "minimum": "the gradient changes its sign at the best prediction",
    "weights": "a row's weight multiplies gradient and hessian",
    "layout": "each row's numbers stand where the host reads them",
}

STRUCTURE_PROMISES = {  # of a loss of structures
    "matching": "the error signal is expected minus observed",
    "accuracy": "the value is that of its formula, ties included",
    "invariance": "order of groups and padding do not matter",
}

SEVERITY = {
    "error": "training or a reported number goes wrong for finite, allowed, ordinary input",
    "warning": "likely to hurt in use, and not the way of the framework",
    "note": "something to know: a property, a factor, a tail, or input that is not validated",
}
HOSTS = {"xgboost": "XGBoost", "lightgbm": "LightGBM", "catboost": "CatBoost", "": "XGBoost or LightGBM"}
OBJECTIVES = {"range": "has calc_ders_range(approxes, targets, weights)", "multi": "has calc_ders_multi(approxes, target, weight)"}
FRAMEWORKS = {"numpy": "NumPy", "torch": "PyTorch", "jax": "JAX"}
KINDS = {
    "regression": "a loss of a number", "binary": "a loss of a label, one of two", "multiclass": "a loss of a label, one of K",
    "count": "a loss of a count", "positive": "a loss of a positive number", "structured": "a loss of a structure",
}  # fmt: skip
STRUCTURES = {
    "ctc": "scores of classes at each frame, labels, lengths of both",
    "crf": "scores of tags at each step, tags",
    "cox": "log hazards, times, events",
    "lists": "scores of lists, their order",
    "pairs": "features of pairs",
    "batch": "predictions and targets of a whole batch, which depend on each other",
}
INPUTS = {
    "raw": {"regression": "predictions", "binary": "logits", "multiclass": "logits", "count": "raw outputs", "positive": "raw outputs"},
    "prediction": {
        "regression": "predictions", "binary": "probabilities", "multiclass": "probabilities", "count": "means", "positive": "means",
    },
    "log_prediction": {"binary": "log-probabilities", "multiclass": "log-probabilities"},
}  # fmt: skip
TARGETS = {
    "numbers": {"binary": "targets from 0 to 1", "count": "counts", "positive": "positive targets"},
    "labels": {"binary": "labels 0 or 1", "multiclass": "labels 0..K-1"},
    "signs": {"binary": "labels -1 or 1"},
    "labels or distributions": {"multiclass": "labels 0..K-1 or distributions", "binary": "labels or probabilities"},
}
RETURNS = {"none": "a value for each row", "mean": "the mean over rows", "sum": "the sum over rows"}


def promise(convention: Convention | None, check: str) -> str:
    """What a check looks at, in words."""
    own = {} if convention is None else OBJECTIVE_PROMISES if convention.objective else STRUCTURE_PROMISES if convention.structure else {}
    return own.get(check) or PROMISES.get(check, "")


def takes(convention: Convention) -> str:
    """The arguments in words: "logits, labels 0..K-1"."""
    if convention.structure:
        return STRUCTURES[convention.structure]
    made = INPUTS[convention.input].get(convention.kind, "logs of the mean")
    made = "margins" if convention.target == "signs" and convention.input == "raw" else made
    target = TARGETS.get(convention.target, {}).get(convention.kind, "distributions" if convention.target == "distributions" else "targets")
    others = [OTHERS.get(other, other) for other in convention.others]
    if convention.others[:1] == ("identity",):  # a layer's weight stands between
        return ", ".join([made, others[0], target, *others[1:]])
    made += "" if convention.layout == "rows" else f" of shape ({convention.layout.replace(',', ', ')})"
    both = [made, target] if convention.order == "prediction, target" else [target, made]
    return ", ".join([*both, *others])


def keywords(convention: Convention) -> list[str]:
    """The keywords that were recognised."""
    named = (convention.reduction_argument, convention.weight_argument, convention.class_weight_argument, convention.ignore_argument)
    return [name for name in named if name]


def returns(convention: Convention) -> str:
    """What comes back in words."""
    groups = "one value for all" if convention.structure == "batch" else "values of whole groups"
    said = groups if convention.structure else RETURNS[convention.reduction]
    said = said if not convention.part else f"{said} as its {convention.part}"
    return said if convention.sign == 1 else f"{said}, of which more is better"


def called(convention: Convention | None) -> str:
    """How a function is called, in a line."""
    if convention is None:
        return "no way was found to call it"
    if convention.objective:
        how = OBJECTIVES.get(convention.objective, f"takes ({convention.objective})")
        return f"{how}, returns gradient and hessian, as an objective of {HOSTS[convention.host]}"
    parts = [f"takes ({takes(convention)}), returns {returns(convention)}", *(f"{name}=..." for name in keywords(convention))]
    first, *rest = parts
    return f"{first}{'; ' if rest else ''}{', '.join(rest)} ({FRAMEWORKS[convention.framework]})"


def found(report: Report) -> str:
    """How many findings of which severity: "2 errors, 1 note"."""
    counts = [(len(report.of(s)), s) for s in SEVERITIES]
    return ", ".join(plural(n, s) for n, s in counts if n) or "no finding"


def state(report: Report, check: str) -> str:
    """How a check went: "clean", "skipped", "stopped", "crashed", or the worst severity that it found."""
    status = next((o.status for o in report.checks if o.check == check), "skipped")
    worst = next((s for s in SEVERITIES if any(f.check == check and f.severity == s for f in report.findings)), "")
    return worst or ("clean" if status == "found" else status)


def tally(report: Report) -> str:
    """How many checks ran, and how they went."""
    if report.convention is None:
        return "no check could run"
    states = [state(report, o.check) for o in checked(report)]
    count = {s: states.count(s) for s in ("clean", "skipped", "stopped", "crashed")}
    apply = "does not apply" if count["skipped"] == 1 else "do not apply"
    others = {"skipped": apply, "stopped": "did not end", "crashed": "failed by the audit's own fault"}
    clean = f"{count['clean']} of {plural(len(states), 'check')} clean"
    return ", ".join([clean, *(f"{count[s]} {said}" for s, said in others.items() if count[s])])


def checked(report: Report) -> list[CheckResult]:
    """How the checks went; none where the function could not be called."""
    return [o for o in report.checks if o.check in PROMISES] if report.convention else []


OUTCOMES = {
    "broken": "it does what a loss must not do, on ordinary input",
    "sound": "nothing was found that would send training wrong",
    "not judged": "nothing is said for or against it",
}


def verdict(report: Report) -> str:
    """The outcome in a line, and why where it was not judged."""
    return f"{report.outcome}: {report.why if report.outcome == 'not judged' else OUTCOMES[report.outcome]}"


def ordered(report: Report) -> list[Finding]:
    """The findings, the worst first, else in their own order."""
    return [finding for severity in SEVERITIES for finding in report.of(severity)]


def message(finding: Finding) -> str:
    """What was found, as a sentence."""
    said = finding.message.strip()
    return said[:1].upper() + said[1:] + ("" if said.endswith((".", "!", "?", ":")) else ".")


def shown(value: Any) -> str:
    """A value of a counterexample, short enough to read: a number in full, those of a list to six digits where these tell them apart.

    >>> shown(0.1 + 0.2), shown([0.1 + 0.2, float("nan")]), shown([1.0, 1.0000000000000002]), shown(list(range(100)))
    ('0.30000000000000004', '[0.3, nan]', '[1.0, 1.0000000000000002]', '[0, 1, 2, 3, 4, 5, 6, 7, ... 92 more]')
    """
    if hasattr(value, "tolist"):  # NumPy's
        value = value.tolist()
    said = value if isinstance(value, str) else _listed(value) if isinstance(value, Sequence) else repr(value)
    return said if len(said) <= LONG else f"{said[:LONG]}... {len(said) - LONG:,} characters more"


def _listed(values: Sequence[Any]) -> str:
    most = MOST // 2 if any(isinstance(v, list | tuple) for v in values[:1]) else MOST
    short = {v: f"{v:.6g}" for v in values[:most] if isinstance(v, float) and not f"{v:.6g}".lstrip("-").isdigit()}
    told_apart = len(set(short.values())) == len(short)
    parts = [short[v] if told_apart and isinstance(v, float) and v in short else shown(v) for v in values[:most]]
    rest = len(values) - most
    return f"[{', '.join(parts)}{f', ... {rest:,} more' if rest > 0 else ''}]"


def rows(counterexample: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The rows of a counterexample: role ("input", "got" or "right"), name and value; what went in first, what was right last."""
    roles = ("input", "got", "right")
    made = [(name if name in roles else "input", name.replace("_", " "), shown(value)) for name, value in counterexample.items()]
    return sorted(made, key=lambda row: roles.index(row[0]))
