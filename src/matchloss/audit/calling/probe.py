"""How a function wants to be called, found by calling it: framework, order, space of the prediction, targets, reduction, sign, weights.

No function's name is read. The names of arguments are, as hints of what to try first; what decides is what comes back. A reading that fits
the rows it was found by must hold on fresh ones; where two fit that give different values, none is taken.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from matchloss.audit.calling.adapt import Callee, Promises, callee_of
from matchloss.audit.calling.convention import CHOICES, KINDS, LAYOUTS, Convention
from matchloss.audit.calling.home import frameworks_of
from matchloss.audit.calling.member import Member, member_of
from matchloss.audit.calling.recognise import answers, contradicted, is_that, tried
from matchloss.audit.calling.subject import CLASSES, FAILS, PAD, Malformed, Subject

TARGETS = ("target", "true", "label", "obs", "endog", "actual", "gold", "truth", "wanted")  # parts of arguments' names
PREDICTIONS = ("pred", "logit", "input", "output", "raw", "prob", "score", "forecast", "fct", "mean", "hat", "estimate")
WEIGHT_NAMES = ("sample_weight", "sample_weights", "weight", "weights", "w")
ORDERS = CHOICES["order"]


class Unprobable(Exception):
    """No one way was found to call it as a loss: what was tried, or what decides."""


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
    said = {name: value for name, value in {"kind": kind, **given}.items() if value is not None}
    Convention(**{"kind": "regression", **said})  # ValueError for a value that is not allowed
    try:
        callee = callee_of(fn, given.get("framework"))
    except TypeError as error:
        raise Unprobable(str(error)) from error
    callee = replace(
        callee, gradient=gradient or callee.gradient, hessian=hessian or callee.hessian,
        promises=callee.promises if promises is None else Promises.of(promises),
    )  # fmt: skip
    known = {**callee.given, **given} | ({} if kind is None else {"kind": kind})
    convention = Convention("regression", part=known.get("part", ""))
    base = Subject(
        callee.picked(convention.part), convention, seed=seed, journal=journal, loaded=tuple(frameworks), foreign="framework" in known,
        given=frozenset(known),
    )  # fmt: skip
    return _Search(base, known, [known["framework"]] if "framework" in known else frameworks_of(fn, frameworks)).found()


class Undecided(Unprobable):
    """Two ways fit, and a person has to say which it is."""


class _Search:
    """Readings tried one after another, and why those were not taken that were tried last."""

    def __init__(self, base: Subject, known: dict[str, Any], frameworks: Sequence[str]) -> None:
        self.base, self.known, self.frameworks = base, known, frameworks
        self.failure = "no way was found to call it with a prediction and a target"
        self.answer: Subject | None = None  # the first that gives numbers, for a function that is said to be a loss
        self.doubt = ""  # why a reading that fits was not taken: it says more than the last failure

    def found(self) -> Subject:
        """The reading that holds; Unprobable where there is none, or more than one."""
        layouts = [self.known["layout"]] if "layout" in self.known else list(LAYOUTS)
        for layout in layouts:
            for subject in self._fitting(layout, False):
                found = _finished(self._decided(subject), self.known)
                if not found.framework.differentiable or found.differentiable or "framework" in self.known:
                    return found
                numpy = next(self._fitting(layout, True), None)  # which may pass tensors on while nobody asks for derivatives
                return found if numpy is None else _finished(self._decided(numpy), self.known)
            if self.doubt:
                break
        if "kind" in self.known and self.answer is not None:
            return replace(_finished(self.answer, self.known), note="it is not least where predictions are right, however it is called")
        said = f" as a loss of kind {self.known['kind']!r}" if "kind" in self.known else ""
        why = self.doubt or f"it could not be called{said}: the last attempt {self.failure.rstrip('.')}"
        raise Unprobable(f"{why}. Parts of how it is called that are known can be given, such as kind and input")

    def _fitting(self, layout: str, numpy_only: bool) -> Iterator[Subject]:
        """Readings of a layout that behave as they should, and whose predictions hold."""
        for convention, late in _attempts(self.base.callee, {**self.known, "layout": layout}, self.frameworks):
            if numpy_only and convention.framework != "numpy":
                continue
            for subject in _variants(replace(self.base, convention=convention), late):
                try:
                    yield from self._answering(subject, late)
                except FAILS as error:
                    part = _part(getattr(error, "out", None))
                    if part and "part" not in self.known:
                        yield _Search(_picked(subject, part), {**self.known, "part": part}, self.frameworks).found()
                        return
                    if convention.framework == self.frameworks[0]:  # the likeliest says most
                        self.failure = str(error) or self.failure
                    for other in (*_unheard(subject, error), *_anchored(subject, late)):
                        with suppress(*FAILS):
                            yield from self._answering(other, late)

    def _answering(self, s: Subject, late: bool) -> Iterator[Subject]:
        """The reading, where it answers, is least where it should be, and predicts fresh rows."""
        x, y = s.ordinary(6)
        value = s.value(x, y)
        if not s.scalar:
            s.call(x, y)
        if not is_that(s, value, self.known, late):
            if self.answer is None and s.convention.sign > 0 and np.isfinite(value).all() and np.ptp(value) > 0:
                self.answer = s
            return
        if "kind" not in self.known and (wrong := contradicted(s)):
            self.doubt = self.doubt or f"called as a loss of kind {s.kind!r} {wrong}"
        else:
            yield s

    def _decided(self, s: Subject) -> Subject:
        """The reading itself, where no other one fits as well that gives other values."""
        c = s.convention
        if "order" not in self.known and len(orders_of(s.callee)) > 1 and c.others != ("identity",):
            other = replace(s, convention=replace(c, order=ORDERS[1 - ORDERS.index(c.order)]))
            if tried(_differs, s, other, self.known):
                raise Undecided(
                    f"two readings fit equally well, a prediction first and a target first, and give different values. "
                    f'--set order="{ORDERS[0]}" or --set order="{ORDERS[1]}" decides'
                )
        if c.sign < 0 and "sign" not in self.known:
            if "kind" in self.known:
                return replace(s, convention=replace(c, sign=1))
            raise Undecided(
                "it is greatest where the prediction is right: as a score that is right, as a loss it sends training away. "
                "--set sign=-1 (a score) or --set sign=1 (a loss) decides"
            )
        return s


def _differs(s: Subject, other: Subject, known: dict[str, Any]) -> bool:
    """Whether another reading fits too and gives other values."""
    x, y = replace(s, seed=s.seed + 2).ordinary(6)
    value = other.value(x, y)
    same = np.allclose(value, s.value(x, y), rtol=1e-6, atol=1e-9)
    return not same and is_that(other, value, known, False) and not contradicted(other)


def _part(out: Any) -> str:
    """Which part of a tuple, a dict or an object is the loss, as Python: the first, or what is called so."""
    if isinstance(out, tuple) and hasattr(out, "_fields"):
        return next((f".{name}" for name in getattr(out, "_fields", ()) if "loss" in name), "[0]")
    if isinstance(out, tuple | list) and out:
        return "[0]"
    if isinstance(out, Mapping) and out:
        return f"[{next((k for k in out if 'loss' in str(k)), next(iter(out)))!r}]"
    return ".loss" if out is not None and hasattr(out, "loss") else ""


def _picked(s: Subject, part: str) -> Subject:
    """The function of which a part is the loss; the gradient is the second of two, where that is one."""
    callee = s.callee.picked(part)
    whole = s.callee
    if part == "[0]" and callee.gradient is None and s.convention.framework == "numpy":
        second = replace(callee, gradient=whole.picked("[1]").call, methods={"gradient": f"{whole.text}({{}})[1]"})
        trial = replace(s, callee=second, convention=Convention("regression", order=s.convention.order, part=part))
        x, y = replace(trial, seed=s.seed + 3).ordinary(8)
        like = tried(lambda: np.corrcoef(trial.value(x + 1e-4, y) - trial.value(x - 1e-4, y), trial.gradient(x, y))[0, 1])
        callee = second if like is not None and abs(like) > 0.9 else callee
    return replace(s, callee=callee, convention=replace(Convention("regression"), part=part))


def orders_of(callee: Callee) -> Sequence[str]:
    """Orders of prediction and target, the likelier first; one alone where the names of the arguments tell."""
    names = [name.lower() for name in callee.parameters][:2]
    hints = [(any(t in n for t in TARGETS) or n == "y") - any(p in n for p in PREDICTIONS) for n in names]
    if len(hints) < 2 or hints[0] == hints[1]:
        return ORDERS
    return ORDERS[:1] if hints[0] < hints[1] else ORDERS[1:]


def _attempts(callee: Callee, known: dict[str, Any], names: Sequence[str]) -> Iterator[tuple[Convention, bool]]:
    """Conventions to try, the likeliest first; and whether those that are no loss of single numbers are to be tried as one of rows."""

    def choice(part: str, choices: Sequence[Any]) -> Sequence[Any]:
        return [known[part]] if part in known else choices

    extra = max(0, len(callee.parameters) - 2)
    others = [("positive",) * extra] if extra else [()]
    others += [("number",) * extra, *([("identity",), ("classes",)] if extra == 1 else [])] if extra else []
    base = {"reduction_argument": known.get("reduction_argument", "reduction" if "reduction" in callee.options else None)}
    kinds = [("multiclass", False), *((k, False) for k in KINDS if k != "multiclass"), ("binary", True), ("multiclass", True)]
    fits = {True: known["layout"] != "N,1", False: known["layout"] in ("rows", "N,1", "N,C,H,W")}  # of classes, of numbers
    kinds = [(k, late) for k, late in kinds if known.get("kind", k) == k and fits[k == "multiclass"]]
    orders, inputs, signs = choice("order", orders_of(callee)), choice("input", CHOICES["input"]), choice("sign", CHOICES["sign"])
    for name, order, other, (kind, late) in itertools.product(names, orders, choice("others", others), kinds):
        targets = {"binary": ["labels", "signs"], "multiclass": ["labels", "distributions"]}.get(kind, ["numbers"])
        for input, sign, target in itertools.product(inputs, signs, choice("target", targets)):
            odd = (kind == "regression" and input != "raw") or (kind != "multiclass" and input == "log_prediction")
            if "input" in known or not odd:
                parts = {"kind": kind, "framework": name, "order": order, "others": other, "input": input, "sign": sign, "target": target}
                yield Convention(**{**known, **base, **parts}), late


def _variants(subject: Subject, late: bool) -> Iterator[Subject]:
    """The ways in which labels travel and values come back."""
    c = subject.convention
    reductions = [c.reduction] if c.reduction_argument is None and c.reduction != "none" else ["none", "mean"]
    for reduction in reductions if c.reduction_argument is None else ["none"]:
        s = replace(subject, convention=replace(c, reduction=reduction))
        if c.kind == "multiclass":
            if c.target != "distributions" and not late:
                yield from (replace(s, label_dtype=d) for d in ("int64", "float64"))
                yield replace(s, label_dtype="int64", elementwise=True)
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


def _unheard(s: Subject, error: Exception) -> Iterator[Subject]:
    """Where an option that is to give a value a row gives one for all: it was read when the module was made, and is no option."""
    if s.convention.reduction_argument and isinstance(error, Malformed) and str(error).startswith("returned shape ()"):
        yield replace(s, convention=replace(s.convention, reduction_argument=None, reduction="mean"))


def _anchored(s: Subject, late: bool) -> Iterator[Subject]:
    """For a function of several rows that takes no single one: beside a row of each target."""
    c = s.convention
    if c.framework != "numpy" or c.reduction_argument is not None or c.reduction == "none" or s.scalar or late or c.layout != "rows":
        return
    y = s.targets()
    anchor = s.at(np.eye(CLASSES) if s.classes else np.zeros(len(y))), y
    out = tried(s.call, *anchor)
    for reduction in ("mean", "sum") if out is not None and np.size(out) == 1 else ():
        yield replace(s, convention=replace(c, reduction=reduction), anchor=anchor)


def _finished(s: Subject, known: dict[str, Any]) -> Subject:
    """What is left to find once the function answers."""
    c = s.convention
    s = replace(s, convention=replace(c, reduction=known.get("reduction") or _reduction(s)))
    s = _with_soft(s)
    s = replace(s, convention=replace(s.convention, **_arguments(s, known)))
    x, y = s.ordinary(6)
    right = s.value(x, y)
    s = replace(s, narrow=not s.scalar and bool(tried(_in_float32, s, x, y)))
    dtypes = [d for d in s.framework.dtypes if _takes(s, d, x, y, right) and not (s.narrow and d == "float64")]
    s = replace(s, dtypes=tuple(dtypes) or ("float64",), **_derivatives(s, x, y))
    if not s.convention.others or s.convention.others == ("identity",):
        s = replace(s, member=tried(_member, s))
    return s.fresh()


def _reduction(s: Subject) -> str:
    """Of a plain call."""
    x, y = s.ordinary(PAD if s.framework.pads else 5)
    n = len(x)
    if (out := tried(s.call, x, y)) is None:
        return s.convention.reduction
    size = int(np.prod(np.shape(out)))
    if size == n or s.scalar or (s.elementwise and size == n * CLASSES):
        return "none"
    rows, whole = s.value(x, y), float(s.signed(out).sum())
    return "mean" if abs(whole - rows.mean()) < abs(whole - rows.sum()) else "sum"


def _with_soft(s: Subject) -> Subject:
    """Whether probabilities, or distributions, are targets too; labels, where distributions are."""
    if s.kind == "multiclass":
        if s.hard:
            x, y = s.ordinary(6)
            soft = tried(s.value, x, np.eye(CLASSES)[y])
            s = replace(s, soft=soft is not None and bool(np.allclose(soft, s.value(x, y), rtol=1e-4, atol=1e-4)))
        target = "labels or distributions" if s.hard and s.soft else "labels" if s.hard else "distributions"
        return replace(s, convention=replace(s.convention, target=target))
    if s.kind == "binary" and s.convention.target == "labels" and not s.label_dtype:
        return replace(s, soft=answers(s, s.ordinary(6)[0], np.full(6, 0.375)))
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
            if tried(trial.run, trial.arrays(x, y, "float64"), trial.keywords("none", options=given)) is not None:
                found[what] = name
                break
    if "ignore_index" in s.callee.options and s.hard and (s.kind == "multiclass" or s.convention.target == "labels"):
        found["ignore_argument"] = "ignore_index"
    return found


def _in_float32(s: Subject, x: Any, y: Any) -> bool:
    """Whether it makes float32 of float64, as libraries do that have no other floats: it returns those, or numbers that are all such."""
    value = s.value(*s.ordinary(24))
    digits = np.frexp(value)[0] * 2.0**11  # whole where half precision has them
    only = (value == s.round(value, "float32")).all() and (digits != np.round(digits)).any()
    return bool(only) or s.framework.dtype_of(s.call(x, y)) == "float32"


def _takes(s: Subject, dtype: str, x: Any, y: Any, right: Any) -> bool:
    found = tried(s.value, s.round(x, dtype), y, dtype)
    return found is not None and bool(np.isfinite(found).all() and np.allclose(found, right, rtol=0.1, atol=0.1))


def _derivatives(s: Subject, x: Any, y: Any) -> dict[str, Any]:
    """Whether it has a gradient and a hessian."""
    own, derives = s.callee, s.framework.differentiable
    gradient = tried(s.gradient, x, y) if derives or own.gradient else None
    hessian = tried(s.hessian, x, y) if gradient is not None and (derives or own.hessian) else None
    diagonal = hessian is not None and s.classes and hessian.ndim == 2
    return {"differentiable": gradient is not None, "has_hessian": "diagonal" if diagonal else hessian is not None}


def _member(s: Subject) -> Member | None:
    """The loss of the catalogue that it is at fresh rows, near the target and far from it: the simplest that it is."""
    many, sizes = 60 // len(s.targets()), np.array([0.25, 1.0, 3.0, 12.0 if s.convention.input == "raw" else 1.0])
    y = np.repeat(s.targets(), many)
    noise = s.rng.normal(size=(len(y), CLASSES) if s.classes else len(y))
    noise = (noise.T * np.resize(sizes, len(y))).T
    return member_of(s.kind, s.convention.input, s.value, s.at(noise + (y if s.kind == "regression" else 0)), y)
