"""Where `matchloss.torch`'s drop-ins differ from PyTorch's functions on purpose: once, as data.

docs/hooks.py makes the table of "From PyTorch" of it; tests/test_torch_dropin.py compares every setting to which none of it applies, and
shows that each entry is one. Nothing here imports torch: the predicates ask tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any

LOCATIONS = ("mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss")
PROBABILITIES = ("binary_cross_entropy_with_logits", "multilabel_soft_margin_loss")
POINTWISE = (*LOCATIONS, *PROBABILITIES, "poisson_nll_loss", "soft_margin_loss", "gaussian_nll_loss")
CLASSES = ("cross_entropy", "linear_cross_entropy")
WEIGHTS = ("weight", "pos_weight")


@dataclass(frozen=True)
class Call:
    """A call of a drop-in: its name, tensors and keyword arguments."""

    name: str
    input: Any
    target: Any
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def soft(self) -> bool:
        """Cross entropy of distributions."""
        return self.name in CLASSES and bool(self.target.is_floating_point())

    @property
    def classes(self) -> int:
        """The number of classes."""
        layer = self.options.get("linear_weight")
        return self.input.shape[min(1, self.input.ndim - 1)] if layer is None else layer.shape[0]

    @property
    def weights(self) -> list[Any]:
        """PyTorch's own weights that are given."""
        return [self.options[name] for name in WEIGHTS if self.options.get(name) is not None]


@dataclass(frozen=True)
class Difference:
    """One deliberate difference, for the table, and the calls that it concerns. `raises` and `pytorch_raises`: the errors' names."""

    key: str
    where: str
    pytorch: str
    here: str
    applies: Callable[[Call], bool]
    raises: str | None = None
    pytorch_raises: str | None = None


def off_sum(call: Call) -> bool:
    """Some distribution's sum is too far from 1."""
    if not call.soft or (call.name == "cross_entropy" and call.target.shape != call.input.shape):
        return False
    tolerance = {2: 1e-2, 4: 1e-4}.get(call.target.element_size(), 1e-6)
    dim = min(1, call.target.ndim - 1)
    return bool(((call.target.double().sum(dim) - 1).abs() > tolerance).any() or (call.target < 0).any())


def out_of_domain(call: Call) -> bool:
    """A target that is NaN, or no probability, or a negative count."""
    if call.name not in POINTWISE or not call.target.numel():
        return False
    y = call.target.double()
    outside = y != y
    if call.name in PROBABILITIES or call.name == "poisson_nll_loss":
        outside = outside | (y < 0) | ((y > 1) if call.name in PROBABILITIES else outside)
    weight = call.options.get("weight")
    return bool((outside if weight is None else outside & (weight != 0)).any())  # a row of weight 0 is not looked at


def overflows(call: Call) -> bool:
    """A margin whose exponential is not finite."""
    if call.name != "soft_margin_loss" or call.target.shape != call.input.shape or not call.target.numel():
        return False
    return bool((call.input * call.target.detach()).min() < (-709 if call.input.element_size() == 8 else -88))


def negative(call: Call) -> bool:
    """A weight below 0, of a row (of no row there is none to refuse), a class, or the label 1."""
    of_rows = call.name not in CLASSES and call.input.numel() == 0
    return any(bool((w < 0).any()) for w in ([call.options.get("pos_weight")] if of_rows else call.weights) if w is not None)


def weightless(call: Call) -> bool:
    """A mean over weights that are all 0."""
    if call.name not in ("mse_loss", "l1_loss") or "weight" not in call.options:
        return False
    reduction, legacy = call.options.get("reduction", "mean"), [call.options.get(name) for name in ("size_average", "reduce")]
    weight = call.options["weight"]
    return reduction == "mean" and False not in legacy and weight.numel() > 0 and bool((weight == 0).all())


def out_of_range(call: Call) -> bool:
    """A label that is neither a class nor ignored."""
    if call.name not in CLASSES or call.soft:
        return False
    ignored = call.options.get("ignore_index")
    kept = call.target[call.target != (-100 if ignored is None else ignored)]
    return bool(((kept < 0) | (kept >= call.classes)).any())


def other_dtypes(call: Call) -> bool:
    """Floating tensors of different dtypes."""
    var = call.options.get("var")
    given = (call.target, *call.weights, *([] if var is None or isinstance(var, float) else [var]))
    return call.input.is_floating_point() and any(x.is_floating_point() and x.dtype != call.input.dtype for x in given)


DIFFERENCES = (
    Difference(
        "soft_targets_sum",
        "`cross_entropy`, `linear_cross_entropy`: distributions that do not sum to 1, or with negative entries",
        "computes with them",
        "DomainError that names the row and its sum (allowed: 1 within 1e-6; float32 1e-4; half dtypes 1e-2)",
        off_sum,
        raises="DomainError",
    ),
    Difference(
        "target_grad",
        "a target that requires grad",
        "has a gradient in the target",
        "ValueError: pass `target.detach()`",
        lambda call: call.target.requires_grad,
        raises="ValueError",
    ),
    Difference(
        "broadcast",
        "every loss of numbers but `binary_cross_entropy_with_logits`: shapes of input and target that differ",
        "broadcasts; `mse_loss`, `l1_loss`, `huber_loss`, `smooth_l1_loss` with a warning",
        "ShapeError",
        lambda call: call.name in POINTWISE and call.target.shape != call.input.shape and call.name != "binary_cross_entropy_with_logits",
        raises="ShapeError",
    ),
    Difference(
        "label_dtype",
        "`cross_entropy`, `linear_cross_entropy`: labels of int8, int16, int32, uint8",
        "RuntimeError; uint8 works in part: not with dimensions after the classes, nor with weight and label smoothing",
        "accepted, as int64 are",
        lambda call: call.name in CLASSES and not call.soft and str(call.target.dtype) != "torch.int64",
        pytorch_raises="RuntimeError",
    ),
    Difference(
        "label_range",
        "`cross_entropy`, `linear_cross_entropy`: a label out of range",
        "IndexError on the CPU, an assertion that ends the process on a GPU",
        "DomainError (a ValueError) that names row and label; NaN where values are not visible",
        out_of_range,
        raises="DomainError",
        pytorch_raises="IndexError",
    ),
    Difference(
        "masked",
        "`cross_entropy`, a logit of -inf where the distribution is 0",
        "NaN, from 0 times infinity",
        "the class is masked: it adds 0",
        lambda call: call.soft and bool((call.input == -inf).any()),
    ),
    Difference(
        "infinite",
        "an infinite input elsewhere",
        "NaN where 0 meets infinity",
        "the limit where there is one",
        lambda call: call.name != "cross_entropy" and bool((call.input.abs() == inf).any()),
    ),
    Difference(
        "overflow",
        "`soft_margin_loss`, input * target below -88 (float64: -709)",
        "infinite, with a gradient of NaN",
        "the value, which is -input * target, and its gradient",
        overflows,
    ),
    Difference(
        "half",
        "inputs of float16 and bfloat16",
        "a loss of the same dtype, with 8 or 11 bits, infinite above 65504 in float16",
        "a float32 loss; the gradient has the input's dtype",
        lambda call: call.input.is_floating_point() and call.input.element_size() == 2,
    ),
    Difference(
        "mixed_dtypes",
        "a target or a weight of another floating dtype",
        "the wider dtype, or RuntimeError",
        "converted: the input's dtype decides",
        other_dtypes,
    ),
    Difference(
        "integer_targets",
        "`binary_cross_entropy_with_logits`, targets of integers or booleans",
        "RuntimeError",
        "accepted",
        lambda call: call.name == "binary_cross_entropy_with_logits" and not call.target.is_floating_point(),
        pytorch_raises="RuntimeError",
    ),
    Difference(
        "domain",
        "targets outside the domain: no probability (of a label, or of each class), a negative count (`poisson_nll_loss`), NaN",
        "computes with them",
        "DomainError that names the row and the value",
        out_of_domain,
        raises="DomainError",
    ),
    Difference(
        "negative_weight",
        "a negative weight, class weight or pos_weight",
        "computes with it",
        "DomainError",
        negative,
        raises="DomainError",
    ),
    Difference(
        "weightless",
        "the mean of `mse_loss` or `l1_loss` over weights that are all 0",
        "NaN, with a gradient of NaN",
        "NaN, with a gradient of 0: a row of weight 0 contributes nothing",
        weightless,
    ),
    Difference(
        "weight_grad",
        "a weight that requires grad",
        "has a gradient in the weight (most functions)",
        "ValueError: pass `weight.detach()`",
        lambda call: any(w.requires_grad for w in call.weights),
        raises="ValueError",
    ),
    Difference(
        "many_dimensions",
        "`linear_cross_entropy`, an input of three or more dimensions",
        "RuntimeError",
        "accepted: (..., D), with labels (...)",
        lambda call: call.name == "linear_cross_entropy" and call.input.ndim > 2,
        pytorch_raises="RuntimeError",
    ),
)


def infeasible(call: Call) -> bool:
    """A sequence has fewer frames than its labels need."""
    return bool((call.options["input_lengths"] < call.options["target_lengths"]).any())


def says_blank(call: Call) -> bool:
    """A label within its length is the blank, 0."""
    inside = range(int(call.options["target_lengths"][0]))
    return any(int(call.target[0, i]) == 0 for i in inside)


CTC_DIFFERENCES = (
    Difference(
        "ctc_leaf",
        "`ctc_loss`, log-probabilities that do not come from `log_softmax`",
        "the gradient of logits, whatever the input is (pytorch#52241)",
        "the gradient of the log-probabilities as they are; through `log_softmax` both agree",
        lambda call: bool(call.input.requires_grad),
    ),
    Difference(
        "ctc_infeasible",
        "`ctc_loss`, a sequence without an alignment, and no `zero_infinity`",
        "infinite, with a gradient of NaN",
        "DomainError that names the sequence and how many frames are missing",
        infeasible,
        raises="DomainError",
    ),
    Difference(
        "ctc_label",
        "`ctc_loss`, a label that is the blank, or no class",
        "computes with it",
        "DomainError that names sequence and position",
        says_blank,
        raises="DomainError",
    ),
    Difference(
        "ctc_half",
        "`ctc_loss`, log-probabilities of float16 or bfloat16",
        "NotImplementedError on the CPU",
        "computed in float32; the gradient has the input's dtype",
        lambda call: call.input.element_size() == 2,
        pytorch_raises="NotImplementedError",
    ),
)
