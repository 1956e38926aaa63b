"""The inference of Cox's model, of choices and of ordered labels: against R's survival and polr, and statsmodels."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from matchloss.linear import ConditionalLogit, CoxRegression, OrderedRegressor

RESULTS = "statsmodels.duration.tests.results"


@pytest.mark.parametrize("ties", ["breslow", "efron"])
@pytest.mark.parametrize("size", [(20, 1), (50, 1), (50, 2), (100, 5), (1000, 10)])
def test_cox_has_the_coefficients_and_errors_of_r(size: tuple[int, int], ties: str) -> None:
    survival = importlib.import_module(f"{RESULTS}.survival_r_results")  # coxph's numbers, as many digits as are printed
    n, p = size
    table = np.loadtxt(Path(str(survival.__file__)).with_name(f"survival_data_{n}_{p}.csv"))
    (time, event, entry), x, strata = table[:, :3].T, table[:, 3:], np.repeat(np.arange(5), n // 5)
    for kind, more in (("", {}), ("_et", {"entry": entry}), ("_st", {"strata": strata}), ("_et_st", {"entry": entry, "strata": strata})):
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
    with pytest.raises(ValueError, match='allowed for losses of structures: "observed"'):
        found.conf_int(kind="HC0")
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
