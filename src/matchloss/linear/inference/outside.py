"""Inference for rows that lie elsewhere, in files or on a cluster: one pass adds up all that standard errors ask of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from matchloss.errors import NotInMemory
from matchloss.linear.inference.build import Fit, assembled, ending, refuse_loss
from matchloss.linear.inference.estimates import Measure
from matchloss.linear.inference.inference import Inference
from matchloss.linear.inference.information import Standing, Weights
from matchloss.linear.passes import Matrix
from matchloss.linear.rows import Floats
from matchloss.linear.solve import blas_on_one_thread, of_source
from matchloss.linear.sources.source import Block, Source

if TYPE_CHECKING:
    from matchloss.losses import Loss


@dataclass(eq=False)
class Sums:
    """Sums over rows at the coefficients, in wide slots; of Gram matrices the lower triangles. Each row counts by its weight."""

    observed: Floats  # X' diag(h) X, h the second derivatives
    expected: Floats  # the same by Fisher's h
    meat: Floats  # X' diag(g^2) X, g the gradients
    gradient: Floats  # X' g
    mass: Floats  # X' 1, the weight of each level
    got: Floats  # X' y
    value: float = 0.0
    deviance: float = 0.0
    pearson: float = 0.0
    base: float = 0.0  # the terms of the log-likelihood without raw predictions
    fractions: bool = False  # whether some weight is no whole number

    @classmethod
    def none(cls, matrix: Matrix) -> Sums:
        """Of no rows."""
        square, line = (matrix.rows.width,) * 2, matrix.rows.width
        return cls(np.zeros(square), np.zeros(square), np.zeros(square), np.zeros(line), np.zeros(line), np.zeros(line))

    def add(self, other: Sums) -> None:
        """Adds those of other rows."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


@dataclass(frozen=True, eq=False)
class Summing:
    """The pass that adds up Sums, for a loss of one raw prediction a row. `trials`: a row of weight w is the mean of w trials."""

    matrix: Matrix
    loss: Loss
    wide: Floats
    trials: bool

    @property
    def bytes(self) -> int:
        """The size of a slab's sums."""
        return 8 * 3 * (self.matrix.rows.width**2 + self.matrix.rows.width)

    def slab(self, blocks: Iterator[Block], rows: int) -> Sums:
        """The sums of a slab."""
        matrix, loss, made = self.matrix, self.loss, Sums.none(self.matrix)
        plain = loss.simplified
        for block in blocks:
            raw, y, w = np.empty(block.rows), block.y, block.w
            matrix.predicted(block, self.wide, raw)
            at = loss.evaluate(raw, y, w, hessian=True)
            mean = at.hessian
            if not loss.matching and "fisher" in loss.programs:
                mean = loss.evaluate(raw, y, w, value=False, gradient=False, hessian=True, curvature="fisher").hessian
            weight = np.ones(block.rows) if w is None else w
            square = at.gradient**2 if w is None or self.trials else at.gradient**2 / w
            for second, sink in ((at.hessian, made.observed), (mean, made.expected), (square, made.meat)):
                matrix.add_gram(block, second, sink)
            for first, sink in ((at.gradient, made.gradient), (weight, made.mass), (weight * y, made.got)):
                matrix.add_gradient(block, first, sink)
            made.value += float(at.value.sum())
            made.fractions |= w is not None and not (w == np.round(w)).all()
            if plain.likelihood:
                made.deviance += 2 * float(weight @ loss.divergence(raw, y))
                with np.errstate(invalid="ignore", divide="ignore"):
                    made.pearson += float(np.sum(at.gradient**2 / mean))
            if plain.likelihood == "whole":
                made.base += float(np.sum(weight * plain.log_base(y)))
        return made

    def join(self, parts: Sequence[Sums]) -> Sums:
        """The sum of the slabs' sums."""
        made = Sums.none(self.matrix)
        for part in parts:
            made.add(part)
        return made


@dataclass(frozen=True, eq=False)
class Summed(Standing):
    """What a Standing knows, from sums alone."""

    sums: Sums

    @cached_property
    def observed(self) -> Floats:  # noqa: D102
        return self._narrow(self.sums.observed)

    @cached_property
    def expected(self) -> Floats:  # noqa: D102
        return self._narrow(self.sums.expected)

    @cached_property
    def gradient(self) -> Floats:  # noqa: D102
        return self.sums.gradient[self.f.slots]

    def meat(self) -> Floats:  # noqa: D102
        return self._narrow(self.sums.meat)

    def _narrow(self, gram: Floats) -> Floats:
        return self.f.narrow(self.f.matrix.whole(gram))


@dataclass(eq=False)
class Outside(Inference):
    """An Inference without rows at hand: coefficients, covariances but the clustered one, tests, intervals, deviance, summary.

    What asks for each row, or for another fit to them, raises NotInMemory: clusters, residuals, the log-likelihood of the intercept alone.
    """

    @property
    def sums(self) -> Sums:
        """Those over the rows."""
        assert isinstance(self.standing, Summed)
        return self.standing.sums

    @property
    def measures(self) -> tuple[Measure, ...]:  # noqa: D102
        found = {name: what for name, what in super().measures if what != "llnull"}
        if not self._complete:
            found = {name: what for name, what in found.items() if what not in ("llf", "aic", "bic")}
        return tuple(found.items())

    @property
    def _complete(self) -> bool:
        """Whether the log-likelihood is a sum over rows in which no other number stands."""
        return self.f.loss.simplified.likelihood == "whole" and not (self.f.source.weighted and self.standing.weights == "trials")

    @cached_property
    def pearson_chi2(self) -> float:  # noqa: D102
        self._as_likelihood("pearson_chi2")
        return self.sums.pearson

    @cached_property
    def deviance(self) -> float:  # noqa: D102
        return self.sums.deviance

    @cached_property
    def llf(self) -> float:  # noqa: D102
        if not self._complete:
            raise NotInMemory("a log-likelihood with a dispersion, or of trials, needs all rows in memory")
        return self.sums.base - self.sums.value


def infer_source(fit: Fit, source: Source, weights: Weights = "repeat") -> Outside:
    """The Inference of a fit to the rows of a source, whose weights are all positive: one more pass over them."""
    refuse_loss(fit.loss, weights)
    if len(fit.coef) > 1:
        raise NotInMemory("standard errors of more than two classes need all rows in memory")
    f = of_source(fit.loss, source, fit.l2, None, fit.fit_intercept)

    def standing(theta: Floats) -> Summed:
        with blas_on_one_thread():
            return Summed(f, theta, weights, f.source.sum(Summing(f.matrix, fit.loss, f.wide(theta), weights == "trials")))

    made = assembled(Outside, f, fit, standing, weights)
    ending(made, fit, (made.sums.mass, made.sums.got), made.sums.fractions)
    return made
