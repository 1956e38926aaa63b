"""Standard errors, tests and likelihoods that R, Stata and NIST printed: the tables and results stand in statsmodels' test suites.

Beside tests/test_inference.py, which has Stata's counts and repeated rows and compares with statsmodels itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.discrete.tests.results import results_discrete
from statsmodels.genmod.tests.results import res_R_var_weight as r_weights
from statsmodels.genmod.tests.results import results_glm_poisson_weights as stata_weights
from statsmodels.genmod.tests.results.results_glm import Cpunish_offset
from statsmodels.regression.tests.results import results_grunfeld_ols_robust_cluster as grunfeld

from golden import CASES, Array, arrays, executions, glm
from matchloss.linear import LinearClassifier, LinearRegressor
from matchloss.linear.inference.inference import Inference


def inference(name: str, **options: Any) -> Inference:
    """Of a case of tests/golden.py."""
    case = CASES[name]()
    model = LinearRegressor(case.loss, fit_intercept=case.intercept, tol=1e-13).fit(case.x, case.y, case.weight)
    return model.inference(case.x, case.y, case.weight, **options)


def last(values: Any) -> Array:
    """With the intercept at the end, where these tables have it."""
    return np.roll(values, -1, axis=0)


# --- standard errors --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Printed:
    """Results as a package printed them, and how near they are to the optimum: by their digits, or by where the package stopped."""

    results: Any
    near: float
    kind: Any = "fisher"
    more: tuple[str, ...] = ()  # what else is printed, ours=theirs: a likelihood is met to 1e-9, Pearson's to 1e-6
    weights: Any = "repeat"
    scaled: bool = False  # by Pearson's dispersion, though the loss is a whole likelihood: R's quasi families


DISCRETE: Any = results_discrete
BOTH = ("llf=llf", "llnull=llnull", "aic=aic", "bic=bic")
ERRORS = {
    "squared error, Longley, R": Printed(glm("Longley"), 2e-9, more=("dispersion=scale", "llf=llf")),
    "logistic, Star98, R": Printed(glm("Star98"), 5e-7, more=("llf=llf", "aic=aic_R", "pearson_chi2=pearson_chi2"), weights="trials"),
    "logistic, birth weights, Stata": Printed(glm("Lbw"), 3e-5, more=("llf=llf", "aic=aic_R", "pearson_chi2=pearson_chi2")),
    "gamma, cancer, R": Printed(glm("CancerLog"), 5e-7, more=("dispersion=scale",)),
    "poisson, executions, R": Printed(glm("Cpunish"), 1e-5, more=("llf=llf", "aic=aic_R", "pearson_chi2=pearson_chi2")),
    "inverse Gaussian, Medicare, R": Printed(glm("InvGaussLog"), 2e-5),
    "negative binomial, committees, R": Printed(glm("Committee"), 5e-5, scaled=True, more=("llf=llf", "aic=aic_R")),
    "tweedie 1.5, affairs, R": Printed(glm("FairTweedieLog15"), 5e-5),
    "logistic, Spector, Stata": Printed(DISCRETE.Spector.logit, 1e-11, more=BOTH),
    "probit, Spector, Stata": Printed(DISCRETE.Spector.probit, 1e-9, "observed", BOTH),
    "poisson, health insurance, Stata": Printed(DISCRETE.RandHIE.poisson, 1e-10, more=BOTH),
    "negative binomial, health insurance, R": Printed(DISCRETE.RandHIE.negativebinomial_nb2_bfgs, 5e-8, more=("llf=llf",)),
}


@pytest.mark.parametrize("name", ERRORS)
def test_printed_standard_errors(name: str) -> None:
    printed = ERRORS[name]
    found = inference(name, weights=printed.weights).using(printed.kind)
    ours = found.bse * np.sqrt(found.pearson_chi2 / found.df_resid) if printed.scaled else found.bse
    theirs = np.asarray(printed.results.bse)[: len(ours)]  # a negative binomial's size is printed behind
    np.testing.assert_allclose(last(ours) if found.intercepts else ours, theirs, rtol=printed.near)
    for pair in printed.more:
        mine, other = pair.split("=")
        near = 1e-6 if mine in ("dispersion", "pearson_chi2") else 1e-9
        np.testing.assert_allclose(getattr(found, mine), getattr(printed.results, other), rtol=near)
    if "llnull=llnull" in printed.more:
        np.testing.assert_allclose(last(found.tvalues), printed.results.z, rtol=1e-6)
        np.testing.assert_allclose(last(found.pvalues), printed.results.pvalues, rtol=1e-4, atol=1e-9)
        np.testing.assert_allclose(last(found.conf_int()), printed.results.conf_int, rtol=1e-5, atol=1e-8)


def test_certified_standard_errors() -> None:
    """NIST's, of 15 digits, for Longley's data: the columns' condition number is 4.9e9."""
    certified = [84.9149257747669, 0.0334910077722432, 0.488399681651699, 0.214274163161675, 0.226073200069370, 455.478499142212]
    found = inference("squared error, Longley, NIST")
    np.testing.assert_allclose(last(found.bse), [*certified, 890420.383607373], rtol=1e-10)
    np.testing.assert_allclose(np.sqrt(found.dispersion), 304.854073561965, rtol=1e-12)


def test_multinomial_errors_of_stata() -> None:
    """mlogit on the election study, as float32, which Stata keeps data in; seven and eight decimals."""
    x, y = (a.astype(np.float32).astype(float) for a in arrays(sm.datasets.anes96.load()))
    found = LinearClassifier(tol=1e-13).fit(x, y.astype(int)).inference(x, y.astype(int))
    stata = DISCRETE.Anes.mnlogit_basezero
    for ours, theirs in ((found.bse, stata.bse), (found.tvalues, stata.z), (found.pvalues, stata.pvalues)):
        np.testing.assert_allclose(last(ours.reshape(6, 6).T), theirs, atol=1e-8)
    np.testing.assert_allclose(np.roll(found.conf_int().reshape(6, 6, 2), -1, axis=1), stata.conf_int, atol=5e-6)
    np.testing.assert_allclose([found.llf, found.llnull, found.aic, found.bic], [stata.llf, stata.llnull, stata.aic, stata.bic], rtol=1e-11)


def test_an_offset_of_r_moves_the_intercept_alone() -> None:
    (x, y), printed = executions(), Cpunish_offset()
    offset = np.full(len(y), np.log(100.0))
    found = LinearRegressor("poisson", tol=1e-13).fit(x, y, offset=offset).inference(x, y, offset=offset)
    np.testing.assert_allclose(found.params, printed.params, rtol=3e-7)
    np.testing.assert_allclose(found.bse, printed.bse, rtol=1.3e-4)  # four digits
    np.testing.assert_allclose([found.llf, found.deviance], [printed.llf, printed.deviance], rtol=1e-13)


# --- weights that are no repeats --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "table"), [("gamma, cancer, weighted", "gamma"), ("tweedie 1.55, affairs, weighted", "tweedie")])
def test_weights_of_r(name: str, table: str) -> None:
    """R's weights divide the dispersion of a row; its residuals were written with eight digits."""
    printed = getattr(r_weights, f"results_{table}_aweights_nonrobust")
    found = inference(f"{name}, R", weights="trials")
    np.testing.assert_allclose(found.bse, printed["bse"], rtol=1e-9)
    assert abs(found.deviance - printed["deviance"]) < 1e-6
    for kind, theirs in zip(("response", "pearson", "deviance"), printed["resids"].T, strict=False):
        np.testing.assert_allclose(found.residuals(kind), theirs, rtol=5e-8)


PUNISH = {  # loss, kind, what Stata's glm multiplies HC0 and the clusters' sum by, and whether it weighs the likelihood as we do
    "poisson_aweight_nonrobust": ("poisson", "fisher", 1.0, True),
    "poisson_aweight_hc1": ("poisson", "HC0", 17 / 16, True),
    "poisson_aweight_clu1": ("poisson", "cluster", 10 / 16, True),  # ours has (n - 1) / (n - p) too
    "poisson_pweight_hc1": ("poisson", "HC0", 17 / 16, False),
    "poisson_pweight_clu1": ("poisson", "cluster", 10 / 16, False),
    "wls_aweight_robust": ("squared_error", "HC1", 1.0, False),
    "wls_aweight_clu1": ("squared_error", "cluster", 1.0, False),
}


@pytest.mark.parametrize("name", PUNISH)
def test_analytic_and_sampling_weights_of_stata(name: str) -> None:
    """Stata scales an analytic weight (aweight) to mean 1; of a sampling weight (pweight) only the sandwich is asked."""
    loss, kind, factor, weighed = PUNISH[name]
    stata, case = getattr(stata_weights, f"results_{name}"), CASES["poisson, executions, repeated, Stata"]()
    assert case.weight is not None
    weight = case.weight / case.weight.mean()
    found = LinearRegressor(loss, tol=1e-13).fit(case.x, case.y, weight).inference(case.x, case.y, weight, weights="trials")
    np.testing.assert_allclose(last(found.params), stata.params, rtol=1e-7)
    groups = np.arange(1, 18) // 2 if kind == "cluster" else None
    np.testing.assert_allclose(last(found.using(kind, groups).bse) * np.sqrt(factor), stata.bse, rtol=1e-7)  # pyright: ignore[reportArgumentType]
    if weighed:
        np.testing.assert_allclose([found.llf, found.deviance], [stata.ll, stata.deviance], rtol=1e-11)


# --- clusters ---------------------------------------------------------------------------------------------------------------------

FIRMS = {  # kind, analytic weights, what ivreg2 without "small" leaves out
    "cluster": ("cluster", False, 1.0),
    "cluster_large": ("cluster", False, 9 / 10 * 197 / 199),
    "cluster_wls_small": ("cluster", True, 1.0),
    "cluster_wls_large": ("cluster", True, 9 / 10 * 197 / 199),
    "hc1_wls_small": ("HC1", True, 1.0),
}


def firms(weighted: bool) -> tuple[Inference, Any]:
    """Grunfeld's investments of ten firms over twenty years, weighted by 1 / value; and the firms."""
    loaded: Any = sm.datasets.grunfeld.load_pandas()
    data = loaded.data[:200]
    x, y = data[["value", "capital"]].to_numpy(float), data["invest"].to_numpy(float)
    weight = 1 / x[:, 0] if weighted else None
    return LinearRegressor(tol=1e-13).fit(x, y, weight).inference(x, y, weight, weights="trials"), data["firm"]


@pytest.mark.parametrize("name", FIRMS)
def test_clusters_of_stata(name: str) -> None:
    """Covariance and F of both columns, by regress and ivreg2."""
    kind, weighted, factor = FIRMS[name]
    stata, (fit, firm) = getattr(grunfeld, f"results_{name}"), firms(weighted)
    found = fit.using(kind, firm if kind == "cluster" else None)  # pyright: ignore[reportArgumentType]
    np.testing.assert_allclose(last(found.params), stata.params, rtol=3e-8)  # Stata kept the columns as float32
    np.testing.assert_allclose(np.roll(found.covariance(), (-1, -1), (0, 1)) * factor, stata.cov, rtol=1e-6)
    np.testing.assert_allclose(last(found.bse) * np.sqrt(factor), stata.bse, rtol=1e-7)
    test = found.wald_test(np.eye(3)[1:])  # ours is chi-squared, Stata's is F, with its factor left out again by ivreg2
    assert test.df == 2
    np.testing.assert_allclose(test.statistic / 2, stata.F, rtol=1e-7)


def test_likelihoods_of_stata_leave_out_the_weights_logarithms() -> None:
    """Ours is R's, whose rows have the variance phi / w: the density has sqrt(w) in it."""
    found, _ = firms(weighted=True)
    weight = np.asarray(found.f.weight)
    stata: Any = grunfeld.results_cluster_wls_small
    more = np.log(weight / weight.mean()).sum() / 2
    np.testing.assert_allclose([found.llf - more, found.llnull - more], [stata.ll, stata.ll_0], rtol=1e-8)
