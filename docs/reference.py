"""The page "Reference", made from docstrings, for docs/hooks.py."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from types import ModuleType
from typing import Any

from docstrings import plain, split_docstring

import matchloss as ml
import matchloss.audit as auditing
import matchloss.scoring as scoring
from matchloss.linear import LinearClassifier, LinearRegressor
from matchloss.linear.model import Model, read_model, write_model
from matchloss.linear.plan import learn, learn_rows
from matchloss.linear.solve import raw_of, solve


def reference() -> str:
    """The public names, from their docstrings."""
    parts = [
        "# Reference\n\nMade from the docstrings. The losses themselves are in [the catalogue](catalogue.md).",
        "## The catalogue as data",
        *(entry(f"ml.{f.__name__}", f) for f in (ml.get, ml.losses, ml.match) if inspect.isfunction(f)),
        "## What every loss can do",
        plain(split_docstring(ml.Loss)[0]),
        *(entry(f"loss.{name}", getattr(ml.Loss, name)) for name in METHODS),
        "### Properties\n\n" + property_table(),
        "## What simplex losses can do besides",
        entry("loss.hessian_product", ml.SimplexLoss.hessian_product),
        "## Linear models\n\n[Fit a model](fit.md) is their guide.",
        *estimator_entries(LinearRegressor),
        *estimator_entries(LinearClassifier),
        "## Models as files, and what estimators are made of",
        entry("matchloss.linear.model.Model", Model, signature=False),
        *(entry(f"{f.__module__}.{f.__name__}", f) for f in (read_model, write_model, solve, raw_of, learn, learn_rows)),
        "## Boosted trees\n\n[Boosted trees](boosting.md) is their guide.",
        *(
            entry(f"{host.__name__}.{name}", getattr(host, name))
            for host in hosts_of_trees()
            for name in host.__all__
            if name != "TreesError"
        ),
        "## Audits\n\n[What a loss promises](audit.md) is their guide.",
        *(entry(f"matchloss.audit.{f.__name__}", f) for f in (auditing.audit, auditing.assert_sound)),
        *(entry(f"matchloss.audit.{cls.__name__}", cls, signature=False) for cls in AUDIT_WORDS),
        "## Words of the contract",
        *(entry(f"ml.{cls.__name__}", cls, signature=False) for cls in WORDS),
        "## Scores\n\n" + plain((inspect.getdoc(scoring) or "").strip()),
        *(entry(f"matchloss.scoring.{name}", getattr(scoring, name)) for name in scoring.__all__ if callable(getattr(scoring, name))),
    ]
    return "\n\n".join(parts)


def hosts_of_trees() -> list[ModuleType]:
    """Our modules of those hosts that are installed where the pages are made."""
    names = [name for name in ("sklearn", "xgboost", "lightgbm", "catboost") if importlib.util.find_spec(name)]
    return [importlib.import_module(f"matchloss.{name}") for name in names]


AUDIT_WORDS = (auditing.Report, auditing.Finding, auditing.CheckResult, auditing.Convention)
WORDS = (ml.Evaluation, ml.Interval, ml.Simplex, ml.DomainError, ml.ShapeError)
METHODS = (
    "evaluate", "__call__", "value", "gradient", "hessian", "divergence", "predict", "link", "best_constant",
)  # fmt: skip
ESTIMATOR_METHODS = ("fit", "predict", "predict_proba", "decision_function")
PROPERTIES = {
    "parameters": "the constructor's arguments",
    "target_domain": "the set of targets: an `Interval`, or a `Simplex`",
    "raw_domain": "the set of raw outputs",
    "functional": "what minimising the expected loss elicits: mean, median, quantile, ...",
    "matching": "the gradient is `predict(raw) - target`",
    "proper": "the expected loss is least exactly where the prediction is the target's mean",
    "convex": "convex in raw",
    "linear_in_target": "the gradient is affine in the target",
    "smooth": "the gradient is continuous in raw",
    "zero_iff_right": "the divergence is 0 exactly where the prediction is the target",
}


def estimator_entries(estimator: type) -> list[str]:
    """An estimator and its methods."""
    name = estimator.__name__
    methods = [method for method in ESTIMATOR_METHODS if hasattr(estimator, method)]
    return [entry(f"matchloss.linear.{name}", estimator), *(entry(f"{name}.{method}", getattr(estimator, method)) for method in methods)]


def property_table() -> str:
    """The attributes of a loss."""
    assert all(hasattr(ml.Loss, name) for name in PROPERTIES)
    return "| attribute | meaning |\n|---|---|\n" + "\n".join(f"| `loss.{name}` | {words} |" for name, words in PROPERTIES.items())


def entry(name: str, thing: Any, signature: bool = True) -> str:
    """A heading, the signature, and the docstring."""
    shown = name.replace(".__call__", "")
    prose, example = split_docstring(thing)
    lines = [f"### {plain(shown)} {{ #{re.sub('[^a-z]+', '-', name.lower()).strip('-')} }}"]
    if signature:
        lines.append(f"```python\n{shown}{spelled(thing)}\n```")
    lines.append(plain(prose))
    if example:
        lines.append(f"```pycon\n{example}\n```")
    return "\n\n".join(lines)


def spelled(thing: Any) -> str:
    """A signature without annotations: the words say what is meant."""
    given = inspect.signature(thing)
    kept = [p.replace(annotation=inspect.Parameter.empty) for name, p in given.parameters.items() if name != "self"]
    return str(given.replace(parameters=kept, return_annotation=inspect.Signature.empty))
