"""Real tables with fits of statsmodels, for tests/test_inference.py and benchmarks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import statsmodels.api as sm
from numpy.typing import NDArray

import matchloss as ml
from matchloss.linear import LinearRegressor

Array = NDArray[Any]
AGES = ["age", "yrs_married", "children", "educ", "rate_marriage"]
JOBS = ["occupation", "religious", "occupation_husb"]
HEALTH = ["lncoins", "idp", "lpi", "fmde", "physlm", "disea", "hlthg", "hlthf", "hlthp"]
SCHOOLS = ["LOWINC", "PERASIAN", "PERBLACK", "PERHISP", "PERMINTE", "AVYRSEXP", "PTRATIO", "PCTAF", "PCTCHRT", "PCTYRRND"]


@dataclass(frozen=True)
class Case:
    loss: ml.Loss
    family: Any
    x: pl.DataFrame  # numbers, then text
    y: Array
    groups: Array
    trials: Array | None = None


@dataclass(frozen=True)
class Fitted:
    """Our fit and statsmodels', with its standard errors by kind."""

    model: LinearRegressor
    ours: Any
    peer: Any
    robust: Any
    errors: dict[str, Array]
    groups: Array
    x: pl.DataFrame
    y: Array
    dense: Array


def table(name: str) -> pl.DataFrame:
    return pl.from_pandas(getattr(sm.datasets, name).load_pandas().data)


def affairs(loss: ml.Loss, family: Any, some: bool) -> Case:
    fair = table("fair")
    if some:
        fair = fair.filter(pl.col("affairs") > 0)
    y = fair["affairs"].to_numpy()
    had = (y > 0).astype(float) if loss.family == "binary" else y
    return Case(loss, family, fair.select(*AGES, *(pl.col(c).cast(pl.String) for c in JOBS)), had, fair["age"].to_numpy())


def visits(loss: ml.Loss, family: Any) -> Case:
    health = table("randhie")
    return Case(loss, family, health.select(HEALTH), health["mdvis"].to_numpy().astype(float), health["disea"].to_numpy().round(2))


def schools() -> Case:
    star = table("star98")
    trials = (star["NABOVE"] + star["NBELOW"]).to_numpy().astype(float)
    return Case(
        ml.Logistic(), families.Binomial(), star.select(SCHOOLS), star["NABOVE"].to_numpy() / trials, np.arange(len(star)) % 58, trials
    )


families = sm.families
links = families.links
TABLES: dict[str, Callable[[], Case]] = {
    "randhie, Poisson": lambda: visits(ml.Poisson(), families.Poisson()),
    "randhie, negative binomial": lambda: visits(ml.NegativeBinomial(size=2.0), families.NegativeBinomial(alpha=0.5)),
    "fair, logistic": lambda: affairs(ml.Logistic(), families.Binomial(), False),
    "fair, probit": lambda: affairs(ml.Probit(), families.Binomial(link=links.Probit()), False),
    "fair > 0, gamma": lambda: affairs(ml.Gamma(), families.Gamma(link=links.Log()), True),
    "fair > 0, inverse Gaussian": lambda: affairs(ml.InverseGaussian(), families.InverseGaussian(link=links.Log()), True),
    "fair, squared error": lambda: affairs(ml.SquaredError(), families.Gaussian(), False),
    "star98, shares": schools,
}


def dense(x: pl.DataFrame) -> Array:
    """An intercept, the numbers and the levels but each first."""
    made = [np.ones(len(x))]
    for name in x.columns:
        if x[name].dtype == pl.String:
            made += [(x[name] == level).to_numpy().astype(float) for level in sorted(x[name].unique())[1:]]
        else:
            made.append(x[name].to_numpy())
    return np.column_stack(made)


@cache
def fitted(name: str) -> Fitted:
    case = TABLES[name]()
    design = dense(case.x)
    target = case.y if case.trials is None else np.column_stack([case.y * case.trials, (1 - case.y) * case.trials])
    model = sm.GLM(target, design, family=case.family)
    peer = model.fit(tol=1e-13, maxiter=200)
    robust = model.fit(tol=1e-13, maxiter=200, cov_type="HC0")
    clusters = model.fit(tol=1e-13, maxiter=200, cov_type="cluster", cov_kwds={"groups": case.groups})
    observed = np.sqrt(np.diagonal(peer.scale * np.linalg.inv(-model.hessian(peer.params, observed=True, scale=1.0))))
    hc1 = robust.bse * np.sqrt(len(design) / (len(design) - design.shape[1]))  # statsmodels' GLM leaves the factor out
    errors = {"fisher": peer.bse, "observed": observed, "HC0": robust.bse, "HC1": hc1, "cluster": clusters.bse}
    fit = LinearRegressor(case.loss, tol=1e-12).fit(case.x, case.y, case.trials)
    ours = fit.inference(case.x, case.y, case.trials, weights="repeat" if case.trials is None else "trials")
    return Fitted(fit, ours, peer, robust, errors, case.groups, case.x, case.y, design)
