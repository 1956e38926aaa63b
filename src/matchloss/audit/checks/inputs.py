"""What a function makes of arrays that are not as ordinary: other shapes, other dtypes, other layouts of memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from matchloss.audit.calling.frameworks import framework, literal
from matchloss.audit.calling.recognise import tried
from matchloss.audit.calling.subject import CLASSES, PAD, Raised, Subject
from matchloss.audit.checks._check import Skip
from matchloss.audit.checks._clock import SLOW, taken
from matchloss.audit.checks._same import differ, of, ordinary, raising
from matchloss.audit.finding import Finding

# --- shapes ----------------------------------------------------------------------------------------------------------------------


def shapes(subject: Subject) -> Iterator[Finding]:
    """Predictions of n rows against targets of another shape, such as (n,) against (n, 1), are refused, or give what n rows paired one with
    one give; never n^2 pairs.

    A model that ends in one unit outputs (n, 1); where that broadcasts, it learns the mean of all targets, and the loss still falls.
    """
    s = subject
    if s.scalar or s.convention.layout != "rows":
        raise Skip("it takes one row at a time" if s.scalar else f"it takes arrays of shape ({s.convention.layout.replace(',', ', ')})")
    n = 3
    x, y = s.at(np.eye(n) if s.classes else np.arange(n, dtype=np.float64)), ordinary(s, n)[1]
    for a, b in [] if s.classes else [(x, y[:, None]), (x[:, None], y)]:
        shape = _shape(s, a, b)
        if shape is None:
            continue
        got = right = None
        gives = f"returns shape {shape}"
        if int(np.prod(shape)) <= n:
            got, right = _answer(s, a, b), _answer(s, x, y)
            if got is None or np.isnan(got).all() or (got.size == right.size and not differ(got.ravel(), right.ravel()).any()):
                continue
            gives = f"returns {got.ravel()[0]:.4g} instead of {right.ravel()[0]:.4g}"
        every = "every prediction meets every target, and a model learns their mean."
        yield _shown(s, "note", f"Shapes {a.shape} against {b.shape} broadcast in silence ({gives}): {every}", a, b, got, right)
        break
    yield from _counts(s, x, y)


def _shape(s: Subject, x: Any, y: Any) -> tuple[int, ...] | None:
    """Of what the plain function makes of arrays of any shape; None where it refuses."""
    try:
        arrays = s.arrays(x, y, "float64")
        s.journal(f"{s.quote()} with predictions of shape {np.shape(x)} and targets of shape {np.shape(y)}")
        return tuple(np.shape(s.framework.outline(lambda *a: s.run(a, s.keywords("none")), arrays)))
    except (Raised, TypeError, ValueError):
        return None


def _answer(s: Subject, x: Any, y: Any) -> Any:
    """The numbers of that; None where it refuses."""
    try:
        return s.framework.numbers(s.run(s.arrays(x, y, "float64"), s.keywords("none")))
    except (Raised, TypeError, ValueError):
        return None


def _counts(s: Subject, x: Any, y: Any) -> Iterator[Finding]:
    """Targets of another number of rows than the predictions."""
    pairs = [("3 targets for 2 predictions", x[:2], y), ("2 targets for 3 predictions", x, y[:2])]
    pairs.append(("one target for 3 predictions", x, y[:1]))
    if s.classes and s.soft:
        hot = np.eye(CLASSES)[y]
        pairs += [("3 by 2 numbers as 2 distributions of 3 classes", x[:2], hot[:2].T), ("one distribution for 3 predictions", x, hot[:1])]
    for words, a, b in pairs:
        shape = _shape(s, a, b)
        if shape is None or (shape == () and not np.isfinite(_answer(s, a, b)).all()):
            continue
        does = f"the result has shape {shape}, and no error says so"
        if words.startswith("one") and (shape == () or shape[0] == len(a)):
            does = "it serves them all"
        if shape and shape[0] > len(a):
            does = f"the result has shape {shape}, though its last row has no prediction: it may have read memory that is not the array's"
        yield _shown(s, "note", f"It takes {words} ({np.shape(a)} against {np.shape(s.encode(b))}): {does}.", a, b, None, None)
        return


def _shown(s: Subject, severity: str, message: str, a: Any, b: Any, got: Any, right: Any) -> Finding:
    """A finding about shapes, with code that makes the arrays as they are."""
    f, t = s.framework, s.encode(b)
    kept = s.target_dtype(t, "float64")
    lines = s.snippet(np.zeros((1, CLASSES)) if s.classes else np.zeros(1), np.zeros(1, int), "float64", "value", code=[]).split("\n")
    lines = [line for line in lines if not line.startswith(("x =", "y =", "z0 =", "z1 ="))]
    lines += [f"x = {f.code(np.asarray(a), 'float64')}", f"y = {f.code(t.astype(int) if kept.startswith('int') else t, kept)}"]
    for i, what in enumerate(s.convention.others):
        lines.append(f"z{i} = {f.code(np.eye(CLASSES) if what == 'identity' else np.ones(len(a)), 'float64')}")
    example: dict[str, Any] = {"prediction": np.asarray(a).tolist(), "target": np.asarray(t).tolist()}
    example |= {} if got is None else {"got": got.tolist(), "right": right.tolist()}
    lines += [f"print({s.quote()})", *([] if right is None else [f"# right: {literal(right)}"])]
    return Finding("", severity, message, example, "\n".join(lines))


# --- dtype -----------------------------------------------------------------------------------------------------------------------


def dtype(subject: Subject) -> Iterator[Finding]:
    """The loss of predictions in a dtype has that dtype and, in float64, its digits; integers are numbers; arrays of one framework give
    arrays of it, with its gradients.

    A loss that falls to a narrower type loses small errors; one that leaves the framework loses the gradient of all that came before it.
    """
    s = subject
    if not s.scalar:
        yield from _returned(s)
    if "float64" in s.dtypes:
        yield from _digits(s)
    if not s.scalar:
        yield from _integers(s)
        yield from _foreign(s)


def _returned(s: Subject) -> Iterator[Finding]:
    """The dtype of the result is that of the predictions."""
    x, y = ordinary(s, PAD)
    few: dict[str, Any] = {"x": x[:2], "y": y[:2]}
    printed = [f"print({s.quote()}.dtype)"]
    wider: list[str] = []
    if s.narrow:
        message = "Predictions in float64 are computed in float32: results have 7 digits, whatever it is given."
        yield s.finding("note", message, code=[f"print({s.quote()})", f"x = x * {1 + 2.0**-28!r}", f"print({s.quote()})"], **few)
    for name in s.dtypes:
        out = s.framework.outline(lambda *a, name=name: s.run(a, s.keywords("none", name)), s.arrays(s.round(x, name), y, name))
        if not s.framework.owns(out):
            made = f"{type(out).__module__.split('.')[0]}.{type(out).__name__}".removeprefix("builtins.")
            so = "the result has no gradient, and a model before it learns nothing."
            message = f"For arrays of {s.framework.name} it returns a {made}: {so}"
            yield s.finding("warning", message, code=[f"print(type({s.quote()}))"], **few)
            return
        returned = s.framework.dtype_of(out)
        if name == "float64" and returned in ("float16", "bfloat16"):
            message = f"For predictions in float64 it returns {returned}: digits are lost that no setting brings back."
            yield s.finding("error", message, code=printed, cause="digits", **few)
        elif np.ndim(out) and returned == "float64" and name != "float64":  # the width of a single number costs nothing
            wider.append(name)
    if wider:
        message = f"For predictions in {wider[0]} it returns float64: what follows takes twice the memory, or more."
        code = [f"print({s.quote(dtype=wider[0])}.dtype)"]
        yield s.finding("note", message, x=s.round(x[:2], wider[0]), y=y[:2], dtype=wider[0], code=code)
    if s.framework.differentiable and s.callee.gradient is None and not s.differentiable:
        leaves = "it leaves the framework on the way, and a model before it learns nothing."
        yield s.finding("warning", f"Its result has no gradient in {s.framework.name}: {leaves}", show="gradient", **few)


def _digits(s: Subject) -> Iterator[Finding]:
    """Steps that float64 sees and float32 does not must change the value wherever larger ones do."""
    x, y = ordinary(s, PAD)
    v, near, half, far = (s.value(x * (1 - step), y) for step in (0.0, 2.0**-28, 2.0**-18, 2.0**-6))  # down: a probability stays one
    moved = np.isfinite(v) & (far != v)
    if moved.sum() >= PAD // 4 and (near[moved] == v[moved]).mean() > 0.75:
        step, severity, digits, same = 2.0**-28, "note", "float32", near == v
        if (half[moved] == v[moved]).mean() > 0.75:
            step, severity, digits, same = 2.0**-18, "error", "half precision", half == v
        i = int(np.argmax(moved & same))
        message = (
            f"Predictions in float64 are rounded to fewer digits inside: a step of {step:.1g} of a prediction does not change the value, "
            f"which has the digits of {digits}."
        )
        code = [f"print({s.quote()})", f"x = x * {1 - step!r}", f"print({s.quote()})"]
        yield s.finding(severity, message, x=x[i : i + 1], y=y[i : i + 1], code=code, got=v[i], cause="digits")


def _integers(s: Subject) -> Iterator[Finding]:
    if s.convention.input != "raw" or s.framework.pads:  # JAX makes them floats by itself
        return
    x, y = ordinary(s, PAD)
    whole, y = np.round(3 * x), np.resize([t for t in s.targets() if t == int(t)], PAD)
    right, t = s.framework.numbers(s.call(whole, y, reduction="none")), s.encode(y)
    others = [s._other(o, PAD, "float64") for o in s.convention.others]
    arrays = s.place(s.framework.array(whole, "int64"), s.framework.array(t, s.target_dtype(t, "float64")), others)
    out = tried(lambda: s.framework.numbers(s.run(arrays, s.keywords("none"))))
    if out is None or out.shape != right.shape or not (bad := np.atleast_1d(differ(out, right, "float16"))).any():
        return
    rows = slice(int(np.argmax(bad)), int(np.argmax(bad)) + 1) if bad.size > 1 else slice(0, 4)
    message = "Predictions that are integers have another loss than the same numbers as floats: a share of the result is cut off."
    code = [f"print({s.quote()})", f"x = {s.framework.code(whole[rows].astype(int), 'int64')}", f"print({s.quote()})"]
    yield s.finding("note", message, x=whole[rows], y=y[rows], code=code)


def _foreign(s: Subject) -> Iterator[Finding]:
    """Tensors given to a function of NumPy's arrays."""
    x, y = ordinary(s, 4)
    t = s.encode(y)
    if s.framework.name != "numpy" or not s.loaded or (s.classes and t.ndim == 1):
        return
    f = framework(s.loaded[0])
    wide = "float32" if f.pads else "float64"
    others = [f.array(np.ones(4), wide) for _ in s.convention.others]
    arrays = s.place(f.array(x, wide), f.array(t, wide), others)
    with f.context():
        out = tried(s.run, arrays, s.keywords("none"))
    if out is None or f.owns(out):
        return
    message = (
        f"It takes arrays of {f.name} and returns NumPy's: no gradient is behind the result, so it is a score, not a loss, for a model."
    )
    code = [f.imports, f"x = {f.code(x, wide)}", f"y = {f.code(t, wide)}"]
    code += [f"z{i} = {f.code(np.ones(4), wide)}" for i in range(len(others))]
    yield s.finding("note", message, x=x, y=y, code=[*code, f"print(type({s.quote()}))"])


# --- layout ----------------------------------------------------------------------------------------------------------------------


def layout(subject: Subject) -> Iterator[Finding]:
    """The same numbers have the same loss however they lie in memory (strided, reversed, transposed, repeated, read-only) and however many
    rows there are: none, one, 1,025, 100,001.

    Slices of data, mapped files and last batches are such arrays.
    """
    s = subject
    if s.scalar or s.framework.pads:
        raise Skip("it takes one row at a time" if s.scalar else "arrays of its framework have one layout")
    yield from _views(s)
    yield from _sizes(s)
    yield from _empty(s)


def _views(s: Subject) -> Iterator[Finding]:
    x, y = ordinary(s, PAD)
    arrays = s.arrays(x, y, "float64")
    right = np.atleast_1d(s.framework.numbers(s.run(arrays, s.keywords("none"))))
    wrong, refused = [], []
    for words, change, code in s.framework.views:
        try:
            out = np.atleast_1d(s.framework.numbers(s.run(tuple(change(a) for a in arrays), s.keywords("none"))))
        except Raised as error:
            refused.append((words, code, type(error.original).__name__))
            continue
        if out.shape != right.shape or differ(out, right).any():
            wrong.append((words, code))
    if wrong:
        words, code = wrong[0]
        message = f"Arrays that are {words} give another result than the same numbers side by side: it reads the wrong numbers."
        again = [f"print({s.quote()})", code.format("x"), code.format("y"), f"print({s.quote()})"]
        yield s.finding("error", message, x=x[:4], y=y[:4], code=again)
    if refused:
        _, code, raised = refused[0]
        message = f"Arrays that are {' or '.join(w for w, _, _ in refused)} raise {raised}: slices of data must be copied first."
        yield s.finding("note", message, x=x[:4], y=y[:4], code=[code.format("x"), code.format("y"), *raising(s.quote())])


LARGE = 100_001


def _sizes(s: Subject) -> Iterator[Finding]:
    x, y = ordinary(s, PAD)
    v = s.value(x, y)
    role = "none" if s.per_row else s.convention.reduction
    if role != "none" and differ(s.total(x, y), of(role, v)):
        return  # its reduction is wrong at any size
    some = np.resize(x, (1025, *x.shape[1:])), np.resize(y, 1025)
    for n in (1, 1025, LARGE):
        if n == LARGE and taken(lambda: s.call(*some, reduction="none"), 1025).additions > SLOW / 3:
            return  # what is so slow has no blocks
        rows = np.arange(n) % PAD
        got = np.atleast_1d(s.convention.sign * s.framework.numbers(s.call(x[rows], y[rows], reduction="none")))
        got = got.sum(axis=1) if s.elementwise and got.shape == (n, CLASSES) else got
        got = got.reshape(n) if role == "none" and got.size == n else got  # of any layout
        if s.elementwise and got.size != n:
            return  # its mean is that of entries
        right = v[rows] if role == "none" else np.atleast_1d(of(role, v[rows]))
        bad = differ(got, right) if got.shape == right.shape else np.array([True])
        if bad.any():
            yield _sized(s, x, y, n, role, int(np.argmax(bad)))
            return


def _sized(s: Subject, x: Any, y: Any, n: int, role: str, i: int) -> Finding:
    what, few, last = (f"row {i:,}", slice(i % PAD, i % PAD + 1), f"[{i}]") if role == "none" else (f"the {role}", slice(0, 4), "")
    again = [f"{a} = {a}[{s.framework.module}.arange({n}) % len({a})]" for a in ("x", "y")]  # the rows, until there are n
    message = f"Of {n:,} rows, {what} is not as among {PAD}: batches of that size are wrong."
    code = [f"print({s.quote()})", *again, f"print({s.quote()}{last})"]
    return s.finding("error", message, x=x[few], y=y[few], rows=n, code=code)


def _empty(s: Subject) -> Iterator[Finding]:
    """No rows are no error of the caller's: the last shard of a data set may have none."""
    x, y = ordinary(s, 2)
    out = tried(lambda: s.framework.numbers(s.call(x[:0], y[:0], reduction="none")))
    if out is None:
        return
    if s.per_row:
        if out.shape not in ((0, CLASSES) if s.elementwise else (0,), ()):
            yield s.finding("note", f"No rows have {out.size} losses (shape {out.shape}).", x=x[:0], y=y[:0])
    elif out.size and np.isfinite(out).all() and out.ravel()[0] != 0:
        yield s.finding("note", f"The {s.convention.reduction} over no rows is {out.ravel()[0]:.4g}.", x=x[:0], y=y[:0])
