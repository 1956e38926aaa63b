"""What is minimised: sum(w * value) / sum(w) + l2 / 2 * |coef|^2, as a function of the free coefficients."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.errors import NotInMemory
from matchloss.linear.metric import Metric, of_arrow, of_matrix
from matchloss.linear.passes import Gram, Matrix, Pointwise, Second, Simplex
from matchloss.linear.rows import Floats, TableRows
from matchloss.linear.sources.memory import Memory
from matchloss.linear.sources.source import Source

if TYPE_CHECKING:
    from matchloss.losses import Loss


START_ROWS = 100_000  # the best constant of this many rows is near enough for a start
START_STEPS = 30


class Suspected(Exception):
    """A metric dropped columns that may be collinear; the Gram matrix has to decide."""


class NotFinite(ValueError):
    """The objective is not finite even with all coefficients 0: the data have a NaN, an infinity, or values that are too large."""


@dataclass(frozen=True, eq=False)
class Measure:
    """The objective at a point, its gradient and, if asked for, its hessian, the hessian's diagonal, or the Gram matrix."""

    theta: Floats
    value: float
    gradient: Floats
    second: Floats | None

    @cached_property
    def norm(self) -> float:
        """The largest absolute entry of the gradient; infinite where the objective is not finite."""
        norm = float(np.abs(self.gradient).max(initial=0.0)) if np.isfinite(self.value) else np.inf
        return norm if norm == norm else np.inf


@dataclass(eq=False)
class Log:
    """A record of the passes that the solvers made, and the callback that reports them."""

    most: int
    tell: Callable[[Log], None] = lambda log: None
    steps: list[tuple[float, float, int]] = field(default_factory=list)  # objective, gradient norm, rows
    marks: dict[int, Floats] = field(default_factory=dict)  # for each decade of the gradient norm, the first theta there

    @property
    def full(self) -> bool:
        """Whether no pass is left."""
        return len(self.steps) >= self.most

    def before(self, norm: float) -> list[Floats]:
        """Earlier thetas whose gradient norm was at least a hundred times `norm`, the smallest norm first."""
        decade = math.floor(math.log10(norm)) if 0 < norm < np.inf else -1000
        return [self.marks[d] for d in sorted(self.marks) if d >= decade + 2]

    def add(self, measure: Measure, rows: int) -> None:
        """Records a pass."""
        self.steps.append((measure.value, measure.norm, rows))
        if 0 < measure.norm < np.inf:
            self.marks.setdefault(math.floor(math.log10(measure.norm)), measure.theta)
        self.tell(self)


@dataclass(frozen=True, eq=False)
class Objective:
    """A loss on the rows of a table; theta is (P,) or, for simplex losses, (P, K), with the intercept, if any, first."""

    loss: Loss
    source: Source  # the rows, their targets and weights
    l2: float
    outputs: int | None  # K; None for a pointwise loss
    intercept: bool
    curvature: str = "exact"
    independent: bool = False  # whether columns are known not to be collinear, or a ridge makes that harmless
    left_out: tuple[int, ...] = ()  # indices of collinear columns that were left out
    arrow: bool = False  # whether hessians are arrows (see passes.Matrix)

    @cached_property
    def matrix(self) -> Matrix:
        """The design matrix."""
        return Matrix(self.rows, self.outputs or 1, self.arrow)

    @cached_property
    def alone(self) -> Matrix:
        """The design matrix of rows in memory, as of one raw prediction."""
        return Matrix(self.memory.rows)

    @property
    def rows(self) -> TableRows:
        """The rows; elsewhere than in memory, their shape."""
        return self.source.rows

    @property
    def memory(self) -> Memory:
        """The rows in memory; NotInMemory where they are elsewhere."""
        if not isinstance(self.source, Memory):
            raise NotInMemory(f"{self.loss.name} by this method needs all rows in memory")
        return self.source

    @property
    def target(self) -> NDArray[Any]:
        """The targets, float64 (n,); of K classes labels 0..K-1, or distributions (n, K). NotInMemory, as for `memory`."""
        return self.memory.target

    @property
    def weight(self) -> Floats | None:
        """The weights. NotInMemory, as for `memory`."""
        return self.memory.weight

    @property
    def offset(self) -> Floats | None:
        """What is added to the raw predictions. NotInMemory, as for `memory`."""
        return self.memory.offset

    @cached_property
    def total(self) -> float:
        """The sum of the weights."""
        return self.source.total()

    @cached_property
    def slots(self) -> NDArray[np.intp]:
        """The index of each entry of theta in the wide vector."""
        return np.concatenate([np.zeros(int(self.intercept), np.intp), self.rows.slots])

    @cached_property
    def levels(self) -> NDArray[np.bool_]:
        """Which entries of theta are levels of the last category, which an arrow keeps as a diagonal."""
        return self.slots >= self.rows.width - self.rows.levels[-1]

    @property
    def size(self) -> int:
        """P, the number of free coefficients per raw prediction."""
        return len(self.slots)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of theta."""
        return (self.size,) if self.outputs is None else (self.size, self.outputs)

    @cached_property
    def ridge(self) -> Floats:
        """The penalty of each of the P coefficients; the intercept is free."""
        ridge = np.full(self.size, self.l2)
        ridge[: int(self.intercept)] = 0.0
        return ridge

    def mass(self) -> Floats:
        """The weight of each class, (K,)."""
        return self.source.mass(self.shape[1])

    def gram(self) -> Floats:
        """The Gram matrix of all rows, of the free columns, divided by the sum of the weights."""
        return self.narrow(self.matrix.whole(self.source.sum(Gram(self.matrix)))) / self.total

    def collinear(self) -> NDArray[np.intp]:
        """The columns that are combinations of others, by the Gram matrix of all rows."""
        return self._metric(self.gram(), int(self.intercept)).dependent

    def without(self, columns: NDArray[np.intp]) -> Objective:
        """The objective without these columns; the remaining ones are independent."""
        slots = np.delete(self.slots, columns)[int(self.intercept) :]
        source = self.source.with_rows(replace(self.rows, slots=slots))
        return replace(self, source=source, independent=True, left_out=tuple(columns.tolist()))

    def whole(self, theta: Floats) -> Floats:
        """theta with a 0 for each column that was left out."""
        made = np.zeros((self.size + len(self.left_out), *theta.shape[1:]))
        made[np.delete(np.arange(len(made)), self.left_out)] = theta
        return made

    def suspect(self, metric: Metric) -> None:
        """Raises Suspected if the metric dropped columns and it is not known yet whether they are collinear."""
        if metric.dependent.size and not self.independent:
            raise Suspected

    def wide(self, theta: Floats) -> Floats:
        """theta with zeros in the slots that are not free."""
        made = np.zeros((self.rows.width, *theta.shape[1:]))
        made[self.slots] = theta
        return made

    @cached_property
    def all_free(self) -> bool:
        """Whether the slots are all free, in the order of theta."""
        return self.size == self.rows.width and bool((self.slots == np.arange(self.size)).all())

    def narrow(self, matrix: Floats) -> Floats:
        """The free rows and columns of a wide matrix, or arrow."""
        if self.all_free and not self.arrow:
            return matrix
        columns = np.append(self.slots[~self.levels], matrix.shape[1] - 1) if self.arrow else self.slots
        return matrix[np.ix_(self.slots, columns)]

    def penalised(self, gram: Floats) -> Floats:
        """The objective's second derivatives (P, P), from the wide Gram matrix weighted by the rows' curvatures."""
        made = self.narrow(gram) / self.total
        if not self.arrow:
            return made + np.diag(self.ridge) if self.l2 else made
        made[~self.levels, np.arange(made.shape[1] - 1)] += self.ridge[~self.levels]
        made[self.levels, -1] += self.ridge[self.levels]
        return made

    def term(self, theta: Floats, second: Second = "none") -> Pointwise | Simplex:
        """What a pass adds up."""
        program, wide, weighted = self.loss.programs[self.curvature], self.wide(theta), self.source.weighted
        if self.outputs is None:
            return Pointwise(self.matrix, program, wide, second, weighted)
        return Simplex(self.matrix, program, wide, weighted)

    def measure(self, theta: Floats, log: Log, second: Second = "none") -> Measure:
        """One pass over the rows; the hessian is (P, P), or (P K, P K)."""
        sums = self.source.sum(self.term(theta, second))
        pull = (self.ridge * theta.T).T
        value = sums.value / self.total + 0.5 * float(np.vdot(theta, pull))
        made = Measure(theta, value, sums.gradient[self.slots] / self.total + pull, self._second(theta, second, sums.second))
        log.add(made, self.rows.n)
        if not (np.isfinite(made.value) and np.isfinite(made.gradient).all()) and not theta[int(self.intercept) :].any():
            raise NotFinite("the objective is not finite where all coefficients are 0: values are missing, infinite or too large")
        return made

    def _second(self, theta: Floats, second: Second, found: Floats | None) -> Floats | None:
        if second == "none":
            return None
        if found is None:
            few = self if isinstance(self.source, Memory) else self.strided(1)  # a method that asks for it has few rows
            return full_hessian(few, theta)
        if second == "diagonal":
            return found[self.slots] / self.total + self.ridge
        return self.penalised(self.matrix.whole(found))

    def metric(self, second: Floats, damping: float = 0.0) -> Metric:
        """The metric of a hessian that `measure` returned, for arrays of theta's shape."""
        if self.outputs is None:
            return self._metric(second, int(self.intercept), damping)
        flat = of_matrix(second, self.outputs * int(self.intercept), damping)
        return Metric(lambda g: flat.solve(g.ravel()).reshape(g.shape), flat.dependent // self.outputs)

    def _metric(self, second: Floats, intercepts: int, damping: float = 0.0) -> Metric:
        return of_arrow(second, self.levels, intercepts, damping) if self.arrow else of_matrix(second, intercepts, damping)

    def bent(self, step: Floats) -> Floats:
        """Newton's step, bent for each level of an arrow so that it ends at the level's own minimum.

        If the curvature changes as e^(c t), a level's gradient vanishes after t = log(1 + c step) / c, which equals the step to first
        order. A level whose counts are all 0 thus goes to about -30 at once instead of by -1 per step.
        """
        rate = getattr(self.loss.simplified, "curvature_rate", None)
        if not (self.arrow and rate):
            return step
        made = step.copy()
        made[self.levels] = np.log1p(np.maximum(rate * step[self.levels], 1e-13 - 1)) / rate
        return made

    def raw(self, theta: Floats) -> Floats:
        """Raw predictions of all rows, with the offset. NotInMemory, as for `memory`."""
        made = Matrix(self.memory.rows, self.matrix.outputs).times(self.wide(theta))
        return made if self.offset is None else made + self.offset

    def strided(self, step: int) -> Objective:
        """The same objective on every step-th row, in memory."""
        if step == 1 and isinstance(self.source, Memory):
            return self
        return replace(self, source=self.source.strided(step))

    def every(self, step: int) -> Objective:
        """The same objective on every step-th row, wherever it lives: for samples that may be large."""
        return replace(self, source=self.source.every(step))

    def start(self) -> Floats:
        """Zeros, with the best constant as intercept, clipped where that is infinite."""
        theta = np.zeros(self.shape)
        if self.intercept:
            more = {} if self.outputs is None else {"n_classes": self.outputs}
            few = self.strided(max(1, self.rows.n // (START_ROWS if self.loss.convex else 10_000)))  # not convex: it may search
            constant = np.asarray(few.loss.best_constant(few.target, few.weight, **more), dtype=np.float64)
            if not np.isfinite(constant).all():  # a label so rare that these rows have none
                constant = np.asarray(self.loss.best_constant(*self.source.targets(), **more), dtype=np.float64)
            constant = np.nan_to_num(constant, nan=0.0, posinf=30.0, neginf=-30.0)
            if self.source.shifted:
                constant = few.beside_offset(constant)
            theta[0] = constant - constant.mean() if self.outputs else constant
        return theta

    def beside_offset(self, constant: Floats) -> Floats:
        """Near the best constant beside the offset, from the one without: less the mean offset, then Newton's steps on this one number."""
        assert self.offset is not None
        constant = constant - np.average(self.offset, axis=0, weights=self.weight)
        for _ in range(START_STEPS if self.outputs is None and self.loss.smooth else 0):
            with np.errstate(all="ignore"):
                at = self.loss.evaluate(constant + self.offset, self.target, self.weight, value=False, hessian=True)
                step = float(at.gradient.sum()) / max(float(np.abs(at.hessian).sum()), 1e-300)
            if not np.isfinite(step):
                break
            constant = constant - np.clip(step, -1.0, 1.0)
            if abs(step) < 1e-3:
                break
        return constant


def full_hessian(f: Objective, theta: Floats) -> Floats:
    """The hessian (P K, P K) at theta, by K (K + 1) / 2 Gram matrices: for few rows. Made positive along equal shifts of all classes."""
    classes, size, every = f.shape[1], f.size, np.arange(f.shape[1])
    blocks = class_blocks(f, f.raw(theta), f.target) / f.total
    level = blocks[every, every].sum(axis=0)
    blocks[every, every] += np.diag(f.ridge)
    blocks += level / classes**2  # no prediction depends on an equal shift of all classes, so any positive curvature will do
    return blocks.transpose(2, 0, 3, 1).reshape(size * classes, size * classes)


def class_blocks(f: Objective, raw: Floats, target: NDArray[Any], first: int = 0) -> Floats:
    """X' diag(w h_ab) X for each pair of classes from `first` on, h_ab the rows' second derivatives: (K - first, K - first, P, P)."""
    column, classes = f.loss.hessian_columns(raw, target), f.shape[1]  # pyright: ignore[reportAttributeAccessIssue]
    lines = (column(a, a) if f.weight is None else column(a, a) * f.weight for a in range(first, classes))
    a, b = upper(classes - first)
    blocks = np.empty((classes - first, classes - first, f.size, f.size))
    blocks[a, b] = blocks[b, a] = f.alone.grams(lines, f.slots)
    return blocks


@cache
def upper(size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The places on and above the diagonal of a square matrix; kept, because NumPy takes longer for them than for a small product."""
    return np.triu_indices(size)
