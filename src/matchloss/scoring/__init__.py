"""Proper scores of forecasts: the observation first, lower is better, `score(obs, fct, ..., sample_weight=None, reduction="none")`.

>>> from matchloss import scoring
>>> scoring.crps_normal([0.0, 1.5], 0.0, 1.0).round(3)
array([0.234, 0.994])
>>> scoring.log_score([1, 0], [0.9, 0.2], reduction="mean")
0.16425203348601802
"""

from matchloss.scoring._catalogue import CATALOGUE as _CATALOGUE
from matchloss.scoring._catalogue import ProperScore, get_score
from matchloss.scoring.categorical import brier_score, log_score, power_score, pseudo_spherical_score, rps_score, spherical_score
from matchloss.scoring.continuous import (
    crps_exponential,
    crps_laplace,
    crps_logistic,
    crps_lognormal,
    crps_normal,
    crps_uniform,
    logs_exponential,
    logs_laplace,
    logs_logistic,
    logs_lognormal,
    logs_normal,
    logs_uniform,
)
from matchloss.scoring.decomposition import Decomposition, decompose
from matchloss.scoring.differences import ForecastComparison, compare_forecasts
from matchloss.scoring.ensembles import crps_ensemble, dss_ensemble, dss_normal, energy_score, twcrps_ensemble
from matchloss.scoring.histograms import CalibrationHistogram, Sharpness, pit_histogram, rank_histogram, sharpness
from matchloss.scoring.isotonic import Recalibration, best_constant, recalibrate
from matchloss.scoring.murphy import Murphy, murphy
from matchloss.scoring.point import (
    absolute_error,
    expectile_score,
    gamma_deviance,
    interval_score,
    pinball,
    poisson_deviance,
    quantile_score,
    squared_error,
    tweedie_deviance,
    weighted_interval_score,
)
from matchloss.scoring.ranking import Difference, Ranking, rank
from matchloss.scoring.reliability import Reliability, reliability, reliability_by_class
from matchloss.scoring.special import (
    crps_beta,
    crps_binomial,
    crps_gamma,
    crps_mixnorm,
    crps_negbinom,
    crps_poisson,
    crps_t,
    logs_beta,
    logs_binomial,
    logs_gamma,
    logs_mixnorm,
    logs_negbinom,
    logs_poisson,
    logs_t,
)

catalogue = tuple(_CATALOGUE.values())

__all__ = [
    "CalibrationHistogram",
    "Decomposition",
    "Difference",
    "ForecastComparison",
    "Murphy",
    "ProperScore",
    "Ranking",
    "Recalibration",
    "Reliability",
    "Sharpness",
    "absolute_error",
    "best_constant",
    "brier_score",
    "catalogue",
    "compare_forecasts",
    "crps_beta",
    "crps_binomial",
    "crps_ensemble",
    "crps_exponential",
    "crps_gamma",
    "crps_laplace",
    "crps_logistic",
    "crps_lognormal",
    "crps_mixnorm",
    "crps_negbinom",
    "crps_normal",
    "crps_poisson",
    "crps_t",
    "crps_uniform",
    "decompose",
    "dss_ensemble",
    "dss_normal",
    "energy_score",
    "expectile_score",
    "gamma_deviance",
    "get_score",
    "interval_score",
    "log_score",
    "logs_beta",
    "logs_binomial",
    "logs_exponential",
    "logs_gamma",
    "logs_laplace",
    "logs_logistic",
    "logs_lognormal",
    "logs_mixnorm",
    "logs_negbinom",
    "logs_normal",
    "logs_poisson",
    "logs_t",
    "logs_uniform",
    "murphy",
    "pinball",
    "pit_histogram",
    "poisson_deviance",
    "power_score",
    "pseudo_spherical_score",
    "quantile_score",
    "rank",
    "rank_histogram",
    "recalibrate",
    "reliability",
    "reliability_by_class",
    "rps_score",
    "sharpness",
    "spherical_score",
    "squared_error",
    "twcrps_ensemble",
    "tweedie_deviance",
    "weighted_interval_score",
]
