"""The loss that an estimator of trees fits, from what a person wrote and for the number of classes in the labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import pointwise
from matchloss.engine.row_targets import as_target, check_targets
from matchloss.errors import DomainError
from matchloss.losses import CATALOGUE, Interval, Loss, PointwiseLoss, SimplexLoss
from matchloss.losses.catalogue import get

FAR_FROM_THE_MEAN = ("quantile", "expectile", "mode", "none")  # functionals that R^2, which scores means, does not suit


def loss_of(loss: str | Loss) -> Loss:
    """The loss itself, or the one of that name: "poisson", "pinball(alpha=0.9)". ValueError for an unknown name."""
    return loss if isinstance(loss, Loss) else get(loss)


def as_text(loss: Loss) -> str:
    """The loss as text in a host's file: text that `loss_of` can read, or the repr of a loss of a person's own.

    >>> import matchloss as ml
    >>> as_text(ml.NegativeBinomial(5.0)), as_text(ml.Gamma())
    ('negative_binomial(size=5.0)', 'gamma')
    """
    if CATALOGUE.get(loss.name) is not type(loss):
        return repr(loss)
    given = ", ".join(f"{name}={value!r}" for name, value in loss.parameters.items())
    return f"{loss.name}({given})" if given else loss.name


def loss_of_number(loss: str | Loss) -> PointwiseLoss:
    """The loss, which must take one raw prediction a row; ValueError for a loss of K."""
    found = loss_of(loss)
    if not isinstance(found, PointwiseLoss):
        raise ValueError(f"{found.name} is a loss of K raw predictions a row: the classifier takes it")
    return found


def loss_of_labels(loss: str | Loss, classes: int) -> Loss:
    """The loss for labels of this many classes; for two, its binary form where it has one.

    ValueError for a loss of a number, a single class, and a binary loss of more than two.

    >>> loss_of_labels("cross_entropy", 2), loss_of_labels("log_loss", 3)
    (Logistic(), CrossEntropy())
    """
    found = loss_of(loss)
    if not {"binary", "multiclass"}.intersection(found.suits):
        raise ValueError(f"{found!r} is a loss of a number: the regressor takes it; labels ask for cross_entropy, logistic, hinge, ...")
    if classes < 2:
        raise ValueError("a classifier needs two classes or more; the labels hold 1 class")
    if loss == "log_loss" and classes > 2:  # scikit-learn's name, whatever the number of classes
        found = get("cross_entropy")
    found = found.of_classes(classes)
    if classes > 2 and not isinstance(found, SimplexLoss):
        raise ValueError(f"Only binary classification is supported by {found.name}; there are {classes} classes")
    return found


def check_labels(y: Any, host: str) -> None:
    """DomainError, with its row, for a missing label; ValueError for rows of distributions, (n, K).

    >>> check_labels(["a", None, "b"], "LGBMClassifier")
    Traceback (most recent call last):
    matchloss.errors.DomainError: target[1] is None; allowed: labels, none of them missing
    """
    labels = np.asarray(y)
    refuse_distributions(labels, host)
    if labels.dtype.kind not in "fO" or labels.ndim == 0:
        return
    missing = np.isnan(labels) if labels.dtype.kind == "f" else np.array([_is_missing(label) for label in labels.ravel()], bool)
    if missing.any():
        row = int(np.argmax(missing))
        raise DomainError(f"target[{row}] is {labels.ravel()[row]!s}; allowed: labels, none of them missing")


def refuse_distributions(y: Any, host: str) -> None:
    """ValueError for rows of distributions, (n, K), where the host's data set carries one label a row."""
    shape = np.shape(y)
    if len(shape) == 2 and shape[1] > 1:
        raise ValueError(
            f"y has shape {shape}, and {host} carries one label a row; for distributions over classes use matchloss.xgboost.train, whose "
            "DMatrix carries them, or repeat each row for each class with the class's share as its sample_weight"
        )


def _is_missing(label: Any) -> bool:
    return label is None or type(label).__name__ in ("NAType", "NaTType") or label != label


def as_numbers(y: Any) -> NDArray[Any]:
    """The targets of a regressor as an array of numbers; DomainError for the first target that is not a number.

    >>> as_numbers([1, "2.5"]), as_numbers([True, False])
    (array([1. , 2.5]), array([ True, False]))
    """
    if y is None:
        raise ValueError("a fit requires y to be passed, but the target y is None")
    target = np.asarray(y)
    if target.dtype.kind in "biuf":
        return target
    numbers = np.empty(target.shape)
    for place, value in np.ndenumerate(target):
        try:
            numbers[place] = np.nan if _is_missing(value) else float(value)
        except (TypeError, ValueError):
            found = value.item() if isinstance(value, np.generic) else value
            raise DomainError(f"target[{place[0]}] is {found!r}; allowed: numbers; for labels take the classifier") from None
    return numbers


def place_of(labels: Any, classes: NDArray[Any], named: str = "y") -> NDArray[np.intp]:
    """The place of each label among sorted classes; ValueError for one that is not there."""
    y = np.asarray(labels)
    found = np.searchsorted(classes, y).clip(0, len(classes) - 1)
    strange = classes[found] != y
    if strange.any():
        row = int(np.argmax(strange))
        raise ValueError(f"{named}[{row}] is {y[row]!s}; the classes are {', '.join(map(str, classes[:10].tolist()))}")
    return found


def check_target(loss: Loss, target: NDArray[Any], weight: NDArray[Any] | None, classes: int | None = None) -> None:
    """DomainError for the first target, in a row whose weight is not 0, that the loss does not take."""
    if isinstance(loss, PointwiseLoss):
        pointwise.check(loss.programs["exact"], target, weight)
    else:
        assert classes is not None
        t, labels = as_target(target, (len(target), classes))
        check_targets(t, labels, classes, weight)


def check_watched(loss: Loss, labels: Iterable[Any], classes: int | None = None) -> None:
    """DomainError, with the set and the row, for a target that the loss does not take in a set to evaluate on: hosts may read it as 0."""
    for number, y in enumerate(labels):
        target = as_numbers(y)
        try:
            check_target(loss, target.astype(np.int64) if isinstance(loss, SimplexLoss) else target, None, classes)
        except DomainError as error:
            raise DomainError(f"in eval set {number}: {error}") from None


def probabilities(loss: Loss, raw: NDArray[Any]) -> NDArray[Any]:
    """The probability of each class, (n, K), from raw predictions (n,), (n, 1) or (n, K)."""
    if isinstance(loss, SimplexLoss):
        return np.asarray(loss.predict(np.ascontiguousarray(raw)))
    p = np.asarray(loss.predict(raw.reshape(-1)))
    return np.column_stack([1 - p, p])


def decisions(loss: Loss, raw: NDArray[Any]) -> NDArray[Any]:
    """What scikit-learn calls decisions: raw predictions (n, K), or for two classes (n,), positive for the second."""
    if isinstance(loss, SimplexLoss):
        return raw[:, 1] - raw[:, 0] if raw.shape[1] == 2 else raw
    return raw.reshape(-1)


def gives_probabilities(loss: Loss) -> bool:
    """True; AttributeError for a loss whose prediction is a side, such as hinge."""
    if loss.functional == "mode":
        raise AttributeError(f"{loss.name} predicts a side and no probability")
    return True


def describe(tags: Any, loss: Loss) -> Any:
    """scikit-learn's tags of a regressor under this loss: whether its targets are positive, and whether R^2 suits it."""
    domain = loss.target_domain
    tags.target_tags.positive_only = isinstance(domain, Interval) and domain.low == 0 and domain.high != 1
    tags.regressor_tags.poor_score = loss.functional in FAR_FROM_THE_MEAN
    return tags
