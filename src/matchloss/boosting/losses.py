"""The loss that an estimator of trees fits: from what a person wrote, and for as many classes as the labels have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import pointwise
from matchloss.engine.row_targets import as_target, check_targets
from matchloss.losses import Interval, Loss, PointwiseLoss, SimplexLoss
from matchloss.losses.catalogue import get

FAR_FROM_THE_MEAN = ("quantile", "expectile", "mode", "none")  # functionals that R^2, which scores means, does not suit


def loss_of(loss: str | Loss) -> Loss:
    """The loss itself, or the one of that name: "poisson", "pinball(alpha=0.9)". ValueError for an unknown name."""
    return loss if isinstance(loss, Loss) else get(loss)


def loss_of_number(loss: str | Loss) -> PointwiseLoss:
    """The loss of one raw prediction a row; ValueError for one of K."""
    found = loss_of(loss)
    if not isinstance(found, PointwiseLoss):
        raise ValueError(f"{found.name} is a loss of K raw predictions a row: the classifier takes it")
    return found


def loss_of_labels(loss: str | Loss, classes: int) -> Loss:
    """The loss for labels of so many classes; its binary form for two, where it has one.

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


def refuse_distributions(y: Any, host: str) -> None:
    """ValueError for rows of distributions, (n, K), where the host's data set carries one label a row."""
    shape = np.asarray(y).shape
    if len(shape) == 2 and shape[1] > 1:
        raise ValueError(
            f"y has shape {shape}, and {host} carries one label a row; for distributions over classes use matchloss.xgboost.train, whose "
            "DMatrix carries them, or repeat each row for each class with the class's share as its sample_weight"
        )


def check_target(loss: Loss, target: NDArray[Any], weight: NDArray[Any] | None, classes: int | None = None) -> None:
    """DomainError for the first target, in a row whose weight is not 0, that the loss does not take."""
    if isinstance(loss, PointwiseLoss):
        pointwise.check(loss.programs["exact"], target, weight)
    else:
        assert classes is not None
        t, labels = as_target(target, (len(target), classes))
        check_targets(t, labels, classes, weight)


def probabilities(loss: Loss, raw: NDArray[Any]) -> NDArray[Any]:
    """The probability of each class, (n, K), from raw predictions (n,), (n, 1) or (n, K)."""
    if isinstance(loss, SimplexLoss):
        return np.asarray(loss.predict(np.ascontiguousarray(raw)))
    p = np.asarray(loss.predict(raw.reshape(-1)))
    return np.column_stack([1 - p, p])


def gives_probabilities(loss: Loss) -> bool:
    """True; AttributeError for a loss whose prediction is a side, as hinge's."""
    if loss.functional == "mode":
        raise AttributeError(f"{loss.name} predicts a side and no probability")
    return True


def describe(tags: Any, loss: Loss) -> Any:
    """scikit-learn's tags of a regressor under this loss: whether its targets are positive, and whether R^2 suits it."""
    domain = loss.target_domain
    tags.target_tags.positive_only = isinstance(domain, Interval) and domain.low == 0 and domain.high != 1
    tags.regressor_tags.poor_score = loss.functional in FAR_FROM_THE_MEAN
    return tags
