"""The proper scores of a forecast as data: what each elicits, its domain, and which loss matches it.

A score S(obs, fct) has the entropy S(p, p) and the divergence S(obs, fct) - S(obs, obs) >= 0. With the suitable link the divergence
is that of a matching loss, which is the score as a function of the raw prediction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from matchloss.errors import DomainError
from matchloss.losses import Interval, Simplex
from matchloss.losses._domain import NON_NEGATIVE, POSITIVE, REAL
from matchloss.scoring import categorical, point

Functional = Literal["mean", "quantile", "expectile", "distribution"]
GLM = "McCullagh & Nelder 1989"


@dataclass(frozen=True)
class ProperScore:
    """A score that is consistent for a functional, with its properties.

    function(obs, fct, ..., sample_weight=None, reduction="none"); functional: what it elicits; level: the name of the argument for the
    level of a quantile or expectile; domain: that of fct; loss: the catalogue name of the loss whose divergence at raw = link(fct) is
    `factor` times the score's, or None; strict: whether the best forecast is unique.
    """

    name: str
    function: Callable[..., Any]
    functional: Functional
    domain: Interval | Simplex
    loss: str | None = None
    factor: float = 1.0
    level: str | None = None
    strict: bool = True
    source: str = ""

    def rows(self, obs: Any, fct: Any, level: float | None = None) -> Any:
        """The score of each row; shapes and errors are those of `function`."""
        return self.function(obs, fct, **({} if self.level is None or level is None else {self.level: level}))

    def entropy(self, obs: Any) -> Any:
        """S(obs, obs) of each row: the expected score of the best forecast, obs being a distribution's mean or probabilities."""
        return self.function(obs, obs)

    def divergence(self, obs: Any, fct: Any) -> Any:
        """S(obs, fct) - S(obs, obs) >= 0 of each row: how much worse the forecast is than the truth."""
        return self.function(obs, fct) - self.function(obs, obs)


CATALOGUE: dict[str, ProperScore] = {
    s.name: s
    for s in (
        ProperScore("log_score", categorical.log_score, "distribution", Simplex(), "cross_entropy", source="Good 1952"),
        ProperScore("brier_score", categorical.brier_score, "distribution", Simplex(), "sparsemax", source="Brier 1950"),
        ProperScore("spherical_score", categorical.spherical_score, "distribution", Simplex(), "spherical", source="Roby 1965"),
        ProperScore("pseudo_spherical_score", categorical.pseudo_spherical_score, "distribution", Simplex(), source="Good 1971"),
        ProperScore("power_score", categorical.power_score, "distribution", Simplex(), "entmax", source="Tsallis 1988"),
        ProperScore("rps_score", categorical.rps_score, "distribution", Simplex(), source="Epstein 1969"),
        ProperScore("squared_error", point.squared_error, "mean", REAL, "squared_error", factor=0.5, source="Savage 1971"),
        ProperScore(
            "poisson_deviance", point.poisson_deviance, "mean", NON_NEGATIVE, "poisson", factor=0.5, source="McCullagh & Nelder 1989"
        ),
        ProperScore("gamma_deviance", point.gamma_deviance, "mean", POSITIVE, "gamma", factor=0.5, source=GLM),
        ProperScore("tweedie_deviance", point.tweedie_deviance, "mean", POSITIVE, "tweedie", factor=0.5, source="Joergensen 1987"),
        ProperScore("absolute_error", point.absolute_error, "quantile", REAL, "absolute_error", strict=False, source="Gneiting 2011"),
        ProperScore("pinball", point.pinball, "quantile", REAL, "pinball", level="alpha", strict=False, source="Koenker & Bassett 1978"),
        ProperScore("expectile_score", point.expectile_score, "expectile", REAL, "expectile", level="alpha", source="Newey & Powell 1987"),
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
