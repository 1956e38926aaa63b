"""Standard errors, likelihoods and tests: what R and Stata printed, what statsmodels computes, and what simulation shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray
from statsmodels.discrete.tests.results import results_count_robust_cluster as stata_counts
from statsmodels.genmod.tests.results import results_glm_poisson_weights as stata_weights

import matchloss as ml
from inference_tables import TABLES, Fitted, fitted
from matchloss.errors import DomainError, ShapeError
from matchloss.linear import LinearClassifier, LinearRegressor
from sweeps import sweep

Array = NDArray[Any]


def off(ours: Any, theirs: Any) -> float:
    return float(np.max(np.abs(np.asarray(ours) / np.asarray(theirs) - 1)))


# --- R, Stata ---------------------------------------------------------------------------------------------------------------------


def ships() -> tuple[Array, Array, Array, Array]:
    folder = stata_counts.__file__.rsplit("/", 1)[0]
    table = pd.read_csv(f"{folder}/ships.csv").dropna()
    y, ship, service = (table[c].to_numpy(float) for c in ("accident", "ship", "service"))
    return y, ship, service, table[["yr_con", "op_75_79"]].to_numpy(float)


STATA = {  # kind, with an exposure, what Stata's ml multiplies HC0 and the clusters' sum by
    "results_poisson_hc1": ("HC0", False, 34 / 33),
    "results_poisson_exposure_hc1": ("HC0", True, 34 / 33),
    "results_poisson_exposure_nonrobust": ("fisher", True, 1.0),
    "results_poisson_clu": ("cluster", False, 31 / 33),  # ours has (n - 1) / (n - p) too
    "results_poisson_exposure_clu": ("cluster", True, 31 / 33),
}


@pytest.mark.parametrize("name", STATA)
def test_stata_counts(name: str) -> None:
    kind, exposed, factor = STATA[name]
    y, ship, service, x = ships()
    offset = np.log(service) if exposed else None
    found = LinearRegressor("poisson", tol=1e-12).fit(x, y, offset=offset).inference(x, y, offset=offset)
    published = getattr(stata_counts, name)
    order = [1, 2, 0]
    np.testing.assert_allclose(found.params[order], published.params, rtol=1e-5)
    np.testing.assert_allclose(found.using(kind, ship).bse[order] * np.sqrt(factor), published.bse, rtol=1e-5)  # pyright: ignore[reportArgumentType]
    np.testing.assert_allclose([found.llf, found.llnull], [published.ll, published.ll_0], rtol=1e-9)


PUNISH = {
    "results_poisson_none_nonrobust": (False, "fisher", 1.0),
    "results_poisson_fweight_nonrobust": (True, "fisher", 1.0),
    "results_poisson_none_hc1": (False, "HC0", 17 / 16),
    "results_poisson_fweight_hc1": (True, "HC0", 33 / 32),
    "results_poisson_none_clu1": (False, "cluster", 10 / 16),
    "results_poisson_fweight_clu1": (True, "cluster", 26 / 32),
    "results_wls_fweight_clu1": (True, "cluster", 1.0),
}


@pytest.mark.parametrize("name", PUNISH)
def test_stata_weights(name: str) -> None:
    """Weights that repeat rows: Stata's fweight."""
    weighted, kind, factor = PUNISH[name]
    data = sm.datasets.cpunish.load()
    x, y = np.array(data.exog, float), np.asarray(data.endog, float)
    x[:, 3] = np.log(x[:, 3])
    weight = np.array([1, 1, 1, 2, 2, 2, 3, 3, 3, 1, 1, 1, 2, 2, 2, 3, 3]) if weighted else None
    loss = "squared_error" if "wls" in name else "poisson"
    found = LinearRegressor(loss, tol=1e-13).fit(x, y, weight).inference(x, y, weight)
    published = getattr(stata_weights, name)
    order = [1, 2, 3, 4, 5, 6, 0]
    np.testing.assert_allclose(found.params[order], published.params, rtol=1e-4)
    np.testing.assert_allclose(found.using(kind, np.arange(1, 18) // 2).bse[order] * np.sqrt(factor), published.bse, rtol=1e-4)  # pyright: ignore[reportArgumentType]
    if "wls" not in name:
        np.testing.assert_allclose(found.llf, published.ll, rtol=3e-8)  # one of Stata's columns was rounded
        np.testing.assert_allclose(found.deviance, published.deviance, rtol=1e-7)


# --- statsmodels ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sweep(TABLES, lambda name: name in list(TABLES)[::2]))
def test_statsmodels_on_real_tables(name: str) -> None:
    case = fitted(name)
    ours, peer = case.ours, case.peer
    assert off(ours.params, peer.params) < 1e-9
    for kind, error in case.errors.items():
        assert off(ours.using(kind, case.groups).bse, error) < 1e-9, kind  # pyright: ignore[reportArgumentType]
    for what in ("deviance", "pearson_chi2", "llf", "aic", "df_resid", "df_model"):
        assert abs(getattr(ours, what) / getattr(peer, what) - 1) < 1e-11, what
    if ours.dispersion == 1:  # where it is estimated, ours are Student's, as R's
        assert off(ours.conf_int(), peer.conf_int()) < 1e-7
    assert ours.notes == ()


def test_multinomial_contrasts() -> None:
    election: Any = sm.datasets.anes96.load_pandas().data
    y, x = election["PID"].to_numpy().astype(int), election[["logpopul", "selfLR", "age", "educ", "income"]]
    peer = sm.MNLogit(y, sm.add_constant(x.to_numpy()))
    found = LinearClassifier(tol=1e-12).fit(x, y).inference(x, y)
    plain, robust = (peer.fit(disp=0, method="newton", maxiter=100, cov_type=kind) for kind in ("nonrobust", "HC0"))
    assert off(found.params, plain.params.T.ravel()) < 1e-9
    assert off(found.bse, plain.bse.T.ravel()) < 1e-9
    assert off(found.using("HC0").bse, robust.bse.T.ravel()) < 1e-9
    assert off([found.llf, found.aic, found.bic], [plain.llf, plain.aic, plain.bic]) < 1e-11
    assert 0 <= found.llnull - plain.llnull < 1e-8 * abs(found.llnull)  # statsmodels stops a little below the best
    assert found.names[:2] == ("1: intercept", "1: logpopul")
    weight = np.random.default_rng(0).integers(1, 4, len(y))
    repeated = np.repeat(np.arange(len(y)), weight)
    weighted = LinearClassifier(tol=1e-12).fit(x, y, weight).inference(x, y, weight)
    again = LinearClassifier(tol=1e-12).fit(x.iloc[repeated], y[repeated]).inference(x.iloc[repeated], y[repeated])
    for kind in ("fisher", "observed", "HC1"):
        np.testing.assert_allclose(weighted.covariance(kind), again.covariance(kind), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(
        weighted.covariance("cluster", np.arange(len(y)) % 50), again.covariance("cluster", repeated % 50), rtol=1e-6, atol=1e-12
    )


def test_least_squares_as_ols_has_it() -> None:
    r = np.random.default_rng(0)
    far = np.array([0, 1e6, 0])
    x = r.normal(size=(60, 3)) + far
    y = x @ [1.0, 0.5, -1.0] - 5e5 + r.normal(size=60)
    peer = sm.OLS(y, sm.add_constant(x - far)).fit()
    found = LinearRegressor(tol=1e-13).fit(x, y).inference(x, y)
    for got, want in ((found.bse, peer.bse), (found.pvalues, peer.pvalues), (found.conf_int(), peer.conf_int())):
        np.testing.assert_allclose(got[1:], want[1:], rtol=1e-7)
    null = sm.OLS(y, np.ones(60)).fit().llf
    np.testing.assert_allclose([found.llf, found.aic, found.bic, found.llnull], [peer.llf, peer.aic, peer.bic, null])
    np.testing.assert_allclose(found.using("HC1").bse[1:], peer.get_robustcov_results("HC1").bse[1:], rtol=1e-7)
    new = r.normal(size=(7, 3)) + far
    theirs = peer.get_prediction(sm.add_constant(new - far)).summary_frame(alpha=0.1)
    ours = found.get_prediction(new, alpha=0.1, observations=True)
    for name in theirs.columns:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-7)
    ftest = peer.f_test(np.eye(4)[1:3])
    ours_f = found.wald_test(np.eye(4)[1:3])
    np.testing.assert_allclose([ours_f.statistic, ours_f.pvalue], [ftest.fvalue, ftest.pvalue], rtol=1e-6)


def test_tests_and_intervals_of_a_glm() -> None:
    case = fitted("fair, logistic")
    ours, peer, names = case.ours, case.peer, list(case.ours.names)
    jobs = [j for j, name in enumerate(names) if name.startswith("occupation =")]
    theirs = peer.wald_test(np.eye(len(names))[jobs], scalar=True)
    found = ours.wald_test("occupation")
    np.testing.assert_allclose([found.statistic, found.pvalue, found.df], [theirs.statistic, theirs.pvalue, len(jobs)], rtol=1e-8)
    smaller = LinearRegressor("logistic", tol=1e-12).fit(case.x.drop("occupation"), case.y).inference(case.x.drop("occupation"), case.y)
    ratio = ours.lr_test(smaller)
    np.testing.assert_allclose(ratio.statistic, 2 * (ours.llf - smaller.llf), rtol=1e-8)
    assert ratio.df == len(jobs)
    assert abs(np.log(ratio.pvalue / found.pvalue)) < 0.5  # both ask the same question of many rows
    new = case.x[:9]
    theirs_frame = peer.get_prediction(case.dense[:9]).summary_frame()
    mine = ours.get_prediction(new)
    for name in ("mean", "mean_se", "mean_ci_lower", "mean_ci_upper"):
        np.testing.assert_allclose(mine[name], theirs_frame[name], rtol=1e-7)
    np.testing.assert_allclose(ours.get_prediction(new, kind="HC0")["mean_se"], peer_hc0(case)[:9], rtol=1e-7)


def peer_hc0(case: Fitted) -> Array:
    return np.asarray(case.robust.get_prediction(case.dense).summary_frame()["mean_se"])


# --- simulation -------------------------------------------------------------------------------------------------------------------


def test_ridge_errors_are_of_the_spread_and_bayes_wider() -> None:
    r = np.random.default_rng(0)
    x, l2 = r.normal(size=(400, 3)) * [1, 0.3, 0.1], 0.1
    mean = np.exp(0.3 + x @ [0.4, -0.5, 1.0])
    model = LinearRegressor("poisson", l2=l2)
    drawn = np.array([model.fit(x, y).coef_.copy() for y in r.poisson(mean, (300, 400))])
    y = r.poisson(mean).astype(float)
    found = model.fit(x, y).inference(x, y)
    spread = drawn.std(axis=0)
    assert (np.abs(found.bse[1:] / spread - 1) < 0.15).all()
    assert (found.using("bayes").bse[1:] > found.bse[1:]).all()
    assert "drawn to 0" in found.notes[0]


SLOW = pytest.mark.exhaustive


@pytest.mark.parametrize("name", ["squared_error", *(pytest.param(n, marks=SLOW) for n in ("poisson", "negative_binomial", "gamma"))])
def test_intervals_cover(name: str) -> None:
    """Of 400 draws, 95 % intervals for a coefficient and for a new target hold it in 90 to 98.5 %."""
    r, hit, seen = np.random.default_rng(7), 0, []
    x = r.normal(size=(80, 2))
    mean = np.exp(1 + 0.3 * x[:, 0])
    draw = {
        "poisson": lambda: r.poisson(mean).astype(float),
        "negative_binomial": lambda: r.negative_binomial(2, 2 / (2 + mean)).astype(float),
        "gamma": lambda: r.gamma(3, mean / 3),
        "squared_error": lambda: 0.3 * x[:, 0] + r.normal(size=80),
    }[name]
    loss = ml.NegativeBinomial(size=2.0) if name == "negative_binomial" else ml.get(name)
    for _ in range(400):
        y = draw()
        found = LinearRegressor(loss).fit(x, y).inference(x, y)
        low, high = found.conf_int()[1]
        hit += low <= 0.3 <= high
        if len(seen) < 60:
            new, at = draw(), found.get_prediction(x, observations=True)
            seen.append(np.mean((at["obs_ci_lower"] <= new) & (new <= at["obs_ci_upper"])))
    assert 0.90 * 400 <= hit <= 0.985 * 400
    assert 0.93 <= np.mean(seen) <= 0.99


# --- what it says and refuses -------------------------------------------------------------------------------------------------------


def test_collinear_and_separated_columns_have_no_error() -> None:
    r = np.random.default_rng(1)
    n = 300
    frame = pl.DataFrame({"a": r.normal(size=n), "city": ["Rome", "Oslo", "Bonn"] * (n // 3)}).with_columns(twice=2 * pl.col("a") + 1)
    y = ((r.uniform(size=n) < 0.4) & (frame["city"] != "Oslo").to_numpy()).astype(float)
    with pytest.warns(UserWarning, match=r"Collinear|diverge"):
        model = LinearRegressor("logistic").fit(frame, y)
    found = model.inference(frame, y)
    gone = dict(zip(found.names, np.isnan(found.bse), strict=True))
    assert gone == {"intercept": False, "a": False, "city = Oslo": True, "city = Rome": False, "twice": True}
    assert "Collinear" in found.notes[0] and "twice" in found.notes[0]
    assert "No finite best" in found.notes[1] and "city = Oslo" in found.notes[1]
    assert (found.fitted, found.df_model) == (4, 3)
    some = frame["city"] != "Oslo"
    few, labels = frame.filter(some).select("a", "city"), y[some.to_numpy()]
    alone = LinearRegressor("logistic").fit(few, labels).inference(few, labels)
    np.testing.assert_allclose(found.bse[[0, 1, 3]], alone.bse, rtol=1e-6)
    with pytest.raises(ValueError, match="no standard error, and so no test: twice"):
        found.wald_test("twice")
    text = str(found.summary())
    assert "nan" in text and max(map(len, text.splitlines())) <= 80


def test_few_rows_are_said() -> None:
    r = np.random.default_rng(2)
    x, y = r.normal(size=(4, 6)), r.normal(size=4)
    with pytest.warns(UserWarning, match="Collinear"):
        found = LinearRegressor().fit(x, y).inference(x, y)
    assert np.isnan(found.dispersion)
    assert np.isnan(found.bse).all()
    assert "nothing is left" in " ".join(found.notes)
    constant = LinearRegressor().fit(x[:, :1], np.ones(4)).inference(x[:, :1], np.ones(4))
    assert np.allclose(constant.bse, 0)


def test_other_rows_are_noticed() -> None:
    case = fitted("fair, logistic")
    found = case.model.inference(case.x[:-200], case.y[:-200])
    assert "standard errors away" in found.notes[-1]


def test_refusals() -> None:
    x, y = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 3 * 1.0
    with pytest.raises(DomainError, match="has kinks"):
        LinearRegressor(ml.Pinball(0.5)).fit(x, y).inference(x, y)
    huber = LinearRegressor("huber").fit(x, y).inference(x, y)
    assert huber.kind == "HC1" and "no likelihood" in huber.notes[0]
    for what in ("llf", "aic", "dispersion"):
        with pytest.raises(DomainError, match="not a likelihood"):
            getattr(huber, what)
    with pytest.raises(DomainError, match="not a likelihood"):
        huber.covariance("fisher")
    found = LinearRegressor("poisson").fit(x, y).inference(x, y)
    with pytest.raises(DomainError, match="allowed: fisher"):
        found.covariance("HC3")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="needs groups"):
        found.covariance("cluster")
    with pytest.raises(ShapeError, match="groups has shape"):
        found.covariance("cluster", [1, 2])
    with pytest.raises(DomainError, match="single label"):
        found.covariance("cluster", [1] * 30)
    with pytest.raises(ValueError, match="row 4: a missing label"):
        found.covariance("cluster", ["a"] * 4 + [None] * 26)
    with pytest.raises(ValueError, match='no column "x9"'):
        found.wald_test("x9")
    with pytest.raises(ShapeError, match="R has shape"):
        found.wald_test(np.eye(4))
    with pytest.raises(DomainError, match="alpha is 95"):
        found.conf_int(95)
    with pytest.raises(DomainError, match="weights is"):
        LinearRegressor("poisson").fit(x, y).inference(x, y, weights="frequency")  # pyright: ignore[reportArgumentType]
    labels = np.array(["a", "b", "c"])[np.arange(30) % 3]
    many = LinearClassifier(l2=0.1).fit(x, labels)
    with pytest.raises(ValueError, match="row 0: 'z' is none of"):
        many.inference(x, ["z"] * 30)
    with pytest.raises(ValueError, match="not yet for more than two classes"):
        many.inference(x, labels).get_prediction(x)


def test_summary_is_a_frame() -> None:
    case = fitted("fair, logistic")
    table = case.ours.summary()
    frame = table.frame()
    assert isinstance(frame, pl.DataFrame) and frame.columns == ["name", "coef", "se", "z", "p_value", "ci_lower", "ci_upper"]
    assert pl.DataFrame(table).equals(frame)
    assert list(table.to_pandas().index) == list(case.ours.names)
    assert "<table>" in table._repr_html_()
    assert isinstance(case.model.inference(case.x.to_pandas(), case.y).summary().frame(), pd.DataFrame)


@pytest.mark.parametrize("loss", [ml.CrossEntropy(), ml.SoftmaxBrier(), ml.Sparsemax()])
def test_hessians_of_rows_are_their_products(loss: Any) -> None:
    r = np.random.default_rng(0)
    raw, v, labels = r.normal(size=(20, 4)), r.normal(size=(20, 4)), r.integers(0, 4, 20)
    np.testing.assert_allclose(
        (loss.hessian_matrix(raw, labels) @ v[:, :, None])[:, :, 0], loss.hessian_product(raw, labels, v), atol=1e-14
    )


@pytest.mark.parametrize("name", TABLES)
def test_residuals(name: str) -> None:
    case = fitted(name)
    for kind in ("response", "pearson", "deviance"):
        theirs = np.asarray(getattr(case.peer, f"resid_{kind}"))
        if "shares" in name and kind == "response":  # theirs are of counts
            theirs = theirs / case.peer.model.n_trials
        np.testing.assert_allclose(case.ours.residuals(kind), theirs, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(np.sum(case.ours.residuals("deviance") ** 2), case.ours.deviance, rtol=1e-10)


@pytest.mark.parametrize("name", ["poisson", "logistic", "negative_binomial", "gamma", "squared_error", "inverse_gaussian"])
def test_quantile_residuals_are_normal(name: str) -> None:
    from scipy import stats

    from matchloss.report.pictures import residuals_chart

    r = np.random.default_rng(3)
    x = r.normal(size=(2000, 2))
    z = 0.5 * x[:, 0]
    draws: dict[str, Any] = {
        "poisson": lambda: r.poisson(np.exp(z)) + 0.0,
        "logistic": lambda: (r.logistic(size=2000) < z) + 0.0,
        "negative_binomial": lambda: r.negative_binomial(1, 1 / (1 + np.exp(z))) + 0.0,
        "gamma": lambda: r.gamma(2, np.exp(z) / 2),
        "squared_error": lambda: z + 3 * r.normal(size=2000),
        "inverse_gaussian": lambda: r.wald(np.exp(z), 2.0),
    }
    y = draws[name]()
    found = LinearRegressor(name).fit(x, y).inference(x, y)
    made = found.residuals("quantile")
    assert stats.kstest(made, "norm").pvalue > 1e-3 and abs(made.mean()) < 0.1
    assert residuals_chart(z, made).to_dict()["description"] == "Residuals over predictions"
    with pytest.raises(DomainError, match="the kind of residual is"):
        found.residuals("anscombe")
