"""What a call does besides returning a value: to its inputs, to later calls, to the process; and what it costs."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from matchloss.audit.calling.recognise import tried
from matchloss.audit.calling.subject import CLASSES, PAD, Subject, silence
from matchloss.audit.checks._check import Skip
from matchloss.audit.checks._clock import SLOW, Taken, taken
from matchloss.audit.checks._forks import in_child
from matchloss.audit.checks._same import differ, ordinary
from matchloss.audit.finding import Finding

# --- purity ----------------------------------------------------------------------------------------------------------------------


def purity(subject: Subject) -> Iterator[Finding]:
    """f(x, y) is a function of x and y: it changes neither, nor anything else in the process, and gives the same after other calls, in
    another thread, and in a forked process.

    Otherwise a run cannot be repeated, and data loaders, threads and checkpoints change what is trained.
    """
    yield from _process(subject)  # first: a default dtype that one call has set is what the next one finds
    told = False
    for trial in (_inputs, _repeated, _aliased, _reused, _methods, _threads, _forked):
        if (told and trial is _threads) or (finding := trial(subject)) is None:  # threads meet in what was told, now and then
            continue
        yield finding
        told = True
        if trial in (_inputs, _repeated):  # and whatever follows sees it too
            break


def _impure(s: Subject, message: str, *code: str, severity: str = "error") -> Finding:
    """A finding of two ordinary rows; `code` stands after them."""
    x, y = _rows(s.fresh(), 2)
    return s.finding(severity, message, x=x, y=y, code=list(code))


def _rows(s: Subject, n: int = PAD) -> tuple[Any, Any]:
    """Ordinary rows; one, where it takes one at a time."""
    x, y = ordinary(s, n)
    return (x[0], y[0]) if s.scalar else (x, y)


def _arrays(s: Subject, n: int = PAD) -> Any:
    return s.arrays(*_rows(s, n), "float64")


def _ask(s: Subject, arrays: Any, method: str = "call") -> Any:
    """What the method returns."""
    return s.run(arrays, s.keywords("none") if method == "call" else {}, method)


def _numbers(s: Subject, arrays: Any, method: str = "call") -> Any:
    """A result as NumPy's, of its own memory."""
    return np.atleast_1d(np.array(s.framework.numbers(_ask(s, arrays, method))))


def _other(a: Any, b: Any) -> bool:
    return a.shape != b.shape or bool(differ(a, b).any())


def _methods_of(s: Subject) -> dict[str, tuple[str, str]]:
    """The function and the methods of its own: what each gives, and a call of it as Python."""
    own = {"call": ("value", s.quote())}
    return own | {m: (m, s.quote(method=m)) for m in ("gradient", "hessian") if getattr(s.callee, m) is not None}


def _inputs(s: Subject) -> Finding | None:
    """Inputs are the same bits afterwards."""
    if s.scalar:
        return None
    x, y = _rows(s)
    for method, (what, call) in _methods_of(s).items():
        arrays = s.arrays(x, y, "float64")
        before = [np.array(s.framework.numbers(a)) for a in arrays]
        if tried(_numbers, s, arrays, method) is None:
            continue
        changed = [not np.array_equal(a, s.framework.numbers(b)) for a, b in zip(before, arrays, strict=True)]
        if any(changed):
            name = s.place("x", "y", ["z"] * len(s.convention.others))[changed.index(True)]
            which = "predictions" if name == "x" else "targets"
            message = f"A call of its {what} changes the {which} that it is given: whatever uses them next is wrong."
            return _impure(s, message, call, f"print({'x' if name == 'x' else 'y'})")
    return None


def _repeated(s: Subject) -> Finding | None:
    """The same call twice; then after a call with other data; rows moved by one."""
    x, y = _rows(s)
    arrays, call = s.arrays(x, y, "float64"), s.quote()
    first = _numbers(s, arrays)
    if _other(first, _numbers(s, arrays)):
        message = "The same call twice gives two results: it draws numbers, or remembers what it has seen. A run cannot be repeated."
        return _impure(s, message, f"print({call})", f"print({call})")
    if s.scalar:
        return None
    _numbers(s, _arrays(s, PAD if s.framework.pads else PAD // 2))
    if _other(first, _numbers(s, arrays)):
        message = "After a call with other data the same call gives another result: what is trained depends on what was evaluated before."
        return _impure(s, message, f"print({call})", "rows = x", "x = 3 * x", call, "x = rows", f"print({call})")
    if s.per_row and _other(np.roll(first, 1, 0), _numbers(s, s.arrays(np.roll(x, 1, axis=0), np.roll(y, 1, axis=0), "float64"))):
        message = "Called with the same rows in another order it gives another result a row: it remembers earlier arrays by their shape."
        return _impure(s, message, f"print({call})", "x = x + 1", f"print({call})")
    return None


def _aliased(s: Subject) -> Finding | None:
    """A result stays as it is."""
    if s.scalar or s.framework.pads:
        return None
    arrays, others = _arrays(s), _arrays(s)
    for method, (what, call) in _methods_of(s).items():
        kept = tried(_ask, s, arrays, method)
        before = None if kept is None else np.array(s.framework.numbers(kept))
        if kept is None or tried(_ask, s, others, method) is None:
            continue
        if differ(before, s.framework.numbers(kept)).any():
            message = f"The {what} that one call returned is overwritten by the next call: two batches cannot be compared."
            return _impure(s, message, f"first = {call}", "print(first)", "x = x + 1", call, "print(first)")
    return None


def _reused(s: Subject) -> Finding | None:
    """An array that is overwritten with other numbers, as buffers are, is another argument."""
    if s.scalar or s.framework.pads:
        return None
    arrays, others = _arrays(s), _arrays(s)
    right = _numbers(s, tuple(a + 0 for a in others))
    _numbers(s, arrays)
    for a, b in zip(arrays, others, strict=True):
        a[...] = b
    if not _other(right, _numbers(s, arrays)):
        return None
    message = "An array that was overwritten with other numbers gives the old result: buffers that are filled anew train on old data."
    return _impure(s, message, f"print({s.quote()})", "x[...] = x + 1", f"print({s.quote()})")


def _methods(s: Subject) -> Finding | None:
    """An object's gradient and hessian, after a call of another method with other data."""
    arrays, others, own = _arrays(s), _arrays(s), _methods_of(s)
    for method, (what, call) in own.items():
        first = tried(_numbers, s, arrays, method)
        for other, (between, called) in own.items() if first is not None else ():
            if tried(_numbers, s, others, other) is not None and _other(first, _numbers(s, arrays, method)):
                message = (
                    f"Its {what} depends on what its {between} was called with before: steps are taken with what belongs to other rows."
                )
                return _impure(s, message, f"print({call})", "rows = x", "x = x + 1", called, "x = rows", f"print({call})")
    return None


TURNS = 12  # calls of each of two threads while the other one calls
PATIENCE = 2.0  # seconds for them; fewer calls show less, and never what is not there


def _threads(s: Subject) -> Finding | None:
    """Two threads, each with data of its own."""
    if s.scalar:
        return None
    data = [_arrays(s) for _ in range(2)]
    right = [_numbers(s, arrays) for arrays in data]
    done, wrong, keywords, end = [0, 0], [False, False], s.keywords("none"), time.monotonic() + PATIENCE

    def work(i: int) -> None:
        try:
            with np.errstate(all="ignore"), s.framework.context():
                while min(done) < TURNS and not any(wrong) and time.monotonic() < end:  # until the other one has had its turns too
                    wrong[i] = _other(np.atleast_1d(s.framework.numbers(s.callee.call(*data[i], **keywords))), right[i])
                    done[i] += 1
        except BaseException:
            wrong[i] = True

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # threads change within a call, not between many
    try:
        with silence():
            threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(max(0.0, end - time.monotonic()))
    finally:
        sys.setswitchinterval(usual)
    if not any(wrong):
        return None
    code = ["from concurrent.futures import ThreadPoolExecutor", "", "with ThreadPoolExecutor(2) as pool:"]
    code += [f"    for found in pool.map(lambda x: {s.quote()}, [x, x + 1] * 3):", "        print(found)"]
    return _impure(s, "Called from two threads at once it raises, or gives one the numbers of the other.", *code)


def _forked(s: Subject) -> Finding | None:
    """A child process, as data loaders fork them."""
    if s.framework.differentiable:  # JAX does not work there, PyTorch only where its threads have not started: that is no matter of a loss
        return None
    arrays, start = _arrays(s, 64 * PAD), time.monotonic()
    right = _numbers(s, arrays)
    s.journal("")
    got = in_child(lambda: _numbers(s, arrays), time.monotonic() - start)
    if got is None or (not isinstance(got, str) and not _other(got, right)):
        return None
    how = got if isinstance(got, str) else "gives another result"
    code = ["import os", "", s.quote(), "if os.fork() == 0:", f"    print({s.quote()})", "    os._exit(0)", "os.wait()"]
    return _impure(s, f"In a forked process it {how}: data loaders and pools of processes fork.", *code)


def _process(s: Subject) -> Iterator[Finding]:
    """Generators of random numbers, default dtypes, how errors are treated."""
    arrays, keywords = _arrays(s), s.keywords("none")
    s.journal("")
    try:
        with silence(), s.framework.context():
            before = s.framework.state()
            s.framework.disturb()
            inside = s.framework.state()
            s.callee.call(*arrays, **keywords)
            after = s.framework.state()
            s.framework.restore(before)
    except Exception:
        return
    changed = [name for name, was in inside.items() if after[name] != was]
    if changed:
        message = f"A call changes {' and '.join(changed)}, for everything else in the process."
        yield _impure(s, message, s.quote(), severity="warning")


# --- cost ------------------------------------------------------------------------------------------------------------------------

SIZES = (32, 256, 2048, 16384)
CLASS_SIZES = (8, 64, 512, 4096)
GROWTH = 4.0  # times the memory a row, from n to 8 n rows: n^2 would be 8
BYTES = 2.0**22  # below which memory is none to speak of


def cost(subject: Subject) -> Iterator[Finding]:
    """Time and memory of n rows of K classes grow as n and as K, at most with a logarithm.

    A loss that makes an n by n array is fast in a test, and ends a training with large batches.
    """
    s = subject
    if s.scalar:
        raise Skip("it takes one row at a time")
    x, y = ordinary(s, PAD)

    def rows(n: int) -> tuple[Any, ...]:
        order = np.arange(n) % PAD
        return s.arrays(x[order], y[order], "float64")

    with s.framework.alone():
        yield from _grows(s, rows, SIZES, "rows")
        if s.classes and not s.convention.others:
            yield from _grows(s, lambda k: _classes(s, k), CLASS_SIZES, "classes")


def _classes(s: Subject, k: int) -> tuple[Any, ...]:
    """A few rows of k classes."""
    x = np.random.default_rng(s.seed).normal(size=(8, k))
    if s.convention.input != "raw":
        x = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
        x = np.exp(x) if s.convention.input == "prediction" else x
    labels = np.arange(8) % CLASSES
    t = s.framework.array(labels, s.label_dtype or "int64") if s.hard else s.framework.array(np.eye(k)[labels], "float64")
    return s.place(s.framework.array(x, "float64"), t, [])


def _grows(s: Subject, make: Callable[[int], tuple[Any, ...]], sizes: tuple[int, ...], of: str) -> Iterator[Finding]:
    keywords = s.keywords()

    def measured(arrays: tuple[Any, ...], most: int = 5) -> Taken:
        return taken(lambda: s.run(arrays, keywords), max(int(np.prod(np.shape(a))) for a in arrays), most)

    before: tuple[Any, Taken] | None = None
    less = None
    for n in sizes[:3] if s.framework.pads else sizes:  # traced, not run: a few are enough
        arrays = make(n)
        try:
            time = None if s.framework.pads else measured(arrays)
            if time and (time.additions > SLOW or (before and time.grows(before[1]))):
                time = time.and_again(measured(arrays))  # the first call may have compiled
            space = s.framework.largest(lambda *a: s.run(a, keywords), arrays) if n != sizes[-1] else None
        except Exception:
            return  # an object for so many classes and no others; a function that cannot be traced
        if less and space and space > BYTES and space > GROWTH * 8 * less:
            yield _slow(s, of, "memory", n)
            return
        if time and before and time.grows(before[1]) and time.grows(before[1].and_again(measured(before[0], 20))):
            yield _slow(s, of, "time", n)
            return
        if time and time.additions > SLOW:
            return
        less, before = space, (arrays, time) if time else None


def _slow(s: Subject, of: str, what: str, n: int) -> Finding:
    each, power = ("n rows", "n^2") if of == "rows" else ("K classes", "K^2")
    message = f"The {what} for {each} grows as {power}, or faster: it works on what is small, and fails on what is large."
    m, x, y = s.framework.module, *ordinary(s, 2)
    if of == "classes" and not s.hard:
        return s.finding("warning", message, x=x, y=y)
    times, made = (n // 8, n), [f"x, y = (a[{m}.arange(n) % 2] for a in (rows, targets))"]
    made += [f"z{i} = x[:, 0] * 0 + 1" if s.classes else f"z{i} = x * 0 + 1" for i, o in enumerate(s.convention.others) if o != "identity"]
    if of == "classes":
        times, made = (n // 8 // CLASSES, n // CLASSES), [f"x = {m}.tile(rows, (1, n))"]
    loop = [*made, "start = time.perf_counter()", s.quote(reduction=None), "print(n, time.perf_counter() - start)"]
    code = ["import time", "", "rows, targets = x, y", f"for n in {times}:", *(f"    {line}" for line in loop)]
    return s.finding("error" if of == "rows" and s.per_row else "warning", message, x=x, y=y, code=code)  # no row needs the others
