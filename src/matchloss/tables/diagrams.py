"""Reliability diagrams of a model's predictions, each against what its loss elicits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.scoring.reliability import Reliability, reliability

if TYPE_CHECKING:
    from matchloss.losses import Loss
    from matchloss.scoring._bands import Of

Floats = NDArray[np.float64]
MOST_CLASSES = 4
DRAWS = 200  # of the curves that make a band


def diagrams(
    loss: Loss, prediction: Floats, target: NDArray[Any], classes: Sequence[str], sample_weight: Floats | None, most: int = MOST_CLASSES
) -> tuple[Reliability, ...]:
    """Of a number; of the second of two classes; of the `most` frequent of more.

    None for a loss that elicits no mean, quantile or expectile, and where a prediction is not finite.
    """
    of = elicited(loss)
    if of is None or not len(prediction) or not np.isfinite(prediction).all():
        return ()
    functional, level = of
    if not classes:
        return (reliability(target, prediction, functional, level, sample_weight, draws=DRAWS),)
    if functional != "mean":
        return ()
    if prediction.ndim == 1 or len(classes) == 2:
        likely = prediction if prediction.ndim == 1 else prediction[:, 1]
        return (reliability(target == 1, likely.clip(0, 1), "probability", None, sample_weight, draws=DRAWS, label=classes[1]),)
    labels = target.astype(np.int64)
    shown: list[int] = np.argsort(-np.bincount(labels, sample_weight, len(classes)), kind="stable")[:most].tolist()
    return tuple(
        reliability(labels == k, prediction[:, k].clip(0, 1), "probability", None, sample_weight, draws=DRAWS, label=classes[k])
        for k in shown
    )


def elicited(loss: Loss) -> tuple[Of, float | None] | None:
    """The functional and level that a reliability diagram holds the loss's predictions against; None if there is no such diagram."""
    if loss.functional == "median":
        return "quantile", 0.5
    if loss.functional in ("quantile", "expectile"):
        return ("quantile" if loss.functional == "quantile" else "expectile"), float(loss.parameters["alpha"])
    return ("mean", None) if loss.functional == "mean" else None
