"""How functions are called that people write: shapes, containers, keywords, classes; and what is not judged rather than misread."""

from __future__ import annotations

import sys
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from matchloss.audit.calling.probe import Unprobable, subject_of
from matchloss.audit.calling.subject import Subject


def called(fn: Any, kind: str | None = None, framework: str = "torch", **given: Any) -> Subject:
    """The reading, with only that framework loaded."""
    return subject_of(fn, kind, frameworks=() if framework == "numpy" else (framework,), **given)


# --- shapes ---------------------------------------------------------------------------------------------------------------------------


def pixels(logits: Tensor, labels: Tensor) -> Tensor:
    assert logits.ndim == 4 and labels.ndim == 3
    return F.cross_entropy(logits, labels)


def pixels_one_hot(pred: Tensor, target: Tensor) -> Tensor:
    assert pred.ndim == target.ndim == 4
    return -(target * F.log_softmax(pred, 1)).sum(1).mean()


def tokens(logits: Tensor, labels: Tensor) -> Tensor:
    assert logits.ndim == 3 and labels.ndim == 2
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten())


def channels_last(logits: Tensor, labels: Tensor) -> Tensor:
    assert logits.ndim == 4
    return F.cross_entropy(logits.permute(0, 3, 1, 2), labels)


def column(pred: Tensor, target: Tensor) -> Tensor:
    assert pred.ndim == 2 and pred.shape == target.shape
    return ((pred - target) ** 2).mean(1)


def image(pred: Tensor, target: Tensor) -> Tensor:
    assert pred.ndim == 4
    return (pred - target).abs().mean()


SHAPES = {
    pixels: ("multiclass", "N,C,H,W", "labels"), pixels_one_hot: ("multiclass", "N,C,H,W", "distributions"),
    tokens: ("multiclass", "N,L,C", "labels"), channels_last: ("multiclass", "N,H,W,C", "labels"), column: ("regression", "N,1", "numbers"),
    image: ("regression", "N,C,H,W", "numbers"),
}  # fmt: skip


@pytest.mark.parametrize("fn", SHAPES, ids=lambda fn: fn.__name__)
def test_shapes(fn: Any) -> None:
    c = called(fn).convention
    assert (c.kind, c.layout, c.target) == SHAPES[fn]


def test_a_gradient_has_the_shape_of_rows_whatever_the_layout() -> None:
    s = called(pixels)
    x, y = s.ordinary(5)
    right = called(F.cross_entropy).gradient(x, y)
    assert np.allclose(s.gradient(x, y), right) and s.member is not None and str(s.member) == "CrossEntropy()"


# --- what comes back -----------------------------------------------------------------------------------------------------------------


def pair(raw: Any, target: Any) -> Any:
    return 0.5 * (raw - target) ** 2, raw - target


def losses(raw: Any, target: Any) -> Any:
    return {"accuracy": 1.0, "loss": (raw - target) ** 2}


def with_logits(raw: Any, target: Any) -> Any:
    return (raw - target) ** 2, np.tanh(3 * raw) + 5


def test_tuples_and_dicts() -> None:
    s = called(pair, framework="numpy")
    assert s.convention.part == "[0]" and s.callee.gradient is not None and "fn(x, y)[0]" in s.snippet([1.0], [0.0], "float64", "value")
    assert np.allclose(s.gradient([2.0], [0.5]), 1.5)
    assert called(losses, framework="numpy").convention.part == "['loss']"
    assert called(with_logits, framework="numpy").callee.gradient is None  # the second is no gradient


# --- arguments and classes --------------------------------------------------------------------------------------------------------------


def keywords_only(*, labels: Tensor, logits: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels)


def extras(pred: Any, target: Any, scale: float, mask: Any = None, *, flag: bool = False) -> Any:
    if not isinstance(scale, float):
        raise TypeError("a number")
    return scale * (pred - target) ** 2


class Called:
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return (y_true - y_pred) ** 2


class Forward:
    def forward(self, pred: Any, target: Any) -> Any:
        return np.abs(pred - target)


def several_rows(y_true: Any, y_pred: Any) -> float:
    if len(np.unique(y_true)) < 2:
        raise ValueError("y_true has one label only")
    return float(-np.mean(y_true * np.log(y_pred) + (1 - y_true) * np.log1p(-y_pred)))


def test_arguments_and_classes() -> None:
    s = called(keywords_only)
    assert s.convention.order == "target, prediction" and "labels=y, logits=x" in s.quote()
    assert called(extras, framework="numpy").convention.others == ("number",)
    assert called(Called, framework="numpy").convention.order == "target, prediction"
    assert called(Forward(), framework="numpy").convention.kind == "regression"
    s = called(several_rows, framework="numpy")
    assert s.anchor is not None and s.convention.reduction == "mean" and str(s.member) == "Logistic()"
    assert np.allclose(s.value([0.25, 0.5], [1.0, 0.0]), [-np.log(0.25), -np.log(0.5)])


# --- whose arrays ----------------------------------------------------------------------------------------------------------------------


class WithGradient:
    def value(self, raw: Any, target: Any) -> Any:
        return np.logaddexp(0, raw) - target * raw

    def gradient(self, raw: Any, target: Any) -> Any:
        return np.exp(-np.logaddexp(0, -raw)) - target


def anybodys(raw: Any, target: Any) -> Any:
    return (raw - target) ** 2


def returns_tensors(raw: Any, target: Any) -> Any:
    return library_of_tensors(raw, target)


def elsewhere(source: str, **names: Any) -> Any:
    """A function of a module of its own."""
    module = ModuleType(f"losses_elsewhere_{len(sys.modules)}")
    sys.modules[module.__name__] = module
    vars(module).update(names)
    exec(source, vars(module))
    return vars(module)["loss"]


library_of_tensors = elsewhere("def loss(a, b, convert):\n    return (convert(a) - convert(b)) ** 2")
library_of_tensors = partial(library_of_tensors, convert=torch.as_tensor)


@pytest.mark.parametrize(
    ("fn", "framework"),
    [
        (WithGradient(), "numpy"), (lambda raw, target: np.square(raw - target), "numpy"), (anybodys, "torch"), (returns_tensors, "torch"),
        (partial(F.mse_loss, reduction="none"), "torch"), (elsewhere("def loss(a, b):\n    return (a - b) ** 2"), "numpy"),
        (elsewhere("def loss(a, b):\n    return (a - b) ** 2", log=torch.log), "torch"),
    ],
    ids=["object", "lambda", "module of torch", "tensors for arrays", "partial", "module of neither", "module with torch's log"],
)  # fmt: skip
def test_whose_arrays_a_function_takes_is_read_from_its_code_and_not_from_what_is_imported(fn: Any, framework: str) -> None:
    assert called(fn).convention.framework == framework
    if framework == "numpy":
        assert called(fn, framework="numpy").convention == called(fn).convention


# --- not judged ------------------------------------------------------------------------------------------------------------------------


def dice(pred: Tensor, target: Tensor) -> Tensor:
    p = torch.sigmoid(pred)
    return 1 - (2 * (p * target).sum() + 1) / (p.sum() + target.sum() + 1)


def root(a_true: Any, a_pred: Any) -> Any:
    return np.sqrt(np.mean((a_true - a_pred) ** 2))


def pinball(a: Any, b: Any) -> Any:
    return np.maximum(0.9 * (b - a), 0.1 * (a - b))


def negated(pred: Tensor, target: Tensor) -> Tensor:
    return -((pred - target) ** 2)


def embeddings(first: Tensor, second: Tensor) -> Tensor:
    return 1 - F.cosine_similarity(first, second, dim=-1)


DOUBTS = {
    dice: "is neither the mean", root: "not made of those of single rows|neither the mean", negated: "--set sign=-1",
    pinball: '--set order="prediction, target" or --set order=', embeddings: "is neither the mean",
}  # fmt: skip


@pytest.mark.parametrize("fn", DOUBTS, ids=lambda fn: fn.__name__)
def test_what_is_not_judged(fn: Any) -> None:
    with pytest.raises(Unprobable, match=DOUBTS[fn]):
        called(fn, framework="numpy" if fn in (root, pinball) else "torch")


def test_what_is_given_is_taken() -> None:
    assert called(pinball, framework="numpy", order="target, prediction").convention.order == "target, prediction"
    assert called(negated, "regression").convention.sign == 1  # a loss, then, whose minimum is in the wrong place
    assert called(negated, sign=-1).convention.sign == -1


# --- what it is ------------------------------------------------------------------------------------------------------------------------


def test_the_simplest_member_is_named_where_it_agrees_near_and_far() -> None:
    assert str(called(lambda raw, target: (raw - target) ** 2, framework="numpy").member) == "2 * SquaredError()"
    assert called(lambda pred, target: ((pred - target) ** 2).sum(-1)).kind == "regression"

    def nearly(raw: Any, target: Any) -> Any:
        return (raw - target) ** 2 + 1e-4 * np.abs(raw - target)

    assert called(nearly, framework="numpy").member is None
