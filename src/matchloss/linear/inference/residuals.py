"""Residuals of a fit: how far each target lies from what the model says, in four measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from matchloss.errors import DomainError
from matchloss.linear.inference.prediction import law_of
from matchloss.linear.rows import Floats

if TYPE_CHECKING:
    from matchloss.linear.inference.inference import Inference

TINY = 1e-300  # a probability below this is taken for it: a residual of 37
KINDS = ("response", "pearson", "deviance", "quantile")


def residuals(of: Inference, kind: str, seed: int) -> Floats:
    """(n,), of the rows of positive weight; see Inference.residuals."""
    f, standing = of.f, of.standing
    if kind not in KINDS:
        raise DomainError(f"the kind of residual is {kind!r}; allowed: {', '.join(KINDS)}")
    if f.outputs is not None:
        raise DomainError("residuals are there for one raw prediction a row, not for more than two classes")
    loss = f.loss.simplified
    predicted = np.asarray(f.loss.predict(standing.raw))
    if kind == "response":
        return f.target - predicted
    if kind == "quantile":
        return _quantile(of, predicted, seed)
    size = 1.0 if f.weight is None or standing.weights == "repeat" else np.sqrt(f.weight)
    if kind == "deviance":
        return size * np.sign(f.target - predicted) * np.sqrt(2 * loss.divergence(standing.raw, f.target))
    at = loss.evaluate(standing.raw, f.target, value=False)
    return -size * at.gradient / np.sqrt(loss.hessian(standing.raw, f.target, "fisher"))


def _quantile(of: Inference, predicted: Floats, seed: int) -> Floats:
    """The normal quantile of the law's distribution function at each target, at random within a step of it (Dunn and Smyth 1996)."""
    f, loss = of.f, of.f.loss.simplified
    if of.standing.weights == "trials" and f.weight is not None:
        raise DomainError('quantile residuals are of rows, not of means of several: weights="trials" has none')
    if loss.constant_variance:
        return (f.target - predicted) / np.sqrt(of.dispersion)
    law = law_of(loss, predicted, of.dispersion, "quantile residuals")
    below, above = law.cdf(f.target), law.sf(f.target)  # each keeps the digits of its own tail
    if loss.discrete:
        share = np.random.default_rng(seed).uniform(size=len(below))
        here = below - law.cdf(f.target - 1)
        below, above = below - (1 - share) * here, above + (1 - share) * here
    return np.where(below < 0.5, special.ndtri(np.maximum(below, TINY)), -special.ndtri(np.maximum(above, TINY)))
