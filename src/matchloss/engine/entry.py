"""A module of LLVM around a loop's text, with a builtin of Python as its door: arrays by the buffer protocol, the loop without the GIL.

ctypes would cost 0.6 microseconds a call, and as much again for each array.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import FunctionType
from typing import Any

from matchloss.engine.machine import FUNCTIONS
from matchloss.engine.signatures import Reads
from matchloss.engine.tracer import POINTER, Frame, _leaves
from matchloss.engine.values import BOOL, F64, I64, KINDS, PLAIN, Array, Builder, Kind, Value

Signature = Sequence[Any]  # an entry an argument: Reads, Writes, "float64", "int64", "bool", None for None, or a tuple of such


class _Parameters:
    """The loop's parameters in LLVM, and what its text sees of them."""

    def __init__(self, b: Builder) -> None:
        self.b, self.names, self.kinds = b, [], []

    def new(self, kind: Kind) -> Value:
        name = f"%a{len(self.names)}"
        self.names.append(name)
        self.kinds.append(kind)
        return Value(self.b, kind, name)

    def seen(self, of: Any) -> Any:
        """What the text gets for an argument of this kind."""
        if of is None:
            return None
        if isinstance(of, tuple):
            return tuple(map(self.seen, of))
        if isinstance(of, str):
            return self.new(KINDS[of])
        pointer = self.new(POINTER).name
        shape = [self.new(I64) for _ in range(of.dimensions)]
        return Array(self.b, KINDS[of.dtype], pointer, shape, None if of.together else [self.new(I64) for _ in shape])


def module(text: FunctionType, name: str, signature: Signature, known: Sequence[Any] = (), wide: bool = False) -> str:
    """LLVM's text of the loop, and of the builtin `name` around it. known: what the text is given before the arguments.

    wide: use 512-bit vectors. LLVM prefers 256 bits on all Intel processors, because the first ones with 512 lowered their clock for
    them. Processors with AVX512-FP16 (Sapphire Rapids and later) do not: there compute-bound float64 loops take 10 to 30 % less time.
    Float32 loops gain nothing, and loops that wait for memory lose up to 20 %, because an array of NumPy starts inside a cache line,
    so that each vector of 512 bits lies across two.
    """
    b = Builder()
    parameters = _Parameters(b)
    arguments = [*known, *map(parameters.seen, signature)]
    with b.summing(getattr(text, "text_flags", "") or PLAIN):
        results = Frame(b, text).run(arguments)
    leaves = [x if isinstance(x, Value) else b.value(x) for x in _leaves(b, results)]
    for i, x in enumerate(leaves):
        place = b.emit(f"getelementptr i64, ptr %results, i64 {i}")
        x = x.to(F64) if x.kind.real else x.to(I64)
        b.act(f"store {x.kind.ir} {x.name}, ptr {place}")
    given = [f"{kind.ir} {name}" for kind, name in zip(parameters.kinds, parameters.names, strict=True)]
    free = [f"  call void @PyMem_RawFree(ptr {_loaded(b, owner)})" for owner in b.owners]
    head = [f"define internal i32 @loop({', '.join([*given, 'ptr %results'])}) #0 {{", "entry:", *b.cells, "  br label %start", "start:"]
    tail = ["  br label %done", "no_memory:", "  br label %done", "done:", f"  %status = phi i32 [ 0, %{b.label} ], [ 1, %no_memory ]"]
    if not b.owners:
        tail = ["  br label %done", "done:", "  %status = phi i32 [ 0, %" + b.label + " ]"]
    freeing = [line for owner, line in zip(b.owners, free, strict=True) for line in (f"  %free{owner[1:]} = load ptr, ptr {owner}", line)]
    loop = [*head, *b.lines, *tail, *freeing, "  ret i32 %status", "}"]
    door = _door(name, signature, parameters, results)
    declarations = b.declared | {n: f"declare {r} @{n}({a})" for n, (r, a) in FUNCTIONS.items()}
    attributes = 'attributes #0 = { noinline nounwind "prefer-vector-width"="512" }' if wide else "attributes #0 = { noinline nounwind }"
    return "\n".join([*declarations.values(), "@PyExc_TypeError = external global ptr", *_MESSAGES, *loop, *door, attributes, ""])


def _loaded(b: Builder, owner: str) -> str:
    return f"%free{owner[1:]}"


_WRONG = "an argument of a compiled loop has another type, dtype or number of dimensions than the loop was compiled for"
_MESSAGES = [f'@wrong = private constant [{len(_WRONG) + 1} x i8] c"{_WRONG}\\00"']
_STRIDES, _CONTIGUOUS, _WRITABLE = 0x18, 0x38, 0x1  # PyBUF_...
_BUFFER = 10  # eight-byte fields of a Py_buffer: 0 the data, 3 the size of an entry, 4 read-only and dimensions, 6 shape, 7 strides


class _Door:
    """The builtin: from Python's objects to the loop's parameters and back."""

    def __init__(self) -> None:
        self.b = Builder()
        self.passed: list[tuple[str, str]] = []
        self.buffers: list[str] = []

    def at(self, base: str, index: int, kind: str = "ptr") -> str:
        return self.b.emit(f"load {kind}, ptr {self.b.emit(f'getelementptr i64, ptr {base}, i64 {index}')}")

    def take(self, of: Any, x: str) -> None:
        """Passes the object x on."""
        b = self.b
        if of is None:
            return
        if isinstance(of, tuple):
            for i, part in enumerate(of):
                self.take(part, b.emit(f"call ptr @PyTuple_GetItem(ptr {x}, i64 {i})"))
        elif of == "float64":
            self.passed.append(("double", b.emit(f"call double @PyFloat_AsDouble(ptr {x})")))
        elif of == "int64":
            self.passed.append(("i64", b.emit(f"call i64 @PyLong_AsLongLong(ptr {x})")))
        elif of == "bool":
            self.passed.append(("i1", b.emit(f"icmp ne i32 {b.emit(f'call i32 @PyObject_IsTrue(ptr {x})')}, 0")))
        else:
            self.array(of, x)

    def array(self, of: Reads, x: str) -> None:
        b, kind = self.b, KINDS[of.dtype]
        view = b.reserve("i64", _BUFFER, 8)
        b.cells.append(f"  {view}o = getelementptr i64, ptr {view}, i64 1")
        b.cells.append(f"  store ptr null, ptr {view}o")  # nothing to release
        self.buffers.append(view)
        flags = (_CONTIGUOUS if of.together else _STRIDES) | (_WRITABLE if of.writable else 0)
        self.unless(b.emit(f"icmp eq i32 {b.emit(f'call i32 @PyObject_GetBuffer(ptr {x}, ptr {view}, i32 {flags})')}, 0"), "failed")
        size, dimensions = self.at(view, 3, "i64"), b.emit(f"lshr i64 {self.at(view, 4, 'i64')}, 32")
        right = b.emit(f"icmp eq i64 {size}, {kind.bytes}")
        self.unless(b.emit(f"and i1 {right}, {b.emit(f'icmp eq i64 {dimensions}, {of.dimensions}')}"), "wrong")
        self.passed.append(("ptr", self.at(view, 0)))
        shape, strides = self.at(view, 6), self.at(view, 7)
        self.passed += [("i64", self.at(shape, i, "i64")) for i in range(of.dimensions)]
        if not of.together:
            for i in range(of.dimensions):
                self.passed.append(("i64", b.emit(f"sdiv i64 {self.at(strides, i, 'i64')}, {kind.bytes}")))

    def unless(self, condition: str, otherwise: str) -> None:
        there = self.b.fresh("there")
        self.b.act(f"br i1 {condition}, label %{there}, label %{otherwise}")
        self.b.start(there)

    def back(self, like: Any, place: list[int]) -> str:
        """A Python object of the loop's results."""
        b = self.b
        if isinstance(like, tuple):
            made = b.emit(f"call ptr @PyTuple_New(i64 {len(like)})")
            for i, part in enumerate(like):
                b.emit(f"call i32 @PyTuple_SetItem(ptr {made}, i64 {i}, ptr {self.back(part, place)})")
            return made
        i, kind = place[0], like.kind if isinstance(like, Value) else (F64 if isinstance(like, float) else I64)
        place[0] += 1
        if kind.real:
            return b.emit(f"call ptr @PyFloat_FromDouble(double {self.at('%results', i, 'double')})")
        number = self.at("%results", i, "i64")
        return b.emit(f"call ptr @{'PyBool_FromLong' if kind is BOOL else 'PyLong_FromLongLong'}(i64 {number})")


def _door(name: str, signature: Signature, parameters: _Parameters, results: Any) -> list[str]:
    door = _Door()
    b = door.b
    door.unless(b.emit(f"icmp eq i64 %count, {len(signature)}"), "wrong")
    for i, of in enumerate(signature):
        door.take(of, door.at("%arguments", i))
    door.unless(b.emit(f"icmp eq ptr {b.emit('call ptr @PyErr_Occurred()')}, null"), "failed")
    state = b.emit("call ptr @PyEval_SaveThread()")
    status = b.emit(f"call i32 @loop({', '.join([*(f'{kind} {x}' for kind, x in door.passed), 'ptr %results'])})")
    b.act(f"call void @PyEval_RestoreThread(ptr {state})")
    door.unless(b.emit(f"icmp eq i32 {status}, 0"), "full")
    made = door.back(0 if results is None else results, [0])
    b.act(f"store ptr {made}, ptr %made")
    b.act("br label %failed")
    b.start("wrong")
    b.act(f"call void @PyErr_SetString(ptr {b.emit('load ptr, ptr @PyExc_TypeError')}, ptr @wrong)")
    b.act("br label %failed")
    b.start("full")
    b.emit("call ptr @PyErr_NoMemory()")
    b.act("br label %failed")
    b.start("failed")
    for view in door.buffers:
        b.act(f"call void @PyBuffer_Release(ptr {view})")
    b.act(f"ret ptr {b.emit('load ptr, ptr %made')}")
    head = [
        f"define ptr @{name}(ptr %self, ptr %arguments, i64 %count) {{", "entry:", "  %made = alloca ptr", "  store ptr null, ptr %made",
        "  %results = alloca [16 x i64]", "  store i64 0, ptr %results", *b.cells, "  br label %start", "start:",
    ]  # fmt: skip
    return [*head, *b.lines, "}"]
