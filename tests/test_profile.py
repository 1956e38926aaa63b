"""The size of the negative binomial by likelihood, beside the coefficients: statsmodels' estimate, and what cannot be estimated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import brentq

import matchloss as ml
from matchloss.errors import DomainError
from matchloss.linear import LinearRegressor
from matchloss.losses._tweedie import base_slopes, log_base


def test_size_as_statsmodels_has_it() -> None:
    data: Any = sm.datasets.randhie.load_pandas().data
    y, x = data["mdvis"].to_numpy().astype(float), data.drop(columns="mdvis")
    peer = sm.NegativeBinomial(y, sm.add_constant(x.to_numpy())).fit(method="newton", disp=0, maxiter=100, tol=1e-12)
    model = LinearRegressor(ml.NegativeBinomial(size="estimate"), tol=1e-11).fit(x, y)  # pyright: ignore[reportArgumentType]
    profile = model.profile_
    assert profile.passes <= 20
    assert profile.estimate == pytest.approx(1 / peer.params[-1], rel=1e-9)
    assert model.loss_ == ml.NegativeBinomial(size=profile.estimate)
    assert profile.se == pytest.approx(peer.bse[-1] / peer.params[-1], rel=1e-3)
    np.testing.assert_allclose([model.intercept_, *model.coef_], peer.params[:-1], rtol=1e-6)
    found = model.inference(x, y)
    assert found.llf == pytest.approx(peer.llf, rel=1e-10)
    np.testing.assert_allclose(found.using("observed").bse, peer.bse[:-1], rtol=1e-2)  # theirs know that the size was estimated too
    low, high = profile.interval
    assert low < profile.estimate < high and "estimate" not in repr(model.loss_)


def test_weights_repeat_rows() -> None:
    r = np.random.default_rng(0)
    x, w = r.normal(size=(200, 2)), r.integers(0, 3, 200)
    y = r.negative_binomial(2, 2 / (2 + np.exp(1 + x[:, 0]))).astype(float)
    loss: Any = ml.get("negative_binomial", size="estimate")  # pyright: ignore[reportArgumentType]
    weighted = LinearRegressor(loss).fit(x, y, w.astype(float), offset=0.1 * x[:, 1])
    again = np.repeat(np.arange(200), w)
    repeated = LinearRegressor(loss).fit(x[again], y[again], offset=0.1 * x[again, 1])
    assert weighted.profile_.estimate == pytest.approx(repeated.profile_.estimate, rel=1e-7)


def test_poisson_counts_have_an_infinite_size() -> None:
    x, y = np.arange(40.0)[:, None] / 40, np.full(40, 3.0)
    with pytest.warns(UserWarning, match="vary no more than Poisson's"):
        model = LinearRegressor(ml.NegativeBinomial(size="estimate")).fit(x, y)  # pyright: ignore[reportArgumentType]
    assert model.profile_.estimate == np.inf and np.allclose(model.predict(x), 3)


def test_refusals() -> None:
    loss: Any = ml.NegativeBinomial(size="estimate")  # pyright: ignore[reportArgumentType]
    with pytest.raises(DomainError, match="has no values"):
        loss.value([0.0], [1.0])
    with pytest.raises(TypeError, match="must be a number"):
        ml.NegativeBinomial(size="guess")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="give it as a number"):
        LinearRegressor(loss, l1=0.1).fit([[0.0], [1.0]], [1.0, 2.0])


def test_tweedies_density_as_statsmodels_has_it() -> None:
    r = np.random.default_rng(0)
    y = np.concatenate([np.zeros(5), r.gamma(1.0, 20.0, 60), [1e-3, 5e3]])
    for power, phi in ((1.1, 2.0), (1.5, 0.3), (1.6, 20.0), (1.9, 1.0)):
        mean = r.uniform(1, 40, len(y))
        family = sm.families.Tweedie(var_power=power, link=sm.families.links.Log())
        loss = ml.Tweedie(power=power)
        ours = loss.log_base(y, phi) - loss.value(np.log(mean), y) / phi
        np.testing.assert_allclose(ours, family.loglike_obs(y, mean, scale=phi), rtol=1e-9)


def test_slopes_of_tweedies_density() -> None:
    y = np.array([0.0, 1e-3, 0.5, 3.0, 40.0, 5e3])
    for power, phi in ((1.1, 2.0), (1.5, 0.3), (1.9, 1.0)):
        in_power, in_log = base_slopes(y, power, phi)
        d = 1e-5
        sides = [log_base(y, power + s * d, phi) for s in (-1, 1)], [log_base(y, power, phi * np.exp(s * d)) for s in (-1, 1)]
        for slope, (low, high) in zip((in_power, in_log), sides, strict=True):
            np.testing.assert_allclose(slope, (high - low) / (2 * d), rtol=1e-6, atol=1e-6)
        assert in_power[0] == in_log[0] == 0


def test_tweedies_power_is_the_profiles_best() -> None:
    r = np.random.default_rng(1)
    x = r.normal(size=(700, 1))
    mean, power, phi = np.exp(1 + 0.4 * x[:, 0]), 1.4, 1.5
    counts = r.poisson(mean ** (2 - power) / (phi * (2 - power)))
    y = np.where(counts > 0, r.gamma(np.maximum(counts, 1) * (2 - power) / (power - 1), phi * (power - 1) * mean ** (power - 1)), 0.0)
    model = LinearRegressor(ml.Tweedie(power="estimate"), tol=1e-10).fit(x, y)  # pyright: ignore[reportArgumentType]
    profile = model.profile_
    assert profile.interval[0] < 1.4 < profile.interval[1] and profile.interval[1] - profile.interval[0] < 0.2
    assert profile.passes <= 35

    def best_llf(power: float) -> float:
        loss = ml.Tweedie(power=power)
        fit = LinearRegressor(loss, tol=1e-10).fit(x, y)
        raw = np.log(fit.predict(x))
        grid = np.geomspace(1.2, 1.9, 25)
        return max(float(np.sum(loss.log_base(y, phi) - loss.value(raw, y) / phi)) for phi in grid)

    fit = LinearRegressor(ml.Tweedie(power=profile.estimate), tol=1e-12).fit(x, y)
    raw, total, p = np.log(fit.predict(x)), np.sum(fit.loss_.value(np.log(fit.predict(x)), y)), profile.estimate
    u: Any = brentq(lambda u: total / np.exp(u) + base_slopes(y, p, np.exp(u))[1].sum(), -3, 3, xtol=1e-13)

    def llf(power: float) -> float:  # at fixed means and dispersion, which are the best at p
        loss = ml.Tweedie(power=power)
        return float(np.sum(loss.log_base(y, np.exp(u)) - loss.value(raw, y) / np.exp(u)))

    sides = [(llf(p + d) - llf(p - d)) / (2 * d) for d in (1e-3, 2e-3)]
    assert abs(4 * sides[0] - sides[1]) / 3 * profile.se**2 < 1e-8  # how far the root is, but for d^4
    near = [best_llf(profile.estimate + d) for d in (-0.08, 0.0, 0.08)]
    assert near[1] > near[0] and near[1] > near[2]
    assert model.inference(x, y).llf <= near[1] + 0.1
    with pytest.raises(ValueError, match="every target is 0"):
        LinearRegressor(ml.Tweedie(power="estimate")).fit(x, 0 * y)  # pyright: ignore[reportArgumentType]
