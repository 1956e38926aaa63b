"""Reports made by hand, as the audit of known functions would make them, and the oddest that there can be."""

from __future__ import annotations

from typing import Any

from matchloss.audit.calling.convention import Convention
from matchloss.audit.finding import CheckResult, Finding
from matchloss.audit.report import Report
from pages import HOSTILE

NAMES = [
    "finite",
    "limits",
    "gradient",
    "hessian",
    "accuracy",
    "minimum",
    "proper",
    "linear",
    "matching",
    "convex",
    "invariance",
    "jumps",
    "weights",
    "reductions",
    "shapes",
    "domain",
    "purity",
    "dtype",
    "layout",
    "cost",
]
LONG = "a_name_without_a_space_in_it_" * 360  # more than 10,000 characters

BCE = """\
import torch
from torch.nn.functional import binary_cross_entropy as fn

logit = torch.tensor([20.0], requires_grad=True)  # float32
label = torch.tensor([0.0])
value = fn(torch.sigmoid(logit), label)
value.backward()
print(value.item(), logit.grad.item())  # right: 20.0 and 1.0
"""


def outcomes(found: dict[str, str] | None = None, **others: str) -> tuple[CheckResult, ...]:
    """One outcome a check: `found` those with findings, `others` the reasons of those that were skipped."""
    made = []
    for name in NAMES:
        status = "found" if name in (found or {}) else "skipped" if name in others else "clean"
        made.append(CheckResult(name, status, others.get(name, ""), 0.1))
    return tuple(made)


def probabilities() -> Report:
    """Binary cross entropy of a probability in float32."""
    findings = (
        Finding(
            "accuracy",
            "error",
            "At a logit of 20 the probability rounds to 1, and the value is 100 where 20 is right. A model that is confident and wrong is "
            "told a made-up number.",
            {"dtype": "float32", "prediction": 1.0, "target": 0.0, "got": 100.0, "right": 20.000000002061153},
            BCE,
        ),
        Finding(
            "gradient",
            "error",
            "The gradient is 0 where 1 is right: such a row is never corrected.",
            {"dtype": "float32", "logit": 20.0, "target": 0.0, "got": 0.0, "right": 0.9999999979388463},
            BCE,
        ),
        Finding(
            "domain",
            "warning",
            "The target 1.5 is neither 0 nor 1 nor between, and gives a plausible number.",
            {"prediction": 0.5, "target": 1.5, "got": 0.6931471824645996, "right": "an error, or NaN"},
            "import torch\nprint(torch.nn.functional.binary_cross_entropy(torch.tensor([0.5]), torch.tensor([1.5])))\n",
        ),
        Finding("matching", "note", "The derivative in its own input, the probability, is (p - y) / (p (1 - p)).", {"factor": 4.0}),
    )
    convention = Convention(
        "binary", "torch", input="prediction", target="numbers", reduction="mean", reduction_argument="reduction", weight_argument="weight"
    )
    return Report(
        "torch.nn.functional:binary_cross_entropy",
        convention,
        findings,
        outcomes({f.check: "" for f in findings}, hessian="no second derivative is given", invariance="it has no classes"),
        "Logistic()",
        3.21,
    )


def clean() -> Report:
    """Nothing found."""
    convention = Convention("multiclass", "torch", target="labels or distributions", reduction="mean", reduction_argument="reduction")
    return Report("matchloss.torch:cross_entropy", convention, (), outcomes(matching=""), "CrossEntropy()", 2.0)


def classes() -> Report:
    """Findings of many rows and classes, without a severe one."""
    logits = [[0.25 * i - k for k in range(3)] for i in range(40)]
    findings = (
        Finding(
            "domain",
            "warning",
            "The label -1 counts as class 2: it wraps around, and trains the model towards the last class.",
            {"logits": logits, "label": [-1] * 40, "got": [1.2] * 40, "right": "an error"},
            "import jax.numpy as jnp\nfrom optax import softmax_cross_entropy_with_integer_labels as fn\n\n"
            "print(fn(jnp.array([[0.0, 1.0, 2.0]]), jnp.array([-1])), 'where an error, or NaN, would be right: -1 is no class')\n",
        ),
        Finding("shapes", "warning", "Shapes (3,) and (3, 1) give 9 values instead of an error.", {"got": (3, 3), "right": "an error"}),
    )
    convention = Convention("multiclass", "jax", target="labels")
    return Report("optax:softmax_cross_entropy_with_integer_labels", convention, findings, outcomes({"domain": "", "shapes": ""}), "", 4.0)


def uncallable() -> Report:
    """No way was found to call it."""
    message = "It cannot be called with two arrays: TypeError: f() takes 1 positional argument but 2 were given."
    return Report("mymodule:f", None, seconds=0.1, reason=message)


def stopped() -> Report:
    """A check did not return, and one ended the interpreter."""
    findings = (
        Finding("layout", "error", "It did not return within 5 s.", {"under way": "fn(zeros(0), zeros(0))"}),
        Finding("domain", "error", "It ended the interpreter (SIGSEGV).", {"under way": "fn(zeros((1, 3)), [99])", "target": 99}),
    )
    made = list(outcomes({"layout": "", "domain": ""}))
    made[-1] = CheckResult("cost", "stopped", "10 s were over")
    return Report(
        "mymodule:slow",
        Convention("count", reduction="sum", sign=-1, order="target, prediction", others=("positive",)),
        findings,
        tuple(made),
        "",
        10.0,
    )


def hostile() -> Report:
    """Names, messages and code that try to get out."""
    odd = f"{HOSTILE}\x1b[2J\x00\ud800\u202e"
    more: dict[str, Any] = {odd: odd, "got": [odd] * 20, "right": float("nan"), "x": {"a": 1}, "n": None}
    findings = tuple(
        Finding(check, severity, f"{odd} [red]x[/red]\n{odd}", more, f"print('''{odd}''')\n\tx")
        for check, severity in ((odd, "error"), ("gradient", "warning"), ("proper", "note"))
    )
    made = (*(CheckResult(n, "found" if n in ("gradient", "proper") else "skipped", odd) for n in NAMES), CheckResult(odd, "skipped", odd))
    return Report(odd, Convention("positive", others=(odd,), weight_argument=odd, reduction_argument=odd), findings, made, odd, 0.0)


def long() -> Report:
    """Everything of 10,000 characters."""
    values = {LONG: LONG, "target": list(range(10_000)), "got": [[0.1] * 1000] * 1000, "right": -1e-300}
    findings = (
        Finding("gradient", "error", f"{LONG} and {'words ' * 2000}", values, f"x = '{LONG}'\n" * 200),
        Finding("weights", "note", "A factor.", {}, ""),
    )
    return Report(
        f"module:{LONG}",
        Convention("regression", weight_argument=LONG),
        findings,
        outcomes({"gradient": "", "weights": ""}, jumps=LONG),
        LONG,
        1e4,
    )


def several() -> list[Report]:
    """As many as a person would audit at once."""
    return [probabilities(), clean(), classes(), uncallable(), stopped()]


def all_of_them() -> list[Report]:
    """The usual and the odd."""
    return [*several(), hostile(), long()]
