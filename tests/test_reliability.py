"""Reliability diagrams, PIT and rank histograms, Murphy diagrams: against theory, simulation and model-diagnostics."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import matchloss as ml
from matchloss import scoring
from matchloss.errors import DomainError, ShapeError


def labels(n, seed):
    rng = np.random.default_rng(seed)
    p = rng.uniform(size=n) ** 2
    return (rng.uniform(size=n) < p).astype(float), p


def costs(n, seed):
    """Gamma costs whose scatter grows with their mean, and the 0.8 quantile."""
    rng = np.random.default_rng(seed)
    mu = np.exp(rng.normal(size=n))
    return mu * rng.gamma(2.0, 0.5, size=n), mu, mu * stats.gamma.ppf(0.8, 2, scale=0.5)


def inside(found):
    """The share of the inner nine tenths of the curve that lies in the band."""
    low, high = np.quantile(found.fct, [0.05, 0.95])
    seen = (found.fct >= low) & (found.fct <= high)
    return ((found.low <= found.value) & (found.value <= found.high))[seen].mean()


@pytest.mark.parametrize("n", [250, 3000])
@pytest.mark.parametrize("of", ["probability", "mean", "quantile"])
def test_a_calibrated_forecast_stays_in_its_band_as_often_as_the_band_says(of, n):
    shares = []
    for seed in range(15):
        if of == "probability":
            y, f = labels(n, seed)
        else:
            y, mu, q = costs(n, seed)
            f = mu if of == "mean" else q
        shares.append(inside(scoring.reliability(y, f, of, level=0.8 if of == "quantile" else None, draws=100, seed=seed)))
    assert 0.80 < np.mean(shares) <= 0.98


def test_a_forecast_that_is_off_leaves_its_band():
    y, p = labels(3000, 0)
    found = scoring.reliability(y, p / 2, "probability")
    assert inside(found) < 0.2
    y, mu, q = costs(3000, 0)
    assert inside(scoring.reliability(y, 1.3 * mu)) < 0.3
    assert inside(scoring.reliability(y, q, "quantile", level=0.5)) < 0.2


def test_a_wild_forecast_does_not_open_the_band_of_its_neighbours():
    y, mu, _ = costs(2000, 5)
    wild = mu.copy()
    wild[np.argmax(mu)] = 1e6
    sane, found = (scoring.reliability(y, f, draws=100) for f in (mu, wild))
    middle = (found.fct > 1) & (found.fct < np.quantile(mu, 0.97))
    width = np.interp(found.fct[middle], sane.fct, sane.high - sane.low)
    assert np.median((found.high - found.low)[middle] / width) < 1.5


def test_bands_stay_open_where_all_outcomes_agree():
    p = np.repeat([0.1, 0.2, 0.9], 20)
    found = scoring.reliability(np.repeat([0, 0, 1], 20), p, "probability")
    assert (found.high - found.low > 0.05).all()
    assert (found.value == [0, 0, 1]).all()


def test_the_curve_is_the_recalibrated_forecast_and_of_few_points():
    y, mu, _ = costs(20_000, 1)
    found = scoring.reliability(y, mu, draws=20)
    assert found.fct.size <= 500 and (np.diff(found.fct) > 0).all() and (np.diff(found.value) >= 0).all()
    whole = scoring.recalibrate("mean", y, mu)
    np.testing.assert_array_equal(found.value, whole.value[np.searchsorted(whole.fct, found.fct)])
    assert 0.99 <= found.share.sum() <= 1 + 1e-12  # the far tail of the forecasts is left out


@pytest.mark.parametrize(("of", "level"), [("mean", None), ("quantile", 0.7), ("expectile", 0.7)])
def test_order_ties_and_rows_of_weight_0_do_not_matter(of, level):
    y, mu, _ = costs(300, 2)
    f, w = mu.round(1), np.random.default_rng(0).integers(0, 3, 300)
    found = scoring.reliability(y, f, of, level, w, draws=10)
    turned = scoring.reliability(y[::-1], f[::-1], of, level, w[::-1], draws=10)
    live = scoring.reliability(y[w > 0], f[w > 0], of, level, w[w > 0], draws=10)
    for other in (turned, live):
        np.testing.assert_allclose(other.value, found.value, rtol=1e-12)
    np.testing.assert_array_equal(live.low, found.low)
    assert (found.low <= found.high).all()


@pytest.mark.parametrize(("of", "level"), [("mean", None), ("quantile", 0.83), ("expectile", 0.8)])
def test_the_same_curve_as_model_diagnostics(of, level):
    peer = pytest.importorskip("model_diagnostics._utils.isotonic").IsotonicRegression
    y, mu, _ = costs(200, 3)
    theirs = peer(functional=of, level=level or 0.5).fit(mu, y)
    found = scoring.reliability(y, mu, of, level=level, draws=2)
    np.testing.assert_allclose(found.value, theirs.predict(found.fct), rtol=1e-9)


def test_each_class_against_the_others():
    labels_, p = np.array([0, 1, 2, 1]), np.full((4, 3), 1 / 3)
    found = scoring.reliability_by_class(labels_, p, draws=5)
    assert [(r.label, r.value.tolist()) for r in found] == [("0", [0.25]), ("1", [0.5]), ("2", [0.25])]


def test_one_row_and_forecasts_all_the_same_have_a_diagram():
    for of, level in (("mean", None), ("probability", None), ("quantile", 0.5), ("expectile", 0.5)):
        one = scoring.reliability([1.0], [1.0], of, level, draws=3)
        assert one.value.tolist() == [1.0]
        assert np.isfinite(scoring.reliability([0.0, 1.0], [0.5, 0.5], of, level, draws=3).frame().to_numpy()).all()


# ---- histograms ----


def test_pit_histograms_are_flat_for_the_truth_and_bent_for_a_forecast_too_sure():
    y = np.random.default_rng(0).normal(size=4000)
    flat = scoring.pit_histogram(stats.norm.cdf(y))
    assert ((flat.low <= flat.height) & (flat.height <= flat.high)).mean() > 0.7
    sure = scoring.pit_histogram(stats.norm.cdf(2 * y))
    assert sure.height[0] > 2 > 1 > sure.height[10]


def test_counts_spread_over_their_jump():
    n = np.random.default_rng(0).poisson(1.0, size=4000)
    found = scoring.pit_histogram(stats.poisson.cdf(n, 1.0), stats.poisson.cdf(n - 1, 1.0), bins=10)
    assert np.abs(found.height - 1).max() < 0.1
    assert found.height.mean() == pytest.approx(1)


def test_ranks_with_ties_and_weights():
    obs, fct = np.array([0.0, 1.0, 1.0]), np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 2.0]])
    # rank 1 or 2; rank 1, 2 or 3; rank 2
    expected = np.array([1 / 2 + 1 / 3, 1 / 2 + 1 / 3 + 1, 1 / 3])
    np.testing.assert_allclose(scoring.rank_histogram(obs, fct).height, expected)
    twice = scoring.rank_histogram(np.repeat(obs, [2, 1, 1]), np.repeat(fct, [2, 1, 1], axis=0)).height
    np.testing.assert_allclose(scoring.rank_histogram(obs, fct, sample_weight=[2, 1, 1]).height, twice)
    wide = scoring.rank_histogram(np.zeros(3), np.random.default_rng(0).normal(size=(3, 200)))
    assert wide.height.size == 20 and wide.edges[-1] == 201.5


def test_widths_of_intervals():
    found = scoring.sharpness({"a": ([0.0, 0.0, 0.0], [1.0, 2.0, 30.0])}, sample_weight=[1, 1, 0])
    assert found.mean.tolist() == [1.5] and found.quantiles.max() == 2.0
    with pytest.raises(DomainError, match="lower of a"):
        scoring.sharpness({"a": ([1.0], [0.0])})


# ---- Murphy diagrams ----


@pytest.mark.parametrize(
    ("functional", "level", "loss"),
    [("mean", None, ml.SquaredError()), ("quantile", 0.8, ml.Pinball(alpha=0.8)), ("expectile", 0.8, ml.Expectile(alpha=0.8))],
)
def test_the_integral_of_elementary_scores_is_the_loss(functional, level, loss):
    y, mu, _ = costs(300, 4)
    theta = np.linspace(-1, max(y.max(), mu.max()) + 1, 40_001)
    found = scoring.murphy(y, mu, functional, level, thetas=theta)
    assert np.trapezoid(found.score["forecast"], theta) == pytest.approx(float(loss(mu, y)), rel=1e-3)


@pytest.mark.parametrize(("functional", "level"), [("mean", 0.5), ("quantile", 0.3), ("expectile", 0.3)])
def test_elementary_scores_row_by_row(functional, level):
    rng = np.random.default_rng(5)
    (y, a, b), w = rng.normal(size=(3, 60)).round(1), rng.uniform(size=60)
    theta = rng.normal(size=7).round(2)
    found = scoring.murphy(y, {"a": a, "b": b}, functional, level, reference="b", sample_weight=w, thetas=theta)

    def rows(f):
        y_, f_, t = (np.asarray(v)[..., None] for v in (y, f, 0.0))
        t = np.sort(theta)[None]
        on = (np.minimum(y_, f_) <= t) & (t < np.maximum(y_, f_))
        size = 1.0 if functional == "quantile" else 2 * np.abs(y_ - t)
        return on * size * np.where(y_ < f_, 1 - level, level)

    d = rows(a) - rows(b)
    gap = np.average(d, axis=0, weights=w)
    np.testing.assert_allclose(found.score["a"], np.average(rows(a), axis=0, weights=w), atol=1e-12)
    got, low, high = found.difference["a"]
    np.testing.assert_allclose(got, gap, atol=1e-12)
    error = np.sqrt((np.square(w)[:, None] * np.square(d - gap)).sum(axis=0)) / w.sum()
    np.testing.assert_allclose((high - low) / 2, 1.959963984540054 * error, atol=1e-10)
    peer = pytest.importorskip("model_diagnostics.scoring").ElementaryScore
    theirs = [peer(eta=t, functional=functional, level=level)(y, a, weights=w) for t in np.sort(theta)]
    np.testing.assert_allclose(found.score["a"], theirs, atol=1e-12)


# ---- bad input ----


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: scoring.reliability([0.0, np.nan], [0.0, 1.0]), r"obs\[1\] is nan; allowed: finite"),
        (lambda: scoring.reliability([0, 2], [0.5, 0.5], "probability"), r"obs\[1\] is 2.0; allowed: labels 0 and 1"),
        (lambda: scoring.reliability([0, 1], [0.5, 1.5], "probability"), r"fct\[1\] is 1.5; allowed: probabilities"),
        (lambda: scoring.reliability([0.0], [0.0], "mode"), "functional is 'mode'; allowed: mean"),
        (lambda: scoring.reliability([0.0], [0.0], "quantile"), "level is None"),
        (lambda: scoring.reliability([0.0], [0.0], bands=1.0), "bands is 1.0"),
        (lambda: scoring.reliability_by_class([0, 3], [[0.5, 0.5]] * 2), r"obs\[1\] is 3; allowed: labels 0..1"),
        (lambda: scoring.pit_histogram([0.5, 1.5]), r"cdf\[1\] is 1.5; allowed: \[0, 1\]"),
        (lambda: scoring.pit_histogram([0.5], [0.6]), r"below\[0\] is 0.6; allowed: at most cdf"),
        (lambda: scoring.rank_histogram([0.0], [[np.inf, 0.0]]), r"fct\[0, 0\] is inf"),
        (lambda: scoring.murphy([0.0], {"a": [0.0]}, reference="b"), "reference is 'b'; allowed: a"),
        (lambda: scoring.murphy([0.0, 1.0], [0.0, np.nan], sample_weight=[1, 1]), r"fct\[1\] is nan"),
    ],
)
def test_bad_values_are_named(call, says):
    with pytest.raises(DomainError, match=says):
        call()


@pytest.mark.parametrize("call", [scoring.reliability, scoring.murphy, scoring.rank_histogram])
def test_no_rows_and_shapes_that_do_not_match(call):
    for obs, fct in (([], []), ([0.0, 1.0], [0.0]), ([[0.0]], [[0.0]])):
        with pytest.raises(ShapeError):
            call(obs, fct)


def test_inputs_are_not_modified():
    y, p = labels(50, 0)
    for x in (y, p):
        x.flags.writeable = False
    scoring.reliability(y[::2], p[::2], "probability", draws=3)
    scoring.murphy(y[::2], p[::2])
    scoring.pit_histogram(p[::2])
