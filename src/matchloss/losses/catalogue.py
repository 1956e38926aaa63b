"""The catalogue as data, for `matchloss losses`, the docs and the tests."""

from __future__ import annotations

import difflib
import inspect
from typing import Any

from matchloss.losses._loss import CATALOGUE, Loss
from matchloss.names import with_parameters

NO_MEAN = "the root of a mean is no mean over rows; squared_error has the same minimiser"
NO_SLOPE = "it has no slope to follow; logistic and cross_entropy are what is minimised instead"
NO_LOSSES = {  # names that people try, and why they are no loss
    "rmse": NO_MEAN,
    "root_mean_squared_error": NO_MEAN,
    "r2": "it is no mean over rows; squared_error has the same minimiser",
    "accuracy": NO_SLOPE,
    "auc": NO_SLOPE,
    "f1": NO_SLOPE,
}
FAMILIES = ("regression", "binary", "positive", "simplex")  # the catalogue's order; within a family, the order of definition


def get(name: str, **parameters: float) -> Loss:
    """The loss with this catalogue name, or with another library's name for the same loss; "huber(delta=2)" gives parameters as well.

    Raises ValueError for an unknown name (the message suggests the nearest ones), DomainError for a parameter outside its range, TypeError
    for what is no name.

    >>> import matchloss as ml
    >>> ml.get("tweedie", power=1.2), ml.get("huber(delta=2)"), ml.get("binary:logistic"), ml.get("mse")
    (Tweedie(power=1.2), Huber(delta=2.0), Logistic(), SquaredError())
    """
    if not isinstance(name, str):
        raise TypeError(_no_name(name))
    name, written = with_parameters(name)
    if name in CATALOGUE:
        return CATALOGUE[name](**{**written, **parameters})
    known = {alias: cls for cls in CATALOGUE.values() for alias in cls.aliases} | CATALOGUE
    cls = known.get(name)
    if cls is None:
        cls = {alias.lower(): c for alias, c in known.items()}.get(str(name).lower().replace("-", "_").replace(" ", "_"))
    if cls is None:
        why = NO_LOSSES.get(name.lower().replace(" ", "_"))
        if why:
            raise ValueError(f"{name!r} is no loss: {why}")
        near = difflib.get_close_matches(str(name), known, n=3)
        raise ValueError(f"no loss is called {name!r}" + (f"; near it: {', '.join(near)}" if near else ""))
    return cls(**{**written, **parameters})


def _no_name(given: object) -> str:
    """What to say of something that stands where a loss belongs, and is neither a loss nor a name."""
    if isinstance(given, type) and issubclass(given, Loss):
        return f"the loss is the class {given.__name__}; an instance is meant: {given.__name__}()"
    how = " (a function becomes a loss as a subclass of PointwiseLoss, or by match)" if callable(given) else ""
    return f"the loss is {given!r}; allowed: a Loss, or a name such as 'poisson' or 'pinball(alpha=0.9)'{how}"


def called(name: str) -> str:
    """What to write for a name that another library, or a slip of the fingers, gives to a loss; "" where nothing is near.

    >>> called("MSE"), called("BCELoss"), called("Huberr")
    ('ml.SquaredError()', 'ml.Logistic()', 'ml.Huber()')
    """
    names = {_folded(alias): cls for cls in CATALOGUE.values() for alias in (cls.__name__, cls.name, *cls.aliases)}
    near = difflib.get_close_matches(_folded(name), names, n=1, cutoff=0.75)
    cls = names.get(_folded(name)) or (names[near[0]] if near else None)
    return f"ml.{cls.__name__}()" if cls else ""


def _folded(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").removesuffix("loss")


def losses() -> list[dict[str, Any]]:
    """One dict per loss, in the catalogue's order: names, texts, flags and parameters, all at the default parameters.

    >>> import matchloss as ml
    >>> [row["name"] for row in ml.losses() if row["matching"]][:3]
    ['squared_error', 'logistic', 'binary_brier']
    """
    return [_row(cls()) for cls in in_order()]


def in_order() -> list[type[Loss]]:
    """The catalogue's classes, ordered by family and then by definition."""
    return sorted(CATALOGUE.values(), key=lambda cls: FAMILIES.index(cls.family))


def _row(loss: Loss) -> dict[str, Any]:
    texts = ("name", "title", "family", "equation", "error_signal", "link_name", "functional", "sources", "aliases")
    flags = ("matching", "convex", "proper", "linear_in_target", "smooth", "zero_iff_right")
    return (
        {text: getattr(loss, text) for text in texts}
        | {flag: getattr(loss, flag) for flag in flags}
        | {
            "parameters": loss.parameters,
            "target_domain": str(loss.target_domain),
            "class": type(loss),
            "summary": (inspect.getdoc(type(loss)) or "").partition("\n")[0],
        }
    )
