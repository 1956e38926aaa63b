"""Verdicts: what differences of scores say, in numbers and in words; and by simulation, how often they are wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from matchloss.comparison import compare, sentences
from matchloss.comparison.verdicts import Standing, decide
from matchloss.scoring.ranking import Difference

N = 600
r = np.random.default_rng(8)
FOLDS = np.stack([r.permutation(N) % 5 for _ in range(5)])
BASE = r.chisquare(1, N)
NOISE = r.normal(size=(3, N))


def stand(*scores: np.ndarray, constant: float = 3.0) -> Standing:
    """How losses a, b, ... with these scores of rows stand, the same in all repeats."""
    every = np.broadcast_to(np.stack(scores, axis=-1), (5, N, len(scores)))
    return decide("abcd"[: len(scores)], every, np.broadcast_to(constant * BASE, (5, N)), FOLDS)


def test_each_loss_is_in_one_of_three_and_shares_are_of_the_best() -> None:
    found = stand(BASE, BASE + 0.2 * (NOISE[0] - NOISE[0].mean()) + 0.005, BASE + 2 * (NOISE[1] - NOISE[1].mean()) + 0.05, 1.5 * BASE)
    assert found.best == "a" and set(found.as_good) == {"b"} and set(found.undecided) == {"c"} and set(found.worse) == {"d"}
    difference, low, high = found.shares(found.worse["d"])
    assert difference == pytest.approx(0.5) and 0 < low < 0.5 < high and not found.hardly("d") and not found.alone


def test_a_small_and_certain_difference_is_hardly_worse() -> None:
    found = stand(BASE, 1.02 * BASE)
    assert found.hardly("b") and found.alone
    said = sentences.verdict("the mean", "squared error", found, {}, sentences.Remarks())
    assert said.startswith("For the mean, by squared error: a. b is hardly worse, by 2.0 % (95 % interval ")


def test_what_solvers_leave_is_no_difference() -> None:
    assert set(stand(BASE, BASE).as_good) == {"b"}
    assert set(stand(BASE, BASE * (1 + 1e-6)).as_good) == {"b"}


def test_no_better_than_a_constant_is_the_verdict() -> None:
    found = stand(BASE + 0.1 * NOISE[0], 1.5 * BASE, constant=1.0)
    assert found.best is None and not (found.worse or found.as_good or found.undecided) and set(found.from_constant) == {"a", "b"}
    said = sentences.verdict("the mean", "squared error", found, {}, sentences.Remarks())
    assert said.startswith("For the mean: no loss does better than the best constant. a has a squared error of ")


def test_an_infinite_score_is_not_ranked() -> None:
    infinite = BASE.copy()
    infinite[3] = np.inf
    found = stand(BASE, infinite)
    assert found.best == "a" and "b" not in found.means
    only = decide(["b"], np.broadcast_to(infinite[:, None], (5, N, 1)), np.broadcast_to(BASE, (5, N)), FOLDS)
    assert only.best is None and sentences.verdict("the mean", "log", only, {"b": "it is"}, sentences.Remarks()) == (
        "For the mean: no verdict, since no loss here can be ranked. b is not ranked: it is."
    )


def test_few_rows_that_carry_a_difference_are_counted() -> None:
    spike = BASE.copy()
    spike[:3] += 400
    said = sentences.verdict("the mean", "squared error", stand(BASE, spike), {}, sentences.Remarks(of={"b": "predicts y below 0"}))
    assert "The data cannot tell b from it" in said and "; 3 rows decide this), although b predicts y below 0." in said


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ((0.003, -0.001, 0.007), ("0.3", "-0.1", "0.7")),
        ((0.12, 0.09, 0.15), ("12", "9", "15")),
        ((25.0, 11.0, 40.0), ("2,500", "1,100", "4,000")),
        ((0.0, 0.0, 0.0), ("0", "0", "0")),
        ((np.nan, -np.inf, np.inf), ("unknown", "-inf", "inf")),
    ],
)
def test_percents_have_as_many_decimals_as_they_are_worth(shares: tuple[float, float, float], said: tuple[str, str, str]) -> None:
    assert sentences.percents(shares) == said


def test_another_score_is_heard_where_it_contradicts() -> None:
    pair = Difference(0.2, 0.1, 0.3, 500.0)
    other = Standing({"a": 1.2, "b": 1.0}, 2.0, "b", {}, worse={"a": pair}, by={"a": "b"})
    assert sentences.otherwise("log", other, "a", {}) == "By log score, though, b does better: a is worse by 20 % (10 to 30)."
    assert sentences.otherwise("log", other, None, {}) == "By log score, though, b does better than a constant."
    assert sentences.otherwise("log", other, "b", {}) == ""
    assert "b: a is not ranked by it (too wild)" in sentences.otherwise("log", Standing({"b": 1.0}, 2.0, "b", {}), "a", {"a": "too wild"})


def test_a_kind_of_model_that_the_data_cannot_tell_is_one_clause():
    near, far = Difference(0.1, -0.1, 0.3, 100), Difference(0.2, -0.1, 0.4, 12)
    standing = Standing({"linear:a": 1.0, "trees:a": 1.1, "trees:b": 1.2}, 2.0, "linear:a", {}, undecided={"trees:a": near, "trees:b": far})
    kinds = {name: name.split(":")[0] for name in standing.means}
    said = sentences.verdict("the mean", "squared error", standing, {}, sentences.Remarks(kinds=kinds))
    assert said == (
        "For the mean, by squared error: linear:a. The data cannot tell any tree model from it "
        "(the nearest, trees:a: difference 10 %, 95 % interval -10 to 30)."
    )
    assert "tell trees:b from it" in sentences.verdict("the mean", "squared error", standing, {}, sentences.Remarks())


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_units_of_target_and_columns_do_not_matter(unit: float) -> None:
    """Amounts whose log mean is linear: a loss with a log link fits, in whatever units target and column come."""
    draw = np.random.default_rng(2)
    x = draw.uniform(-2, 2, 800)
    y = np.exp(x) * draw.gamma(8, 1 / 8, 800)
    for table in (pd.DataFrame({"x": x, "y": unit * y}), pd.DataFrame({"x": unit * x, "y": y})):
        verdict = compare(table, "y", losses="squared_error,poisson,gamma").verdicts[0]
        assert verdict.best in ("poisson", "gamma") and "squared_error" in verdict.worse, verdict.sentence


def test_shares_and_amounts_with_zeros_get_losses_that_keep_to_them() -> None:
    draw = np.random.default_rng(3)
    x = draw.uniform(-2, 2, 800)
    share = 1 / (1 + np.exp(-2 * x + 0.3 * draw.normal(size=800)))
    verdict = compare(pd.DataFrame({"x": x, "y": share}), "y").verdicts[0]
    assert verdict.best == "logistic" and "predicts y outside 0 to 1 in " in verdict.sentence
    amount = np.where(draw.random(800) < 0.3, 0.0, np.exp(x) * draw.gamma(8, 1 / 8, 800))
    verdict = compare(pd.DataFrame({"x": x, "y": amount}), "y").verdicts[0]
    assert verdict.best in ("poisson", "tweedie") and "gamma" not in verdict.not_ranked


@pytest.mark.exhaustive
def test_simulated_verdicts_are_seldom_wrong() -> None:
    from benchmarks import verdicts

    assert all(line.measured <= 15 for line in verdicts.exact_ties(20).lines)
    *intervals, wrong = verdicts.whole_verdicts(6).lines
    assert all(line.met for line in intervals) and wrong.measured == 0
    assert verdicts.power(20).lines[0].measured >= 75
    assert verdicts.steadiness(2, times=3).lines[0].measured == 0
