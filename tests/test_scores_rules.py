"""Scores: proper, in agreement with peers and across libraries, clear about bad input; decompositions add up; intervals cover."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import matchloss as ml
from matchloss import scoring
from matchloss.errors import DomainError, ShapeError

OF_LABELS = [s for s in scoring.catalogue if s.of_labels]
OF_NUMBERS = [s for s in scoring.catalogue if s.functional in ("mean", "quantile", "expectile")]


def law(r: np.random.Generator, k: int) -> Any:
    return r.dirichlet(np.ones(k), size=40)


@pytest.mark.parametrize("score", OF_LABELS, ids=lambda s: s.name)
@pytest.mark.parametrize("k", [2, 5])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_S7_no_forecast_beats_the_law_of_labels(score: scoring.ProperScore, k: int, seed: int) -> None:
    r = np.random.default_rng(seed)
    truth, other = law(r, k), law(r, k)
    expected = sum(truth[:, j] * score.function(np.full(40, j), other) for j in range(k))
    assert np.allclose(score.function(truth, other), expected, rtol=1e-12)
    assert (score.divergence(truth, other) > 0).all()


@pytest.mark.parametrize("score", OF_NUMBERS, ids=lambda s: s.name)
@pytest.mark.parametrize("level", [0.1, 0.5, 0.8])
def test_no_number_beats_the_functional(score: scoring.ProperScore, level: float) -> None:
    r = np.random.default_rng(3)
    seen = r.gamma(1.5, 2.0, size=200) + 0.01
    given = {} if score.level is None else {score.level: level}
    at = level if score.level else 0.5
    best = scoring.recalibrate("mean" if score.functional == "mean" else score.functional, seen, np.zeros(200), None, at).value[0]
    least = score.function(seen, best, **given, reduction="mean")
    for other in best * np.array([0.5, 0.9, 0.99, 1.01, 1.1, 2.0]):
        worse = score.function(seen, other, **given, reduction="mean")
        assert worse > least if score.strict else worse >= least - 1e-12


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_sample_beats_the_law_that_it_was_drawn_from(seed: int) -> None:
    """The law: equally likely points. Its own points are the best ensemble; of mean and deviation, any law that has both."""
    r = np.random.default_rng(seed)
    truth, other = r.normal(size=12), r.normal(0.3, 1.2, size=12)
    assert scoring.crps_ensemble(truth, np.tile(truth, (12, 1))).mean() < scoring.crps_ensemble(truth, np.tile(other, (12, 1))).mean()
    points, others = r.normal(size=(12, 2)), r.normal(0.3, 1.2, size=(12, 2))
    own, strange = (scoring.energy_score(points, np.tile(x, (12, 1, 1))).mean() for x in (points, others))
    assert own < strange
    both = truth.mean() + np.array([-1.0, 1.0]) * truth.std(ddof=1)
    assert scoring.dss_ensemble(both, np.tile(truth, (2, 1))).mean() < scoring.dss_ensemble(both, np.tile(other, (2, 1))).mean()
    alpha, seen = 0.25, np.sort(r.normal(size=40))
    ends = [scoring.best_constant("quantile", seen, None, level) for level in (alpha / 2, 1 - alpha / 2)]
    rule = scoring.get_score("interval_score")
    wrong = np.sort(np.array(ends) + r.normal(size=2))
    assert rule.rows(seen, np.tile(ends, (40, 1)), alpha).mean() <= rule.rows(seen, np.tile(wrong, (40, 1)), alpha).mean() + 1e-12


@pytest.mark.parametrize("score", [s for s in scoring.catalogue if s.loss], ids=lambda s: s.name)
def test_a_score_is_its_loss_behind_the_link(score: scoring.ProperScore) -> None:
    r = np.random.default_rng(4)
    settings = {"entmax": {"alpha": 1.5}, "tweedie": {"power": 1.5}}
    loss = ml.get(str(score.loss), **settings.get(str(score.loss), {}))
    if score.of_labels:
        raw, target = 0.1 * r.normal(size=(40, 4)), law(r, 4)
    else:
        raw, target = r.normal(size=50), np.exp(r.normal(size=50))
    fct = loss.predict(raw)
    if score.of_labels:
        assert (fct > 0).all()  # off the boundary: there score and loss part
    assert np.allclose(loss.divergence(raw, target), score.factor * score.divergence(target, fct), rtol=1e-9, atol=1e-12)
    back = loss.divergence(loss.link(fct), target)
    assert np.allclose(loss.predict(loss.link(fct)), fct, rtol=1e-9)
    assert np.allclose(back, score.factor * score.divergence(target, fct), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("loss", "score"), [(ml.Sparsemax(), scoring.brier_score), (ml.Entmax(1.5), scoring.power_score)])
def test_beyond_the_links_range_the_loss_grows_and_the_score_does_not(loss: ml.Loss, score: Any) -> None:
    raw, label = np.array([[0.3, 0.0], [5.0, 0.0], [9.0, 0.0]]), np.ones(3, int)
    values, scores = loss.value(raw, label), score(label, loss.predict(raw))
    assert values[0] == pytest.approx(scores[0]) and scores[1] == scores[2]
    assert values[1] > scores[1] and values[2] - values[1] == pytest.approx(4.0)


@pytest.mark.exhaustive
def test_ensembles_agree_with_scoringrules_and_with_one_another() -> None:
    import scoringrules as sr  # compiles for ten seconds

    r = np.random.default_rng(5)
    y, x = r.normal(size=60), r.normal(size=(60, 11))
    for ours, theirs in (("qd", "nrg"), ("fair", "fair")):
        assert np.allclose(scoring.crps_ensemble(y, x, estimator=ours), sr.crps_ensemble(y, x, estimator=theirs), rtol=1e-12)
        assert np.allclose(scoring.energy_score(y[:, None], x[..., None], estimator=ours), scoring.crps_ensemble(y, x, estimator=ours))
    assert np.allclose(scoring.crps_ensemble(y, x.T, m_axis=0), scoring.crps_ensemble(y, x), rtol=0)
    many = r.normal(size=(3, 200))
    assert np.allclose(scoring.crps_ensemble(y[:3], many), sr.crps_ensemble(y[:3], many, estimator="nrg"), rtol=1e-12)
    gap = np.where(np.arange(11) == 4, np.nan, x)
    assert np.allclose(scoring.crps_ensemble(y, gap, nan="skip"), scoring.crps_ensemble(y, np.delete(x, 4, axis=1)), rtol=1e-13)
    assert np.allclose(scoring.twcrps_ensemble(y, x), scoring.crps_ensemble(y, x))
    point = scoring.crps_ensemble(y, np.repeat(y[:, None] + 1, 3, axis=1))
    assert np.allclose(point, 1.0)  # of members that are all equal: the absolute error


def test_intervals_are_made_of_pinballs() -> None:
    import scoringrules as sr  # compiles for ten seconds

    r = np.random.default_rng(6)
    y, low, up, alpha = r.normal(size=40), r.normal(size=40) - 1, r.normal(size=40) + 2, 0.3
    parts = scoring.pinball(y, low, alpha / 2) + scoring.pinball(y, up, 1 - alpha / 2)
    assert np.allclose(scoring.interval_score(y, low, up, alpha), parts * 2 / alpha)
    centre, level = r.normal(size=40), np.array([alpha, 0.1])
    lower, upper = np.stack([low, low - 0.2], axis=-1), np.stack([up, up + 0.2], axis=-1)
    ours = scoring.weighted_interval_score(y, centre, lower, upper, level)
    # The NumPy form of scoringrules 0.10 adds the median where its distance from the observation belongs: it is given the distance.
    assert np.allclose(ours, sr.weighted_interval_score(y, abs(y - centre), lower, upper, level, backend="numpy"))


@pytest.mark.parametrize("name", ["crps_normal", "crps_logistic", "crps_laplace", "logs_normal", "crps_lognormal"])
def test_other_libraries_get_the_same_numbers(name: str) -> None:
    r = np.random.default_rng(7)
    given = (np.exp(r.normal(size=30)), r.normal(size=30), np.exp(r.normal(size=30)))
    score = getattr(scoring, name)
    expected = score(*given)
    assert np.allclose(np.asarray(score(*map(strict.asarray, given))), expected, rtol=1e-14)
    torch = pytest.importorskip("torch")
    tensors = [torch.from_numpy(x) for x in given]
    mu = tensors[1].requires_grad_()
    made = score(tensors[0], mu, tensors[2])
    assert np.allclose(made.detach().numpy(), expected, rtol=1e-13)
    made.sum().backward()
    step = 1e-6
    slope = (score(given[0], given[1] + step, given[2]) - score(given[0], given[1] - step, given[2])) / (2 * step)
    assert np.allclose(mu.grad.numpy(), slope, rtol=1e-5, atol=1e-7)
    assert np.isnan(score(tensors[0], mu, -tensors[2]).detach().numpy()).all()  # values may not be visible: never a plausible number


def test_weights_reductions_and_shapes() -> None:
    y, w = np.array([0.0, 1.0, np.nan]), np.array([1.0, 3.0, 0.0])
    rows = scoring.crps_normal(y, 0.0, 1.0, w)
    assert rows[2] == 0 and rows[1] == 3 * scoring.crps_normal(1.0, 0.0, 1.0)
    assert scoring.crps_normal(y, 0.0, 1.0, w, "mean") == pytest.approx(rows.sum() / 4)
    assert scoring.crps_normal(y, 0.0, 1.0, w, "sum") == pytest.approx(rows.sum())
    assert scoring.crps_normal(np.zeros((2, 1)), np.zeros(3), 1.0).shape == (2, 3)
    assert scoring.crps_normal(np.zeros(4, np.float32), np.zeros(4, np.float32), np.ones(4, np.float32)).dtype == np.float32
    large = scoring.crps_normal(np.linspace(-3, 3, 5000), 0.5, 2.0)  # the compiled loop, one number for all rows
    assert np.allclose(large[::500], scoring.crps_normal(np.linspace(-3, 3, 5000)[::500], 0.5, 2.0), rtol=1e-15)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: scoring.crps_normal([0.0, 1.0], 0.0, [1.0, 0.0]), r"sigma\[1\] is 0.0; allowed: \(0, inf\)"),
        (lambda: scoring.crps_normal([0.0, np.nan], 0.0, 1.0), r"obs\[1\] is nan"),
        (lambda: scoring.crps_poisson([1.5], 2.0), r"obs\[0\] is 1.5; allowed: whole numbers"),
        (lambda: scoring.crps_gamma([1.0, -0.5], 2.0, 1.0), r"obs\[1\] is -0.5; allowed: \[0, inf\)"),
        (lambda: scoring.crps_beta([0.5, 1.25], 2.0, 1.0), r"obs\[1\] is 1.25; allowed: \[0, 1\]"),
        (lambda: scoring.logs_t([0.0], 3.0, 0.0, [-1.0]), r"scale\[0\] is -1.0; allowed: \(0, inf\)"),
        (lambda: scoring.poisson_deviance([0.0, -1.0], [1.0, 1.0]), r"obs\[1\] is -1.0; allowed: \[0, inf\)"),
        (lambda: scoring.log_score([0.0, 2.0], [0.5, 0.5]), r"obs\[1\] is 2.0; allowed: \[0, 1\]"),
        (lambda: scoring.brier_score([0, 1], [[0.5, 0.5], [-0.5, 1.5]]), r"fct\[1, 0\] is -0.5; allowed: probabilities"),
        (lambda: scoring.crps_ensemble([0.0, 0.0], [[1.0], [np.nan]], nan="skip"), r"fct\[1, 0\] is nan"),
        (lambda: scoring.energy_score([[0.0]], [[[np.nan]]]), r"fct.* is nan; allowed: finite numbers"),
        (lambda: scoring.crps_mixnorm(0.0, [0.0, 1.0], [1.0, 0.0]), r"s\[1\] is 0.0; allowed: \(0, inf\)"),
        (lambda: scoring.decompose("crps_ensemble", [0.0], [[1.0]]), "crps_ensemble has no parts here"),
        (lambda: scoring.crps_binomial([3], 2, 0.5), r"obs\[0\] is 3; allowed: 0 to n, which is 2"),
        (lambda: scoring.log_score([0, 2], [[0.5, 0.5], [0.5, 0.5]]), r"obs\[1\] is 2; allowed: labels 0..1"),
        (lambda: scoring.log_score([0], [[0.5, 0.6]]), r"fct\[0\] sums to 1.1"),
        (lambda: scoring.brier_score([0.0], [1.5]), r"fct\[0\] is 1.5; allowed: \[0, 1\]"),
        (lambda: scoring.interval_score([0.0, 0.0], [0.0, 2.0], [1.0, 1.0], 0.1), r"lower is above upper in 1 of 2 rows, first lower\[1\]"),
        (lambda: scoring.crps_ensemble([0.0], [[1.0, np.nan]]), r"fct\[0, 1\] is nan"),
        (lambda: scoring.crps_uniform(0.5, [0.0, 1.0], [1.0, 1.0]), r"max\[1\] is 1.0"),
        (lambda: scoring.pinball([0.0], [0.0], alpha=1.0), r"alpha.* is 1.0; allowed: \(0, 1\)"),
        (lambda: scoring.crps_t(0.0, 1.0), r"df is 1.0; allowed: \(1, inf\)"),
        (lambda: scoring.crps_normal(0.0, 0.0, 1.0, reduction="median"), "reduction is 'median'"),
        (lambda: scoring.get_score("loog_score"), "there is no score 'loog_score'"),
        (lambda: scoring.decompose("pinball", [0.0], [0.0]), "level is None; pinball asks for one"),
    ],
)
def test_bad_input_is_named(call: Any, said: str) -> None:
    with pytest.raises(DomainError, match=said):
        call()


def test_shapes_that_do_not_fit_are_refused() -> None:
    for call in (
        lambda: scoring.crps_normal(np.zeros(2), np.zeros(3), 1.0),
        lambda: scoring.crps_ensemble(np.zeros(2), np.zeros((3, 4))),
        lambda: scoring.log_score(np.zeros((2, 2), int), np.full((3, 2), 0.5)),
        lambda: scoring.squared_error([], [], reduction="mean"),
        lambda: scoring.compare_forecasts("squared_error", [1.0], {"a": [1.0], "b": [2.0]}),
    ):
        with pytest.raises(ShapeError):
            call()


def test_probability_0_of_what_happened_is_infinite_and_counted() -> None:
    with pytest.warns(UserWarning, match="2 of 3 rows have an infinite score"):
        rows = scoring.log_score([1, 0, 1], [0.0, 1.0, 0.5])
    assert np.isinf(rows[:2]).all()


@pytest.mark.parametrize(
    ("score", "level"),
    [("squared_error", None), ("poisson_deviance", None), ("pinball", 0.8), ("expectile_score", 0.3), ("absolute_error", None)],
)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 60))
def test_parts_add_up_and_are_not_negative(score: str, level: float | None, seed: int, n: int) -> None:
    r = np.random.default_rng(seed)
    y, f, w = r.poisson(2.0, n).astype(float), np.round(np.exp(r.normal(size=n)), 1) + 0.1, r.choice([0.5, 1.0, 3.0], n)
    parts = scoring.decompose(score, y, f, w, level)
    assert parts.score == pytest.approx(parts.miscalibration - parts.discrimination + parts.uncertainty, abs=1e-12 * (1 + parts.score))
    assert parts.miscalibration >= 0 and parts.discrimination >= 0
    mixed = r.permutation(n)
    again = scoring.decompose(score, y[mixed], f[mixed], w[mixed], level)
    assert np.allclose(parts, again, rtol=1e-11, atol=1e-13)
    functional = scoring.get_score(score).functional
    better = scoring.recalibrate("mean" if functional == "mean" else functional, y, f, w, level or 0.5)
    assert (np.diff(better.value) >= 0).all() and y.min() <= better.value.min() and better.value.max() <= y.max()


def test_decompositions_are_model_diagnostics() -> None:
    from model_diagnostics import scoring as peers

    r = np.random.default_rng(8)
    y, f, w = r.poisson(2.0, 300).astype(float), np.exp(r.normal(size=300)), r.uniform(0.5, 2, 300)
    label, p = (r.uniform(size=300) < 0.3).astype(float), r.uniform(0.01, 0.99, 300)
    for name, obs, fct, weight, peer in (
        ("squared_error", y, f, w, peers.SquaredError()),
        ("poisson_deviance", y, f, w, peers.PoissonDeviance()),
        ("log_score", label, p, None, peers.LogLoss()),
    ):
        theirs = peers.decompose(obs, fct, weight, scoring_function=peer).row(0, named=True)
        ours = scoring.decompose(name, obs, fct, weight)
        assert all(getattr(ours, part) == pytest.approx(value, rel=1e-10, abs=1e-12) for part, value in theirs.items())
    quantile = peers.decompose(y, f, scoring_function=peers.PinballLoss(level=0.8)).row(0, named=True)
    ours = scoring.decompose("pinball", y, f, level=0.8)
    assert all(getattr(ours, part) == pytest.approx(value, rel=1e-10) for part, value in quantile.items())


def test_class_by_class_and_with_intervals() -> None:
    r = np.random.default_rng(9)
    labels, p = r.integers(0, 3, 200), r.dirichlet(np.ones(3), 200)
    parts = scoring.decompose("brier_score", labels, p, intervals=30)
    assert parts.score.shape == (3,) and parts.intervals is not None and parts.intervals.score.shape == (3, 2)
    assert np.allclose(parts.score, parts.miscalibration - parts.discrimination + parts.uncertainty)
    assert (parts.intervals.score[:, 0] <= parts.score).all() and (parts.score <= parts.intervals.score[:, 1]).all()


def test_intervals_of_the_parts_hold_the_true_parts() -> None:
    """Forecasts f of f + noise are calibrated, 1.3 f are not: in each of 40 samples the intervals hold what is true of all rows."""
    r = np.random.default_rng(12)
    for stretch in (1.0, 1.3):
        held = np.zeros(4)
        for seed in range(40):
            f = r.normal(size=300)
            parts = scoring.decompose("squared_error", f + r.normal(size=300), stretch * f, intervals=100, seed=seed)
            assert parts.intervals is not None
            truth = (1 + (stretch - 1) ** 2, (stretch - 1) ** 2, 1.0, 2.0)
            held += [low <= x <= high for x, (low, high) in zip(truth, parts.intervals, strict=True)]
            assert all(low <= x <= high for x, (low, high) in zip(parts, parts.intervals, strict=True))
        assert held.min() >= 34, (stretch, held)  # 38 of 40 are promised


def test_every_name_of_the_peers_has_its_place_on_the_page() -> None:
    import scoringrules as sr  # compiles for ten seconds
    from sklearn import metrics

    page = (Path(__file__).parent.parent / "docs" / "judge-a-forecast.md").read_text()
    rings, learn = page.partition("## From scoringrules")[2].split("## From sklearn.metrics")
    assert [name for name in sr.__all__ if not hasattr(scoring, name) and f"`{name}" not in rings] == []
    judges = [n for n in metrics.__all__ if n.endswith(("_loss", "_error", "_deviance")) or n.startswith(("d2_", "r2_"))]
    assert [name for name in judges if f"`{name}" not in learn] == []


def test_ensembles_and_intervals_are_compared_by_name() -> None:
    r = np.random.default_rng(13)
    y = r.normal(size=200)
    found = scoring.compare_forecasts("crps_ensemble", y, {"sharp": r.normal(size=(200, 20)), "wide": 4 * r.normal(size=(200, 20))})
    assert found.best == "sharp" and "wide" in found.beaten_by and found.sentence.startswith("By CRPS, sharp is best")
    ends = {"right": np.tile([-1.645, 1.645], (200, 1)), "narrow": np.tile([-0.1, 0.1], (200, 1))}
    assert scoring.compare_forecasts("interval_score", y, ends, level=0.1).beaten_by == {"narrow": "right"}


def test_the_better_forecast_is_named_and_ties_are_not() -> None:
    r = np.random.default_rng(10)
    truth = r.normal(size=400)
    seen = truth + r.normal(size=400)
    tied = truth + 1e-3 * r.normal(size=400)
    found = scoring.compare_forecasts("squared_error", seen, {"zero": np.zeros(400), "truth": truth, "tied": tied})
    assert set(found.unbeaten) == {"truth", "tied"} and set(found.beaten_by) == {"zero"}
    assert found.best in found.sentence and "zero is worse by" in found.sentence
    assert found.differences["zero", "truth"].low > 0
    assert list(found.frame()["forecast"])[2] == "zero"
    same = scoring.compare_forecasts("squared_error", seen, {"a": truth, "b": truth})
    assert same.unbeaten == ("a", "b") or same.unbeaten == ("b", "a")


def test_a_forecast_of_an_infinite_score_is_not_ranked() -> None:
    found = scoring.compare_forecasts("log_score", [1, 0, 1], {"sure": [1.0, 1.0, 1.0], "half": [0.5, 0.5, 0.5]})
    assert found.best == "half" and found.not_ranked == {"sure": 1} and "infinite in 1 row." in found.sentence


@pytest.mark.parametrize("design", ["rows", "groups", "series", "short series"])
def test_intervals_of_paired_differences_cover(design: str) -> None:
    """Two forecasts that are equally good: their interval holds 0 in 19 of 20 samples; rows of a group, or neighbours, are alike."""
    r = np.random.default_rng(11)
    n, tables, wrong = 60 if design == "short series" else 240, 200, 0
    groups = np.repeat(np.arange(40), 6)
    for _ in range(tables):
        if "series" in design:
            noise = np.zeros(n)
            for t in range(1, n):
                noise[t] = 0.5 * noise[t - 1] + r.normal()
        else:
            noise = r.normal(size=n) + (1.5 * r.normal(size=40)[groups] if design == "groups" else 0)
        a = noise  # scores: squared errors of forecasts +1 and -1 of an observation differ by 4 times the noise
        more: dict[str, Any] = {"groups": groups} if design == "groups" else {"order": np.arange(n)} if "series" in design else {}
        found = scoring.compare_forecasts("squared_error", a, {"above": np.ones(n), "below": -np.ones(n)}, **more)
        wrong += not found.differences["above", "below"].low <= 0 <= found.differences["above", "below"].high
    assert wrong <= 0.05 * tables + 2 * np.sqrt(0.05 * 0.95 * tables)
