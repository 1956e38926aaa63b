"""What a call does besides returning a value: to its inputs, to later calls, to the process; and what it costs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from matchloss.audit.calling.subject import CLASSES, PAD, Raised, Subject, silence
from matchloss.audit.checks._check import Skip
from matchloss.audit.checks._forks import in_child
from matchloss.audit.checks._same import differ, ordinary, tolerant
from matchloss.audit.finding import Finding

# --- purity ----------------------------------------------------------------------------------------------------------------------


def purity(subject: Subject) -> Iterator[Finding]:
    """f(x, y) is a function of x and y: it changes neither, nor anything else in the process, and gives the same after other calls, in
    another thread, and in a forked process.

    Otherwise a run cannot be repeated, and data loaders, threads and checkpoints change what is trained.
    """
    s = subject
    yield from _inputs(s)
    repeats = list(_repeated(s))
    yield from repeats
    yield from _aliased(s)
    if not repeats:
        yield from _reused(s)
        yield from _methods(s)
        yield from _threads(s)
        yield from _forked(s)
    yield from _process(s)


def _one(s: Subject) -> str | None:
    return "none" if s.convention.reduction_argument else None


def _rows(s: Subject, n: int = PAD) -> tuple[Any, Any]:
    """Ordinary rows; one, where it takes one at a time."""
    x, y = ordinary(s, n)
    return (x[0], y[0]) if s.scalar else (x, y)


def _numbers(s: Subject, arrays: Any, method: str = "call") -> Any:
    """A result as NumPy's, of its own memory."""
    keywords = s.keywords(_one(s)) if method == "call" else {}
    return np.atleast_1d(np.array(s.framework.numbers(s.run(arrays, keywords, method))))


METHODS = ("call", "gradient", "hessian")


def _own(s: Subject) -> list[str]:
    return [m for m in METHODS if m == "call" or getattr(s.callee, m) is not None]


def _inputs(s: Subject) -> Iterator[Finding]:
    """Inputs are the same bits afterwards."""
    if s.scalar:
        return
    x, y = _rows(s)
    for method in _own(s):
        arrays = s.arrays(x, y, "float64")
        before = [np.array(s.framework.numbers(a)) for a in arrays]
        if tolerant(lambda method=method, arrays=arrays: _numbers(s, arrays, method)) is None:
            continue
        changed = [i for i, (a, b) in enumerate(zip(before, arrays, strict=True)) if not np.array_equal(a, s.framework.numbers(b))]
        if changed:
            which = (
                "predictions" if np.array_equal(before[changed[0]].shape, x.shape) and np.array_equal(before[changed[0]], x) else "targets"
            )
            call = s.quote(method="" if method == "call" else method, reduction=_one(s))
            code = [call, f"print({'x' if which == 'predictions' else 'y'})"]
            yield s.finding(
                "error", f"A call of its {_word(method)} changes the {which} that it is given: whatever uses them next is wrong.", x=x[:2],
                y=y[:2], code=code,
            )  # fmt: skip
            return


def _word(method: str) -> str:
    return "value" if method == "call" else method


def _repeated(s: Subject) -> Iterator[Finding]:
    """The same call twice; then after a call with other data; rows moved by one."""
    x, y = _rows(s)
    arrays = s.arrays(x, y, "float64")
    first, second = _numbers(s, arrays), _numbers(s, arrays)
    call = s.quote(reduction=_one(s))
    shown: dict[str, Any] = {"x": x if s.scalar else x[:2], "y": y if s.scalar else y[:2]}
    if differ(first, second).any():
        yield s.finding(
            "error", "The same call twice gives two results: it draws numbers, or remembers what it has seen. A run cannot be repeated.",
            code=[f"print({call})", f"print({call})"], **shown,
        )  # fmt: skip
        return
    if s.scalar:
        return
    _numbers(s, s.arrays(*_rows(s, PAD if s.framework.pads else PAD // 2), "float64"))
    if differ(first, _numbers(s, arrays)).any():
        yield s.finding(
            "error",
            "After a call with other data the same call gives another result: what is trained depends on what was evaluated before.",
            code=[f"print({call})", "rows = x", "x = 3 * x", call, "x = rows", f"print({call})"],
            **shown,
        )
        return
    if not s.per_row:
        return
    moved = _numbers(s, s.arrays(np.roll(x, 1, axis=0), np.roll(y, 1, axis=0), "float64"))
    if differ(np.roll(first, 1, axis=0), moved).any():
        yield s.finding(
            "error",
            "Called with the same rows in another order it gives another result a row: it remembers earlier arrays by their shape.",
            code=[f"print({call})", "x = x + 1", f"print({call})"],
            **shown,
        )


def _reused(s: Subject) -> Iterator[Finding]:
    """An array that is overwritten with other numbers, as buffers are, is another argument."""
    if s.scalar or s.framework.pads:
        return
    (x, y), (z, t) = _rows(s), _rows(s)
    arrays, others = s.arrays(x, y, "float64"), s.arrays(z, t, "float64")
    right = _numbers(s, tuple(a + 0 for a in others))
    _numbers(s, arrays)
    for a, b in zip(arrays, others, strict=True):
        a[...] = b
    if differ(right, _numbers(s, arrays)).any():
        call = s.quote(reduction=_one(s))
        yield s.finding(
            "error", "An array that was overwritten with other numbers gives the old result: it remembers arrays by where they "
            "lie, and buffers that are filled anew train on old data.", x=x[:2], y=y[:2],
            code=[f"print({call})", "x[...] = x + 1", f"print({call})"],
        )  # fmt: skip


def _aliased(s: Subject) -> Iterator[Finding]:
    """A result stays as it is."""
    if s.scalar or s.framework.pads:
        return
    x, y = _rows(s)
    arrays, others = s.arrays(x, y, "float64"), s.arrays(*_rows(s), "float64")
    for method in _own(s):
        keywords = s.keywords(_one(s)) if method == "call" else {}
        try:
            kept = s.run(arrays, keywords, method)
            before = np.array(s.framework.numbers(kept))
            s.run(others, keywords, method)
        except Raised:
            continue
        if differ(before, s.framework.numbers(kept)).any():
            call = s.quote(method="" if method == "call" else method, reduction=_one(s))
            yield s.finding(
                "error", f"The {_word(method)} that one call returned is overwritten by the next call: two batches cannot be compared.",
                x=x[:2], y=y[:2], code=[f"first = {call}", "print(first)", "x = x + 1", call, "print(first)"],
            )  # fmt: skip
            return


def _methods(s: Subject) -> Iterator[Finding]:
    """An object's gradient and hessian, after a call of another method with other data."""
    x, y = _rows(s)
    arrays, others = s.arrays(x, y, "float64"), s.arrays(*_rows(s), "float64")
    own = _own(s)
    for method in own:
        first = tolerant(lambda method=method: _numbers(s, arrays, method))
        if first is None:
            continue
        for other in own:
            if tolerant(lambda other=other: _numbers(s, others, other)) is None:
                continue
            again = _numbers(s, arrays, method)
            if again.shape != first.shape or differ(first, again).any():
                named = s.quote(method="" if method == "call" else method, reduction=_one(s))
                between = s.quote(method="" if other == "call" else other, reduction=_one(s))
                code = [f"print({named})", "rows = x", "x = x + 1", between, "x = rows", f"print({named})"]
                yield s.finding(
                    "error", f"Its {_word(method)} depends on the arrays that its {_word(other)} was called with before: steps are taken "
                    "with what belongs to other rows.", x=x if s.scalar else x[:2], y=y if s.scalar else y[:2], code=code,
                )  # fmt: skip
                return


TURNS = 12  # calls of each of two threads


def _threads(s: Subject) -> Iterator[Finding]:
    """Two threads, each with data of its own."""
    if s.scalar:
        return
    data = [s.arrays(*_rows(s), "float64") for _ in range(2)]
    right = [_numbers(s, arrays) for arrays in data]
    start, wrong = threading.Barrier(2, timeout=2.0), [False, False]
    keywords = s.keywords(_one(s))

    def work(i: int) -> None:
        try:
            start.wait()
            with np.errstate(all="ignore"), s.framework.context():
                for _ in range(TURNS):
                    got = np.atleast_1d(s.framework.numbers(s.callee.call(*data[i], **keywords)))
                    wrong[i] |= got.shape != right[i].shape or bool(differ(got, right[i]).any())
        except threading.BrokenBarrierError:
            return
        except BaseException:
            wrong[i] = True

    with silence():
        threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(2.0)
    if any(wrong):
        x, y = _rows(s, 2)
        call = s.quote(reduction=_one(s))
        code = ["from concurrent.futures import ThreadPoolExecutor", "", "with ThreadPoolExecutor(2) as pool:"]
        code += [f"    for found in pool.map(lambda x: {call}, [x, x + 1] * 3):", "        print(found)"]
        yield s.finding("error", "Called from two threads at once it raises, or gives one the numbers of the other.", x=x, y=y, code=code)


def _forked(s: Subject) -> Iterator[Finding]:
    """A child process, as data loaders fork them."""
    if s.framework.differentiable:  # JAX does not work there, PyTorch only where its threads have not started: that is no matter of a loss
        return
    x, y = _rows(s, 64 * PAD)
    arrays = s.arrays(x, y, "float64")
    right = _numbers(s, arrays)
    s.journal("")

    def call_there() -> Any:
        return _numbers(s, arrays)

    got = in_child(call_there)
    if got is None:
        return
    if isinstance(got, str) or got.shape != right.shape or differ(got, right).any():
        how = got if isinstance(got, str) else "gives another result"
        call = s.quote(reduction=_one(s))
        code = ["import os", "", call, "if os.fork() == 0:", f"    print({call})", "    os._exit(0)", "os.wait()"]
        yield s.finding(
            "error", f"In a forked process it {how}: data loaders and pools of processes fork.", x=x if s.scalar else x[:2],
            y=y if s.scalar else y[:2], code=code,
        )  # fmt: skip


def _process(s: Subject) -> Iterator[Finding]:
    """Generators of random numbers, default dtypes, how errors are treated."""
    x, y = _rows(s)
    arrays, keywords = s.arrays(x, y, "float64"), s.keywords(_one(s))
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
        call = s.quote(reduction=_one(s))
        yield s.finding(
            "warning", f"A call changes {' and '.join(changed)}, for everything else in the process.", x=x if s.scalar else x[:2],
            y=y if s.scalar else y[:2], code=[call],
        )  # fmt: skip


# --- cost ------------------------------------------------------------------------------------------------------------------------

SIZES = (32, 256, 2048, 16384)
GROWTH = 4.0  # times the time a row, from n to 8 n rows: n^2 would be 8, n log n at most 1.6; caches and new pages have cost 3
BUDGET = 0.05  # seconds that the calls of one size may take; twelve times that, were one to grow as n^2
SEEN = 1e-3  # seconds below which a call is too short to be judged
BYTES = 2.0**22  # below which memory is none to speak of


def cost(subject: Subject) -> Iterator[Finding]:
    """Time and memory of n rows of K classes grow as n and as K, at most with a logarithm.

    What makes an n by n array is fast in a test and ends a training of large batches.
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
            yield from _grows(s, lambda k: _classes(s, k), (8, 64, 512, 4096), "classes")


def _classes(s: Subject, k: int) -> tuple[Any, ...]:
    """A few rows of k classes."""
    rng = np.random.default_rng(s.seed)
    x = rng.normal(size=(8, k))
    if s.convention.input != "raw":
        x = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
        x = np.exp(x) if s.convention.input == "prediction" else x
    labels = np.arange(8) % CLASSES
    t = s.framework.array(labels, s.label_dtype or "int64") if s.hard else s.framework.array(np.eye(k)[labels], "float64")
    return s.place(s.framework.array(x, "float64"), t, [])


def _grows(s: Subject, make: Callable[[int], tuple[Any, ...]], sizes: tuple[int, ...], of: str) -> Iterator[Finding]:
    keywords = s.keywords()
    sizes = sizes[:3] if s.framework.pads else sizes  # traced, not run: a few are enough
    last: tuple[Any, float, float | None] | None = None
    for i, n in enumerate(sizes):
        arrays = make(n)
        try:
            seconds = 0.0 if s.framework.pads else _best(s, arrays, keywords)  # and what it compiles, or keeps, is there
            space = s.framework.largest(lambda *a: s.run(a, keywords), arrays)
        except Exception:
            return  # an object for so many classes and no others; a function that cannot be traced
        if last is not None:
            small, before, less = last
            if less and space and space > BYTES and space > GROWTH * 8 * less:
                yield _slow(s, of, "memory", n)
                return
            if seconds > SEEN and seconds > GROWTH * 8 * before and _again(s, small, arrays, keywords):
                yield _slow(s, of, "time", n)
                return
        last = arrays, seconds, space
        if i + 1 < len(sizes) and 64 * seconds > 12 * BUDGET:
            return


def _best(s: Subject, arrays: Any, keywords: Any, most: int = 5) -> float:
    """Seconds of this thread in the fastest of a few calls: what other processes take is not among them, and only ever adds."""
    best, spent = np.inf, 0.0
    for _ in range(most):
        start = time.thread_time()
        s.run(arrays, keywords)
        taken = time.thread_time() - start
        best, spent = min(best, taken), spent + taken
        if spent > BUDGET:
            break
    return float(best)


def _again(s: Subject, small: Any, large: Any, keywords: Any) -> bool:
    """Whether it is so at a second and a third measurement, taken in turns."""
    return all(_best(s, large, keywords) > GROWTH * 8 * _best(s, small, keywords, 20) for _ in range(2))


def _slow(s: Subject, of: str, what: str, n: int) -> Finding:
    x, y = ordinary(s, 2)
    each, power = ("n rows", "n^2") if of == "rows" else ("K classes", "K^2")
    message = f"The {what} for {each} grows as {power}, or faster: it works on what is small, and fails on what is large."
    if of == "classes" and not s.hard:
        return s.finding("warning", message, x=x, y=y)
    m = s.framework.module
    made = [f"x, y = (a[{m}.arange(n) % 2] for a in (rows, targets))"]
    made += [f"z{i} = x[:, 0] * 0 + 1" if s.classes else f"z{i} = x * 0 + 1" for i, o in enumerate(s.convention.others) if o != "identity"]
    if of == "classes":
        made = [f"x = {m}.tile(rows, (1, n))"]
    times = f"({n // 8}, {n})" if of == "rows" else f"({n // 8 // CLASSES}, {n // CLASSES})"
    loop = [f"for n in {times}:", *(f"    {line}" for line in made), "    start = time.perf_counter()", f"    {s.quote(reduction=None)}"]
    code = ["rows, targets = x, y", *loop, "    print(n, time.perf_counter() - start)"]
    severity = "error" if of == "rows" and s.per_row else "warning"  # no row needs the others
    return s.finding(severity, message, x=x, y=y, code=["import time", "", *code])
