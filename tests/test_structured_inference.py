"""The inference of Cox's model, of choices and of ordered labels: against R's survival and polr, and statsmodels."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from matchloss.linear import ConditionalLogit, CoxRegression, OrderedRegressor, structured_columns
from matchloss.losses.structured import Cox, RiskSets
from matchloss.losses.structured.cox import back

RESULTS = "statsmodels.duration.tests.results"


@pytest.mark.parametrize("ties", ["breslow", "efron"])
@pytest.mark.parametrize("size", [(20, 1), (50, 1), (50, 2), (100, 5), (1000, 10)])
def test_cox_has_the_coefficients_and_errors_of_r(size: tuple[int, int], ties: str) -> None:
    survival = importlib.import_module(f"{RESULTS}.survival_r_results")  # coxph's numbers, as many digits as are printed
    n, p = size
    table = np.loadtxt(Path(str(survival.__file__)).with_name(f"survival_data_{n}_{p}.csv"))
    (time, event, entry), x, strata = table[:, :3].T, table[:, 3:], np.repeat(np.arange(5), n // 5)
    each: dict[str, dict[str, Any]] = {"": {}, "_et": {"entry": entry}, "_st": {"strata": strata}}
    each["_et_st"] = each["_et"] | each["_st"]
    for kind, more in each.items():
        found = CoxRegression(ties).fit(x, time, event, **more).inference(x, time, event, **more)
        wanted = [getattr(survival, f"{what}_{n}_{p}{kind}_{ties[:3]}") for what in ("coef", "se")]
        assert np.allclose(found.params, wanted[0], rtol=2e-6, atol=2e-7), kind
        assert np.allclose(found.bse, wanted[1], rtol=2e-6, atol=2e-7) and found.nobs == event.sum(), kind


@pytest.mark.parametrize("link", ["logit", "probit"])
def test_ordered_labels_have_the_numbers_of_polr(link: str) -> None:
    held: Any = importlib.import_module("statsmodels.miscmodels.tests.results.results_ordinal_model")
    rows, wanted = held.data_store.df, getattr(held, f"res_ord_{link}")
    model = OrderedRegressor(link).fit(rows[["pared", "public", "gpa", "apply"]], "apply")
    found = model.inference(rows[["pared", "public", "gpa", "apply"]], "apply")
    assert found.names == ("pared", "public", "gpa", "unlikely|somewhat likely", "somewhat likely|very likely")
    polr = np.concatenate([wanted.coefficients_val, wanted.thresholds])
    assert np.all(np.abs(found.params - polr) < 2e-3 * found.bse)  # polr stops early: its likelihood is the lower one
    loss, x = model._loss(), rows[["pared", "public", "gpa"]].to_numpy(float)
    assert -loss.value((x @ polr[:3], polr[3:]), rows["apply"].cat.codes.to_numpy(np.int64)).sum() < found.llf
    assert np.allclose(found.bse[:3], wanted.coefficients_stdE, rtol=0.003)
    assert np.allclose(found.pvalues[:3], wanted.coefficients_pval, rtol=0.009)
    assert np.allclose(model.predict_proba(rows[["pared", "public", "gpa"]])[:7], wanted.prob_pred, atol=5e-5)


def choices(n: int = 300) -> pl.DataFrame:
    rng = np.random.default_rng(3)
    rows = pl.DataFrame({"price": rng.normal(size=n), "mode": rng.choice(["bus", "car", "rail"], n), "trip": np.repeat(range(n // 3), 3)})
    utility = -rows["price"].to_numpy() + (rows["mode"] == "car").to_numpy() + rng.gumbel(size=n)
    return rows.with_columns(took=(utility.reshape(-1, 3).argmax(1)[:, None] == np.arange(3)).astype(int).ravel())


def test_choices_and_ordered_labels_have_the_numbers_of_statsmodels() -> None:
    from statsmodels.discrete.conditional_models import ConditionalLogit as Theirs
    from statsmodels.miscmodels.ordinal_model import OrderedModel

    rows = choices()
    found = ConditionalLogit().fit(rows, "took", "trip").inference(rows, "took", "trip")
    x = np.column_stack([rows["price"], rows["mode"] == "car", rows["mode"] == "rail"]).astype(float)
    theirs = Theirs(rows["took"].to_numpy(), x, groups=rows["trip"].to_numpy()).fit(method="newton", disp=False)
    assert np.allclose(found.params, theirs.params, rtol=1e-4) and np.allclose(found.bse, theirs.bse, rtol=1e-4)
    assert found.llf == pytest.approx(theirs.llf, rel=1e-8) and found.llnull == pytest.approx(-100 * np.log(3), rel=1e-12)
    assert (
        found.nobs == 100 and found.aic == pytest.approx(6 - 2 * found.llf) and found.bic == pytest.approx(3 * np.log(100) - 2 * found.llf)
    )
    test = found.wald_test("mode")  # a column's name: all of its levels
    assert test.df == 2 and test.pvalue == pytest.approx(found.wald_test([[0, 1, 0], [0, 0, 1]]).pvalue)
    less = ConditionalLogit().fit(rows.drop("mode"), "took", "trip").inference(rows.drop("mode"), "took", "trip")
    ratio = found.lr_test(less)
    assert ratio.df == 2 and ratio.statistic == pytest.approx(2 * (found.llf - less.llf)) and 0.3 < ratio.statistic / test.statistic < 3

    grade = np.digitize(x[:, 0] + np.random.default_rng(0).logistic(size=300), [-1.0, 1.0])
    mine = OrderedRegressor().fit(x[:, :1] + 50, grade).inference(x[:, :1] + 50, grade)
    res = OrderedModel(grade, x[:, :1], distr="logit").fit(method="newton", disp=False)
    assert mine.llf == pytest.approx(res.llf, rel=1e-11) and mine.llnull == pytest.approx(res.llnull, rel=1e-8)
    assert mine.aic == pytest.approx(res.aic) and mine.bic == pytest.approx(res.bic) and mine.nobs == 300
    assert np.allclose(mine.conf_int()[0], res.conf_int()[0], rtol=1e-6) and mine.bse[1] > 5  # thresholds of columns about 50


def test_the_summary_and_what_is_refused() -> None:
    rows = choices()
    model = ConditionalLogit().fit(rows, "took", "trip")
    found = model.inference(rows, "took", "trip")
    said = str(found.summary())
    assert all(part in said for part in ("mode = car", "Sets:", "LL-null:", "AIC:", "observed", "P>|z|"))
    assert max(map(len, said.splitlines())) <= 80 and found.summary().frame()["se"].to_list() == found.bse.tolist()
    other = rows.with_columns(took=1 - pl.col("took"))
    assert "standard errors away" in str(model.inference(other, "took", "trip").summary())
    with pytest.raises(ValueError, match="allowed for losses of structures: observed, HC0, HC1, cluster"):
        found.conf_int(kind="fisher")
    with pytest.raises(ValueError, match='no coefficient and no column "cost"'):
        found.wald_test("cost")
    with pytest.raises(ValueError, match="is not smaller"):
        found.lr_test(found)
    with pytest.raises(ValueError, match="alpha is 5"):
        found.summary(alpha=5)
    with pytest.raises(ValueError, match="X has 300 rows, and what is to be learned 3"):
        model.inference(rows.drop("took", "trip"), [1, 0, 0], [1, 1, 1])
    with pytest.raises(ValueError, match=r"y\[0\] is 9; allowed: 1, 2"):
        OrderedRegressor().fit([[0.0], [1.0], [0.5], [0.7]], [1, 2, 2, 1]).inference([[0.0]], [9])


def test_score_residuals_are_those_of_therneau_and_grambsch() -> None:
    """Their appendix has formulas for a set of six rows with ties by Efron, which R's survival is tested with."""
    time, event, x = [9, 1, 1, 6, 6, 8], [1, 1, 0, 1, 1, 0], np.array([[0.0], [1], [1], [1], [0], [0]])
    risk = RiskSets(time, event)
    for beta in (0.0, CoxRegression().fit(x, time, event).coef_[0]):
        r, eta = np.exp(beta), (beta * x[:, 0])[risk.order]
        a, b, d = r + 1, r + 3, r + 5
        both = 2 * r * (177 + r * (282 + r * (182 + r * (50 + 5 * r)))) / (3 * (a * b * d) ** 2)
        third = (675 + r * (1305 + r * (756 + r * (-4 + r * (-79 - 13 * r))))) / (3 * (a * b * d) ** 2)
        wanted = [both, (2 * r + 3) / (3 * a**2), -r / (3 * a**2), third, r * (1 / (3 * a**2) - a / (2 * b**2) - b / (2 * d**2)), both]
        scores = -back(Cox().scores(eta, np.ascontiguousarray(x[risk.order]), risk), risk)[:, 0]
        assert np.allclose(scores, wanted, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("ties", ["breslow", "efron"])
@pytest.mark.parametrize("more", ["", "entry", "strata"])
def test_score_residuals_are_slopes_of_the_gradient_in_weights(ties: str, more: str) -> None:
    rng, n = np.random.default_rng(0), 30
    time, event, x, w = np.ceil(rng.exponential(size=n) * 4), rng.uniform(size=n) < 0.7, rng.normal(size=(n, 2)), rng.uniform(0.5, 2, n)
    given = {"entry": {"entry": time - rng.uniform(0.5, 3, n)}, "strata": {"strata": rng.integers(0, 3, n)}}.get(more, {})

    def at(weight: Any) -> tuple[Any, Any, RiskSets]:
        risk = RiskSets(time, event, weight=weight, **given)
        return (x @ [0.3, -0.7])[risk.order], np.ascontiguousarray(x[risk.order]), risk

    scores = back(Cox(ties).scores(*at(w)), at(w)[2])
    for i, d in enumerate(1e-5 * np.eye(n)):
        slope = (Cox(ties).newton(*at(w + d))[1] - Cox(ties).newton(*at(w - d))[1]) / 2e-5
        assert np.allclose(scores[i] / w[i], slope, atol=1e-8)
    assert np.allclose(scores.sum(0), Cox(ties).newton(*at(w))[1])


def test_robust_covariances_have_the_numbers_of_statsmodels_and_of_repeated_rows() -> None:
    from statsmodels.duration.hazard_regression import PHReg

    rng, n = np.random.default_rng(0), 80
    x, time, event, who = rng.normal(size=(n, 2)), np.ceil(rng.exponential(size=n) * 5), rng.uniform(size=n) < 0.7, np.arange(n) // 4
    model = CoxRegression("breslow").fit(x, time, event)
    found = model.inference(x, time, event, groups=who)
    theirs: Any = PHReg(time, x, status=event.astype(int), ties="breslow").fit(groups=who)
    assert found.kind == "cluster" and np.allclose(found.bse, theirs.bse, rtol=1e-6) and "cluster" in str(found.summary())

    w = rng.integers(1, 4, n)
    twice = np.repeat(np.arange(n), w)
    grade = np.digitize(x[:, 0] + rng.logistic(size=n), [-1.0, 1.0])
    fits = [
        (CoxRegression("breslow"), (time, event)),
        (OrderedRegressor(), (grade,)),
    ]
    for made, target in fits:
        weighted = made.fit(x, *target, sample_weight=w).inference(x, *target, sample_weight=w)
        repeated = made.inference(x[twice], *(t[twice] for t in target))
        for kind in ("observed", "HC0", "HC1"):
            assert np.allclose(weighted.covariance(kind), repeated.covariance(kind), rtol=1e-7), kind
        assert np.allclose(weighted.covariance("cluster", who), repeated.covariance("cluster", who[twice]), rtol=1e-7)
        sampled = made.inference(x, *target, sample_weight=w, weights="sampling")
        assert sampled.kind == "HC0" and np.allclose(sampled.covariance(), weighted.covariance("cluster", np.arange(n)), rtol=1e-10)
        with pytest.raises(ValueError, match='have no "observed" covariance'):
            sampled.using("observed")


def test_a_right_model_has_robust_errors_near_the_others_and_a_set_has_one_cluster() -> None:
    rows = choices(6000)
    model = ConditionalLogit().fit(rows, "took", "trip")
    found = model.inference(rows, "took", "trip")
    assert np.allclose(found.using("HC1").bse, found.bse, rtol=0.06)
    person = rows["trip"].to_numpy() // 4
    assert np.allclose(model.inference(rows, "took", "trip", cluster=person).bse, found.bse, rtol=0.12)
    with pytest.raises(ValueError, match="row 0 and another row of its set have different labels"):
        found.covariance("cluster", np.arange(6000))
    with pytest.raises(ValueError, match=r"groups has shape \(3,\); 6000 rows ask for"):
        found.using("cluster", [1, 2, 3])
    with pytest.raises(ValueError, match="needs groups="):
        found.using("cluster")
    other: Any = "trials"
    with pytest.raises(ValueError, match="weights is 'trials'; allowed: repeat, sampling"):
        OrderedRegressor().fit([[0.0], [1.0], [0.5], [0.7]], [1, 2, 2, 1]).inference([[0.0]], [1], weights=other)


def test_codes_and_a_dense_block_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, n = np.random.default_rng(0), 1500
    rows = pl.DataFrame({"far": rng.normal(size=n) + 1e4, "a": rng.choice(list("abcdefgh"), n), "b": rng.choice(list("stuvwxyz"), n)})
    grade = np.digitize(rng.logistic(size=n) + (rows["a"] == "c").to_numpy(), [-1.0, 0.0, 1.0])
    trip, took = np.arange(n) // 3, np.zeros(n, int)
    took[np.arange(0, n, 3) + rng.integers(0, 3, n // 3)] = 1
    for made, target in ((OrderedRegressor(), (grade,)), (ConditionalLogit(), (took, trip))):
        found = []
        for pays in (3, 1000):
            monkeypatch.setattr(structured_columns, "PAYS", pays)
            model = made.fit(rows, *target)
            found.append((model.coef_, model.inference(rows, *target), model._raw(rows)))
        (b, one, raw), (c, two, same) = found
        assert np.allclose(b, c, rtol=1e-9) and one.llf == pytest.approx(two.llf, rel=1e-13) and np.allclose(raw, same)
        for kind in ("observed", "HC1"):
            assert np.allclose(one.covariance(kind), two.covariance(kind), rtol=1e-6)  # of numbers about 10,000
    monkeypatch.undo()
    still = rows.with_columns(b=pl.Series(np.array(list("stuvwxyz"))[trip % 8]))
    with pytest.raises(ValueError, match="constant within every set, so that no coefficient can be found: b = t"):
        ConditionalLogit().fit(still, took, trip)  # constant within every set, by codes


def test_a_dense_block_is_said_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    x, time, event = np.random.default_rng(0).normal(size=(40, 2)), np.arange(1.0, 41.0), np.ones(40)
    monkeypatch.setattr(structured_columns, "SAID", 640)
    with pytest.warns(UserWarning, match="40 rows of 2 coefficients make a dense block of 0.0 GB, and 6 of its size are held at once"):
        CoxRegression().fit(x, time, event)
    monkeypatch.setattr("matchloss.linear.file_options.free_memory", lambda: 3_000)
    with pytest.raises(ValueError, match=r"0\.0 GB of memory are free: drop columns of many levels, join rare levels, or fit to a sample"):
        CoxRegression().fit(x, time, event)
