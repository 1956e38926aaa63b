"""Cox's partial likelihood against direct sums at 60 digits, against published coefficients, and its trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import matchloss as ml
from matchloss.linear import CoxRegression, load
from matchloss.linear.model import ModelError
from matchloss.losses.structured import Cox, RiskSets


def directly(eta: Any, time: Any, event: Any, entry: Any, strata: Any, weight: Any, ties: str) -> Any:
    """The value as it is defined, by sums over who is at risk."""
    value, rows = mp.mpf(0), range(len(time))
    for s, t in sorted({(strata[i], time[i]) for i in rows if event[i]}):
        at_risk = [i for i in rows if strata[i] == s and entry[i] < t <= time[i]]
        tied = [i for i in at_risk if event[i] and time[i] == t]
        mean = mp.fsum(mp.mpf(weight[i]) for i in tied) / len(tied)
        all_of, tied_of = (mp.fsum(mp.mpf(weight[i]) * mp.exp(eta[i]) for i in some) for some in (at_risk, tied))
        for k in range(len(tied)):
            value += mean * mp.log(all_of - (mp.mpf(k) / len(tied) * tied_of if ties == "efron" else 0))
        value -= mp.fsum(mp.mpf(weight[i]) * mp.mpf(eta[i]) for i in tied)
    return value


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_value_and_gradient_are_those_of_the_definition(data: Any) -> None:
    n, ties = data.draw(st.integers(1, 9)), data.draw(st.sampled_from(["efron", "breslow"]))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    time, event, strata = rng.integers(1, 6, n).astype(float), rng.integers(0, 2, n), rng.integers(0, 2, n)
    event[0] = 1
    entry = time - rng.integers(1, 4, n) if data.draw(st.booleans()) else None
    weight = rng.integers(1, 5, n) / 2.0 if data.draw(st.booleans()) else np.ones(n)
    eta = rng.normal(size=n) * data.draw(st.sampled_from([1.0, 20.0]))
    loss, risk = Cox(ties), RiskSets(time, event, entry, strata, weight)
    starts = np.full(n, -np.inf) if entry is None else entry
    with mp.workdps(60):

        def at(eta: Any) -> Any:
            return directly(eta, time, event, starts, strata, weight, ties)

        z, step = [mp.mpf(float(x)) for x in eta], mp.mpf(10) ** -20
        wanted = at(z)
        slopes = [
            (at([x + step * (i == j) for j, x in enumerate(z)]) - at([x - step * (i == j) for j, x in enumerate(z)])) / (2 * step)
            for i in range(n)
        ]
    found = loss.evaluate(eta, risk)
    size = np.abs(eta).max() * weight.sum()  # tied deaths: a sum of logarithms less a sum of eta
    assert abs(found.value.sum() - wanted) <= 1e-14 * max(abs(wanted), size)
    assert np.abs(found.gradient - np.array(slopes, float)).max() <= 1e-14 * weight.sum()
    sums = [abs(found.gradient[strata == s].sum()) for s in set(strata.tolist())]
    assert max(sums) < 1e-13 * weight.sum()  # within a stratum as many deaths are expected as observed
    order = rng.permutation(n)
    mixed = loss.evaluate(
        eta[order], RiskSets(time[order], event[order], None if entry is None else entry[order], strata[order], weight[order])
    )
    assert np.allclose(mixed.gradient, found.gradient[order], atol=1e-14 * weight.sum())


def test_one_row_that_carries_the_risk_set_keeps_its_digits() -> None:
    found = Cox().evaluate([40.0, 0.0], RiskSets([1.0, 2.0], [1, 0]))
    others = float(mp.exp(-40))
    assert found.value[0] == pytest.approx(others, rel=4e-15) and found.gradient == pytest.approx([-others, others], rel=4e-15)
    far = Cox().evaluate([-900.0, 900.0, 0.0], RiskSets([1.0, 2.0, 3.0], [1, 1, 1]))
    assert far.value[0] == pytest.approx(1800.0) and np.isfinite(far.gradient).all()


def test_hessian_is_the_derivative_of_the_gradient_and_predict_the_expected_deaths() -> None:
    rng = np.random.default_rng(3)
    time, event, eta = rng.integers(1, 8, 20).astype(float), rng.integers(0, 2, 20), rng.normal(size=20)
    for ties in ("efron", "breslow"):
        loss, risk = Cox(ties), RiskSets(time, event, time - rng.integers(1, 5, 20), rng.integers(0, 2, 20))
        steps = 1e-5 * np.eye(20)
        slopes = [(loss.gradient(eta + d, risk)[i] - loss.gradient(eta - d, risk)[i]) / 2e-5 for i, d in enumerate(steps)]
        assert np.allclose(loss.hessian(eta, risk), slopes, atol=1e-9)
        assert loss.predict(eta, risk).sum() == pytest.approx(event.sum()) and (loss.observed(eta, risk) == event).all()


PUBLISHED = {  # Therneau and Grambsch, Modeling Survival Data (2000), appendix E: data sets 1 to 3, and the coefficients that they print
    "ties": (
        {"time": [1, 1, 6, 6, 8, 9.0], "event": [1, 0, 1, 1, 0, 1], "x": [1, 1, 1, 0, 0, 0]},
        {"breslow": np.log((3 + np.sqrt(33)) / 2), "efron": 1.676857},
    ),
    "late entry": (
        {
            "entry": [1, 2, 5, 2, 1, 7, 3, 4, 8, 8.0], "time": [2, 3, 6, 7, 8, 9, 9, 9, 14, 17.0],
            "event": [1, 1, 1, 1, 1, 1, 1, 0, 0, 0], "x": [1, 0, 0, 1, 0, 1, 1, 1, 0, 0],
        },
        {"breslow": -0.084526081, "efron": -0.021105209},
    ),
    "weights": (
        {
            "time": [1, 1, 2, 2, 2, 2, 3, 4, 5.0], "event": [1, 0, 1, 1, 1, 0, 0, 1, 0],
            "x": [2, 0, 1, 1, 0, 1, 0, 1, 0], "sample_weight": [1, 2, 3, 4, 3, 2, 1, 2, 1.0],
        },
        {"breslow": 0.85955744, "efron": 0.87260425},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_published_coefficients(name: str, ties: str) -> None:
    data, wanted = PUBLISHED[name]
    given = {key: np.array(x) for key, x in data.items() if key != "x"}
    model = CoxRegression(ties).fit(np.array(data["x"], float)[:, None], **given)
    assert model.coef_[0] == pytest.approx(wanted[ties], abs=6e-7)  # as many digits as are printed
    repeated = given.pop("sample_weight", None)
    if repeated is not None and ties == "breslow":  # by Breslow a weight of 3 is the same as three rows
        rows = np.repeat(np.arange(9), repeated.astype(int))
        again = CoxRegression(ties).fit(np.array(data["x"], float)[rows, None], **{key: x[rows] for key, x in given.items()})
        assert again.coef_[0] == pytest.approx(model.coef_[0], rel=1e-9)


def table(n: int = 200) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    arm, age = rng.choice(["a", "b", "c"], n), rng.normal(60, 10, n)
    time = rng.exponential(np.exp(-0.05 * (age - 60) - 0.5 * (arm == "b")))
    stop = rng.exponential(2.0, n)
    return pl.DataFrame({"time": np.minimum(time, stop), "died": time <= stop, "age": age, "arm": arm, "site": rng.choice(["x", "y"], n)})


def test_the_trainer_on_a_frame_with_categories(tmp_path: Path) -> None:
    rows = table()
    model = CoxRegression().fit(rows, "time", "died", strata="site")
    assert list(model.coef_names_) == ["age", "arm = b", "arm = c"] and model.n_events_ == rows["died"].sum()
    by_hand = np.column_stack([rows["age"], rows["arm"] == "b", rows["arm"] == "c"]).astype(float)
    same = CoxRegression().fit(by_hand, rows["time"], rows["died"], strata=rows["site"])
    assert np.allclose(same.coef_, model.coef_, rtol=1e-12)
    signal = Cox().gradient(
        by_hand @ model.coef_, RiskSets(rows["time"].to_numpy(), rows["died"].to_numpy(), None, rows["site"].to_numpy())
    )
    assert np.abs(by_hand.T @ signal).max() < 1e-9  # at the minimum the signal is orthogonal to every column
    moved = CoxRegression().fit(by_hand + 1e6, rows["time"], rows["died"], strata=rows["site"])
    assert np.allclose(moved.coef_, model.coef_, rtol=1e-7)
    curves = model.predict_survival_function(rows, [0.0, 0.5, 1.0], strata=rows["site"].to_numpy())
    assert curves.shape == (200, 3) and (curves[:, 0] == 1).all() and (np.diff(curves) < 0).all()
    assert "arm = b" in str(model.summary_) and "intercept" not in str(model.summary_) and "se" in model._repr_html_()
    path = tmp_path / "model.json"
    model.save(path)
    again = load(path)
    assert isinstance(again, CoxRegression) and again.ties == "efron"
    assert (again.predict_survival_function(rows, strata="x") == model.predict_survival_function(rows, strata="x")).all()
    for old, new in (('"steps"', '"x"'), ("CoxRegression", "os.system"), ('"coef": [', '"coef": ["a", '), ("baseline_times_", "b")):
        path.write_text(path.read_text().replace(old, new)) if old in path.read_text() else path.write_text("{}")
        with pytest.raises(ModelError, match=r"damaged|is not a matchloss model"):
            load(path)


def test_the_baseline_of_no_effect_is_nelson_aalens() -> None:
    model = CoxRegression().fit([[1.0], [-1.0], [1.0], [-1.0]], [1.0, 1.0, 2.0, 2.0], [1, 1, 1, 1])
    assert np.abs(model.coef_).max() < 1e-12
    assert np.allclose(model.predict_cumulative_hazard([[0.0]], [0.5, 1.0, 2.5]), [[0.0, 0.5, 1.5]])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"event": [0, 0, 0]}, "event is 0 in every row"),
        ({"event": [0, 2, 1]}, r"event\[1\] is 2; allowed: 0 \(censored\) or 1"),
        ({"time": [1.0, np.nan, 2.0]}, r"time\[1\] is nan; allowed: finite"),
        ({"entry": [0.0, 2.0, 0.0]}, r"entry\[1\] is 2.0; allowed: below time\[1\], 2.0"),
        ({"weight": [1.0, -1.0, 1.0]}, r"sample_weight\[1\] is -1.0"),
        ({"strata": [1.0, np.nan, 2.0]}, r"strata\[1\] is nan"),
        ({"time": [[1.0]]}, "time has shape"),
        ({"event": [1]}, "event has shape"),
        ({"weight": [0.0, 0.0, 1.0], "event": [1, 1, 0]}, "event is 0 in every row of positive weight"),
    ],
)
def test_bad_rows_are_named(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RiskSets(**{"time": [1.0, 2.0, 3.0], "event": [1, 1, 0]} | given)


def test_bad_scores_and_columns_are_named() -> None:
    risk = RiskSets([1.0, 2.0, 3.0], [1, 1, 0])
    with pytest.raises(ml.DomainError, match=r"raw\[1\] is nan"):
        Cox().value([0.0, np.nan, 0.0], risk)
    with pytest.raises(ml.ShapeError, match=r"raw has shape \(2,\)"):
        Cox().value([0.0, 1.0], risk)
    with pytest.raises(ml.DomainError, match="may span 600 at most"):
        Cox().value([0.0, 700.0, 0.0], RiskSets([1.0, 2.0, 3.0], [1, 1, 0], [0.0, 0.0, 0.0]))
    with pytest.raises(ml.DomainError, match="allowed: 'efron', 'breslow'"):
        Cox(ties="exact")
    rows = table(50)
    for change, message in (
        (rows.with_columns(twice=2 * pl.col("age")), "linearly dependent: age, twice"),
        (rows.with_columns(one=0.1), "constant, so that no coefficient can be found: one"),
        (rows.with_columns(rank=pl.col("time").rank()), "no maximum: some combination of columns tells in advance"),
    ):
        with pytest.raises(ValueError, match=message):
            CoxRegression().fit(change, "time", "died")
    with pytest.raises(ValueError, match='no column "tim"'):
        CoxRegression().fit(rows, "tim", "died")
    with pytest.raises(ml.DomainError, match="pass strata"):
        CoxRegression().fit(rows, "time", "died", strata="site").predict_survival_function(rows)
    with pytest.raises(ml.DomainError, match=r"strata\[0\] is 'z'; allowed: those of training, x, y"):
        CoxRegression().fit(rows, "time", "died", strata="site").predict_survival_function(rows, strata="z")
    dead = RiskSets([1.0, 2.0, 3.0], [1, 1, 1], weight=[1.0, 0.0, 1.0])  # a row of weight 0 is as good as absent
    assert Cox().value([0.0, np.nan, 0.5], dead) == pytest.approx(Cox().value([0.0, 0.5], RiskSets([1.0, 3.0], [1, 1])))
