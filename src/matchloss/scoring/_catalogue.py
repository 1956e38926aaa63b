"""The proper scores of a forecast as data: what each elicits, its formulas and domain, and which loss matches it.

A score S(obs, fct) has an entropy, the expected score of the best forecast, and a divergence, how much more any other one is expected to
score. With the suitable link the divergence is that of a matching loss, which is the score as a function of the raw prediction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from matchloss.engine.arrays import as_array
from matchloss.errors import DomainError, ShapeError
from matchloss.losses import Interval, Simplex
from matchloss.losses._domain import NON_NEGATIVE, POSITIVE, REAL
from matchloss.scoring import categorical, ensembles, point

Functional = Literal["mean", "quantile", "expectile", "interval", "distribution", "mean and variance"]
GLM = "McCullagh & Nelder 1989"
TITLES = {
    "brier_score": "Brier score",
    "crps_ensemble": "CRPS",
    "dss_ensemble": "Dawid-Sebastiani score",
    "pinball": "pinball loss",
    "poisson_deviance": "Poisson deviance",
    "rps_score": "ranked probability score",
    "tweedie_deviance": "Tweedie deviance",
}


@dataclass(frozen=True)
class ProperScore:
    """A score that is consistent for a functional, with its properties.

    function(obs, fct, ..., sample_weight=None, reduction="none"); functional: what it elicits; level: the name of the argument for the
    level of a quantile or expectile, or for how often an interval may miss; domain: that of fct; loss: the catalogue name of the loss
    whose divergence at raw = link(fct) is `factor` times the score's, or None; strict: whether the best forecast is unique.

    formula, entropy_formula, divergence_formula: the score of fct f at obs y (of probabilities p at the label k, whose law is q), the
    expected score of the best forecast, and what another one is expected to score beyond that.
    """

    name: str
    function: Callable[..., Any]
    functional: Functional
    domain: Interval | Simplex
    loss: str | None = None
    factor: float = 1.0
    level: str | None = None
    strict: bool = True
    formula: str = ""
    entropy_formula: str = ""
    divergence_formula: str = ""
    source: str = ""

    @property
    def title(self) -> str:
        """The name in a sentence."""
        return TITLES.get(self.name, self.name.replace("_", " "))

    @property
    def of_labels(self) -> bool:
        """Whether it scores probabilities of labels."""
        return isinstance(self.domain, Simplex)

    def rows(self, obs: Any, fct: Any, level: float | None = None) -> Any:
        """The score of each row; shapes and errors are those of `function`."""
        return self.function(obs, fct, **({} if self.level is None or level is None else {self.level: level}))

    def entropy(self, obs: Any) -> Any:
        """S(obs, obs) of each row: the expected score of the best forecast, obs being probabilities of labels; 0 for numbers."""
        return self.function(obs, obs)

    def divergence(self, obs: Any, fct: Any) -> Any:
        """S(obs, fct) - S(obs, obs) >= 0 of each row: how much worse the forecast is than the truth."""
        return self.function(obs, fct) - self.function(obs, obs)


def _interval_pairs(obs: Any, fct: Any, alpha: Any = 0.1, sample_weight: Any = None, reduction: Any = "none") -> Any:
    """interval_score of intervals that are the rows of fct, (n, 2)."""
    ends = fct if hasattr(fct, "ndim") else as_array("fct", fct)
    if ends.ndim == 0 or ends.shape[-1] != 2:
        raise ShapeError(f"fct has shape {ends.shape}; intervals are (..., 2), the lower end and the upper one")
    return point.interval_score(obs, ends[..., 0], ends[..., 1], alpha, sample_weight, reduction)


CATALOGUE: dict[str, ProperScore] = {
    s.name: s
    for s in (
        ProperScore(
            "log_score",
            categorical.log_score,
            "distribution",
            Simplex(),
            "cross_entropy",
            formula="-log p_k",
            entropy_formula="-sum q log q",
            divergence_formula="sum q log(q / p)",
            source="Good 1952",
        ),
        ProperScore(
            "brier_score",
            categorical.brier_score,
            "distribution",
            Simplex(),
            "sparsemax",
            formula="|p - e_k|^2 / 2",
            entropy_formula="(1 - |q|^2) / 2",
            divergence_formula="|q - p|^2 / 2",
            source="Brier 1950",
        ),
        ProperScore(
            "spherical_score",
            categorical.spherical_score,
            "distribution",
            Simplex(),
            "spherical",
            formula="1 - p_k / |p|",
            entropy_formula="1 - |q|",
            divergence_formula="|q| - sum q p / |p|",
            source="Roby 1965",
        ),
        ProperScore(
            "pseudo_spherical_score",
            categorical.pseudo_spherical_score,
            "distribution",
            Simplex(),
            formula="1 - (p_k / |p|_a)^(a - 1)",
            entropy_formula="1 - |q|_a",
            divergence_formula="|q|_a - sum q (p / |p|_a)^(a - 1)",
            source="Good 1971",
        ),
        ProperScore(
            "power_score",
            categorical.power_score,
            "distribution",
            Simplex(),
            "entmax",
            formula="sum p^a / a - p_k^(a - 1) / (a - 1) + 1 / (a (a - 1))",
            entropy_formula="(1 - sum q^a) / (a (a - 1))",
            divergence_formula="sum (q^a - p^a - a p^(a - 1) (q - p)) / (a (a - 1))",
            source="Tsallis 1988",
        ),
        ProperScore(
            "rps_score",
            categorical.rps_score,
            "distribution",
            Simplex(),
            formula="sum (P - O)^2",
            entropy_formula="sum Q (1 - Q)",
            divergence_formula="sum (Q - P)^2",
            source="Epstein 1969",
        ),
        ProperScore(
            "squared_error",
            point.squared_error,
            "mean",
            REAL,
            "squared_error",
            factor=0.5,
            formula="(f - y)^2",
            entropy_formula="the variance of y",
            divergence_formula="(f - E y)^2",
            source="Savage 1971",
        ),
        ProperScore(
            "poisson_deviance",
            point.poisson_deviance,
            "mean",
            NON_NEGATIVE,
            "poisson",
            factor=0.5,
            formula="2 (y log(y / f) - y + f)",
            entropy_formula="2 (E y log y - m log m), m = E y",
            divergence_formula="2 (m log(m / f) - m + f), m = E y",
            source=GLM,
        ),
        ProperScore(
            "gamma_deviance",
            point.gamma_deviance,
            "mean",
            POSITIVE,
            "gamma",
            factor=0.5,
            formula="2 (y / f - 1 - log(y / f))",
            entropy_formula="2 (log m - E log y), m = E y",
            divergence_formula="2 (m / f - 1 - log(m / f)), m = E y",
            source=GLM,
        ),
        ProperScore(
            "tweedie_deviance",
            point.tweedie_deviance,
            "mean",
            POSITIVE,
            "tweedie",
            factor=0.5,
            formula="2 (y^(2-p) / ((1-p)(2-p)) - y f^(1-p) / (1-p) + f^(2-p) / (2-p))",
            entropy_formula="2 (E y^(2-p) - m^(2-p)) / ((1-p)(2-p)), m = E y",
            divergence_formula="the score at y = E y",
            source="Joergensen 1987",
        ),
        ProperScore(
            "absolute_error",
            point.absolute_error,
            "quantile",
            REAL,
            "absolute_error",
            strict=False,
            formula="|f - y|",
            entropy_formula="E |y - median|",
            divergence_formula="E |y - f| - E |y - median|",
            source="Gneiting 2011",
        ),
        ProperScore(
            "pinball",
            point.pinball,
            "quantile",
            REAL,
            "pinball",
            level="alpha",
            strict=False,
            formula="(1{f >= y} - a) (f - y)",
            entropy_formula="the score of the quantile, in the mean",
            divergence_formula="the integral of F - a from the quantile to f",
            source="Koenker & Bassett 1978",
        ),
        ProperScore(
            "expectile_score",
            point.expectile_score,
            "expectile",
            REAL,
            "expectile",
            level="alpha",
            formula="|1{f >= y} - a| (f - y)^2",
            entropy_formula="the score of the expectile, in the mean",
            divergence_formula="what f scores beyond that, in the mean",
            source="Newey & Powell 1987",
        ),
        ProperScore(
            "interval_score",
            _interval_pairs,
            "interval",
            REAL,
            level="alpha",
            strict=False,
            formula="u - l + 2/a max(l - y, 0) + 2/a max(y - u, 0)",
            entropy_formula="2/a times those of its two pinballs",
            divergence_formula="2/a times those of its two pinballs",
            source="Winkler 1972",
        ),
        ProperScore(
            "crps_ensemble",
            ensembles.crps_ensemble,
            "distribution",
            REAL,
            formula="E |X - y| - E |X - X'| / 2",
            entropy_formula="E |Y - Y'| / 2",
            divergence_formula="the integral of (F - G)^2",
            source="Matheson & Winkler 1976",
        ),
        ProperScore(
            "energy_score",
            ensembles.energy_score,
            "distribution",
            REAL,
            formula="E |X - y| - E |X - X'| / 2, Euclidean",
            entropy_formula="E |Y - Y'| / 2",
            divergence_formula="E |X - Y| - E |X - X'| / 2 - E |Y - Y'| / 2",
            source="Gneiting & Raftery 2007",
        ),
        ProperScore(
            "dss_ensemble",
            ensembles.dss_ensemble,
            "mean and variance",
            REAL,
            formula="((y - m) / s)^2 + 2 log s",
            entropy_formula="1 + 2 log t, t the deviation of y",
            divergence_formula="((E y - m) / s)^2 + (t / s)^2 - 1 - 2 log(t / s)",
            source="Dawid & Sebastiani 1999",
        ),
    )
}
ALIASES = {"quantile_score": "pinball", "mse": "squared_error", "log_loss": "log_score", "mae": "absolute_error"}


def get_score(name: str | ProperScore) -> ProperScore:
    """The proper score of this name; DomainError, which lists all names, for an unknown one.

    >>> from matchloss.scoring import get_score
    >>> get_score("log_score").functional
    'distribution'
    """
    if isinstance(name, ProperScore):
        return name
    found = CATALOGUE.get(ALIASES.get(name, name))
    if found is None:
        raise DomainError(f"there is no score {name!r}; allowed: {', '.join(CATALOGUE)}")
    return found
