"""Scores on predictions: known values, propriety, exactness at the edges, and every kind of bad input."""

import numpy as np
import pytest
from sklearn import metrics

from matchloss import scoring
from matchloss.errors import DomainError, ShapeError


def mean(rule):
    """The (weighted) mean of a score, as a rule of its own."""

    def of(obs, fct, sample_weight=None, **parameters):
        return rule(obs, fct, sample_weight=sample_weight, reduction="mean", **parameters)

    return of


LABEL_RULES = [scoring.log_score, scoring.brier_score, scoring.spherical_score]
NUMBER_RULES = [scoring.squared_error, scoring.absolute_error, scoring.pinball]
rng = np.random.default_rng(0)


def test_numbers_agree_with_scikit_learn():
    y, p, w = rng.normal(size=50), rng.normal(size=50), rng.uniform(size=50)
    assert np.isclose(mean(scoring.squared_error)(y, p, w), metrics.mean_squared_error(y, p, sample_weight=w))
    assert np.isclose(mean(scoring.absolute_error)(y, p, w), metrics.mean_absolute_error(y, p, sample_weight=w))
    assert np.isclose(mean(scoring.pinball)(y, p, w, alpha=0.3), metrics.mean_pinball_loss(y, p, sample_weight=w, alpha=0.3))
    n, mu = rng.poisson(2.0, size=50), rng.uniform(0.1, 5, size=50)
    assert np.isclose(mean(scoring.poisson_deviance)(n, mu, w), metrics.mean_poisson_deviance(n, mu, sample_weight=w))


def test_labels_agree_with_scikit_learn():
    y, p, w = rng.integers(0, 2, size=50), rng.uniform(size=50), rng.uniform(size=50)
    assert np.isclose(mean(scoring.log_score)(y, p, w), metrics.log_loss(y, p, sample_weight=w))
    assert np.isclose(mean(scoring.brier_score)(y, p, w), metrics.brier_score_loss(y, p, sample_weight=w))
    labels, q = rng.integers(0, 4, size=50), rng.dirichlet(np.ones(4), size=50)
    assert np.isclose(mean(scoring.log_score)(labels, q), metrics.log_loss(labels, q, labels=range(4)))
    assert np.isclose(mean(scoring.spherical_score)(labels, q), np.mean(1 - q[np.arange(50), labels] / np.linalg.norm(q, axis=1)))


@pytest.mark.parametrize("rule", LABEL_RULES)
def test_two_labels_in_either_shape_are_one_score(rule):
    y, p = rng.uniform(size=20), rng.uniform(size=20)
    both = np.stack([1 - p, p], axis=1)
    assert np.isclose(mean(rule)(y, p), mean(rule)(np.stack([1 - y, y], axis=1), both), rtol=1e-14)
    label = rng.integers(0, 2, size=20)
    assert np.allclose(rule(label, p), rule(label, both), rtol=1e-15)


@pytest.mark.parametrize("rule", LABEL_RULES)
def test_S7_label_scores_are_linear_in_the_target_and_strictly_proper(rule):
    truth, other = rng.dirichlet(np.ones(5), size=(2, 30))
    by_label = sum(truth[:, k] * rule(np.full(30, k), other) for k in range(5))
    assert np.allclose(rule(truth, other), by_label, rtol=1e-13)
    assert (rule(truth, truth) < rule(truth, other)).all()


def test_exact_at_the_edges():
    assert mean(scoring.log_score)([0, 1], [0.0, 1.0]) == 0.0
    assert mean(scoring.log_score)([[0.0, 1.0, 0.0]], [[0.0, 1.0, 0.0]]) == 0.0
    with pytest.warns(UserWarning, match="1 of 1 rows"):
        assert scoring.log_score([2], [[0.5, 0.5, 0.0]]) == np.inf
    assert mean(scoring.log_score)([1], [1e-300]) == -np.log(1e-300)
    assert mean(scoring.log_score)([0, 0], [1e-17, 1e-300]) == 5e-18
    assert mean(scoring.log_score)([0], [[1.0, 1e-17]]) == mean(scoring.log_score)([1], [[5e-18, 1.0, 5e-18]]) == 1e-17
    assert mean(scoring.log_score)([0], [[0.7, 0.2999999]]) == -np.log(0.7)  # a rounded row: the formula, not the rest
    assert mean(scoring.log_score)([0], [1e-9]) == pytest.approx(1e-9 + 5e-19, rel=1e-15)
    assert mean(scoring.log_score)(np.float16([0, 1]), np.float16([0.25, 0.5])) == pytest.approx((np.log(4 / 3) + np.log(2)) / 2)
    assert mean(scoring.brier_score)([1], [1 - 1e-9]) == pytest.approx(1e-18, rel=1e-6)
    assert mean(scoring.spherical_score)([0, 0], [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]) == 0.5
    assert mean(scoring.poisson_deviance)([0.0], [0.0]) == 0.0
    assert mean(scoring.poisson_deviance)([1.0], [0.0]) == np.inf


@pytest.mark.parametrize("rule", NUMBER_RULES + LABEL_RULES + [scoring.poisson_deviance])
def test_weights_are_repeated_rows_and_rows_of_weight_0_are_not_looked_at(rule):
    y, p = rng.integers(0, 2, size=20), rng.uniform(size=20)
    w = rng.integers(1, 4, size=20)
    assert np.isclose(mean(rule)(y, p, w), mean(rule)(np.repeat(y, w), np.repeat(p, w)), rtol=1e-14)
    assert np.isclose(mean(rule)(y, p), rule(y, p).mean())
    spoilt, dead = np.append(p, np.nan), np.append(np.ones(20), 0)
    assert np.isclose(mean(rule)(np.append(y, 1), spoilt, dead), mean(rule)(y, p), rtol=1e-14)


@pytest.mark.parametrize(
    ("rule", "target", "prediction", "says"),
    [
        (scoring.log_score, [0, 1], [0.5, 1.5], r"fct\[1\] is 1.5; allowed: \[0, 1\]"),
        (scoring.log_score, [0, 2], [0.5, 0.5], r"obs\[1\] is 2; allowed: \[0, 1\]"),
        (scoring.brier_score, [0, 3], [[0.5, 0.5], [0.5, 0.5]], r"obs\[1\] is 3; allowed: labels 0\.\.1"),
        (scoring.spherical_score, [0], [[0.5, 0.6]], r"fct\[0\] sums to 1.1; allowed: probabilities that sum to 1 within"),
        (scoring.log_score, [[0.5, 0.6]], [[0.5, 0.5]], r"obs\[0\] sums to 1.1; allowed"),
        (scoring.log_score, [0], [[np.nan, 0.5]], r"fct\[0, 0\] is nan; allowed: probabilities"),
        (scoring.squared_error, [np.nan], [0.0], r"obs\[0\] is nan; allowed: \(-inf, inf\)"),
        (scoring.absolute_error, [0.0], [np.inf], r"fct\[0\] is inf; allowed"),
        (scoring.poisson_deviance, [-1.0], [1.0], r"obs\[0\] is -1.0; allowed: \[0, inf\)"),
        (scoring.poisson_deviance, [1.0], [-1.0], r"fct\[0\] is -1.0; allowed: \[0, inf\)"),
    ],
)
def test_values_outside_the_allowed_set_are_named(rule, target, prediction, says):
    with pytest.raises(DomainError, match=says):
        rule(target, prediction)


@pytest.mark.parametrize("rule", NUMBER_RULES + LABEL_RULES + [scoring.poisson_deviance])
def test_shapes_and_types(rule):
    for target, prediction in (([1, 0, 1], [0.5, 0.5]), ([], [])):
        with pytest.raises(ShapeError):
            mean(rule)(target, prediction)
    with pytest.raises(ShapeError):
        rule([1, 0], [0.5, 0.5], sample_weight=[1.0])
    with pytest.raises(TypeError, match="dtype <U1"):
        rule([1, 0], ["a", "b"])
    with pytest.raises(DomainError, match=r"sample_weight\[1\] is -1"):
        rule([1, 0], [0.5, 0.5], sample_weight=[1, -1])
    with pytest.raises(ShapeError, match="no row of positive weight"):
        mean(rule)([1, 0], [0.5, 0.5], sample_weight=[0, 0])


def test_other_bad_arguments():
    with pytest.raises(DomainError, match="alpha"):
        mean(scoring.pinball)([1.0], [1.0], alpha=1.0)
    with pytest.raises(TypeError, match="integers"):
        mean(scoring.log_score)([0.0, 1.0], [[0.5, 0.5], [0.5, 0.5]])
    with pytest.raises(ShapeError, match="labels"):
        mean(scoring.log_score)([0], [[1.0]])
