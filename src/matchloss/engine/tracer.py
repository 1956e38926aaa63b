"""Runs the text of a loop once over values (matchloss.engine.values), which writes the loop: Python's control flow becomes LLVM's.

What a loop's text may do. It is a function marked `inlined` (or `summing`: its sums may be reordered), and it may call
- other marked functions, which become part of it; formulas and other plain functions, which run over values as they are;
- range, min, max, abs, len, int, bool; NumPy's types as conversions; np.empty, zeros, ones, full, sqrt, floor; functions of mathematics.
It may assign, loop (`for` over range, `while`, break, continue), branch, return, slice arrays, and assign a number or an array to a
part of an array. An `if` on what is known while the loop is written, such as `weight is None`, is decided then; a `for` over anything but
range is unrolled. A variable keeps the kind of its first value. Indices are not checked, and only a known one may be negative.
"""

from __future__ import annotations

import ast
import builtins
import linecache
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from matchloss.engine import values
from matchloss.engine.values import (
    BOOL,
    F64,
    I64,
    KINDS,
    Array,
    Builder,
    Kind,
    Mapped,
    NotCompilable,
    Value,
    absolute,
    cast,
    common,
    floor,
    is_number,
    kind_of,
    mapped,
    square_root,
    where,
)

ON_STACK = 1 << 16  # bytes: scratch of a known size up to this lies on the stack


# ---- variables -----------------------------------------------------------------------------------------------------------------------
class Cell:
    """A variable that control flow may change: memory on the stack, which LLVM turns into registers."""

    def __init__(self, b: Builder, kind: Kind) -> None:
        self.b, self.kind, self.place = b, kind, b.reserve(kind.ir)

    def get(self) -> Value:
        """What was set last."""
        return Value(self.b, self.kind, self.b.emit(f"load {self.kind.ir}, ptr {self.place}"))

    def set(self, x: Any) -> None:
        """Keeps the kind of the first value."""
        if isinstance(x, Value) and x.kind != self.kind and (common(x.kind, self.kind) != self.kind):
            raise NotCompilable(f"a variable of {self.kind.name} becomes {x.kind.name}; begin with the wider kind")
        value = x.to(self.kind) if isinstance(x, Value) else self.b.value(x, self.kind)
        self.b.act(f"store {self.kind.ir} {value.name}, ptr {self.place}")


POINTER = Kind("pointer", "ptr", 64)


class Held:
    """A cell for each number of a nested tuple, of an array's shape, or of one number; other things are constants."""

    def __init__(self, b: Builder, x: Any) -> None:
        self.b, self.like = b, x
        self.cells = [Cell(b, kind_of(leaf)) for leaf in _leaves(b, x)]

    def get(self) -> Any:
        """What was set last."""
        return _rebuilt(self.b, self.like, iter([cell.get() for cell in self.cells]))

    def set(self, x: Any) -> None:
        """Of the same form as the first."""
        _same_form(self.like, x)
        for cell, leaf in zip(self.cells, _leaves(self.b, x), strict=True):
            cell.set(leaf)


def _leaves(b: Builder, x: Any) -> list[Any]:
    if isinstance(x, tuple):
        return [leaf for part in x for leaf in _leaves(b, part)]
    if isinstance(x, Array):
        sizes = [b.integer(n) for n in x.shape]
        return [Value(b, POINTER, x.pointer), *sizes, *(n for n in x.strides if isinstance(n, Value))]
    return [x] if is_number(x) else []


def _rebuilt(b: Builder, like: Any, leaves: Any) -> Any:
    if isinstance(like, tuple):
        return tuple(_rebuilt(b, part, leaves) for part in like)
    if isinstance(like, Array):
        pointer, shape = next(leaves).name, [next(leaves) for _ in like.shape]
        return Array(b, like.kind, pointer, shape, [next(leaves) if isinstance(n, Value) else n for n in like.strides])
    return next(leaves) if is_number(like) else like


def _same_form(a: Any, b: Any) -> None:
    same = type(a) is type(b) or (is_number(a) and is_number(b))
    if isinstance(a, tuple) and same:
        same = len(a) == len(b)
    if isinstance(a, Array) and same:
        same = a.kind == b.kind and [isinstance(n, Value) or n for n in a.strides] == [isinstance(n, Value) or n for n in b.strides]
    if not same or not (isinstance(a, tuple | Array) or is_number(a) or a is b):
        raise NotCompilable(f"a variable was {_named(a)} and becomes {_named(b)}")


def _named(x: Any) -> str:
    return f"an array of {x.ndim} dimensions of {x.kind.name}" if isinstance(x, Array) else type(x).__name__


# ---- texts ---------------------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Text:
    """A function's syntax, and the variables that need cells.

    cells: set more than once, at least once under control flow; escaping: set once under control flow and read outside of it, which
    needs a cell only if the control flow remains when the loop runs.
    """

    node: ast.FunctionDef
    file: str
    cells: frozenset[str]
    escaping: frozenset[str]


@cache
def _functions(file: str) -> dict[tuple[str, int], ast.FunctionDef]:
    source = "".join(linecache.getlines(file))
    if not source:
        raise NotCompilable(f"{file}, the source of a loop, cannot be read")
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    return {(node.name, node.decorator_list[0].lineno if node.decorator_list else node.lineno): node for node in found}


@cache
def _text(code: CodeType) -> Text:
    node = _functions(code.co_filename)[code.co_name, code.co_firstlineno]
    return Text(node, code.co_filename, *_need_cells(node))


def _need_cells(function: ast.FunctionDef) -> tuple[frozenset[str], frozenset[str]]:
    """The cells and the escaping variables of a Text."""
    sets: dict[str, list[int]] = {}  # the numbers of the controlled bodies in which a name is set; 0 is the function itself
    reads: dict[str, set[int]] = {}
    parents = {0: -1}

    def visit(node: ast.AST, body: int) -> None:
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                sets.setdefault(node.id, []).append(body)
            else:
                reads.setdefault(node.id, set()).add(body)
            return
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            reads.setdefault(node.target.id, set()).add(body)
            sets.setdefault(node.target.id, []).append(body)
        inner = isinstance(node, ast.While | ast.If) or (isinstance(node, ast.For) and _is_range(node.iter))
        for name, child in ast.iter_fields(node):
            place = body
            if (inner and name in ("body", "orelse")) or (inner and isinstance(node, ast.While)):
                place = len(parents)
                parents[place] = body
            for item in child if isinstance(child, list) else [child]:
                if isinstance(item, ast.AST):
                    visit(item, place)

    def within(place: int, body: int) -> bool:
        while place != body and place >= 0:
            place = parents[place]
        return place == body

    for argument in function.args.args:
        sets.setdefault(argument.arg, []).append(0)
    for statement in function.body:
        visit(statement, 0)
    controlled = {name: bodies for name, bodies in sets.items() if any(bodies)}
    cells = frozenset(name for name, bodies in controlled.items() if len(bodies) > 1)
    seen = {name for name in controlled if not all(within(place, controlled[name][0]) for place in reads.get(name, ()))}
    return cells, frozenset(seen - cells)


def _is_range(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range"


_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod, ast.Pow: operator.pow, ast.BitAnd: operator.and_, ast.BitOr: operator.or_, ast.BitXor: operator.xor,
    ast.LShift: operator.lshift, ast.RShift: operator.rshift,
}  # fmt: skip
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq, ast.NotEq: operator.ne,
    ast.Is: operator.is_, ast.IsNot: operator.is_not,
}  # fmt: skip


class Frame:
    """One call of a text: its variables, and where its `return` goes."""

    def __init__(self, b: Builder, function: FunctionType) -> None:
        self.b, self.function, self.text = b, function, _text(function.__code__)
        self.names: dict[str, Any] = {}
        self.result: Held | None = None
        self.leave = ""
        self.loops: list[tuple[str, str]] = []  # labels for continue and break
        self.depth = 0  # how many bodies lie around the statement that control flow enters when the loop runs
        outside = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        self.outside = {name: cell.cell_contents for name, cell in outside}

    # statements: True if control never goes on behind them
    def run(self, arguments: Sequence[Any]) -> Any:
        """The result of the call."""
        names = [argument.arg for argument in self.text.node.args.args]
        defaults = self.function.__defaults__ or ()
        given = [*arguments, *defaults[len(defaults) - (len(names) - len(arguments)) :]] if len(arguments) < len(names) else list(arguments)
        for name, x in zip(names, given, strict=True):
            self.assign(name, x)
        body = self.text.node.body
        for statement in body[:-1]:
            if self.do(statement):
                return self._collected()
        last = body[-1]
        if isinstance(last, ast.Return) and self.result is None:
            return None if last.value is None else self.of(last.value)
        if not self.do(last) and self.result is not None:
            raise NotCompilable(f"{self.text.node.name} returns in one branch only")
        return self._collected()

    def _collected(self) -> Any:
        if self.leave:
            self.b.start(self.leave)
        return None if self.result is None else self.result.get()

    def do(self, node: ast.stmt) -> bool:
        """One statement."""
        try:
            return getattr(self, f"_{type(node).__name__}")(node)
        except NotCompilable as error:
            if ", line " in str(error):
                raise
            raise NotCompilable(f"{self.text.file}, line {node.lineno}: {error}") from error
        except AttributeError as error:
            raise NotCompilable(f"{self.text.file}, line {node.lineno}: {error}") from error

    def all(self, nodes: Sequence[ast.stmt]) -> bool:
        """Statements in turn."""
        return any(self.do(node) for node in nodes)

    def controlled(self, nodes: Sequence[ast.stmt]) -> bool:
        """Statements in turn, in a body that control flow enters when the loop runs."""
        self.depth += 1
        ended = self.all(nodes)
        self.depth -= 1
        return ended

    def _Expr(self, node: ast.Expr) -> bool:
        if not isinstance(node.value, ast.Constant):
            self.of(node.value)
        return False

    def _Pass(self, node: ast.Pass) -> bool:
        return False

    def _Assign(self, node: ast.Assign) -> bool:
        x = self.of(node.value)
        for target in node.targets:
            self.put(target, x)
        return False

    def _AugAssign(self, node: ast.AugAssign) -> bool:
        operate = _BINARY[type(node.op)]
        if isinstance(node.target, ast.Name):
            old, x = self.of(ast.copy_location(ast.Name(node.target.id, ast.Load()), node)), self.of(node.value)
            if isinstance(old, Array):
                self._fill(old, x, operate)
            else:
                self.assign(node.target.id, operate(old, x))
            return False
        assert isinstance(node.target, ast.Subscript)
        x = self.of(node.value)
        part = self.of(node.target.value).view(self._index(node.target.slice))
        if part.shape:
            self._fill(part, x, operate)
        else:
            part.store(operate(part.load(), x))
        return False

    def _Return(self, node: ast.Return) -> bool:
        x = None if node.value is None else self.of(node.value)
        if self.result is None:
            self.result, self.leave = Held(self.b, x), self.leave or self.b.fresh("leave")
        self.result.set(x)
        self.b.jump(self.leave)
        return True

    def _Continue(self, node: ast.Continue) -> bool:
        self.b.jump(self.loops[-1][0])
        return True

    def _Break(self, node: ast.Break) -> bool:
        self.b.jump(self.loops[-1][1])
        return True

    def _If(self, node: ast.If) -> bool:
        condition = self.of(node.test)
        if not isinstance(condition, Value):
            return self.all(node.body if condition else node.orelse)
        b, yes, no, after = self.b, self.b.fresh("yes"), self.b.fresh("no"), self.b.fresh("after")
        b.branch(condition, yes, no if node.orelse else after)
        ends = []
        for label, body in ((yes, node.body), (no, node.orelse)):
            if body:
                b.start(label)
                ends.append(self.controlled(body))
                if not ends[-1]:
                    b.jump(after)
        if len(ends) == 2 and all(ends):
            return True
        b.start(after)
        return False

    def _For(self, node: ast.For) -> bool:
        if not _is_range(node.iter):
            for x in self.of(node.iter):
                self.put(node.target, x)
                if self.all(node.body):
                    raise NotCompilable("a loop that is unrolled cannot break, continue or return")
            return False
        assert isinstance(node.iter, ast.Call) and isinstance(node.target, ast.Name)
        ends = [self.of(argument) for argument in node.iter.args]
        begin, end, step = (0, ends[0], 1) if len(ends) == 1 else (*ends, 1)[:3]
        if not isinstance(begin, Value) and not isinstance(end, Value) and not range(begin, end, step):
            return False
        with self.b.loop(begin, end, step) as (j, latch, after):
            self.loops.append((latch, after))
            self.depth += 1
            self.assign(node.target.id, j)
            ended = self.all(node.body)
            self.depth -= 1
            if ended:
                self.b.start(self.b.fresh("dead"))
            self.loops.pop()
        return False

    def _While(self, node: ast.While) -> bool:
        b, test, body, after = self.b, self.b.fresh("test"), self.b.fresh("body"), self.b.fresh("after")
        b.jump(test)
        b.start(test)
        b.branch(self._truth(self.of(node.test)), body, after)
        b.start(body)
        self.loops.append((test, after))
        if not self.controlled(node.body):
            b.jump(test)
        self.loops.pop()
        b.start(after)
        return False

    # assignment
    def put(self, target: ast.expr, x: Any) -> None:
        """target = x."""
        if isinstance(target, ast.Name):
            self.assign(target.id, x)
        elif isinstance(target, ast.Tuple):
            for part, y in zip(target.elts, x, strict=True):
                self.put(part, y)
        elif isinstance(target, ast.Subscript):
            part = self.of(target.value).view(self._index(target.slice))
            if part.shape:
                self._fill(part, x)
            else:
                part.store(x)
        else:
            raise NotCompilable(f"an assignment to {ast.unparse(target)}")

    def assign(self, name: str, x: Any) -> None:
        """The variable of this name becomes x."""
        if name not in self.text.cells and not (self.depth and name in self.text.escaping):
            self.names[name] = x
            return
        if name not in self.names:
            self.names[name] = Held(self.b, x)
        self.names[name].set(x)

    def _fill(self, part: Array, x: Any, operate: Callable[[Any, Any], Any] | None = None) -> None:
        """Every entry of part becomes x, or the entry of x at its place."""
        if part.ndim > 1:
            with self.b.loop(0, part.shape[0]) as (i, _, _):
                self._fill(part.view(i), x.view(i) if isinstance(x, Array) and x.ndim == part.ndim else x, operate)
            return
        with self.b.loop(0, part.shape[0]) as (j, _, _):
            one, y = part.view(j), x[j] if isinstance(x, Array | Mapped) else x
            one.store(y if operate is None else operate(one.load(), y))

    # expressions
    def of(self, node: ast.expr) -> Any:
        """The value of an expression."""
        return getattr(self, f"_{type(node).__name__}")(node)

    def _Constant(self, node: ast.Constant) -> Any:
        return node.value

    def _Name(self, node: ast.Name) -> Any:
        name = node.id
        if name in self.names:
            x = self.names[name]
            return x.get() if isinstance(x, Held) else x
        for space in (self.outside, self.function.__globals__, vars(builtins)):
            if name in space:
                return space[name]
        raise NotCompilable(f"{name} has no value here")

    def _Attribute(self, node: ast.Attribute) -> Any:
        return getattr(self.of(node.value), node.attr)

    def _Tuple(self, node: ast.Tuple) -> Any:
        return tuple(y for part in node.elts for y in (self.of(part.value) if isinstance(part, ast.Starred) else [self.of(part)]))

    def _Subscript(self, node: ast.Subscript) -> Any:
        return self.of(node.value)[self._index(node.slice)]

    def _index(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Tuple):
            return tuple(self._index(part) for part in node.elts)
        return self.of(node)

    def _Slice(self, node: ast.Slice) -> slice:
        return slice(*(None if part is None else self.of(part) for part in (node.lower, node.upper, node.step)))

    def _BinOp(self, node: ast.BinOp) -> Any:
        operate, a, b = _BINARY[type(node.op)], self.of(node.left), self.of(node.right)
        return mapped(operate, a, b) if isinstance(a, Array | Mapped) or isinstance(b, Array | Mapped) else operate(a, b)

    def _UnaryOp(self, node: ast.UnaryOp) -> Any:
        x = self.of(node.operand)
        if isinstance(node.op, ast.Not):
            return ~x.to(BOOL) if isinstance(x, Value) else not x
        operate = {ast.USub: operator.neg, ast.Invert: operator.invert, ast.UAdd: operator.pos}[type(node.op)]
        return mapped(operate, x) if isinstance(x, Array | Mapped) else operate(x)

    def _Compare(self, node: ast.Compare) -> Any:
        result, left = None, self.of(node.left)
        for op, right in zip(node.ops, node.comparators, strict=True):
            x = self.of(right)
            holds = _COMPARE[type(op)](left, x)
            result, left = holds if result is None else result & holds, x
        return result

    def _BoolOp(self, node: ast.BoolOp) -> Any:
        x = self.of(node.values[0])
        for part in node.values[1:]:
            x = self._both(isinstance(node.op, ast.And), x, part)
        return x

    def _simple(self, node: ast.expr) -> bool:
        """Whether an expression may be computed though it is not needed: it neither reads memory nor calls more than a conversion."""
        for part in ast.walk(node):
            if isinstance(part, ast.Subscript | ast.FloorDiv | ast.Mod):
                return False
            if isinstance(part, ast.Call):
                function = self.of(part.func)
                if not (function in (abs, int) or (isinstance(function, type) and issubclass(function, np.generic))):
                    return False
        return True

    def _both(self, conjunction: bool, x: Any, other: ast.expr) -> Any:
        if not isinstance(x, Value):
            return self.of(other) if bool(x) == conjunction else x
        if self._simple(other):
            y = self._truth(self.of(other))
            return self._truth(x) & y if conjunction else self._truth(x) | y
        known = self.b.value(not conjunction)
        otherwise = (lambda: self._truth(self.of(other)), lambda: known)
        return self._chosen(self._truth(x), *(otherwise if conjunction else otherwise[::-1]))

    def _truth(self, x: Any) -> Value:
        return x.to(BOOL) if isinstance(x, Value) else self.b.value(bool(x))

    def _IfExp(self, node: ast.IfExp) -> Any:
        condition = self.of(node.test)
        if not isinstance(condition, Value):
            return self.of(node.body if condition else node.orelse)
        if self._simple(node.body) and self._simple(node.orelse):
            a, b = self.of(node.body), self.of(node.orelse)
            if is_number(a) and is_number(b):
                return where(condition, a, b)
            return self._chosen(condition, lambda: a, lambda: b)
        return self._chosen(condition, lambda: self.of(node.body), lambda: self.of(node.orelse))

    def _chosen(self, condition: Value, of_yes: Callable[[], Any], of_no: Callable[[], Any]) -> Any:
        """Either of two, of which only the one that is needed is computed."""
        b, yes, no, after = self.b, self.b.fresh("yes"), self.b.fresh("no"), self.b.fresh("after")
        b.branch(condition, yes, no)
        b.start(yes)
        x = of_yes()
        end, place = b.label, len(b.lines)
        b.start(no)
        y = of_no()
        _same_form(x, y)
        pairs = list(zip(_leaves(b, x), _leaves(b, y), strict=True))
        kinds = [POINTER if kind_of(p) is POINTER else common(kind_of(p), kind_of(q)) for p, q in pairs]
        right = [q.to(kind) if isinstance(q, Value) else b.value(q, kind) for (_, q), kind in zip(pairs, kinds, strict=True)]
        other = b.label
        b.jump(after)
        rest, b.lines = b.lines[place:], b.lines[:place]
        left = [p.to(kind) if isinstance(p, Value) else b.value(p, kind) for (p, _), kind in zip(pairs, kinds, strict=True)]
        b.jump(after)
        b.lines += rest
        b.start(after)
        merged = [
            Value(b, kind, b.emit(f"phi {kind.ir} [ {p.name}, %{end} ], [ {q.name}, %{other} ]"))
            for p, q, kind in zip(left, right, kinds, strict=True)
        ]
        return _rebuilt(b, x, iter(merged))

    def _Call(self, node: ast.Call) -> Any:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "copy":
            return self._copy(self.of(node.func.value))
        function = self.of(node.func)
        arguments = [y for a in node.args for y in (self.of(a.value) if isinstance(a, ast.Starred) else [self.of(a)])]
        options = {option.arg: self.of(option.value) for option in node.keywords if option.arg}
        flags = getattr(function, "text_flags", None)
        if flags is not None and not options:
            with self.b.summing(flags or values.PLAIN):
                return Frame(self.b, function).run(arguments)
        if function in _ALLOCATE:
            return self._allocated(function, *arguments, **options)
        own = _OWN.get(function) if isinstance(function, type | FunctionType) or callable(function) else None
        if own is not None and any(isinstance(a, Value | Array | Mapped) for a in arguments):
            return own(*arguments)
        if isinstance(function, type) and issubclass(function, np.generic):
            return cast(arguments[0], KINDS[np.dtype(function).name])
        with self.b.summing(values.PLAIN):  # a formula rounds as written
            return called(function, arguments, options)

    def _allocated(self, function: Any, *arguments: Any, dtype: Any = None) -> Array:
        shape, *rest = arguments
        shape = shape if isinstance(shape, tuple) else (shape,)
        start = {np.zeros: 0, np.ones: 1}.get(function)
        if function is np.full:
            start = rest.pop(0)
        dtype = rest[0] if rest else dtype
        kind = KINDS[np.dtype(dtype).name] if dtype is not None else (kind_of(start) if function is np.full else F64)
        part = Array(self.b, kind, scratch(self.b, kind, values.product(shape)), shape)
        if start is not None:
            self._fill(part, start)
        return part

    def _copy(self, x: Array) -> Array:
        new = Array(self.b, x.kind, scratch(self.b, x.kind, x.size), x.shape)
        self._fill(new, x)
        return new


def called(function: Callable[..., Any], arguments: Sequence[Any], options: dict[str, Any]) -> Any:
    """A plain function, such as a formula, run over values; NotCompilable names the line at which it does what it may not."""
    try:
        return function(*arguments, **options)
    except NotCompilable as error:
        raise NotCompilable(_at_line(error)) from error
    except (TypeError, AttributeError, ValueError, NotImplementedError) as error:
        raise NotCompilable(_at_line(error)) from error


def _at_line(error: BaseException) -> str:
    """The message, with the innermost line that is not the engine's."""
    if ", line " in str(error):
        return str(error)
    place, trace = "", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if "matchloss.engine" not in trace.tb_frame.f_globals.get("__name__", ""):
            place = f"{code.co_filename}, line {trace.tb_lineno}, in {code.co_name}: "
        trace = trace.tb_next
    return place + str(error)


def scratch(b: Builder, kind: Kind, count: Any) -> str:
    """Memory for so many numbers, in line with the processor's cache: on the stack if it is known to be small, else freed at the end."""
    if not isinstance(count, Value) and count * kind.bytes <= ON_STACK:
        return b.reserve(kind.memory, max(count, 1) + 1, 64)
    owner = b.reserve("ptr")
    b.cells.append(f"  store ptr null, ptr {owner}")
    b.declare("PyMem_RawMalloc", "declare noalias ptr @PyMem_RawMalloc(i64)")
    b.declare("PyMem_RawFree", "declare void @PyMem_RawFree(ptr)")
    size = b.integer(count) * kind.bytes + 64
    b.act(f"call void @PyMem_RawFree(ptr {b.emit(f'load ptr, ptr {owner}')})")  # what the last turn of a loop around this left
    block = b.emit(f"call noalias ptr @PyMem_RawMalloc(i64 {size.name})")
    b.act(f"store ptr {block}, ptr {owner}")
    b.owners.append(owner)
    there, full = b.fresh("there"), b.emit(f"icmp eq ptr {block}, null")
    b.act(f"br i1 {full}, label %no_memory, label %{there}")
    b.start(there)
    address = Value(b, I64, b.emit(f"ptrtoint ptr {block} to i64"))
    return b.emit(f"getelementptr inbounds i8, ptr {block}, i64 {((0 - address) & 63).name}")


def _math(name: str) -> Callable[[Any], Any]:
    return lambda x: x.b.call(name, F64, x.to(F64))


_ALLOCATE = (np.empty, np.zeros, np.ones, np.full)
_OWN: dict[Any, Callable[..., Any]] = {
    min: values.least, max: values.greatest, abs: absolute, int: lambda x: x.to(I64), bool: lambda x: x.to(BOOL),
    float: lambda x: x.to(F64), len: lambda x: x.shape[0], np.sqrt: square_root, np.floor: floor, math.sqrt: square_root,
    math.exp: _math("exp"), math.log: _math("log"), math.log1p: _math("log1p"), math.erfc: _math("erfc"),
}  # fmt: skip
