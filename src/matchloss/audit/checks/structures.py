"""Checks of losses of structures, under the names of those of losses of rows: what each promises is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from matchloss.audit.calling.structures import Array, Group, Structure
from matchloss.audit.checks._check import Skip
from matchloss.audit.finding import Finding
from matchloss.losses.structured import CTC, Cox, RiskSets, Transcripts

SAME, CLOSE = 1e-5, 1e-4  # relative: of one value twice (a function may add a small number under a logarithm), and of differences
GROUPS = {"ctc": "sequences", "crf": "sequences", "cox": "rows", "lists": "lists", "pairs": "pairs"}


def finite(s: Structure) -> Iterator[Finding]:
    """Values and gradients are finite for scores of size 1 and 40, in float32 as well."""
    for dtype, scale in (("float64", 1.0), ("float64", 40.0), ("float32", 1.0), ("float32", 40.0)):
        given = s.given(s.draw(scale))
        value, slope = s.value(given, dtype), s.gradient(given, dtype) if s.framework.differentiable else np.zeros(1)
        if not (np.isfinite(value) and np.isfinite(slope).all()):
            what = "gradient" if np.isfinite(value) else "value"
            yield found(s, f"with scores of size {scale:g} in {dtype} the {what} is not finite", given)
            return


def gradient(s: Structure) -> Iterator[Finding]:
    """The gradient is the slope of the value in the scores as they are given."""
    given = s.given(s.draw())
    step, close = (1e-2, 5e-3) if _narrow(s, given) else (1e-5, CLOSE)
    g = _gradient(s, given)
    slope = np.zeros_like(g)
    for i in np.ndindex(g.shape):
        up, down = given["raw"].copy(), given["raw"].copy()
        up[i], down[i] = up[i] + step, down[i] - step
        slope[i] = (s.value(given | {"raw": up}) - s.value(given | {"raw": down})) / (2 * step)
    loose = close * np.abs(slope).max() + 1e-7
    i = np.unravel_index(int(np.argmax(np.abs(g - slope))), g.shape)
    if np.abs(g - slope)[i] <= loose:
        return
    message = f"at score {tuple(map(int, i))} the gradient is {g[i]:.4g}, and the value's slope is {slope[i]:.4g}"
    behind = s.logs and np.abs(g - slope + np.exp(given["raw"]) * slope.sum(-1, keepdims=True)).max() <= loose
    if behind:
        message += (
            ": it is the gradient in the logits, right where log_softmax made the log-probabilities (pytorch/pytorch#52241); those that "
            "are leaves, or are changed after log_softmax, learn something else"
        )
    yield found(s, message, given, "warning" if behind else "error", got=g[i], right=slope[i])


def matching(s: Structure) -> Iterator[Finding]:
    """The error signal is expected minus observed: over a normalised group it sums to 0."""
    if s.form == "pairs" or s.logs:
        raise Skip("its scores are of no normalised group")
    for group in s.draw():
        g = _gradient(s, s.given([group]))
        left = np.abs(g.sum(axis=-1 if g.ndim == 3 else None)).max()
        if left > CLOSE * np.abs(g).sum():
            severity = "note" if s.form == "lists" else "error"  # of entries that are judged one by one nothing is normalised
            yield found(s, f"the gradient of a group sums to {left:.4g}: what is expected does not add up to what was observed",
                        s.given([group]), severity, got=left, right=0.0)  # fmt: skip
            return


def invariance(s: Structure) -> Iterator[Finding]:
    """The order of groups, that of entries which have none, and what stands in padding do not matter."""
    for groups in (s.draw(), s.draw(ties=True))[: 1 + (s.form == "cox")]:
        mixed = groups[::-1] if s.several else [_turned(groups[0])]
        yield from _differs(s, f"the order of {GROUPS[s.form]} changes the value", s.given(groups), s.given(mixed))
    groups = s.draw()
    if s.form == "lists" and "order" not in s.names:
        yield from _differs(s, "the order of the entries of a list changes the value", s.given(groups), s.given(list(map(_turned, groups))))
    if s.padded:
        yield from _differs(s, "what stands in padding changes the value", s.given(groups), s.given(groups, fill=3.0))
        yield from _differs(s, "padding enters: two more places of it change the value", s.given(groups), s.given(groups, more=2))


def accuracy(s: Structure) -> Iterator[Finding]:
    """The value is that of its formula: of CTC, or of Cox's partial likelihood with Breslow's ties or Efron's."""
    if s.form not in ("ctc", "cox"):
        raise Skip("it has no one formula")
    groups = s.draw() if s.form == "ctc" else [g for i in range(3) for g in s.draw(seed=i)]
    value = np.array([s.value(s.given([g])) for g in groups])
    right = np.array([_formulas(s, g)[0] for g in groups])
    means = (1.0, np.array([len(g["tags"]) for g in groups])) if s.form == "ctc" else (1.0,)  # CTC's may be a mean over labels
    if all(np.ptp(value / right * per) > CLOSE * np.abs(value / right * per).max() for per in means):
        severity, what = ("note", "Cox's partial likelihood") if s.form == "cox" else ("error", "the log of the sum over alignments")
        yield found(s, f"the value, {value[0]:.6g}, is no multiple of minus {what}", s.given(groups[:1]), severity, right=right[0])
    elif s.form == "cox":
        tied = s.draw(ties=True)
        got, known = s.value(s.given(tied)) * right[0] / value[0], _formulas(s, tied[0])
        died = tied[0]["time"][tied[0]["event"] > 0]
        times = np.array([known, np.multiply(known, died.size / np.unique(died).size)])  # some mean over times, and not over deaths
        if not np.isclose(got, times, rtol=CLOSE).any():
            by = f"by Breslow's method it is {known[0]:.6g}, by Efron's {known[1]:.6g}"
            yield found(s, f"with equal times the value is {got:.6g}, in units in which it is right without; {by}", s.given(tied), got=got)


CHECKS: dict[str, Callable[[Structure], Iterator[Finding]]] = {
    check.__name__: check for check in (finite, gradient, accuracy, matching, invariance)
}


def _formulas(s: Structure, g: Group) -> list[float]:
    if s.form == "ctc":
        said = Transcripts([g["tags"]], [len(g["tags"])], [len(g["raw"])])
        return [float(CTC().compute((np.ascontiguousarray(g["raw"][:, None]),), said, None, False, not s.logs)[0][0])]
    return [float(Cox(ties).value(g["raw"], RiskSets(g["time"], g["event"])).sum()) for ties in ("breslow", "efron")]


def _narrow(s: Structure, given: Group) -> bool:
    """Whether it computes in float32 whatever it is given, by how rough its value is."""
    value = s.value(given)
    moves = 1e-5 * np.random.default_rng(s.seed).normal(size=(4, *given["raw"].shape))
    bent = [s.value(given | {"raw": given["raw"] + m}) + s.value(given | {"raw": given["raw"] - m}) - 2 * value for m in moves]
    return bool(np.abs(bent).max() > 3e-9 * abs(value))


def _gradient(s: Structure, given: Group) -> Array:
    if not s.framework.differentiable:
        raise Skip("it has no gradient")
    return s.gradient(given)


def _differs(s: Structure, message: str, one: Group, two: Group) -> Iterator[Finding]:
    first, second = s.value(one), s.value(two)
    if not np.isclose(first, second, rtol=SAME):
        yield found(s, f"{message} from {first:.6g} to {second:.6g}", two, got=second, right=first)


def _turned(group: Group) -> Group:
    return {role: x[::-1].copy() for role, x in group.items()}


def found(s: Structure, message: str, given: Group, severity: str = "error", **numbers: float) -> Finding:
    """A finding, with Python that makes the call."""
    setup, of, raw = s.callee.setup, s.framework, s.names["raw"]
    lines = [of.imports, setup, *(f"{n} = {_code(s, n, x, n == raw)}" for n, x in s.arrays(given).items())] if setup else []
    call = s.callee.quote((), {n: n for n in s.names.values()})
    lines += [f"print({call})"] if setup else []
    if setup and of.name == "torch":
        lines += [f"{call}.sum().backward()", f"print({raw}.grad)"]
    return Finding("", severity, message, {k: float(v) for k, v in numbers.items()}, "\n".join(lines))


def _code(s: Structure, name: str, x: object, differentiated: bool) -> str:
    numbers = np.asarray(s.framework.numbers(x))
    dtype = s.framework.dtype_of(x)
    return s.framework.code(numbers.astype(dtype), dtype, differentiated) if np.ndim(numbers) else repr(x)
