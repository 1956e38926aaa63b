"""How a function wants to be called, found by calling it: framework, order, space of the prediction, targets, reduction, sign, weights.

No function's name is read. The names of arguments are, as hints of what to try first; what decides is what comes back.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from matchloss.audit.calling.adapt import Callee, Promises, callee_of
from matchloss.audit.calling.convention import CHOICES, KINDS, Convention
from matchloss.audit.calling.member import member_of
from matchloss.audit.calling.subject import CLASSES, PAD, Malformed, Raised, Subject, usual

TARGET_NAMES = ("target", "targets", "label", "labels", "y", "y_true", "true", "obs", "y_obs", "endog", "observed", "actual", "observation")
WEIGHT_NAMES = ("sample_weight", "sample_weights", "weight", "weights", "w")
REDUCTION_NAMES = ("reduction",)
IGNORE_NAMES = ("ignore_index",)
FAILS = (Raised, Malformed)


class Unprobable(Exception):
    """No way was found to call it as a loss."""


def subject_of(
    fn: Any,
    kind: str | None = None,
    *,
    seed: int = 0,
    gradient: Callable[..., Any] | None = None,
    hessian: Callable[..., Any] | None = None,
    promises: Any = None,
    journal: Callable[[str], None] = lambda text: None,
    frameworks: Sequence[str] = (),
    **given: Any,
) -> Subject:
    """The function as the checks see it. gradient, hessian: functions called as `fn` is. given: known parts of the convention.

    Raises Unprobable for what cannot be called as a loss, ValueError for a part of a convention that there is none of.
    """
    fields = Convention.__dataclass_fields__
    if unknown := set(given) - set(fields):
        raise ValueError(f"there is no {sorted(unknown)[0]!r} in a convention; allowed: {', '.join(fields)}")
    for name, value in {**given, "kind": kind}.items():
        if value is not None and value not in CHOICES.get(name, (value,)):
            raise ValueError(f"{name} is {value!r}; allowed: {', '.join(map(repr, CHOICES[name]))}")
    try:
        callee = callee_of(fn, given.get("framework"))
    except TypeError as error:
        raise Unprobable(str(error)) from error
    callee = replace(
        callee, gradient=gradient or callee.gradient, hessian=hessian or callee.hessian,
        promises=callee.promises if promises is None else Promises.of(promises),
    )  # fmt: skip
    known = {**callee.given, **given} | ({} if kind is None else {"kind": kind})
    base = Subject(
        callee, Convention("regression"), seed=seed, journal=journal, loaded=tuple(frameworks), foreign="framework" in known
    )  # fmt: skip
    failure = "no way was found to call it with a prediction and a target"
    undifferentiated: Subject | None = None
    for convention, late in _attempts(callee, known, frameworks):
        if undifferentiated is not None and convention.framework != "numpy":
            continue
        for subject in _variants(replace(base, convention=convention), late):
            try:
                x, y = subject.ordinary(6)
                value = subject.value(x, y)
                if not subject.scalar:
                    subject.call(x, y)
            except FAILS as error:
                failure = str(error) or failure
                continue
            if not _is_that(subject, value, known, late):
                continue
            found = _finished(subject, known)
            if not found.framework.differentiable or found.differentiable or "framework" in known:
                return found
            undifferentiated = found  # a NumPy function may pass tensors on as long as nobody asks for derivatives
    if undifferentiated is not None:
        return undifferentiated
    said = f" as a loss of kind {known['kind']!r}" if "kind" in known else ""
    raise Unprobable(
        f"it could not be called{said}: the last attempt {failure}. Give the parts of the convention that are known, such as kind"
    )


def _attempts(callee: Callee, known: dict[str, Any], loaded: Sequence[str]) -> Iterator[tuple[Convention, bool]]:
    """Conventions to try, the likeliest first; and whether those that are no loss of single numbers are to be tried as one of rows."""
    required = list(callee.parameters)
    named_first = bool(required) and required[0].lower() in TARGET_NAMES
    orders = ["target, prediction", "prediction, target"] if named_first else ["prediction, target", "target, prediction"]
    if len(required) >= 2 and (required[0].lower() in TARGET_NAMES) != (required[1].lower() in TARGET_NAMES):
        orders = orders[:1]
    extra = max(0, len(required) - 2)
    others = [()] if not extra else [("positive",) * extra, ("identity",)] if extra == 1 else [("positive",) * extra]
    reduction = next((n for n in REDUCTION_NAMES if n in callee.options), None)
    base = {"reduction_argument": known.get("reduction_argument", reduction)}
    names = [known["framework"]] if "framework" in known else [*loaded, "numpy"]
    kinds = [("multiclass", False), *((k, False) for k in KINDS if k != "multiclass"), ("binary", True), ("multiclass", True)]
    kinds = [(k, late) for k, late in kinds if known.get("kind", k) == k]
    for name, order, other, (kind, late) in itertools.product(
        names, [known["order"]] if "order" in known else orders, [known["others"]] if "others" in known else others, kinds
    ):
        for input, sign in itertools.product(_choice(known, "input"), _choice(known, "sign")):
            if kind == "regression" and input != "raw" and "input" not in known:
                continue
            if kind != "multiclass" and input == "log_prediction" and "input" not in known:
                continue
            for target in _targets(kind, known):
                parts = {
                    **base,
                    "kind": kind,
                    "framework": name,
                    "order": order,
                    "others": other,
                    "input": input,
                    "sign": sign,
                    "target": target,
                }
                yield Convention(**{**known, **parts}), late


def _choice(known: dict[str, Any], name: str) -> Sequence[Any]:
    return [known[name]] if name in known else CHOICES[name]


def _targets(kind: str, known: dict[str, Any]) -> list[str]:
    if "target" in known:
        return [known["target"]]
    return {"binary": ["labels", "signs"], "multiclass": ["labels", "distributions"]}.get(kind, ["numbers"])


def _variants(subject: Subject, late: bool) -> Iterator[Subject]:
    """The ways in which labels travel and values come back."""
    c = subject.convention
    reductions = [c.reduction] if c.reduction_argument is None and c.reduction != "none" else ["none", "mean"]
    for reduction in reductions if c.reduction_argument is None else ["none"]:
        s = replace(subject, convention=replace(c, reduction=reduction))
        if c.kind == "multiclass":
            if c.target != "distributions" and not late:
                yield from (replace(s, label_dtype=d) for d in ("int64", "float64"))
            if c.target != "labels" and late != (s.per_row and reduction == "none"):
                yield replace(s, hard=False, soft=True)
            if c.target != "labels" and late:
                yield replace(s, hard=False, soft=True, elementwise=True)
        else:
            yield s
            if c.kind in ("binary", "count"):
                yield replace(s, label_dtype="int64")
    if c.kind != "multiclass" and c.framework == "numpy" and "none" in reductions:
        yield replace(subject, convention=replace(c, reduction="none"), scalar=True)


def _is_that(s: Subject, value: Any, known: dict[str, Any], late: bool) -> bool:
    """Whether the function behaves as one of this convention: it is least where predictions are right, as far as the kind can tell."""
    if not np.isfinite(value).all() or np.ptp(value) == 0:
        return False
    if {"kind", "input", "sign", "target"} <= set(known):
        return True
    try:
        with np.errstate(all="ignore"):
            return RECOGNISED[s.kind](s, {**known, "kind": s.kind} if late else known)
    except FAILS:
        return False


def _least_at(s: Subject, grid: Any, y: float) -> float:
    """Where along the grid the loss of the target is least."""
    value = np.nan_to_num(s.value(grid, np.full(len(grid), y)), nan=np.inf, posinf=np.inf)
    return float(grid[int(np.argmin(value))])


def _is_regression(s: Subject, known: dict[str, Any]) -> bool:
    grid = np.arange(-64, 65) / 16
    if known.get("kind") == "regression":  # only the sign is to be found
        y = np.array([-2.0, 2.0])
        return bool((s.value(y, y) < s.value(y + 3.0, y)).all() and (s.value(y, y) < s.value(y - 3.0, y)).all())
    return all(abs(_least_at(s, grid, y) - y) <= 0.25 for y in (-1.5, 0.5, 2.0))


def _is_binary(s: Subject, known: dict[str, Any]) -> bool:
    p = np.arange(1, 32) / 32
    if s.convention.input == "prediction":
        for y in (0.25, 0.75):
            ones, zeros = s.value(p, np.ones(31)), s.value(p, np.zeros(31))
            if abs(p[int(np.argmin(y * ones + (1 - y) * zeros))] - y) > 0.05:
                return False
        return "kind" in known or not _answers(s, np.array([1.5, 1.5]), np.array([0.0, 1.0]))
    if s.convention.input == "log_prediction":
        return "input" in known
    raw = np.array([-3.0, -0.5, 0.5, 3.0])
    ones, zeros = s.value(raw, np.ones(4)), s.value(raw, np.zeros(4))
    falls = ones[0] > ones[1] > ones[2] >= ones[3] and zeros[3] > zeros[2] > zeros[1] >= zeros[0]
    if "input" in known:
        return bool(falls)
    far = s.value(np.array([-9.0, 9.0]), np.array([0.0, 1.0]))  # a squared error would have grown again
    return bool(falls and far[0] <= zeros[0] and far[1] <= ones[3])


def _answers(s: Subject, x: Any, y: Any) -> bool:
    """Whether it gives numbers for these."""
    try:
        return bool(np.isfinite(s.value(x, y)).all())
    except FAILS:
        return False


def _is_positive(s: Subject, known: dict[str, Any]) -> bool:
    mean = 2.0 ** (np.arange(-32, 33) / 8)
    if s.kind == "count" and "kind" not in known:  # a target of 0 has a loss, and the least of them is not -inf
        low = s.at(np.array([-8.0, -16.0]))
        if not _answers(s, low, np.zeros(2)) or s.value(low, np.zeros(2))[1] < s.value(low, np.zeros(2))[0] - 1.0:
            return False
    return all(abs(np.log(_least_at(s, s.at(np.log(mean)), y) if s.convention.input == "prediction" else
                          np.exp(_least_at(s, np.log(mean), y))) - np.log(y)) <= 0.2 for y in (0.5, 3.0))  # fmt: skip


def _is_multiclass(s: Subject, known: dict[str, Any]) -> bool:
    r = np.random.default_rng(7)
    z = r.normal(size=(8, CLASSES))
    labels = np.arange(8) % CLASSES
    if s.convention.input == "raw":
        base, moved = s.value(z, labels), s.value(z + r.normal(size=(8, 1)), labels)
        better = s.value(z + 2.0 * np.eye(CLASSES)[labels], labels)
        return bool(np.allclose(base, moved, rtol=1e-4, atol=1e-4) and (better <= base).all() and (better < base).any())
    t, q = usual("multiclass", z), usual("multiclass", r.normal(size=(8, CLASSES)))

    def expected(p: Any) -> Any:
        x = p if s.convention.input == "prediction" else np.log(p)
        return sum(t[:, k] * s.value(x, np.full(8, k)) for k in range(CLASSES))

    return bool((expected(t) <= expected(q) + 1e-6).all() and (expected(t) < expected(q)).any())


RECOGNISED = {
    "regression": _is_regression,
    "binary": _is_binary,
    "count": _is_positive,
    "positive": _is_positive,
    "multiclass": _is_multiclass,
}


def _finished(s: Subject, known: dict[str, Any]) -> Subject:
    """What is left to find once the function answers."""
    c = s.convention
    s = replace(s, convention=replace(c, reduction=known.get("reduction") or _reduction(s)))
    s = _with_soft(s)
    s = replace(s, convention=replace(s.convention, **_arguments(s, known)))
    x, y = s.ordinary(6)
    right = s.value(x, y)
    dtypes = [d for d in s.framework.dtypes if _takes(s, d, x, y, right)]
    s = replace(s, dtypes=tuple(dtypes) or ("float64",), **_derivatives(s, x, y))
    if not s.convention.others or s.convention.others == ("identity",):
        s = replace(s, member=_member(s))
    return s.fresh()


def _reduction(s: Subject) -> str:
    """Of a plain call."""
    x, y = s.ordinary(PAD if s.framework.pads else 5)
    n = len(x)
    try:
        out = s.call(x, y)
    except Raised:
        return s.convention.reduction
    size = int(np.prod(np.shape(out)))
    if size == n or s.scalar or (s.elementwise and size == n * CLASSES):
        return "none"
    rows, whole = s.value(x, y), float(s.convention.sign * s.framework.numbers(out).sum())
    return "mean" if abs(whole - rows.mean()) < abs(whole - rows.sum()) else "sum"


def _with_soft(s: Subject) -> Subject:
    """Whether probabilities, or distributions, are targets too; labels, where distributions are."""
    if s.kind == "multiclass":
        if s.hard:
            x, y = s.ordinary(6)
            try:
                soft = s.value(x, np.eye(CLASSES)[y])
                s = replace(s, soft=bool(np.allclose(soft, s.value(x, y), rtol=1e-4, atol=1e-4)))
            except FAILS:
                s = replace(s, soft=False)
        target = "labels or distributions" if s.hard and s.soft else "labels" if s.hard else "distributions"
        return replace(s, convention=replace(s.convention, target=target))
    if s.kind == "binary" and s.convention.target == "labels" and not s.label_dtype:
        x, y = s.ordinary(6)
        try:
            soft = s.value(x, np.full(6, 0.375))
            return replace(s, soft=bool(np.isfinite(soft).all()))
        except FAILS:
            return s
    return s


def _arguments(s: Subject, known: dict[str, Any]) -> dict[str, Any]:
    """The keywords of weights, of class weights and of an ignored label, if it has them and they do something."""
    x, y = s.ordinary(4)
    found: dict[str, Any] = {}
    for name in WEIGHT_NAMES:
        if name not in s.callee.options and name not in s.callee.parameters:
            continue
        for what, weight in (("weight_argument", np.arange(1.0, 5.0)), ("class_weight_argument", np.arange(1.0, CLASSES + 1.0))):
            if (what == "class_weight_argument" and s.kind != "multiclass") or what in found or name in known.values():
                continue
            trial = replace(s, convention=replace(s.convention, **{what: name}))
            given = {name: s.framework.array(weight, "float64")}
            try:
                trial.run(trial.arrays(x, y, "float64"), trial.keywords("none", options=given))
            except FAILS:
                continue
            found[what] = name
            break
    for name in IGNORE_NAMES:
        if name in s.callee.options and s.kind == "multiclass" and s.hard:
            found["ignore_argument"] = name
    return found


def _takes(s: Subject, dtype: str, x: Any, y: Any, right: Any) -> bool:
    try:
        found = s.value(s.round(x, dtype), y, dtype)
    except FAILS:
        return False
    return bool(np.isfinite(found).all() and np.allclose(found, right, rtol=0.1, atol=0.1))


def _derivatives(s: Subject, x: Any, y: Any) -> dict[str, Any]:
    """Whether it has a gradient and a hessian."""
    found: dict[str, Any] = {"differentiable": False, "has_hessian": False}
    if s.callee.gradient is None and not s.framework.differentiable:
        return found
    try:
        s.gradient(x, y)
        found["differentiable"] = True
    except FAILS:
        return found
    if s.callee.hessian is None and not s.framework.differentiable:
        return found
    try:
        hessian = s.hessian(x, y)
        found["has_hessian"] = "diagonal" if s.classes and hessian.ndim == 2 else True
    except FAILS:
        pass
    return found


def _member(s: Subject) -> Any:
    y = np.repeat(s.targets(), 6)
    x = s.at(s.rng.normal(size=(len(y), CLASSES) if s.classes else len(y)))
    try:
        found = member_of(s.kind, s.convention.input, s.value, x, y)
        return found if found is None or _is_also_elsewhere(s, found) else None
    except FAILS:
        return None


def _is_also_elsewhere(s: Subject, member: Any) -> bool:
    """Whether it is the member nearer and further away, too: Huber's loss of ordinary rows may be the squared or the absolute error."""
    y = np.repeat(s.targets(), 20)
    if s.kind == "regression":
        x = y + np.tile(np.concatenate([2.0 ** np.arange(-10, 9, 2), -(2.0 ** np.arange(-10, 9, 2))]), len(y) // 20)
    else:
        x = s.at(s.rng.normal(size=(len(y), CLASSES) if s.classes else len(y)) * 3.0)
    with np.errstate(all="ignore"):
        seen, known = s.value(x, y), member.value(x, y)
        for label in s.targets():
            rows = (y == label) & np.isfinite(seen) & np.isfinite(known)
            apart = seen[rows] - known[rows]
            if not rows.any() or (np.abs(apart - np.median(apart)) > 1e-6 * (np.abs(seen[rows]) + np.abs(known[rows]))).any():
                return False
    return True
