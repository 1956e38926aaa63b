"""Group lasso: adelie's coefficients, and the conditions of a minimum in more digits than ours."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes

import matchloss as ml
import matchloss.linear.penalties.fit as penalised
from matchloss.linear import LinearClassifier, LinearRegressor
from matchloss.linear.objective import Objective
from matchloss.linear.penalties.sample import Sample

Array = NDArray[Any]
GROUPS = {"body": ["age", "bp"], "bmi": "bmi", "lipids": ["s1", "s2", "s3"], "more": ["s4", "s5"]}
SIZES = (2, 3, 3, 2, 1)  # with all levels of bmi; s6 stands alone
# adelie 1.1.52, grpnet with tol=1e-16, irls_tol=1e-14 and one-hot columns: intercept, age, bp, the levels of bmi, s1 to s6. The last number
# is the largest distance of its gradient from optimal.
ADELIE: dict[tuple[str, float], tuple[list[float], float]] = {
    ("squared_error", 20.0): ([152.1334841628959, 0, 0, 0, 0, 0, 0, 0, 0, 9.1031570209, 14.159901351, 0], 1e-12),
    ("squared_error", 5.0): (
        [152.44433618873887, 0.59199838943, 12.856677983, -3.4930316924, -1.0759635448, 4.5689952372, -1.2389292113, -1.0038010131,
         -2.5974317122, 9.5837325339, 22.920556789, 3.4723828633], 2.1e-8),
    ("squared_error", 0.5): (
        [153.7543700333398, -0.49080033409, 15.010246119, -21.158541773, -5.051309217, 26.20985099, -6.5910301025, -0.51106889687,
         -6.8375023679, 3.0544984879, 26.771682365, 3.3629041708], 5.4e-8),
    ("logistic", 0.1): (
        [0.003938292322418576, 0.0026610790153, 0.0081133476411, 0, 0, 0, 0, 0, 0, 0.21739952427, 0.354833207, 0], 2e-10),
    ("logistic", 0.03): (
        [0.015731093234883527, 0.027566140542, 0.32925552398, -0.048021051911, 0.00016661615389, 0.047854435757, -0.045256494209,
         -0.037842919744, -0.1016172865, 0.24959939441, 0.63465797103, 0], 5e-11),
    ("logistic", 0.005): (
        [0.044312224088825916, 0.0028270020746, 0.43481553011, -0.64397108686, -0.013390837381, 0.65736192424, -0.16422071417,
         -0.084962169009, -0.27887843805, 0.057236960306, 0.82475588486, 0], 1.4e-9),
    ("poisson", 20.0): ([5.015509137962529, 0, 0, 0, 0, 0, 0, 0, 0, 0.058026838875, 0.091051194601, 0], 1e-11),
    ("poisson", 5.0): (
        [4.991557451322874, 0.0066364792539, 0.083623822899, -0.026472145725, -0.0046116445174, 0.031083790243, -0.0079702908845,
         -0.0038790332115, -0.01894804229, 0.056985675155, 0.1445753819, 0.022423552495], 1.2e-8),
    ("poisson", 0.5): (
        [4.9740413178874485, -0.001789695888, 0.093488261092, -0.15501717227, -0.0026385390393, 0.15765571131, -0.087055313743,
         0.064185337652, -0.064666824039, -0.023148891405, 0.19617518864, 0.020066799827], 3e-7),
}  # fmt: skip


def diabetes() -> tuple[pl.DataFrame, Array, Array]:
    """442 patients, whose body mass index is one of three levels; the one-hot columns in the order of ADELIE; and the target."""
    data: Any = load_diabetes()
    x, bmi = data.data * np.sqrt(442), np.digitize(data.data[:, 2], [-0.03, 0.03])
    columns = {"age": x[:, 0], "bp": x[:, 3], "bmi": pl.Series(bmi).cast(pl.String), **{f"s{k}": x[:, 3 + k] for k in range(1, 7)}}
    hot = np.column_stack([x[:, [0, 3]], np.eye(3)[bmi], x[:, 4:]])
    return pl.DataFrame(columns), hot, data.target


def targets(name: str, y: Array) -> Array:
    return (y > 140).astype(float) if name == "logistic" else np.round(y) if name == "poisson" else y


def whole(name: str, l1: float, model: Any) -> Array:
    """The intercept and the coefficients of all levels: those of a category sum to 0 at the minimum, as its gradients do."""
    b = model.coef_
    levels = np.array([0.0, b[2], b[3]])
    return np.array([model.intercept_ + levels.mean(), b[0], b[1], *(levels - levels.mean()), *b[4:]])


@pytest.mark.parametrize(("name", "l1"), ADELIE)
def test_adelie(name: str, l1: float) -> None:
    frame, hot, y = diabetes()
    y, loss = targets(name, y), ml.get(name)
    given, off = ADELIE[name, l1]
    model = LinearRegressor(loss, l1=l1, groups=GROUPS, tol=1e-10).fit(frame, y)
    ours, theirs = whole(name, l1, model), np.array(given)
    np.testing.assert_array_equal(ours[1:] != 0, theirs[1:] != 0)
    curve = 1.0 if name == "squared_error" else float(loss.hessian(np.zeros(1) if name == "logistic" else np.log([y.mean()]), y[:1])[0])
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9 + 500 * off / curve)

    def objective(b: Array) -> float:
        parts = np.split(b[1:], np.cumsum(SIZES)[:-1])
        return float(loss(b[0] + hot @ b[1:], y)) + l1 * sum(np.sqrt(len(part)) * np.linalg.norm(part) for part in parts)

    assert model.objective_ == pytest.approx(objective(ours), rel=1e-13)
    assert -1e-13 <= (objective(theirs) - model.objective_) / abs(model.objective_) <= 1e-11


@pytest.mark.parametrize(("name", "l1"), [("squared_error", 5.0), ("logistic", 0.03), ("poisson", 0.5)])
def test_it_is_the_minimum_in_forty_digits(name: str, l1: float) -> None:
    """The gradient of each group, summed exactly, is its weight times the group's direction, or shorter where the group is 0."""
    frame, hot, y = diabetes()
    y = targets(name, y)
    b = whole(name, l1, LinearRegressor(name, l1=l1, groups=GROUPS, tol=1e-10).fit(frame, y))
    with mpmath.workdps(40):
        mean = {"squared_error": lambda z: z, "logistic": lambda z: 1 / (1 + mpmath.exp(-z)), "poisson": mpmath.exp}[name]
        rows: Any = [[mpmath.mpf(1), *map(mpmath.mpf, row.tolist())] for row in hot]
        theta = [mpmath.mpf(v) for v in b.tolist()]
        error = [mean(mpmath.fdot(row, theta)) - mpmath.mpf(t) for row, t in zip(rows, y.tolist(), strict=True)]
        slope = [mpmath.fdot(error, [row[j] for row in rows]) / len(y) for j in range(12)]
        worst, at = abs(slope[0]), 1
        for size in SIZES:
            part, g, weight = theta[at : at + size], slope[at : at + size], l1 * mpmath.sqrt(size)
            norm = mpmath.sqrt(mpmath.fdot(part, part))
            if norm:
                worst = max(worst, *(abs(a + weight * c / norm) for a, c in zip(g, part, strict=True)))
            else:
                worst = max(worst, mpmath.sqrt(mpmath.fdot(g, g)) - weight)
            at += size
        assert worst <= 2e-10


def test_groups_of_several_classes_are_refused_by_name() -> None:
    frame, _, y = diabetes()
    classes = np.digitize(y, [100, 200])
    refused: list[dict[str, Any]] = [
        {"l1": 0.1, "groups": GROUPS},
        {"l1": 0.1},
        {"bounds": {"age": (0, None)}},
        {"penalty_factor": {"age": 2}},
    ]
    for options in refused:
        with pytest.raises(ValueError, match="groups and bounds are there for one raw prediction a row; cross_entropy of three classes"):
            LinearClassifier(**options).fit(frame, classes)
    two = LinearClassifier(l1=0.03, groups=GROUPS).fit(frame, np.where(y > 140, "ill", "well"))
    np.testing.assert_allclose(
        whole("", 0, LinearRegressor("logistic", l1=0.03, groups=GROUPS).fit(frame, (y <= 140) * 1.0))[1:3], two.coef_[0, :2], atol=1e-7
    )


@pytest.mark.parametrize("fails", [False, True])
def test_a_sample_of_the_rows_spares_hessians_and_changes_nothing_else(fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where no step by the sample succeeds."""
    r = np.random.default_rng(0)
    n, hessians = 3000, []
    frame = pl.DataFrame({"a": r.normal(size=n), "c": r.choice(list("uvw"), n), "d": r.choice(list("pqrs"), n)})
    y = r.poisson(np.exp(0.8 * (frame["c"] == "v").to_numpy() + 0.5 * frame["a"].to_numpy())).astype(float)
    measure = Objective.measure

    def counted(f: Objective, theta: Array, log: Any, second: Any = "none") -> Any:
        if second == "hessian" and f.rows.n == n:
            hessians.append(theta)
        return measure(f, theta, log, second)

    def fit(l1: float) -> Any:
        hessians.clear()
        return LinearRegressor("poisson", l1=l1, groups={"a": "a", "c": "c", "d": "d"}, tol=1e-10).fit(frame, y)

    monkeypatch.setattr(Objective, "measure", counted)
    if fails:
        monkeypatch.setattr(Sample, "corrected", lambda *given: None)
    for l1 in (0.3, 0.02, 0.001):
        monkeypatch.setattr(penalised, "SAMPLE_FROM", n + 1)
        plain = fit(l1)
        monkeypatch.setattr(penalised, "SAMPLE_FROM", n)
        model = fit(l1)
        assert model.kkt_residual_ <= 1e-10
        assert fails or len(hessians) == 1
        np.testing.assert_allclose(model.coef_, plain.coef_, atol=1e-8)
