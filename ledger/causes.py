"""The root causes behind what the audit finds, ranked by harm: what to look for in ledger/*.json, an example, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cause:
    """One change that a project could make."""

    title: str
    said: str  # what happens, and to whom
    checks: tuple[str, ...]  # whose findings these are,
    words: str  # where their messages have these words
    instead: str  # what to write
    severities: tuple[str, ...] = ("error", "warning")
    threads: tuple[str, ...] = ()  # the projects' own about it: "pytorch/pytorch#2259"

    def has(self, finding: Mapping[str, Any]) -> bool:
        """Whether a finding is one of it."""
        known = finding["check"] in self.checks and finding["severity"] in self.severities
        return known and re.search(self.words, finding["message"]) is not None


CAUSES = (
    Cause(
        "The gradient is not the derivative of the value",
        "Training follows one loss and reports another.",
        ("gradient", "jumps"),
        r"slope|jvp|forward-mode|in float64",
        "a formula whose derivative the framework takes, or a tested one",
    ),
    Cause(
        "A mean of float16 rows is infinite or NaN",
        "The rows are summed in float16, whose largest number is 65,504, before the sum is divided.",
        ("accuracy",),
        r"float16 the mean|rows in (b?float16)",
        "`x.float()` before the reduction, or `matchloss.torch`'s function of that name",
        threads=("pytorch/pytorch#29429", "pytorch/pytorch#85791", "pytorch/pytorch#166232"),
    ),
    Cause(
        "exp overflows where the result is an ordinary number",
        "log(1 + exp(z)) is infinite from z = 710 on (89 in float32), though its value is z. One such row makes all weights NaN.",
        ("finite",),
        r"inf|NaN",
        "`logaddexp(0, z)`, `softplus`, `logsumexp`",
        threads=("pytorch/pytorch#77529", "scikit-learn/scikit-learn#28046"),
    ),
    Cause(
        "The second derivative is NaN or wrong",
        "Newton steps, boosted trees and Laplace approximations divide by it.",
        ("hessian",),
        r".",
        "a formula for it, tested against differences of the gradient",
    ),
    Cause(
        "Values lose their digits",
        "Terms cancel, or float64 is computed in float32, so more digits are lost than the rounding of the formula explains.",
        ("accuracy", "dtype"),
        r"right|digits|float32",
        "the difference in closed form (`expm1`, `log1p`), in the dtype of the input",
    ),
    Cause(
        "The loss is least at a wrong prediction",
        "A model that fits perfectly does not predict the targets.",
        ("minimum",),
        r"least|second minimum|0 for most",
        "the missing or additional term",
    ),
    Cause(
        "A wrong label is read outside the row, or from its other end",
        "Labels that count from 1, or padding of -1, train on another class or on foreign memory, without a word.",
        ("domain",),
        r"label|reads",
        "a check of the range of labels, or NaN for such rows",
        ("warning",),
        ("google-deepmind/optax#1185",),
    ),
    Cause(
        "A masked logit gives NaN",
        "0 * -inf is NaN: one masked class ends the training.",
        ("limits", "gradient"),
        r"-inf|mask",
        "`where(target == 0, 0, target * log_p)`, or `xlogy`",
        ("warning",),
        ("google-deepmind/optax#896", "google-deepmind/optax#1335", "google-deepmind/optax#1762"),
    ),
    Cause(
        "A target or prediction that is NaN has a finite loss",
        "Missing data, or a model that has broken down, go unnoticed.",
        ("domain",),
        r"NaN",
        "let NaN through",
        ("warning",),
    ),
    Cause(
        "Class weights mean something else for one-hot targets than for labels",
        "Smoothed or mixed labels train with a different step size.",
        ("weights",),
        r"one-hot|class has the weight",
        "division by the sum of the rows' own weights in both cases",
        ("warning",),
        ("pytorch/pytorch#104776", "pytorch/pytorch#107680", "pytorch/pytorch#65329"),
    ),
    Cause(
        "The mean of a batch of padding is 0 / 0",
        "One batch whose rows are all ignored makes every parameter NaN; or the ignored rows count in the mean.",
        ("weights",),
        r"ignore",
        "a division by `max(kept, 1)`",
        ("error", "warning"),
        ("pytorch/pytorch#70348", "pytorch/pytorch#116349"),
    ),
    Cause(
        "The mean is over entries, not over rows",
        "The step size depends on the number of classes.",
        ("reductions",),
        r"entries|times that|misspelt",
        "a sum over classes, then the mean over rows (`batchmean` in PyTorch)",
        threads=("pytorch/pytorch#2259", "pytorch/pytorch#14457"),
    ),
    Cause(
        "More targets than predictions raise no error",
        "Different lengths go unnoticed; what is read may lie outside the array.",
        ("shapes",),
        r"may have read memory",
        "a comparison of the two lengths",
        ("note",),
    ),
    Cause(
        "The second derivative is negative",
        "Steps that divide by it, Newton's or a booster's, go uphill there; and there may be more than one minimum.",
        ("convex",),
        r".",
        "the link that makes the loss convex, or a positive bound in place of the second derivative",
        ("warning",),
    ),
    Cause(
        "The best probability is not the frequency",
        "The loss of a predicted probability is not proper: what a model learns from it is not a probability.",
        ("proper", "invariance"),
        r".",
        "a proper score",
        ("warning",),
    ),
    Cause(
        "A different loss at one value of a parameter, or in another thread",
        "A search over the parameter compares different losses; a run cannot be repeated.",
        ("jumps", "purity", "layout", "cost"),
        r".",
        "the limit of the formula at that value; no state",
        ("error", "warning"),
    ),
)
