"""Conditional logit against every subset, ordered logit and probit against mpmath, and their trainers."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchloss.linear import ConditionalLogit, OrderedRegressor, load, structured_columns
from matchloss.losses.structured import Choice, ChoiceSets, OrderedLogit, OrderedProbit


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(0, 6), st.sampled_from([1.0, 30.0, 300.0]), st.integers(0, 10**6))
def test_conditional_logit_is_a_sum_over_all_subsets(n: int, k: int, scale: float, seed: int) -> None:
    rng, k = np.random.default_rng(seed), min(n, k)
    v, own = scale * rng.normal(size=n), set(rng.permutation(n)[:k].tolist())
    with mp.workdps(1500):
        weights = {s: mp.exp(mp.fsum(mp.mpf(v[j]) for j in s) - mp.fsum(mp.mpf(v[j]) for j in own)) for s in combinations(range(n), k)}
        others = mp.fsum(w for s, w in weights.items() if set(s) != own)
        wanted = mp.log1p(others)
        away = [mp.fsum(w for s, w in weights.items() if (j in s) != (j in own)) / (1 + others) for j in range(n)]
    found = Choice().evaluate(v, ChoiceSets([0, n], [int(j in own) for j in range(n)]))
    assert abs(found.value[0] - wanted) <= 3e-14 * max(1, scale) * wanted + 1e-290
    slopes = [float(-a if j in own else a) for j, a in enumerate(away)]
    assert np.allclose(found.gradient, slopes, rtol=3e-13 * max(1, scale), atol=1e-290)
    assert abs(found.gradient.sum()) < 1e-14 * n


def test_bad_sets_are_named() -> None:
    for bad, message in (
        (lambda: ChoiceSets([0, 2, 2], [1, 0]), "set 1 is empty"),
        (lambda: ChoiceSets([0, 2], [1, 2]), r"chosen\[1\] is 2; allowed: 0 or 1"),
        (lambda: Choice().value([0.0, np.nan], ChoiceSets([0, 2], [1, 0])), "set 0, position 1: the utility is nan"),
        (
            lambda: ConditionalLogit().fit([[1.0], [1.0]], [1, 0], [1, 1]),
            "constant within every set.*: x0",
        ),
        (lambda: ConditionalLogit().fit([[1.0], [2.0]], [1, 1], [1, 1]), "in each of the 1 sets none or all are chosen"),
        (lambda: ConditionalLogit().fit([[1.0], [2.0]], [1, 0], [1, 1]), "no maximum: a combination of columns tells the chosen"),
        (lambda: ConditionalLogit().fit([[1.0], [2.0]], [1, 0], [1]), r"y has shape \(2,\), groups \(1,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            bad()


def test_the_choice_trainer(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = pl.DataFrame({"price": rng.normal(size=600), "mode": rng.choice(["car", "bus", "rail"], 600), "trip": np.repeat(range(200), 3)})
    utility = -rows["price"].to_numpy() + 0.5 * (rows["mode"] == "car").to_numpy() + rng.gumbel(size=600)
    rows = rows.with_columns(took=(utility.reshape(200, 3).argmax(1)[:, None] == np.arange(3)).astype(int).ravel())
    model = ConditionalLogit().fit(rows, "took", "trip")
    assert list(model.coef_names_) == ["price", "mode = car", "mode = rail"] and abs(model.coef_[0] + 1) < 0.3
    mixed = rows.sample(fraction=1.0, shuffle=True, seed=0)
    assert np.allclose(ConditionalLogit().fit(mixed, "took", "trip").coef_, model.coef_, rtol=1e-10)
    p = model.predict_proba(rows, "trip")
    assert np.allclose(p.reshape(200, 3).sum(1), 1) and (model.predict(rows, "trip").reshape(200, 3).sum(1) == 1).all()
    assert np.allclose((p - rows["took"].to_numpy()) @ rows["price"].to_numpy(), 0, atol=1e-8)  # expected minus observed price
    model.save(tmp_path / "m.json")
    assert (load(tmp_path / "m.json").predict_proba(rows, "trip") == p).all()
    both = rows.with_columns(took=((pl.int_range(600) % 3) < 2).cast(int))  # two of each set
    with pytest.warns(UserWarning, match="in 1 of 201 sets none or all are chosen"):
        idle = ConditionalLogit().fit(pl.concat([both, both[:1].with_columns(trip=pl.lit(999, pl.Int64))]), "took", "trip")
    assert idle.n_idle_ == 1
    signal = Choice().gradient(
        np.column_stack([rows["price"], rows["mode"] == "car", rows["mode"] == "rail"]) @ idle.coef_,
        ChoiceSets(np.arange(0, 601, 3), both["took"]),
    )
    assert abs(signal @ rows["price"].to_numpy()) < 1e-8


@pytest.mark.parametrize("chosen", [1, 2])
def test_a_set_of_weight_w_is_w_equal_sets(chosen: int) -> None:
    rng = np.random.default_rng(0)
    x, trip, w = rng.normal(size=(400, 2)), np.arange(400) // 4, rng.integers(0, 4, 100)
    took = (np.argsort(np.argsort(rng.gumbel(size=(100, 4)) - x[:, 0].reshape(100, 4), axis=1), axis=1) < chosen).astype(int).ravel()
    each, mixed = np.repeat(w, 4), rng.permutation(400)
    model = ConditionalLogit().fit(x[mixed], took[mixed], trip[mixed], sample_weight=each[mixed])
    rows = np.concatenate([np.arange(4 * i, 4 * i + 4) for i in np.repeat(np.arange(100), w)])
    label = np.repeat(np.arange(w.sum()), 4)
    repeated = ConditionalLogit().fit(x[rows], took[rows], label)
    assert np.allclose(model.coef_, repeated.coef_, rtol=1e-9) and model.objective_ == pytest.approx(repeated.objective_, rel=1e-12)
    assert (model.n_sets_, model.n_idle_) == ((w > 0).sum(), 0)
    found, same = model.inference(x, took, trip, each), repeated.inference(x[rows], took[rows], label)
    for kind in ("observed", "HC0", "HC1"):
        assert np.allclose(found.covariance(kind), same.covariance(kind), rtol=1e-6), kind
    assert found.nobs == w.sum() == same.nobs and found.llnull == pytest.approx(same.llnull, rel=1e-12)
    assert np.allclose(found.covariance("cluster", trip), same.covariance("cluster", trip[rows]), rtol=1e-6)
    sampled = model.inference(x, took, trip, each, weights="sampling")
    assert sampled.kind == "HC0" and np.allclose(sampled.covariance(), found.covariance("cluster", trip), rtol=1e-9)
    frame = pl.DataFrame({"x": x[:, 0], "z": x[:, 1], "trip": trip, "took": took, "w": each})
    assert np.allclose(ConditionalLogit().fit(frame, "took", "trip", "w").coef_, model.coef_, rtol=1e-12)
    each[7] += 1
    with pytest.raises(
        ValueError, match=r"set 1: sample_weight\[7\] is \d, and another row of the set has \d; allowed: one weight for all"
    ):
        ConditionalLogit().fit(x, took, trip, each)
    for bad, message in ((-each, r"sample_weight\["), (each[:3], "sample_weight has shape")):
        with pytest.raises(ValueError, match=message):
            ConditionalLogit().fit(x, took, trip, bad)


def test_weights_of_sets_in_codes_of_categories(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = pl.DataFrame({"far": rng.normal(size=600) + 100, "a": rng.choice(list("abcdefgh"), 600), "trip": np.arange(600) // 3})
    rows = rows.with_columns(took=(np.arange(600) % 3 == rng.integers(0, 3, 200).repeat(3)).astype(int), w=rng.uniform(0, 3, 200).repeat(3))
    codes = ConditionalLogit().fit(rows, "took", "trip", "w")
    monkeypatch.setattr(structured_columns, "PAYS", 1000)
    dense = ConditionalLogit().fit(rows, "took", "trip", "w")
    assert np.allclose(codes.coef_, dense.coef_, rtol=1e-9) and np.allclose(codes.covariance_, dense.covariance_, rtol=1e-8)


def terms(a: Any, b: Any, link: str) -> tuple[Any, Any]:
    """-log(F(b) - F(a)) and its derivative in eta, at many digits."""
    with mp.workdps(400):
        a, b = mp.mpf(a), mp.mpf(b)
        below = mp.ncdf if link == "probit" else lambda x: 1 / (1 + mp.exp(-x))
        density = mp.npdf if link == "probit" else lambda x: below(x) * below(-x)
        flip = a > 0
        low, high = (-b, -a) if flip else (a, b)
        mass = below(high) - below(low)
        return -mp.log(mass), (density(b) - density(a)) / mass


@pytest.mark.parametrize(("link", "tolerance"), [("logit", 2e-14), ("probit", 4e-13)])
def test_ordered_losses_keep_their_digits(link: str, tolerance: float) -> None:
    loss = OrderedLogit() if link == "logit" else OrderedProbit()
    for eta in (0.0, 0.3, -7.0, 30.0, -30.0):
        for width in (1e-9, 0.01, 1.0, 40.0):
            found = loss.evaluate(([eta], [0.0, width]), [1])
            with mp.workdps(400):  # probit's terms are those of b - a, rounded
                ends = (-eta, width - eta) if link == "probit" else (-mp.mpf(eta), mp.mpf(width) - mp.mpf(eta))
            value, slope = terms(*ends, link)
            assert abs(found.value[0] - value) <= tolerance * abs(value), (eta, width)
            assert abs(found.gradient[0][0] - slope) <= tolerance * max(1.0, abs(eta)), (eta, width)


def test_ordered_gradients_are_slopes_and_predict_sums_to_one() -> None:
    rng = np.random.default_rng(0)
    eta, cuts, y = rng.normal(size=12), np.array([-1.0, 0.2, 0.9]), rng.integers(0, 4, 12)
    for loss in (OrderedLogit(), OrderedProbit()):
        found = loss.evaluate((eta, cuts), y, sample_weight=np.arange(12.0))
        for i, d in enumerate(1e-6 * np.eye(3)):
            slope = np.arange(12) @ (loss.value((eta, cuts + d), y) - loss.value((eta, cuts - d), y)) / 2e-6
            assert found.gradient[1][i] == pytest.approx(slope, abs=1e-7)
        p = loss.predict((eta, cuts))
        assert np.allclose(p.sum(1), 1) and np.allclose(-np.log(p[np.arange(12), y]), loss.value((eta, cuts), y))
    for bad, message in (
        (lambda: OrderedLogit().value((eta, cuts[::-1]), y), r"thresholds\[1\] is 0.2; allowed: above thresholds\[0\], 0.9"),
        (lambda: OrderedLogit().value((eta, cuts), y + 1), "allowed: 0 to 3"),
        (lambda: OrderedLogit().value((eta + np.inf, cuts), y), r"eta\[0\] is inf"),
        (lambda: OrderedLogit().value((eta, []), y), "thresholds has shape"),
    ):
        with pytest.raises(ValueError, match=message):
            bad()


def test_the_ordered_trainer(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    x, arm = rng.normal(size=300) + 50, rng.choice(["a", "b"], 300)
    y = np.digitize(x - 50 + (arm == "b") + rng.logistic(size=300), [-1.0, 1.0])
    grades = np.array(["low", "mid", "high"])[y]
    rows = pl.DataFrame({"x": x, "arm": arm, "grade": pl.Series(grades, dtype=pl.Enum(["low", "mid", "high"]))})
    for link in ("logit", "probit"):
        model = OrderedRegressor(link).fit(rows, "grade")
        loss = OrderedLogit() if link == "logit" else OrderedProbit()
        block = np.column_stack([x, arm == "b"]).astype(float)
        signal = loss.evaluate((block @ model.coef_, model.thresholds_), y).gradient
        assert np.abs(block.T @ signal[0]).max() < 1e-7 and np.abs(signal[1]).max() < 1e-9  # a minimum
        assert model.classes_.tolist() == ["low", "mid", "high"] and set(model.predict(rows)) <= set(grades)
        same = OrderedRegressor(link, classes=["low", "mid", "high"]).fit(rows.drop("grade"), grades)
        assert np.allclose(same.coef_, model.coef_) and np.allclose(np.linalg.inv(same.covariance_), np.linalg.inv(model.covariance_))
        twice = OrderedRegressor(link).fit(rows, "grade", sample_weight=np.full(300, 2.0))
        assert np.allclose(twice.coef_, model.coef_) and np.allclose(twice.covariance_ * 2, model.covariance_)
    model.save(tmp_path / "m.json")
    assert (load(tmp_path / "m.json").predict_proba(rows) == model.predict_proba(rows)).all()
    for bad, message in (
        (lambda: OrderedRegressor().fit(rows.drop("grade"), grades), "y is text .* without a declared order"),
        (lambda: OrderedRegressor(classes=["low", "high"]).fit(rows.drop("grade"), grades), "allowed: low, high"),
        (lambda: OrderedRegressor().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]), "separates the labels"),
        (lambda: OrderedRegressor().fit([[0.0], [1.0]], [1, 1]), "label 1: it is the only label"),
        (lambda: OrderedRegressor(classes=[0, 1, 2]).fit([[0.0], [1.0], [0.0]], [0, 2, 2]), "label 1: no row has it"),
        (lambda: OrderedRegressor("cauchit").fit([[0.0], [1.0]], [0, 1]), "link is 'cauchit'"),
        (lambda: OrderedRegressor().fit([[0.0], [1.0]], [0.0, np.nan]), r"y\[1\] is nan"),
    ):
        with pytest.raises(ValueError, match=message):
            bad()
