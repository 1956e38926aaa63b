"""Numbers and arrays of a loop that is being written: their operators write LLVM instructions instead of computing.

A text (a formula, an elementary function, a loop) runs once over these values, and what it did stands in a Builder as LLVM's own language.
Kinds mix as numbers of NumPy's types do in compiled Python: a Python float is a float64, a Python int an int64, and float32 with
float64 gives float64. A number without a Value around it is known while the loop is written.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeGuard

import numpy as np


class NotCompilable(TypeError):
    """A formula that cannot be written as a loop: it branches on data, calls a library, or names other things than numbers and helpers."""


class Kind(NamedTuple):
    """A type of numbers: NumPy's name of it, LLVM's in a register, its bits, and how it is read."""

    name: str
    ir: str
    bits: int
    real: bool = False
    signed: bool = True

    @property
    def memory(self) -> str:
        """LLVM's type in memory."""
        return "i8" if self.bits == 1 else self.ir

    @property
    def bytes(self) -> int:
        """Bytes in memory."""
        return max(self.bits // 8, 1)


F64, F32 = Kind("float64", "double", 64, True), Kind("float32", "float", 32, True)
I64, I32, BOOL = Kind("int64", "i64", 64), Kind("int32", "i32", 32), Kind("bool", "i1", 1, signed=False)
_SMALL = (Kind("int8", "i8", 8), Kind("int16", "i16", 16), Kind("uint8", "i8", 8, signed=False), Kind("uint16", "i16", 16, signed=False))
U32, U64 = Kind("uint32", "i32", 32, signed=False), Kind("uint64", "i64", 64, signed=False)
KINDS = {kind.name: kind for kind in (F64, F32, I64, I32, BOOL, U32, U64, *_SMALL)}

PLAIN, SUMS = "contract nsz", "contract nsz reassoc"  # no nnan and no ninf: with them NaN and infinities give nonsense
ONES = {8: 0xFF, 16: 0xFFFF, 32: 0xFFFFFFFF, 64: 0xFFFFFFFFFFFFFFFF}


class Builder:
    """One function under construction, as lines of LLVM's language."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.cells: list[str] = []  # memory on the stack, reserved once at the function's start
        self.owners: list[str] = []  # cells of memory to free at the function's end
        self.declared: dict[str, str] = {}
        self.flags = PLAIN
        self.label = "start"
        self._count = 0

    def fresh(self, stem: str = "v") -> str:
        """A name that nothing has yet."""
        self._count += 1
        return f"{stem}{self._count}"

    def emit(self, instruction: str) -> str:
        """Appends an instruction with a result; returns the result's name."""
        name = "%" + self.fresh()
        self.lines.append(f"  {name} = {instruction}")
        return name

    def act(self, instruction: str) -> None:
        """Appends an instruction without a result."""
        self.lines.append(f"  {instruction}")

    def start(self, label: str) -> None:
        """Begins the block of this label."""
        self.lines.append(f"{label}:")
        self.label = label

    def jump(self, label: str) -> None:
        """Ends the block."""
        self.act(f"br label %{label}")

    def branch(self, condition: Value, yes: str, no: str) -> None:
        """Ends the block."""
        self.act(f"br i1 {condition.to(BOOL).name}, label %{yes}, label %{no}")

    def declare(self, name: str, text: str) -> None:
        """A function from outside."""
        self.declared[name] = text

    def reserve(self, kind: str, count: int = 1, align: int = 0) -> str:
        """Memory on the stack."""
        name = "%" + self.fresh("c")
        self.cells.append(f"  {name} = alloca {kind if count == 1 else f'[{count} x {kind}]'}{f', align {align}' if align else ''}")
        return name

    @contextmanager
    def summing(self, flags: str) -> Iterator[None]:
        """Inside, sums may be reordered, or whatever these flags say."""
        before, self.flags = self.flags, flags
        try:
            yield
        finally:
            self.flags = before

    def call(self, name: str, kind: Kind, *arguments: Value, flags: str = "") -> Value:
        """A call of a function over numbers of one kind, such as an intrinsic of LLVM's."""
        self.declare(name, f"declare {kind.ir} @{name}({', '.join(a.kind.ir for a in arguments)})")
        passed = ", ".join(f"{a.kind.ir} {a.name}" for a in arguments)
        return Value(self, kind, self.emit(f"call {flags + ' ' if flags else ''}{kind.ir} @{name}({passed})"))

    @contextmanager
    def loop(self, begin: Any, end: Any, step: int = 1) -> Iterator[tuple[Value, str, str]]:
        """for j in range(begin, end, step), its test at the end, as LLVM wants it: j, and the labels for `continue` and `break`."""
        begin, end = (self.integer(x) for x in (begin, end))
        body, latch, after = self.fresh("body"), self.fresh("next"), self.fresh("after")
        test, known = ("slt", "nsw nuw") if step > 0 else ("sgt", "nsw")
        if not (begin.name.isdecimal() and step > 0):
            known = "nsw"
        enter = self.emit(f"icmp {test} i64 {begin.name}, {end.name}")
        self.act(f"br i1 {enter}, label %{body}, label %{after}")
        before = self.label
        self.start(body)
        j, following = "%" + self.fresh("j"), "%" + self.fresh("j")
        self.lines.append(f"  {j} = phi i64 [ {begin.name}, %{before} ], [ {following}, %{latch} ]")
        yield Value(self, I64, j), latch, after
        self.jump(latch)
        self.start(latch)
        self.lines.append(f"  {following} = add {known} i64 {j}, {step}")
        again = self.emit(f"icmp {test} i64 {following}, {end.name}")
        self.act(f"br i1 {again}, label %{body}, label %{after}")
        self.start(after)

    def integer(self, x: Any) -> Value:
        """A whole number as an int64."""
        return self.value(x, I64) if not isinstance(x, Value) else x.to(I64)

    def value(self, x: Any, kind: Kind | None = None) -> Value:
        """A number that is known while the loop is written, as a Value."""
        kind = kind or kind_of(x)
        return Value(self, kind, _literal(x, kind))


def _literal(x: Any, kind: Kind) -> str:
    if kind is BOOL:
        return "true" if x else "false"
    if not kind.real:
        return str(int(x))
    with np.errstate(over="ignore"):
        exact = float(x) if kind is F64 else float(np.float32(x))
    return f"0x{struct.unpack('<Q', struct.pack('<d', exact))[0]:016X}"


def kind_of(x: Any) -> Kind:
    """The kind of a number, in a Value or known."""
    if isinstance(x, Value):
        return x.kind
    if isinstance(x, np.generic):
        return KINDS[x.dtype.name]
    if isinstance(x, bool):
        return BOOL
    if isinstance(x, int):
        return I64
    if isinstance(x, float):
        return F64
    raise NotCompilable(f"{x!r} is no number")


def is_number(x: Any) -> TypeGuard[Any]:
    """Whether x is a number, in a Value or known."""
    return isinstance(x, Value | int | float | np.generic)


def common(a: Kind, b: Kind) -> Kind:
    """The kind of a sum."""
    if a == b:
        return a
    if a.real and b.real:
        return F64
    if a.real or b.real:
        return F64
    if BOOL in (a, b):
        return b if a is BOOL else a
    return I64


def _arithmetic(of_reals: str, of_integers: str, swap: bool = False) -> Callable[..., Any]:
    def operate(self: Value, other: Any) -> Value:
        if not is_number(other):
            return NotImplemented
        kind = common(self.kind, kind_of(other))
        kind = I64 if kind is BOOL and of_integers not in ("and", "or", "xor") else kind
        kind = F64 if not kind.real and not of_integers else kind
        a, b = self.to(kind), self.like(other, kind)
        if swap:
            a, b = b, a
        if kind.real:
            if not of_reals:
                raise NotCompilable(f"{of_integers} of real numbers")
            return Value(self.b, kind, self.b.emit(f"{of_reals} {self.b.flags} {kind.ir} {a.name}, {b.name}"))
        name = of_integers if kind.signed else {"ashr": "lshr", "sdiv": "udiv", "srem": "urem"}.get(of_integers, of_integers)
        return Value(self.b, kind, self.b.emit(f"{name} {kind.ir} {a.name}, {b.name}"))

    return operate


def _comparison(real: str, signed: str, unsigned: str) -> Callable[..., Any]:
    def operate(self: Value, other: Any) -> Any:
        if not is_number(other):
            return NotImplemented
        kind = common(self.kind, kind_of(other))
        a, b = self.to(kind), self.like(other, kind)
        test = f"fcmp {real}" if kind.real else f"icmp {signed if kind.signed else unsigned}"
        return Value(self.b, BOOL, self.b.emit(f"{test} {kind.ir} {a.name}, {b.name}"))

    return operate


_not_zero = _comparison("une", "ne", "ne")


class Value:
    """A number that is known when the loop runs."""

    __slots__ = ("b", "kind", "name")
    __hash__ = None  # type: ignore[assignment]
    __array_ufunc__ = None  # a number of NumPy's leaves operators to us

    def __init__(self, b: Builder, kind: Kind, name: str) -> None:
        self.b, self.kind, self.name = b, kind, name

    def like(self, other: Any, kind: Kind) -> Value:
        """Another number as a Value of this kind."""
        return other.to(kind) if isinstance(other, Value) else self.b.value(other, kind)

    def to(self, kind: Kind) -> Value:
        """The number converted: to integers towards 0, to bool whether it is not 0."""
        old, b = self.kind, self.b
        if old == kind:
            return self
        if kind is BOOL:
            return _not_zero(self, 0)
        if old.real and kind.real:
            how = "fpext" if kind is F64 else "fptrunc"
        elif kind.real:
            how = "sitofp" if old.signed else "uitofp"
        elif old.real:
            how = "fptosi" if kind.signed else "fptoui"
        elif old.bits < kind.bits:
            how = "sext" if old.signed else "zext"
        elif old.bits > kind.bits:
            how = "trunc"
        else:
            return Value(b, kind, self.name)
        return Value(b, kind, b.emit(f"{how} {old.ir} {self.name} to {kind.ir}"))

    def as_bits(self, kind: Kind) -> Value:
        """The same bits as another kind of number."""
        return Value(self.b, kind, self.b.emit(f"bitcast {self.kind.ir} {self.name} to {kind.ir}"))

    __add__, __radd__ = _arithmetic("fadd", "add"), _arithmetic("fadd", "add", True)
    __sub__, __rsub__ = _arithmetic("fsub", "sub"), _arithmetic("fsub", "sub", True)
    __mul__, __rmul__ = _arithmetic("fmul", "mul"), _arithmetic("fmul", "mul", True)
    __truediv__, __rtruediv__ = _arithmetic("fdiv", ""), _arithmetic("fdiv", "", True)
    __floordiv__, __mod__ = _arithmetic("", "sdiv"), _arithmetic("", "srem")  # of numbers >= 0, where these are Python's
    __and__, __rand__, __or__, __ror__ = (_arithmetic("", name) for name in ("and", "and", "or", "or"))
    __xor__, __rxor__ = _arithmetic("", "xor"), _arithmetic("", "xor")
    __lshift__, __rshift__ = _arithmetic("", "shl"), _arithmetic("", "ashr")
    __lt__, __le__ = _comparison("olt", "slt", "ult"), _comparison("ole", "sle", "ule")
    __gt__, __ge__ = _comparison("ogt", "sgt", "ugt"), _comparison("oge", "sge", "uge")
    __eq__, __ne__ = _comparison("oeq", "eq", "eq"), _comparison("une", "ne", "ne")  # type: ignore[assignment]

    def __neg__(self) -> Value:
        if self.kind.real:
            return Value(self.b, self.kind, self.b.emit(f"fneg {self.b.flags} {self.kind.ir} {self.name}"))
        return 0 - self

    def __pos__(self) -> Value:
        return self

    def __invert__(self) -> Value:
        return self ^ (True if self.kind is BOOL else -1)

    def __abs__(self) -> Value:
        return absolute(self)

    def __pow__(self, power: Any) -> Value:
        if isinstance(power, Value) or power not in (2, 0.5):
            raise NotCompilable("powers are written x * x, m.sqrt(x) or m.exp(power * m.log(x))")
        return self * self if power == 2 else square_root(self.to(F64))

    def __bool__(self) -> bool:
        raise NotCompilable("a formula cannot branch on data: write m.where(condition, a, b) for `if`, and & | for `and`, `or`")

    def __float__(self) -> float:
        raise NotCompilable("a number of a row is not known while the loop is written: call functions of `m`, not of a library")

    __int__ = __index__ = __float__  # type: ignore[assignment]


def where(condition: Any, a: Any, b: Any) -> Any:
    """A if the condition holds, otherwise b; both are computed."""
    if not isinstance(condition, Value):
        return a if condition else b
    kind = common(kind_of(a), kind_of(b))
    build = condition.b
    a, b = (x.to(kind) if isinstance(x, Value) else build.value(x, kind) for x in (a, b))
    return Value(build, kind, build.emit(f"select i1 {condition.to(BOOL).name}, {kind.ir} {a.name}, {kind.ir} {b.name}"))


def _intrinsic(name: str, x: Value, *more: Value, flags: str | None = None) -> Value:
    return x.b.call(f"llvm.{name}.f{x.kind.bits}", x.kind, x, *more, flags=x.b.flags if flags is None else flags)


def absolute(x: Any) -> Any:
    """|x|."""
    if not isinstance(x, Value):
        return abs(x)
    return _intrinsic("fabs", x) if x.kind.real else where(x < 0, -x, x)


def square_root(x: Any) -> Any:
    """The square root of a real number."""
    return _intrinsic("sqrt", x) if isinstance(x, Value) else np.sqrt(x)


def floor(x: Any) -> Any:
    """The largest whole number <= x, as a real number."""
    return _intrinsic("floor", x) if isinstance(x, Value) else np.floor(x)


def maximum(a: Value, b: Value) -> Value:
    """The larger of two, NaN if either is. Unlike a comparison LLVM may reorder it, so that a running maximum vectorises."""
    a, b = (x if isinstance(x, Value) else _known_beside(x, a, b) for x in (a, b))
    return _intrinsic("maximum", a, b, flags="nsz")


def _known_beside(x: Any, *others: Any) -> Value:
    value = next(v for v in others if isinstance(v, Value))
    return value.b.value(x, value.kind)


def cast(x: Any, kind: Kind) -> Any:
    """x as a number of this kind; one of NumPy's if x is known."""
    return x.to(kind) if isinstance(x, Value) else np.dtype(kind.name).type(x)


class Array:
    """An array or a view of one. Indices are not checked; a known one may be negative. Strides are in entries."""

    def __init__(self, b: Builder, kind: Kind, pointer: str, shape: Sequence[Any], strides: Sequence[Any] | None = None) -> None:
        self.b, self.kind, self.pointer, self.shape = b, kind, pointer, tuple(shape)
        self.strides = tuple(strides) if strides is not None else rows_first(self.shape)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's type of an entry."""
        return np.dtype(self.kind.name)

    @property
    def size(self) -> Any:
        """The number of entries."""
        return product(self.shape)

    def view(self, index: Any) -> Array:
        """The part at this index of whole numbers and slices; of no dimension if it is one entry."""
        index = index if isinstance(index, tuple) else (index,)
        b, pointer, shape, strides = self.b, self.pointer, [], []
        offset: Any = 0
        for axis, (size, stride) in enumerate(zip(self.shape, self.strides, strict=True)):
            at = index[axis] if axis < len(index) else slice(None)
            if isinstance(at, slice):
                start, length, step = _bounds(at, size)
                shape.append(length)
                strides.append(stride * step if step != 1 else stride)
                at = start
            elif not isinstance(at, Value) and at < 0:
                at = size + int(at)
            at = at.to(I64) if isinstance(at, Value) else int(at)
            offset = _plus(offset, _times(at, stride))
        if len(index) > self.ndim:
            raise NotCompilable(f"{len(index)} indices of an array of {self.ndim} dimensions")
        if isinstance(offset, Value) or offset:
            pointer = b.emit(f"getelementptr inbounds {self.kind.memory}, ptr {pointer}, i64 {b.integer(offset).name}")
        return Array(b, self.kind, pointer, shape, strides)

    def load(self) -> Value:
        """The one entry of a view without dimensions."""
        name = self.b.emit(f"load {self.kind.memory}, ptr {self.pointer}")
        return Value(self.b, self.kind, name if self.kind.bits > 1 else self.b.emit(f"trunc i8 {name} to i1"))

    def store(self, x: Any) -> None:
        """Writes the one entry, rounded to its kind."""
        value = x.to(self.kind) if isinstance(x, Value) else self.b.value(x, self.kind)
        name = value.name if self.kind.bits > 1 else self.b.emit(f"zext i1 {value.name} to i8")
        self.b.act(f"store {self.kind.memory} {name}, ptr {self.pointer}")

    def __getitem__(self, index: Any) -> Any:
        part = self.view(index)
        return part if part.shape else part.load()

    def __len__(self) -> int:
        raise NotCompilable("the length of an array is shape[0] or size")

    @property
    def T(self) -> Array:
        """Rows for columns."""
        return Array(self.b, self.kind, self.pointer, self.shape[::-1], self.strides[::-1])

    def reshape(self, *shape: Any) -> Array:
        """Another shape of an array whose entries lie together."""
        return Array(self.b, self.kind, self.pointer, shape)


class Mapped:
    """A function of the entries of vectors, computed where an entry is read."""

    def __init__(self, size: Any, entry: Callable[[Any], Any]) -> None:
        self.size, self.shape, self.ndim, self.entry = size, (size,), 1, entry

    def __getitem__(self, j: Any) -> Any:
        return self.entry(j)


def mapped(operate: Callable[..., Any], *operands: Any) -> Mapped:
    """An operation entry by entry; a number stands for a vector of it."""
    vectors = [x for x in operands if isinstance(x, Array | Mapped)]
    if any(x.ndim != 1 for x in vectors):
        raise NotCompilable("whole matrices are assigned, and computed row by row")
    return Mapped(vectors[0].size, lambda j: operate(*(x[j] if isinstance(x, Array | Mapped) else x for x in operands)))


def _times(a: Any, b: Any) -> Any:
    return 0 if not isinstance(a, Value) and a == 0 else (a if not isinstance(b, Value) and b == 1 else a * b)


def _plus(a: Any, b: Any) -> Any:
    return b if not isinstance(a, Value) and a == 0 else (a if not isinstance(b, Value) and b == 0 else a + b)


def product(numbers: Sequence[Any]) -> Any:
    """The product of whole numbers."""
    total: Any = 1
    for n in numbers:
        total = _times(n, total)
    return total


def rows_first(shape: Sequence[Any]) -> tuple[Any, ...]:
    """The strides of an array in C order."""
    return tuple(product(shape[axis + 1 :]) for axis in range(len(shape)))


def least(a: Any, *others: Any) -> Any:
    """Python's min."""
    for b in others:
        a = where(b < a, b, a)
    return a


def greatest(a: Any, *others: Any) -> Any:
    """Python's max."""
    for b in others:
        a = where(b > a, b, a)
    return a


def _bounds(part: slice, size: Any) -> tuple[Any, Any, int]:
    step = 1 if part.step is None else part.step
    start = 0 if part.start is None else part.start
    if not isinstance(start, Value) and start < 0:
        start = size + start
    stop = size if part.stop is None else (least(part.stop, size) if isinstance(part.stop, Value) or part.stop >= 0 else size + part.stop)
    if not isinstance(start, Value) and start == 0 and (part.stop is None or step == 1) and step == 1:
        return start, stop, step
    length = greatest(stop - start, 0)
    return start, length if step == 1 else (length + (step - 1)) // step, step
