"""The contract of a loss of a distribution over K classes. Nothing here is specific to one of them.

A matching loss is given by its map alone: value = F(z) - <t, z> = (F(z) - max z) + sum t (max z - z), two terms >= 0;
gradient = p - t; hessian = the map's derivative. matchloss.engine.row_text says how formulas see one entry and the sum of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import rows
from matchloss.engine.arrays import as_array, as_weight, result_dtype, same_shape
from matchloss.engine.namespaces import NUMPY, NUMPY_ROWS, Namespace, RowReductions
from matchloss.engine.row_targets import as_target, check_targets, distributions
from matchloss.engine.row_text import Parts, RowProgram, parts
from matchloss.errors import ShapeError
from matchloss.losses._domain import Simplex, TargetKind
from matchloss.losses._hosts import host_of, refuse_foreign
from matchloss.losses._loss import Evaluation, Loss
from matchloss.losses._terms import Numbers, Triple, times


class SimplexLoss(Loss):
    """A loss of K raw predictions per row, (..., K), and a label (...,) or distribution (..., K) per row."""

    family = "simplex"
    target_domain = Simplex()
    proper = True
    linear_in_target = True
    zero_iff_right = True
    shift_invariant = True  # a row program only sees how far each raw prediction lies below the largest
    threshold: ClassVar[Any] = None  # the map: softmax, or a Threshold
    majorizer: ClassVar[Any] = None

    @property
    def suits(self) -> tuple[TargetKind, ...]:
        return ("multiclass", "binary")

    @staticmethod
    def terms(m: Namespace, u: Numbers, t: Numbers, *constants: float) -> Triple:
        """What an entry adds to the three sums over the others; the first term is its weight."""
        raise NotImplementedError

    @staticmethod
    def base(m: Namespace, gap: Numbers, d: Numbers, others: Triple, *constants: float) -> Numbers:
        """The row's value without the terms that `entry` gives."""
        raise NotImplementedError

    @staticmethod
    def entry(m: Namespace, p: Numbers, c: Numbers, t: Numbers, own: Triple, others: Triple, share: Numbers, *constants: float) -> Triple:
        """For one entry: the value if it is the label, the gradient, and the hessian's diagonal."""
        raise NotImplementedError

    @staticmethod
    def product(m: Namespace, r: RowReductions, x: Parts, t: Numbers, v: Numbers) -> Numbers:
        """The hessian of each row times a vector, from the row's parts and its distribution t."""
        raise NotImplementedError

    @cached_property
    def programs(self) -> dict[str, RowProgram]:
        core = self.simplified
        assert isinstance(core, SimplexLoss)
        allowed = f"{self.target_domain}, the targets of {self.name}"
        exact = RowProgram(core.terms, core.base, core.entry, core.constants, core.threshold, allowed)  # pyright: ignore[reportArgumentType]
        made = {"exact": exact, "fisher": exact}
        if core.majorizer is not None:
            made["majorizer"] = RowProgram(core.terms, core.base, core.entry, core.constants, core.threshold, allowed, core.majorizer)  # pyright: ignore[reportArgumentType]
        return made

    def _evaluate(
        self, curvature: str, raw: Any, target: Any, sample_weight: Any, want: tuple[bool, bool, bool], out: Evaluation | None
    ) -> Evaluation:
        program = self.programs[curvature]
        if not (want[2] and curvature == "fisher" and not self.matching):
            return rows.evaluate(program, raw, target, sample_weight, want, out)
        # The hessian is affine in the target, so its mean over labels drawn from the prediction is its value at the prediction.
        hessian = rows.evaluate(program, raw, self.predict(raw), sample_weight, (False, False, True), None).hessian
        result = rows.evaluate(program, raw, target, sample_weight, (want[0], want[1], False), out)
        if out is not None and out.hessian is not None:
            out.hessian[...] = hessian
            hessian = out.hessian
        return result._replace(hessian=hessian)

    def hessian_product(self, raw: Any, target: Any, v: Any) -> NDArray[Any]:
        """The hessian of each row times a vector: H v. raw, v and the result (..., K); targets and errors as in `evaluate`."""
        refuse_foreign(raw, target, v)
        raw, v = as_array("raw", raw), as_array("v", v)
        same_shape("v", v, raw.shape, "raw's shape")
        with np.errstate(all="ignore"):
            return self._products(raw, target)(v.astype(np.float64)).astype(result_dtype(raw))

    def hessian_matrix(self, raw: Any, target: Any) -> NDArray[Any]:
        """The hessian of each row, (..., K, K), for raw (..., K)."""
        column = self.hessian_columns(raw, target)
        made = np.stack([np.moveaxis(column(k), 0, -1) for k in range(np.shape(raw)[-1])], axis=-1)
        return made.astype(result_dtype(as_array("raw", raw)), copy=False)

    def hessian_columns(self, raw: Any, target: Any) -> Callable[..., NDArray[Any]]:
        """The columns of the hessian of each row in float64, of one pass over the rows, as a function of the class and of the class from
        which on a column's entries are wanted, 0 unless given: the classes come first, (K, ...).
        """
        refuse_foreign(raw, target)
        raw = as_array("raw", raw)
        with np.errstate(all="ignore"):
            times = self._products(raw, target)

        def column(k: int, first: int = 0) -> NDArray[Any]:
            unit = np.zeros(raw.shape)
            unit[..., k] = 1.0
            with np.errstate(all="ignore"):
                return np.moveaxis(times(unit), -1, 0)[first:]

        return column

    def _products(self, raw: NDArray[Any], target: Any) -> Callable[[NDArray[Any]], NDArray[Any]]:
        """Products with the hessian of each row, as a function of the vectors."""
        t, labels = as_target(target, raw.shape)
        core = self.simplified
        assert isinstance(core, SimplexLoss)
        program = core.programs["exact"]
        check_targets(t, labels, raw.shape[-1], None)
        t = distributions(t, labels, raw.shape[-1])
        x = parts(NUMPY, NUMPY_ROWS, program, raw.astype(np.float64), t)
        return lambda v: np.asarray(core.product(NUMPY, NUMPY_ROWS, x, t, v))  # pyright: ignore[reportArgumentType]  # NumPy's overloads

    def predict(self, raw: Any) -> NDArray[Any]:
        host = host_of(raw)
        if host is not None:
            return host.host_predict(self, raw)
        raw = as_array("raw", raw)
        gradient = rows.evaluate(self._map_program, raw, np.zeros(raw.shape[:-1], np.int64), None, (False, True, False), None).gradient
        return gradient

    @cached_property
    def _map_program(self) -> RowProgram:
        """A program whose gradient output is the prediction."""
        core = self.programs["exact"]
        return RowProgram(core.terms, nothing, prediction, core.constants, core.threshold, core.allowed)  # pyright: ignore[reportArgumentType]

    def link(self, prediction: Any) -> NDArray[Any]:
        refuse_foreign(prediction)
        p = as_array("prediction", prediction)
        if p.ndim == 0:
            raise ShapeError("prediction is a scalar; a simplex loss takes distributions (..., K)")
        check_targets(p, False, p.shape[-1], None, name="prediction")
        with np.errstate(all="ignore"):
            core = self.simplified
            assert isinstance(core, SimplexLoss)
            return core._link(p.astype(np.float64)).astype(result_dtype(p))

    def _link(self, p: NDArray[Any]) -> NDArray[Any]:
        return np.log(p)

    def _least_value(self, target: NDArray[Any], raw: NDArray[Any]) -> Any:
        t, labels = as_target(target, raw.shape)
        return 0.0 if labels else self.value(self.link(t.astype(np.float64)), t.astype(np.float64))

    def best_constant(self, target: Any, sample_weight: Any = None, n_classes: int | None = None) -> NDArray[Any]:
        """The K raw predictions (K,) that minimise the weighted mean loss when every row gets them: the link of the mean target.

        target: labels (n,) or distributions (n, K). Labels alone do not determine K: it is n_classes, by default the largest label + 1.
        """
        refuse_foreign(target, sample_weight)
        t = as_array("target", target)
        labels = t.dtype.kind != "f"
        if labels:
            t = t.reshape(-1)
            classes = n_classes or (int(t.max()) + 1 if t.size else 0)
        else:
            classes = t.shape[-1] if t.ndim else 0
            t = t.reshape(-1, classes) if classes else t.reshape(0, 0)
        w = as_weight(None if sample_weight is None else np.asarray(sample_weight).reshape(-1), t.shape[:1])
        w = np.ones(t.shape[0]) if w is None else w.astype(np.float64)
        if not w.sum() > 0:
            raise ShapeError("there is no row of positive weight: no constant is best")
        check_targets(t, labels, classes, w)
        t, w = t[w > 0], w[w > 0]
        mean = np.bincount(t, w, classes) if labels else w @ t.astype(np.float64)
        return self.link(mean / mean.sum())


def nothing(m: Namespace, gap: Numbers, d: Numbers, others: Triple, *constants: float) -> Numbers:
    """The `base` of losses whose value comes from the entries alone: 0."""
    return 0.0 * gap


def prediction(m: Namespace, p: Numbers, c: Numbers, t: Numbers, own: Triple, others: Triple, share: Numbers, *constants: float) -> Triple:
    """An `entry` that gives the prediction in place of the gradient."""
    return 0.0 * p, p, 0.0 * p


def difference(m: Namespace, p: Numbers, c: Numbers, t: Numbers) -> Numbers:
    """p - t without cancellation: by c = 1 - p where p is near 1 and t is 1."""
    return times(m, 1 - t, p) - times(m, t, c)
