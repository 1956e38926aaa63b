"""Calls of a function under audit: NumPy arrays in, NumPy float64 out, whatever its framework and conventions."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.audit.calling.adapt import Callee
from matchloss.audit.calling.convention import LAYOUTS, Convention
from matchloss.audit.calling.frameworks import Framework, framework
from matchloss.audit.calling.member import Member

Numbers = NDArray[np.float64]
Options = Mapping[str, Any] | None
CLASSES = 3
PAD = 64  # rows that a framework which compiles each shape is given at a time


class Raised(Exception):
    """The audited function raised: `original`, and the call as Python."""

    def __init__(self, original: BaseException, call: str = "") -> None:
        super().__init__(f"{type(original).__name__}: {original}")
        self.original, self.call = original, call


class Malformed(Exception):
    """The audited function returned `out`, which is no number a row, nor one for all."""

    def __init__(self, message: str, out: Any = None) -> None:
        super().__init__(message)
        self.out = out


FAILS = (Raised, Malformed)  # a call that gives no values


@contextmanager
def silence() -> Iterator[None]:
    """Warnings of the audited function are not ours to show."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


@dataclass
class Calls:
    """A function that answers by its convention. Values have the sign of a loss: less is better.

    x: predictions in the function's own space, (n,), or (n, K) for kind "multiclass"; y: targets (n,): numbers, labels 0 and 1 (or
    probabilities between, where `soft`) whatever the function calls them, labels 0..K-1, or distributions (n, K).
    """

    callee: Callee
    convention: Convention
    dtypes: tuple[str, ...] = ("float64",)  # floats that it takes
    soft: bool = False  # takes probabilities, or distributions, as targets
    hard: bool = True  # takes labels as integers (multiclass)
    label_dtype: str = ""  # of labels; empty: the predictions'
    elementwise: bool = False  # multiclass: returns a number an entry
    scalar: bool = False  # takes numbers, no arrays
    differentiable: bool = False
    has_hessian: bool | str = False  # "diagonal": multiclass, and its own method gives (n, K)
    member: Member | None = None
    seed: int = 0
    journal: Callable[[str], None] = field(default=lambda text: None, repr=False)  # told of each call; of one that may not return, which
    loaded: tuple[str, ...] = ()  # frameworks that may be used besides its own
    prepared: dict[Any, Callable[..., Any]] = field(default_factory=dict, compare=False, repr=False)  # shared by replacements
    anchor: tuple[Any, Any] | None = None  # rows that go with each, for a function that takes no single one
    narrow: bool = False  # whatever it is given, it computes in float32, and says so by what it returns
    together: bool = False  # rows are the places of one example, such as the pixels of an image, where the layout has places
    note: str = ""  # something to say of how it is called
    given: frozenset[str] = frozenset()  # the parts of the convention that a person, or the object itself, says: they are not guessed
    foreign: bool = False  # its framework was given: an array of NumPy's is a result as well, though not the one that it should be

    @property
    def kind(self) -> str:
        """Of target."""
        return self.convention.kind

    @property
    def classes(self) -> int:
        """How many; 0 where a row is a number."""
        return CLASSES if self.kind == "multiclass" else 0

    @property
    def promises(self) -> Any:
        """What the loss says of itself."""
        return self.callee.promises

    @cached_property
    def framework(self) -> Framework:
        """Its arrays' library."""
        return framework(self.convention.framework)

    @cached_property
    def rng(self) -> np.random.Generator:
        """The only source of chance; `fresh` starts it anew for each check."""
        return np.random.default_rng(self.seed)

    # --- calls ------------------------------------------------------------------------------------------------------------------

    def encode(self, y: Any) -> NDArray[Any]:
        """Targets as the function calls them."""
        y = np.asarray(y)
        if self.convention.target == "signs":
            return 2.0 * y - 1.0
        if self.kind == "multiclass" and y.ndim == 1 and not self.hard:
            return np.eye(CLASSES)[y.astype(int)]
        return y

    def target_dtype(self, y: NDArray[Any], dtype: str) -> str:
        """The dtype that encoded targets travel in."""
        if self.kind == "multiclass":
            return dtype if y.ndim > 1 else self.label_dtype or "int64"
        return self.label_dtype if self.label_dtype and np.all(y == np.round(y)) else dtype

    def arrays(self, x: Any, y: Any, dtype: str) -> tuple[Any, ...]:
        """The function's positional arguments, in its order."""
        t = self.encode(y)
        first, second = self.framework.array(self.lay(x), dtype), self.framework.array(self.lay(t), self.target_dtype(t, dtype))
        if self.scalar:
            first, second = (a.item() if np.size(a) == 1 else a for a in (first, second))
        return self.place(first, second, [self._other(o, np.shape(x)[0] if np.ndim(x) else 1, dtype) for o in self.convention.others])

    def lay(self, rows: Any) -> Any:
        """Rows of ours, (n,) or (n, K), in the layout that the function takes; of any library."""
        before, after = LAYOUTS[self.convention.layout]
        shape = [int(n) for n in np.shape(rows)]
        if not (before or after) or not shape:
            return rows
        if self.together and self.convention.layout != "N,1":
            places = (1, *[1] * (before + after - 1), shape[0])
            if self.classes and len(shape) > 1:
                return rows.reshape(*places, shape[1]) if before else rows.T.reshape(1, shape[1], *places[1:])
            return rows.reshape(places if self.classes else (1, *places))
        if self.classes and len(shape) > 1:
            return rows.reshape(shape[0], *[1] * before, shape[1], *[1] * after)
        return rows.reshape(shape[0], *[1] * (before + after + (not self.classes and self.convention.layout != "N,1")))

    def place(self, first: Any, second: Any, others: list[Any]) -> tuple[Any, ...]:
        """A prediction, a target and further arguments in the order of the call."""
        if others and self.convention.others[0] == "identity":  # a linear layer's weight stands between
            return first, others[0], second
        pair = (first, second) if self.convention.order.startswith("prediction") else (second, first)
        return (*pair, *others)

    def _other(self, what: str, n: int, dtype: str) -> Any:
        if what in ("number", "classes"):
            return 1.0 if what == "number" else CLASSES
        return self.framework.array(np.eye(CLASSES) if what == "identity" else self.lay(np.ones(n)), dtype)

    def keywords(self, reduction: str | None = None, dtype: str = "float64", weight: Any = None, options: Options = None) -> dict[str, Any]:
        """Of a call: the reduction where it can be chosen, a weight a row, and whatever a check asks for."""
        c, given = self.convention, dict(options or {})
        if reduction is not None and c.reduction_argument:
            given[c.reduction_argument] = reduction
        if weight is not None:
            if c.weight_argument is None:
                raise ValueError("it takes no weights")
            given[c.weight_argument] = self.framework.array(weight, dtype)
        return given

    def run(self, arrays: tuple[Any, ...], keywords: dict[str, Any], method: str = "call") -> Any:
        """The plain function, or its gradient or hessian; what it raises comes as Raised."""
        return self._guarded(getattr(self.callee, method), *arrays, **keywords)

    def fast(self, key: Any, function: Callable[..., Any], arrays: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
        """function(*arrays, **options) for numbers alone: compiled as a whole where the framework would compile each operation.

        What cannot be traced runs as it is, and what raises is raised by the function itself. `key` stands for the function.
        """
        own = {k: v for k, v in options.items() if type(v) is float or (self.framework.owns(v) and hasattr(v, "dtype"))}
        rest = {k: v for k, v in options.items() if k not in own}
        key = (key, repr(sorted(rest.items(), key=lambda item: item[0])))
        if key not in self.prepared:
            self.prepared[key] = self.framework.compiled(lambda *a, **o: function(*a, **o, **rest))
        self.journal("")
        try:
            with silence(), self.framework.context():
                return self.prepared[key](*arrays, **own)
        except Exception:
            plain = self._guarded(function, *arrays, **own, **rest)
            self.prepared[key] = lambda *a, **o: function(*a, **o, **rest)  # it is right as it is: tracing is what it does not bear
            return plain

    def call(self, x: Any, y: Any, dtype: str = "float64", reduction: str | None = None, options: Options = None) -> Any:
        """What the function returns, untouched."""
        return self.run(self.arrays(x, y, dtype), self.keywords(reduction, dtype, None, options))

    def signed(self, out: Any) -> Numbers:
        """A result as NumPy's float64, with the sign of a loss."""
        return self.convention.sign * self.framework.numbers(out)

    def _row_values(self, out: Any, n: int) -> Any:
        """The function's own array of a value a row, checked."""
        array: Any = out
        shape = tuple(np.shape(array))
        known = self.framework.owns(out) or isinstance(out, int | float | complex | np.generic)
        if not known and not (self.foreign and isinstance(out, np.ndarray)):
            raise Malformed(f"returned {_describe(out)}, not an array of {self.framework.name}", out)
        if "complex" in self.framework.dtype_of(out):
            raise Malformed(f"returned complex numbers ({self.framework.dtype_of(out)})")
        size = int(np.prod(shape))
        if self.elementwise and size == n * CLASSES:
            return array.reshape(n, CLASSES).sum(-1)
        if shape == (n,) or (n == 1 and size == 1):
            return out
        if self.convention.layout == "rows" or size != n:
            raise Malformed(f"returned shape {shape} for {n} rows")
        return array.reshape(n)

    @property
    def per_row(self) -> bool:
        """Whether one call gives a value a row."""
        return not self.scalar and (self.convention.reduction == "none" or self.convention.reduction_argument is not None)

    def _in_blocks(self, x: Any, y: Any, weight: Any, one: Callable[..., Numbers]) -> Numbers:
        """Calls `one` with rows it can take: all, or one by one, or so many that no new shape is compiled."""
        x, y = np.asarray(x, dtype=np.float64), np.asarray(y)
        n = x.shape[0]
        if n == 0:
            return np.zeros(x.shape)
        if self.per_row and not self.framework.pads:
            return one(x, y, weight)
        size = PAD if self.per_row else 1
        parts = [np.minimum(np.arange(i, i + size), n - 1) for i in range(0, n, size)]
        return np.concatenate([one(x[p], y[p], None if weight is None else np.asarray(weight)[p]) for p in parts])[:n]

    def value(self, x: Any, y: Any, dtype: str = "float64", weight: Any = None, options: Options = None) -> Numbers:
        """The loss of each row, (n,), computed in dtype."""
        return self._in_blocks(x, y, weight, lambda a, b, w: self._values(a, b, dtype, w, options))

    def _values(self, x: Any, y: Any, dtype: str, weight: Any, options: Options) -> Numbers:
        n = x.shape[0]
        if self.scalar:
            x, y = x[0], y[0]
        if self.anchor is not None:
            return self._beside_anchor(x, y, dtype, weight, options)
        arrays, keywords = self.arrays(x, y, dtype), self.keywords("none", dtype, weight, options)
        out = self.fast("call", self.callee.call, arrays, keywords) if self.framework.pads else self.run(arrays, keywords)
        return self.signed(self._row_values(out, n)).reshape(n)

    def _beside_anchor(self, x: Any, y: Any, dtype: str, weight: Any, options: Options) -> Numbers:
        """One row's value, from what it adds to rows that are known."""
        ax, ay = self.anchor if self.anchor is not None else (x, y)
        ay = np.eye(CLASSES)[ay] if np.ndim(y) > np.ndim(ay) else ay
        m, w = len(ax), None if weight is None else np.append(np.ones(len(ax)), weight)
        both = self.total(np.concatenate([ax, x]), np.concatenate([ay, y]), None, dtype, w, options)
        alone = self.total(ax, ay, None, dtype, None if w is None else w[:m], options)
        return np.array([(m + 1) * both - m * alone if self.convention.reduction == "mean" else both - alone])

    def total(
        self, x: Any, y: Any, reduction: str | None = None, dtype: str = "float64", weight: Any = None, options: Options = None
    ) -> float:
        """What the function itself makes of all rows, under its own or the given reduction."""
        out = self.run(self.arrays(x, y, dtype), self.keywords(reduction, dtype, weight, options))
        if not isinstance(out, int | float | np.generic) and not hasattr(out, "dtype"):
            raise Malformed(f"returned {_describe(out)}, not a number", out)
        return float(self.signed(out).sum())

    def gradient(self, x: Any, y: Any, dtype: str = "float64", weight: Any = None, options: Options = None) -> Numbers:
        """The derivative of each row's loss in its prediction, like x: the object's own, or by differentiating the function."""
        return self._in_blocks(x, y, weight, lambda a, b, w: self._gradients(a, b, dtype, w, options))

    def _gradients(self, x: Any, y: Any, dtype: str, weight: Any, options: Options) -> Numbers:
        if self.callee.gradient is not None:
            out = self.run(self.arrays(x, y, dtype), self.keywords(None, dtype, weight, options), "gradient")
            found = self.signed(out)
            if found.size != x.size:
                raise Malformed(f"its gradient has shape {found.shape} for predictions of shape {x.shape}")
            return found.reshape(x.shape)
        return self.signed(self.derived("gradient", "sum", x, y, dtype, self.keywords("none", dtype, weight, options)))

    def hessian(self, x: Any, y: Any, dtype: str = "float64") -> Numbers:
        """The second derivative, (n,); multiclass (n, K, K), or the diagonal (n, K) where has_hessian is "diagonal"."""
        return self._in_blocks(x, y, None, lambda a, b, w: self._hessians(a, b, dtype))

    def _hessians(self, x: Any, y: Any, dtype: str) -> Numbers:
        if self.callee.hessian is not None:
            return self.signed(self.run(self.arrays(x, y, dtype), {}, "hessian"))
        columns = list(map(self.signed, self.derived("hessian_columns", "sum", x, y, dtype, self.keywords("none", dtype))))
        return np.stack(columns, axis=1) if self.classes else columns[0]

    def tangent(self, x: Any, y: Any, v: Any, dtype: str = "float64") -> Numbers:
        """The derivative of each row's value along v, in forward mode, (n,)."""
        return self.signed(self.derived("tangent", "rows", x, y, dtype, self.keywords("none", dtype), self.framework.array(v, dtype)))

    def derived(self, how: str, of: str, x: Any, y: Any, dtype: str, keywords: Mapping[str, Any], *along: Any) -> Any:
        """A derivative in the prediction, by the framework: of the values of "rows", of their "sum", or of the "whole" that is returned."""
        n, place, call, others = np.shape(x)[0], self.place, self.callee.call, len(self.convention.others)

        def then(out: Any) -> Any:
            out = out if of == "whole" else self._row_values(out, n)
            return out if of == "rows" else out.sum()

        def derive(z: Any, *rest: Any, **options: Any) -> Any:
            target, more, v = rest[0], list(rest[1 : 1 + others]), rest[1 + others :]
            return getattr(self.framework, how)(lambda z: then(call(*place(self.lay(z), target, more), **options)), z, *v)

        t = self.encode(y)
        held = [self.framework.array(self.lay(t), self.target_dtype(t, dtype)), *(self._other(o, n, dtype) for o in self.convention.others)]
        arrays = (self.framework.array(np.asarray(x, dtype=np.float64), dtype), *held, *along)
        if self.framework.pads:
            return self.fast((how, of, n, self.convention.order, self.convention.layout, self.elementwise), derive, arrays, keywords)
        return self._guarded(derive, *arrays, **keywords)

    def _guarded(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        self.journal("")  # a sign of life
        try:
            with silence(), self.framework.context():
                return function(*arguments, **options)
        except (KeyboardInterrupt, MemoryError, Malformed):
            raise
        except BaseException as error:
            raise Raised(error) from error


def _describe(out: Any) -> str:
    return "None" if out is None else f"a {type(out).__name__}"
