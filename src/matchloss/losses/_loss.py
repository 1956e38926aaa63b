"""The contract of every loss. Nothing here is specific to one of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property
from types import FunctionType
from typing import Any, ClassVar, get_args

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import pointwise
from matchloss.engine.arrays import Evaluation, as_array, as_weight, refuse, result_dtype
from matchloss.engine.namespaces import NUMPY, Namespace
from matchloss.errors import DomainError, ShapeError
from matchloss.losses._domain import REAL, Interval, StandIn, TargetKind, Usual
from matchloss.losses._hosts import host_of, refuse_foreign
from matchloss.losses._solve import least_mean, root_of_mean_gradient
from matchloss.losses._terms import Numbers, Triple

CATALOGUE: dict[str, type[Loss]] = {}  # filled by subclassing, in the order of definition


@dataclass(frozen=True)
class Loss:
    """A loss function: an immutable value with equality, a hash, and a repr that evaluates to it.

    Losses take `(raw, target)`, raw being the model's output before the link. A class states its properties as data.
    """

    name: ClassVar[str] = ""
    aliases: ClassVar[tuple[str, ...]] = ()  # other libraries' names for the same loss
    family: ClassVar[str] = ""  # regression, binary, positive, simplex
    title: ClassVar[str] = ""
    equation: ClassVar[str] = ""  # z the raw prediction, y the target, p or mu the prediction
    error_signal: ClassVar[str] = ""  # the gradient, in the same letters
    link_name: ClassVar[str] = "identity"
    sources: ClassVar[tuple[str, ...]] = ()
    factors: ClassVar[dict[str, float]] = {}  # by alias: what the peer's value is, as a multiple of this one
    parameter_domains: ClassVar[dict[str, Interval]] = {}
    estimable: ClassVar[tuple[str, ...]] = ()  # parameters that may be "estimate": LinearRegressor finds them by likelihood
    raw_domain: ClassVar[Interval] = REAL
    stand_in: ClassVar[StandIn] = None  # for a hessian that is 0 over whole stretches of raw
    token: ClassVar[str] = ""  # set on each instance: a plain string that equal losses share, for tracers to guard on

    # For the commands that work on a table.
    usual_for: ClassVar[tuple[Usual, ...]] = ()  # kinds of target for which it is compared by default, the most typical first
    score: ClassVar[str] = ""  # the score in matchloss.tables.scores that judges predictions as this loss does
    shift_invariant: ClassVar[bool] = False  # adding one number to all raw predictions of a row changes nothing
    advice: ClassVar[str] = ""  # a sentence on its error signal, shown beside the picture

    # Where one of these depends on a parameter, the subclass makes it a property.
    target_domain: ClassVar[Any] = REAL
    functional: ClassVar[Any] = "mean"  # what minimising the expected loss elicits
    matching: ClassVar[Any] = False  # the gradient is predict(raw) - target
    convex: ClassVar[Any] = False  # in raw
    proper: ClassVar[Any] = False  # the expected loss is least exactly where predict(raw) is the target's mean
    linear_in_target: ClassVar[Any] = False  # the gradient is affine in the target
    smooth: ClassVar[Any] = True  # the gradient is continuous in raw
    zero_iff_right: ClassVar[Any] = False  # the divergence is 0 exactly where predict(raw) = target
    likelihood: ClassVar[Any] = ""  # "whole": -value is a log-likelihood but for terms without raw; "scaled": -value / dispersion is
    discrete: ClassVar[Any] = False  # that likelihood is one of whole numbers
    constant_variance: ClassVar[Any] = False  # that likelihood's variance is the dispersion, whatever the mean

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = not cls.__module__.startswith("matchloss.")  # a person's own loss is not in the catalogue
        if own and "name" not in cls.__dict__:
            cls.name = cls.__name__
        if not own and "name" in cls.__dict__:
            CATALOGUE[cls.name] = cls

    def __post_init__(self) -> None:
        for field in fields(self):
            given = getattr(self, field.name)
            domain = self.parameter_domains.get(field.name, REAL)
            if field.name in self.estimable and isinstance(given, str) and given == "estimate":
                continue
            if isinstance(given, bool) or not isinstance(given, int | float | np.number):
                raise TypeError(f"{type(self).__name__}'s {field.name} is {given!r}; it must be a number in {domain}")
            if float(given) not in domain:
                raise DomainError(f"{type(self).__name__}'s {field.name} is {float(given)!r}; allowed: {domain}")
            object.__setattr__(self, field.name, float(given))
        parameters = ", ".join(f"{name}={value!r}" for name, value in self.parameters.items())
        object.__setattr__(self, "token", f"{type(self).__qualname__}({parameters})")

    def __getstate__(self) -> dict[str, Any]:
        """The fields without cached results, so that a used loss pickles like a fresh one."""
        return {name: x for name, x in vars(self).items() if not isinstance(getattr(type(self), name, None), cached_property)}

    def _repr_html_(self) -> str:
        """The card with its curve, as notebooks show it."""
        from matchloss.losses._card import card_html

        return card_html(self)

    @property
    def parameters(self) -> dict[str, float]:
        """The constructor's arguments."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @property
    def estimates(self) -> tuple[str, ...]:
        """The parameters that are to be estimated. Until they are, the loss has no values."""
        return tuple(name for name in self.estimable if isinstance(getattr(self, name), str))

    @property
    def constants(self) -> tuple[float, ...]:
        """The formula's arguments after the target: the parameters, or numbers computed from them once."""
        return tuple(self.parameters.values())

    @property
    def simplified(self) -> Loss:
        """An equal loss with a simpler, better conditioned formula at these parameters, such as Gamma for Tweedie(2); otherwise itself."""
        return self

    @property
    def suits(self) -> tuple[TargetKind, ...]:
        """The kinds of target that it takes if their values lie in target_domain. A column that fits several counts as the first."""
        raise NotImplementedError

    def tuned_to(self, target: NDArray[Any]) -> tuple[Loss, str]:
        """The loss with parameters chosen from a training target, and a note on how; itself and "" if there is nothing to choose."""
        return self, ""

    def of_classes(self, classes: int) -> Loss:
        """The loss to fit this many classes with: itself, or for two classes its binary form in the difference of raw predictions."""
        return self

    def evaluate(
        self,
        raw: Any,
        target: Any,
        sample_weight: Any = None,
        value: bool = True,
        gradient: bool = True,
        hessian: bool = False,
        curvature: str = "exact",
        out: Evaluation | None = None,
    ) -> Evaluation:
        """Value, gradient and hessian of each row in one pass, each multiplied by the row's weight; None for those not asked for.

        Pointwise losses: raw, target and the outputs all have the same shape. Simplex losses: raw (..., K); target labels (...,) or
        distributions (..., K); value (...,), gradient and the hessian's diagonal (..., K). sample_weight: one number >= 0 per row.
        `out=Evaluation(value, gradient, hessian)` gives arrays to write to; the gradient's may be `raw` itself. With `out`, bad input
        raises before anything is written. float32 raw gives float32 outputs, anything else float64. PyTorch tensors and JAX arrays
        give outputs of their library and take no `out`.

        Raises DomainError for a target outside target_domain (in a row whose weight is not 0), a weight that is negative or not finite,
        or a curvature that the loss does not have; ShapeError for shapes that differ; TypeError for other dtypes or libraries.

        >>> import matchloss as ml
        >>> ml.Logistic().evaluate([0.0, 2.0], [1.0, 0.0], sample_weight=[1.0, 0.5], value=False).gradient.round(4)
        array([-0.5   ,  0.4404])
        """
        if curvature != "exact" and curvature not in self.programs:
            raise DomainError(f"{self!r} has no curvature {curvature!r}; allowed: {', '.join(self.programs)}")
        host = host_of(raw, target, sample_weight)
        if host is not None:
            if out is not None:
                raise TypeError("out takes NumPy arrays; tensors are returned")
            return host.host_evaluate(self, raw, target, sample_weight, value, gradient, hessian, curvature)
        return self._evaluate(curvature, raw, target, sample_weight, (value, gradient, hessian), out)

    @cached_property
    def programs(self) -> dict[str, Any]:
        """The engine's programs, keyed by curvature."""
        raise NotImplementedError

    def _evaluate(
        self, curvature: str, raw: Any, target: Any, sample_weight: Any, want: tuple[bool, bool, bool], out: Evaluation | None
    ) -> Evaluation:
        raise NotImplementedError

    def __call__(self, raw: Any, target: Any, sample_weight: Any = None) -> Any:
        """sum(w * value) / sum(w), a scalar. Arguments and errors are those of `evaluate`, and ShapeError if there are no rows.

        For PyTorch tensors and JAX arrays this calls `matchloss.torch.loss` or `matchloss.jax.mean`, differentiable in raw.

        >>> import matchloss as ml
        >>> float(ml.SquaredError()([1.0, 3.0], [0.0, 0.0]))
        2.5
        """
        host = host_of(raw, target, sample_weight)
        if host is not None:
            return host.host_call(self, raw, target, sample_weight)
        value = self.evaluate(raw, target, sample_weight, value=True, gradient=False).value
        if value.size == 0:
            raise ShapeError("there is no row: the mean of nothing is not defined")
        total = float(value.size) if sample_weight is None else float(np.sum(np.asarray(sample_weight), dtype=np.float64))
        if not total > 0:
            raise DomainError("every sample_weight is 0: the weighted mean is not defined")
        return value.dtype.type(np.sum(value, dtype=np.float64) / total)

    def value(self, raw: Any, target: Any) -> Any:
        """The loss of each row. Shapes and errors: `evaluate`."""
        return self.evaluate(raw, target, value=True, gradient=False).value

    def gradient(self, raw: Any, target: Any) -> Any:
        """The derivative of the value in raw, of raw's shape: the error signal. Shapes and errors: `evaluate`."""
        return self.evaluate(raw, target, value=False, gradient=True).gradient

    def hessian(self, raw: Any, target: Any, curvature: str = "exact") -> Any:
        """The second derivative in raw (simplex losses: its diagonal), of raw's shape. curvature: "exact", or one of the substitutes
        "fisher" and "majorizer" if the loss has it (DomainError otherwise).
        """
        return self.evaluate(raw, target, value=False, gradient=False, hessian=True, curvature=curvature).hessian

    def divergence(self, raw: Any, target: Any) -> Any:
        """The value minus its minimum over raw, >= 0, one per row; for proper losses 0 if and only if predict(raw) = target.

        >>> import matchloss as ml
        >>> ml.Poisson().divergence([0.0, 1.0], [1.0, 1.0]).round(4)
        array([0.    , 0.7183])
        """
        refuse_foreign(raw, target)
        value = self.value(raw, target)
        with np.errstate(all="ignore"):
            excess = np.maximum(value - self._least_value(as_array("target", target), as_array("raw", raw)), 0)
        return excess.astype(value.dtype)[()] if isinstance(excess, np.ndarray) else value.dtype.type(excess)

    def _least_value(self, target: NDArray[Any], raw: NDArray[Any]) -> Any:
        raise NotImplementedError

    def best_constant(self, target: Any, sample_weight: Any = None) -> Any:
        """The constant raw prediction that minimises the weighted mean loss over the targets: an intercept, or a booster's base score.

        target (n,), or for simplex losses labels (n,) or distributions (n, K); sample_weight (n,). It may be infinite. Errors: `evaluate`.
        """
        raise NotImplementedError

    def predict(self, raw: Any) -> Any:
        """The prediction in the target's units, of raw's shape (simplex losses: probabilities, (..., K)); TypeError for bad dtypes."""
        raise NotImplementedError

    def link(self, prediction: Any) -> Any:
        """The inverse of predict: the raw prediction for a prediction, of the same shape; DomainError outside its domain."""
        raise NotImplementedError

    def log_base(self, target: NDArray[Any], dispersion: Any = 1.0) -> Any:
        """The terms without raw of a log density: log density = log_base - value / dispersion. NotImplementedError if it is none."""
        raise NotImplementedError(f"{self!r} is not a likelihood")

    def law(self, mean: Any, dispersion: float = 1.0) -> Any:
        """The distribution of targets with these means, as scipy.stats has it. NotImplementedError if the loss stands for none that
        scipy has.
        """
        raise NotImplementedError(f"{self!r} stands for no distribution of scipy.stats")


class PointwiseLoss(Loss):
    """A loss of one raw prediction and one target per row: arrays of equal shape, of any number of dimensions, or scalars.

    A subclass writes static methods over the protocol `m` (matchloss.engine.namespaces), each called with `*self.constants` at the end:
    `formula(m, raw, target)` -> value, gradient, hessian; `predict_formula(m, raw)`; `link_formula(m, prediction)`; and, where they
    exist, `fisher_formula(m, raw, target)` and `majorizer_formula(m, raw, target)`. A loss that is linear in raw between kinks also has
    `pieces_formula(m, target)`, a tuple of (kink, slope below, slope above), each a number or an array: at every target the sum over
    the pieces of slope * (raw - kink) is the value up to a constant. A linear model under such a loss is a linear program.
    If the hessian grows as e^(c raw) at every target, `curvature_rate` is c; the trainer uses it to bend long Newton steps.
    """

    fisher_formula: ClassVar[Any] = None
    majorizer_formula: ClassVar[Any] = None
    pieces_formula: ClassVar[Any] = None
    curvature_rate: ClassVar[float | None] = None

    @staticmethod
    def formula(m: Namespace, raw: Numbers, target: Numbers, *constants: float) -> Triple:
        """Value, gradient and hessian of a row."""
        raise NotImplementedError

    @staticmethod
    def predict_formula(m: Namespace, raw: Numbers, *constants: float) -> Numbers:
        """The prediction of a row."""
        return raw

    @staticmethod
    def link_formula(m: Namespace, prediction: Numbers, *constants: float) -> Numbers:
        """The inverse of predict_formula."""
        return prediction

    @property
    def suits(self) -> tuple[TargetKind, ...]:
        low, high = self.target_domain.bounds
        labels: tuple[TargetKind, ...] = ("binary",) if low >= 0 and high <= 1 else ()
        usual = [kind for kind in self.usual_for if kind in get_args(TargetKind)]
        return tuple(dict.fromkeys((*usual, *labels, "number", "count")))  # pyright: ignore[reportReturnType]

    @property
    def prediction_domain(self) -> Interval:
        """The domain of `link`: the closure of the range of `predict`."""
        low, high = self.target_domain.low, self.target_domain.high
        return Interval(low, high, "both")

    @cached_property
    def programs(self) -> dict[str, pointwise.Program]:
        core = self.simplified
        assert isinstance(core, PointwiseLoss)
        low, high = self.target_domain.bounds
        allowed = f"{self.target_domain}, the targets of {self.name or type(self).__name__}"
        own = not self.name or not type(self).__module__.startswith("matchloss.")
        exact = pointwise.Program(core.formula, core.constants, low, high, allowed, fallback=own)  # pyright: ignore[reportArgumentType]
        made = {"exact": exact}
        for curvature, formula in (("fisher", core.fisher_formula), ("majorizer", core.majorizer_formula)):
            if formula is not None:
                made[curvature] = pointwise.Program(core.formula, core.constants, low, high, allowed, formula, fallback=own)  # pyright: ignore[reportArgumentType]
        if self.matching:  # the hessian does not depend on the target, so it equals its mean over targets
            made.setdefault("fisher", exact)
        return made

    def _evaluate(
        self, curvature: str, raw: Any, target: Any, sample_weight: Any, want: tuple[bool, bool, bool], out: Evaluation | None
    ) -> Evaluation:
        return pointwise.evaluate(self.programs[curvature], raw, target, sample_weight, want, out)

    def _apply(self, name: str, formula: FunctionType, x: Any, domain: Interval) -> Any:
        refuse_foreign(x)
        a = as_array(name, x)
        with np.errstate(all="ignore"):
            z = a.astype(np.float64)
            refuse(name, a, ~((z >= domain.low) & (z <= domain.high)) & ~np.isnan(z), str(domain))
            core = self.simplified
            return np.asarray(formula(NUMPY, z, *core.constants)).astype(result_dtype(a))[()]

    def predict(self, raw: Any) -> Any:
        host = host_of(raw)
        if host is not None:
            return host.host_predict(self, raw)
        return self._apply("raw", self.simplified.predict_formula, raw, Interval(-math.inf, math.inf, "both"))  # pyright: ignore[reportAttributeAccessIssue]

    def link(self, prediction: Any) -> Any:
        return self._apply("prediction", self.simplified.link_formula, prediction, self.prediction_domain)  # pyright: ignore[reportAttributeAccessIssue]

    def minimiser(self, target: NDArray[Any]) -> Any:
        """The raw that minimises the loss at each target; may be infinite."""
        return self.link(target)

    def _least_value(self, target: NDArray[Any], raw: NDArray[Any]) -> Any:
        target = target.astype(np.float64)
        return self.value(np.asarray(self.minimiser(target), dtype=np.float64), target)

    def best_constant(self, target: Any, sample_weight: Any = None) -> float:
        refuse_foreign(target, sample_weight)
        y = as_array("target", target)
        w = as_weight(sample_weight, y.shape)
        pointwise.check(self.programs["exact"], y, w)
        y = y.astype(np.float64).reshape(-1)
        w = np.ones(y.size) if w is None else w.astype(np.float64).reshape(-1)
        y, w = y[w > 0], w[w > 0]
        if y.size == 0:
            raise ShapeError("there is no row of positive weight: no constant is best")
        return float(self._best_constant(y, w))

    def _best_constant(self, y: NDArray[Any], w: NDArray[Any]) -> float:
        """The best constant for checked float64 targets and weights.

        If the gradient is affine in the target, it is the minimiser at the mean target. Otherwise, if the class says that the loss is
        convex, it is the root of the mean gradient. Otherwise the whole line is searched.
        """
        if self.linear_in_target:
            share = w / w.max()  # so that no sum overflows
            mean = float(np.dot(share / share.sum(), y))
            return float(self.minimiser(np.asarray(min(max(mean, float(y.min())), float(y.max())))))
        ends = np.asarray(self.minimiser(y))
        if self.convex and np.isfinite(ends).all():
            return root_of_mean_gradient(self, y, w, float(ends.min()), float(ends.max()))
        return least_mean(self, y, w)
