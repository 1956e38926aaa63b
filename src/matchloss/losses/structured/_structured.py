"""The contract of a loss of structures: the part of the contract of a loss of rows that carries over.

Each loss is `log Z - score`: Z sums e^score over everything that could have been observed (alignments, paths, orders, who might have died),
so the gradient of log Z is an expectation and the error signal is *expected - observed*. One rule keeps it exact: never subtract from 1,
and never subtract sums of probabilities; add up what is left.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from matchloss.engine.arrays import Evaluation, as_array, as_weight, refuse
from matchloss.errors import DomainError, ShapeError
from matchloss.losses._hosts import refuse_foreign

Array = NDArray[Any]
Arrays = tuple[Array, ...]
STRUCTURED: dict[str, type[StructuredLoss]] = {}  # filled by subclassing, in the order of definition
NAMES: dict[str, type[StructuredLoss]] = {}  # the same, with other libraries' names


@dataclass(frozen=True)
class StructuredLoss:
    """A loss of a structure: an immutable value that takes `(raw, target)`, scores and what was observed.

    raw is one array, or a tuple of those in `raw_names`. target is a value that describes the structure, such as `Paths(tags, lengths)`.
    There is one value for each whole group (a sequence, a list, a set), and within a group the error signal sums to 0.
    """

    kind: ClassVar[str] = "structured"
    name: ClassVar[str] = ""
    aliases: ClassVar[tuple[str, ...]] = ()  # other libraries' names for the same loss
    title: ClassVar[str] = ""
    equation: ClassVar[str] = ""
    partition: ClassVar[str] = ""  # Z: what is summed over
    error_signal: ClassVar[str] = ""
    expected: ClassVar[str] = ""  # the expectation, in words
    observed_is: ClassVar[str] = ""
    group: ClassVar[str] = ""  # what has one value
    raw_names: ClassVar[tuple[str, ...]] = ("raw",)
    raw_shapes: ClassVar[str] = ""
    target_is: ClassVar[str] = ""
    convex: ClassVar[bool] = True  # in raw
    smooth: ClassVar[bool] = True
    singles: ClassVar[bool] = False  # whether float32 scores are computed as they are, and not in float64
    sources: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "name" in cls.__dict__ and cls.__module__.startswith("matchloss."):
            STRUCTURED[cls.name] = cls
            NAMES.update(dict.fromkeys((cls.name, *cls.aliases), cls))

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def compute(self, raw: Arrays, target: Any, weight: Array | None, graded: bool) -> tuple[Array, Arrays]:
        """weight * value of each group, and the gradients of their sum, one for each part of raw (none unless `graded`).

        The arrays are C-ordered, float64 or, with `singles`, float32. Hosts call this; `evaluate` is for people.
        """
        raise NotImplementedError

    def groups(self, raw: Arrays, target: Any) -> int:
        """How many values there are."""
        raise NotImplementedError

    def evaluate(self, raw: Any, target: Any, sample_weight: Any = None, value: bool = True, gradient: bool = True) -> Evaluation:
        """The value of each group and the gradient of their sum, in one pass, weighted by group; None for what is not asked for.

        The gradient has the shape of raw: an array, or a tuple of arrays. sample_weight: one number >= 0 a group; a group of weight 0 adds
        0. Raises DomainError for a target outside its set (it names group and position), ShapeError for shapes that do not fit, TypeError
        for dtypes. A NaN score gives NaN in its group alone where groups do not share parameters.
        """
        parts = self._parts(raw)
        weight = as_weight(sample_weight, (self.groups(parts, target),))
        values, gradients = self.compute(parts, target, None if weight is None else np.ascontiguousarray(weight, np.float64), gradient)
        single = len(self.raw_names) == 1
        return Evaluation(values if value else None, (gradients[0] if single else gradients) if gradient else None)

    def __call__(self, raw: Any, target: Any, sample_weight: Any = None) -> float:
        """sum(w * value) / sum(w) over groups, a number. Arguments and errors: `evaluate`; ShapeError if there is no group."""
        values = self.evaluate(raw, target, sample_weight, gradient=False).value
        total = float(values.size if sample_weight is None else np.sum(np.asarray(sample_weight), dtype=np.float64))
        if not total > 0:
            raise ShapeError("there is no group of positive weight: a mean needs one")
        return float(values.sum(dtype=np.float64) / total)

    def value(self, raw: Any, target: Any) -> Any:
        """The loss of each group. Shapes and errors: `evaluate`."""
        return self.evaluate(raw, target, gradient=False).value

    def gradient(self, raw: Any, target: Any) -> Any:
        """Expected minus observed, of raw's shape: the error signal. Shapes and errors: `evaluate`."""
        return self.evaluate(raw, target, value=False).gradient

    def observed(self, raw: Any, target: Any) -> Any:
        """What was observed, in the form of the expectation: of raw's shape."""
        raise NotImplementedError(f"{type(self).__name__} has no array of what was observed")

    def hessian_product(self, raw: Any, target: Any, v: Any) -> Any:
        """The hessian of the sum of values times v, both of raw's shape; NotImplementedError for a loss that has none."""
        raise NotImplementedError(f"{type(self).__name__} has no hessian_product")

    def predict(self, raw: Any, target: Any) -> Any:
        """The expectation under the model, of raw's shape: gradient + observed."""
        gradient, observed = self.gradient(raw, target), self.observed(raw, target)
        return gradient + observed if len(self.raw_names) == 1 else tuple(g + o for g, o in zip(gradient, observed, strict=True))

    def _parts(self, raw: Any) -> Arrays:
        """raw's arrays, C-ordered and of one dtype."""
        given = (raw,) if len(self.raw_names) == 1 else tuple(raw)
        refuse_foreign(*given)
        if len(given) != len(self.raw_names):
            raise ShapeError(f"raw has {len(given)} parts; {self.name} takes {len(self.raw_names)}: {', '.join(self.raw_names)}")
        arrays = [as_array(name, x) for name, x in zip(self.raw_names, given, strict=True)]
        single = self.singles and all(a.dtype == np.float32 for a in arrays if a.ndim)
        return tuple(np.asarray(a, np.float32 if single else np.float64, order="C") for a in arrays)


def as_integers(name: str, x: Any, shape: tuple[int, ...] | None = None) -> NDArray[np.int64]:
    """x as an array of int64: TypeError for other numbers (whole floats are taken), ShapeError for another shape."""
    a = as_array(name, x)
    if a.dtype.kind == "f":
        refuse(name, a, ~(a == np.floor(a)) | ~np.isfinite(a), "whole numbers")
    if shape is not None and a.shape != shape:
        raise ShapeError(f"{name} has shape {a.shape}; {shape} is needed")
    return np.ascontiguousarray(a, np.int64)


def within(name: str, x: Array, low: int, high: int, allowed: str = "") -> None:
    """DomainError for the first entry outside low..high."""
    refuse(name, x, (x < low) | (x > high), allowed or f"whole numbers from {low} to {high}")


def by_weight(weight: Array | None, groups: int) -> NDArray[np.float64]:
    """A weight for each group: 1 where none is given."""
    return np.ones(groups) if weight is None else weight


def facts(loss: StructuredLoss) -> dict[str, str]:
    """What a card says about a structured loss, by name; an empty text where there is nothing to say."""
    return {
        "kind": loss.kind,
        "formula": loss.equation,
        "Z sums over": loss.partition,
        "derivative": loss.error_signal,
        "expected": loss.expected,
        "observed": loss.observed_is,
        "one value a": loss.group,
        "scores": loss.raw_shapes,
        "target": loss.target_is,
        "convex": "yes" if loss.convex else "no",
        "parameters": ", ".join(f"{name} = {value}" for name, value in loss.parameters.items()),
        "also called": ", ".join(loss.aliases),
        "sources": "; ".join(loss.sources),
        "picture": "predict(raw, target) against observed(raw, target)",
    }


def get_structured(name: str, **parameters: Any) -> StructuredLoss:
    """The structured loss of this name, or of another library's name for it; DomainError for an unknown one.

    >>> get_structured("ctc", blank=2)
    CTC(blank=2, zero_infinity=False)
    """
    if name not in NAMES:
        raise DomainError(f"no structured loss is called {name!r}; allowed: {', '.join(STRUCTURED)}")
    return NAMES[name](**parameters)


def catalogue() -> list[dict[str, Any]]:
    """The card of each structured loss as a dict, in the order of definition."""
    texts = ("name", "title", "kind", "equation", "partition", "error_signal", "expected", "observed_is", "group", "raw_shapes")
    texts += ("target_is", "convex", "smooth", "aliases", "sources")
    return [
        {text: getattr(cls, text) for text in texts}
        | {"class": cls, "parameters": cls().parameters, "summary": (inspect.getdoc(cls) or "").partition("\n")[0]}
        for cls in STRUCTURED.values()
    ]
