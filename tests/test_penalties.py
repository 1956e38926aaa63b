"""L1, elastic net, groups, bounds and factors: every fit meets the conditions of its minimum, and peers' numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import ElasticNet, enet_path
from sklearn.model_selection import KFold
from statsmodels.genmod.tests.results import glmnet_r_results

import matchloss as ml
from fits import problem
from matchloss.linear import LinearClassifier, LinearClassifierCV, LinearRegressor, LinearRegressorCV
from matchloss.linear.penalties import fit as penalised
from matchloss.report.pictures import path_chart

Array = NDArray[Any]
LOSSES = [ml.SquaredError(), ml.Poisson(), ml.Logistic(), ml.Gamma(), ml.Huber(1.0), ml.NegativeBinomial(size=2.0), ml.Tweedie(power=1.5)]


def slopes(model: Any, x: Array, y: Array, weight: Array | None = None, offset: Array | None = None) -> tuple[float, Array]:
    """The gradient of the mean loss in the intercept and in the coefficients, from the dense design."""
    raw = model.intercept_ + x @ model.coef_ + (0 if offset is None else offset)
    w = np.ones(len(x)) if weight is None else weight
    g = model.loss_.gradient(raw, y) * w / w.sum()
    return float(g.sum()), x.T @ g


def off(b: Array, g: Array, l1: Any, l2: Any, low: Any = -np.inf, high: Any = np.inf) -> Array:
    """How far each coefficient is from the minimum: the distance of 0 from the subgradient, in the box."""
    l1, l2, low, high = (np.broadcast_to(v, b.shape) for v in (l1, l2, low, high))
    made = np.empty(len(b))
    for j in range(len(b)):
        s = g[j] + l2[j] * b[j]
        least, most = (s - l1[j], s + l1[j]) if b[j] == 0 else (s + np.sign(b[j]) * l1[j],) * 2
        if b[j] <= low[j]:
            least = -np.inf
        if b[j] >= high[j]:
            most = np.inf
        made[j] = max(least, -most, 0.0)
    return made


@settings(max_examples=40, deadline=None)
@given(
    loss=st.sampled_from(LOSSES),
    seed=st.integers(0, 10_000),
    share=st.floats(0.01, 1.2),
    ratio=st.sampled_from([1.0, 0.5, 0.1]),
    shape=st.sampled_from([(60, 5), (200, 20), (40, 60)]),
    extras=st.sampled_from(["", "weights", "offset", "bounds", "factor", "no intercept"]),
)
def test_every_fit_is_a_minimum(loss: Any, seed: int, share: float, ratio: float, shape: tuple[int, int], extras: str) -> None:
    x, y = problem(loss, *shape, seed=seed)
    x = x / np.array([1.0, 50.0, *[1.0] * (shape[1] - 2)])
    r = np.random.default_rng(seed)
    weight = r.integers(0, 3, len(y)).astype(float) if extras == "weights" else None
    offset = 0.3 * r.normal(size=len(y)) if extras == "offset" else None
    null = LinearRegressor(loss, l2=1.0, fit_intercept=extras != "no intercept").fit(x[:, :1] * 0, y, weight, offset)
    null.coef_ = np.zeros(shape[1])
    top = float(np.abs(slopes(null, x, y, weight, offset)[1]).max())
    l1, l2 = share * top * ratio, share * top * (1 - ratio)
    factor = r.choice([0.5, 1.0, 2.0], shape[1]) if extras == "factor" else np.ones(shape[1])
    bounds = {"x0": (0.0, 0.1), 1: (None, 0.0), "x2": (0.05, None)} if extras == "bounds" else None
    given_factor = factor if extras == "factor" else None
    model = LinearRegressor(
        loss, l1=l1, l2=l2, penalty_factor=given_factor, bounds=bounds, fit_intercept=null.fit_intercept, max_passes=500
    )
    model.fit(x, y, weight, offset)
    low, high = np.full(shape[1], -np.inf), np.full(shape[1], np.inf)
    if bounds:
        low[[0, 2]], high[[0, 1]] = [0, 0.05], [0.1, 0]
    head, g = slopes(model, x, y, weight, offset)
    assert off(model.coef_, g, l1 * factor, l2 * factor, low, high).max() <= 3e-8
    assert not model.fit_intercept or abs(head) <= 3e-8
    assert model.kkt_residual_ <= 1e-8 and model.converged_
    assert ((model.coef_ >= low) & (model.coef_ <= high)).all()
    value = loss(model.intercept_ + x @ model.coef_ + (0 if offset is None else offset), y, weight)
    penalty = l1 * factor @ np.abs(model.coef_) + 0.5 * l2 * factor @ model.coef_**2
    np.testing.assert_allclose(model.objective_, value + penalty, rtol=1e-12)


@pytest.mark.parametrize("family", ["binomial", "poisson"])
@pytest.mark.parametrize("j", range(9))
def test_glmnet(family: str, j: int) -> None:
    """No intercept. The file has two decimals of R's data, so that only the first digit can agree; never is glmnet's objective lower."""
    ratio, alpha, *coef = getattr(glmnet_r_results, f"rslt_{family}_{j}")
    data = np.loadtxt(Path(glmnet_r_results.__file__).parent / f"enet_{family}.csv", delimiter=",")
    x, y, loss = data[:, 1:], data[:, 0], ml.get({"binomial": "logistic"}.get(family, family))
    model = LinearRegressor(loss, l1=alpha * ratio, l2=alpha * (1 - ratio), fit_intercept=False).fit(x, y)
    np.testing.assert_allclose(model.coef_, coef, atol=2.5e-2, rtol=0.1)

    def total(b: Any) -> float:
        return float(loss(x @ b, y) + alpha * (ratio * np.abs(b).sum() + (1 - ratio) / 2 * np.square(b).sum()))

    assert model.objective_ <= total(np.array(coef)) and np.isclose(model.objective_, total(model.coef_), rtol=1e-12)


def test_scikit_learns_elastic_net() -> None:
    r = np.random.default_rng(0)
    x = r.normal(size=(300, 12)) + 0.5 * r.normal(size=(300, 1))
    y = x[:, :3] @ [1.0, -2.0, 0.5] + r.normal(size=300)
    peer = ElasticNet(alpha=0.1, l1_ratio=0.7, tol=1e-14, max_iter=100_000).fit(x, y)
    model = LinearRegressor(l1=0.07, l2=0.03).fit(x, y)
    np.testing.assert_allclose(model.coef_, peer.coef_, atol=1e-9)
    path: Any = enet_path
    alphas, coefs, _ = path(x - x.mean(axis=0), y - y.mean(), l1_ratio=0.7, eps=1e-3, alphas=20, tol=1e-13, max_iter=100_000)
    found = LinearRegressorCV(l1_ratio=0.7, n_alphas=20).fit(x, y)
    np.testing.assert_allclose(found.alphas_, alphas, rtol=1e-9)
    np.testing.assert_allclose(found.coef_path_.T, coefs, atol=1e-7)
    assert not found.coef_path_[0].any() and found.coef_path_[1].any()
    assert found.kkt_residual_path_.max() <= 1e-8


def test_many_columns_by_working_sets() -> None:
    r = np.random.default_rng(1)
    far = np.append(np.zeros(699), 1e4)
    x = r.normal(size=(300, 700)) + far
    y = (x[:, :4] @ [2.0, -2, 1, 1] + r.logistic(size=300) > 0).astype(float)
    model = LinearRegressor("logistic", l1=0.03).fit(x, y)
    assert "working sets" in model.method_
    assert model.coef_[-1] == 0
    head, g = slopes(model, x - far, y)
    assert abs(head) < 3e-8 and off(model.coef_, g, 0.03, 0.0).max() < 3e-8
    assert 0 < np.count_nonzero(model.coef_) < 60


def test_levels_as_sparse_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """With thousands of levels, columns are taken one by one: the same minimum as by a Gram matrix."""
    r = np.random.default_rng(2)
    n = 2000
    frame = pl.DataFrame({"a": r.normal(size=n), "city": r.integers(0, 30, n).astype(str), "b": r.integers(0, 4, n).astype(str)})
    weight = r.integers(0, 3, n).astype(float)
    y = r.poisson(np.exp(0.3 * frame["a"].to_numpy() + 0.5 * (frame["city"] == "7").to_numpy())).astype(float)
    options: dict[str, Any] = {"l1": 0.004, "l2": 0.001, "bounds": {"b": (0, None)}}
    gram = LinearRegressor("poisson", **options).fit(frame, y, weight, offset=np.full(n, 0.1))
    monkeypatch.setattr(penalised, "GRAM_LIMIT", 5)
    sparse = LinearRegressor("poisson", **options).fit(frame, y, weight, offset=np.full(n, 0.1))
    assert gram.method_ == "proximal Newton" and "working sets" in sparse.method_
    np.testing.assert_allclose(sparse.coef_, gram.coef_, atol=1e-6)
    assert sparse.kkt_residual_ <= 1e-8


def test_groups_are_in_or_out_as_a_whole() -> None:
    r = np.random.default_rng(3)
    n = 1500
    frame = pl.DataFrame({"a": r.normal(size=n), "b": r.normal(size=n), "c": r.choice(list("uvw"), n), "d": r.choice(list("pqrs"), n)})
    y = r.poisson(np.exp(0.4 * (frame["c"] == "v").to_numpy() + 0.2 * frame["a"].to_numpy())).astype(float)
    dense = np.column_stack(
        [frame["a"], frame["b"], *(frame[c].to_numpy() == level for c, levels in (("c", "uvw"), ("d", "pqrs")) for level in levels)]
    ).astype(float)
    places = {"ab": [0, 1], "c": [2, 3, 4], "d": [5, 6, 7, 8]}
    for l1 in (0.005, 0.03, 0.08):
        model = LinearRegressor("poisson", l1=l1, groups={"ab": ["a", "b"], "c": "c", "d": ["d"]}).fit(frame, y)
        raw = np.log(model.predict(frame))
        g = dense.T @ (np.exp(raw) - y) / n
        kept = {"ab": model.coef_[:2], "c": model.coef_[2:4], "d": model.coef_[4:]}
        assert model.kkt_residual_ <= 1e-8
        for name, index in places.items():
            pull = l1 * np.sqrt(len(index))
            if kept[name].any():  # the gradient of a group that is in has the norm of its weight, against the group
                np.testing.assert_allclose(np.linalg.norm(g[index]), pull, rtol=1e-5)
            else:
                assert np.linalg.norm(g[index]) <= pull + 1e-8
    assert not model.coef_[4:].any()
    again = LinearRegressor("poisson", l1=0.03, groups="categories").fit(frame, y)
    relevelled = frame.with_columns(pl.col("c").cast(pl.Enum(["v", "w", "u"])))
    other = LinearRegressor("poisson", l1=0.03, groups="categories").fit(relevelled, y)
    np.testing.assert_allclose(other.predict(relevelled), again.predict(frame), rtol=1e-6)  # no level is the reference to a group


def test_cross_validation() -> None:
    r = np.random.default_rng(4)
    x = r.normal(size=(240, 8))
    y = r.poisson(np.exp(0.5 * x[:, 0] + 0.3)).astype(float)
    least, sparse = (LinearRegressorCV("poisson", rule=rule, n_alphas=20, cv=KFold(4)).fit(x, y) for rule in ("min", "1se"))
    assert least.mean_loss_path_[least.best_index_] == least.mean_loss_path_.min()
    cut = least.mean_loss_path_.min() + least.loss_error_path_[least.best_index_]
    assert sparse.alpha_ == least.alphas_[least.mean_loss_path_ <= cut].max() >= least.alpha_
    np.testing.assert_allclose(sparse.coef_, sparse.coef_path_[sparse.best_index_])
    by_hand = []
    for train, test in KFold(4).split(x):
        model = LinearRegressor("poisson", l1=0.5 * sparse.alpha_, l2=0.5 * sparse.alpha_).fit(x[train], y[train])
        by_hand.append(ml.Poisson()(np.log(model.predict(x[test])), y[test]))
    np.testing.assert_allclose(sparse.loss_path_[sparse.best_index_], by_hand, rtol=1e-7)
    assert (least.l1, least.l2) == (0.5 * least.alpha_, 0.5 * least.alpha_)
    copied: Any = clone(sparse)
    np.testing.assert_allclose(copied.fit(x, y).coef_, sparse.coef_)
    picture = path_chart(sparse.alphas_, sparse.coef_path_, [str(name) for name in sparse.coef_names_], sparse.alpha_).to_dict()
    assert picture["description"] == "Coefficients along a path of penalties"
    labels = np.where(x[:, 1] + r.logistic(size=240) > 0, "yes", "no")
    classifier = LinearClassifierCV(n_alphas=10, l1_ratio=1.0).fit(x, labels)
    assert classifier.score(x, labels) > 0.6 and classifier.predict_proba(x).shape == (240, 2)
    ridge = LinearRegressorCV(l1_ratio=0.0, n_alphas=5).fit(x, y)
    assert ridge.coef_path_.all()
    fixed = LinearRegressorCV(alphas=[0.1, 1.0]).fit(x, y)
    assert fixed.alphas_.tolist() == [1.0, 0.1]


def test_a_column_without_a_penalty_is_never_left_out() -> None:
    x, y = problem(ml.SquaredError(), 100, 4)
    found = LinearRegressorCV(penalty_factor={"x0": 0.0}, n_alphas=5).fit(x, y)
    assert found.coef_path_[:, 0].all() and not found.coef_path_[0, 1:].any()


def test_predictions_and_files_of_a_penalised_model(tmp_path: Path) -> None:
    x, y = problem(ml.Poisson(), 200, 6)
    model = LinearRegressor("poisson", l1=0.05, bounds={"x0": (0, None)}).fit(x, y)
    model.save(tmp_path / "m.json")
    again = ml.linear.load(tmp_path / "m.json")  # pyright: ignore[reportAttributeAccessIssue]
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    assert "l1 = 0.05" in str(model.summary_)


def test_refusals() -> None:
    x, y = problem(ml.Poisson(), 60, 3)
    frame = pl.DataFrame({"a": x[:, 0], "c": ["u", "v", "w"] * 20})
    cases: list[tuple[dict[str, Any], Any, str]] = [
        ({"l1": -1.0}, x, "l1 is -1.0"),
        ({"l1": np.nan}, x, "l1 is nan"),
        ({"l1": 0.1, "method": "newton"}, x, "is for a ridge or no penalty"),
        ({"bounds": {"x9": (0, 1)}}, x, "bounds names 'x9'"),
        ({"bounds": {"x0": (1, 0)}}, x, "no value lies between"),
        ({"bounds": {"x0": 3}}, x, "allowed: \\(low, high\\)"),
        ({"bounds": {"x0": (np.nan, 1)}}, x, "no value lies between"),
        ({"l1": 0.1, "penalty_factor": {"x0": -1}}, x, "a factor is finite"),
        ({"l1": 0.1, "penalty_factor": [1.0]}, x, "penalty_factor has shape"),
        ({"l1": 0.1, "groups": {"g": ["a", "c"], "h": ["c"]}}, frame, "groups overlap: column 'c'"),
        ({"l1": 0.1, "groups": {"g": ["z"]}}, frame, "names 'z'"),
        ({"l1": 0.1, "groups": {"g": []}}, frame, "has no column"),
        ({"l1": 0.1, "groups": ["a"]}, frame, "groups is"),
        ({"l1": 0.1, "groups": {"g": ["a"]}, "bounds": {"a": (0, 1)}}, frame, "bounds and groups"),
    ]
    for options, table, said in cases:
        with pytest.raises(ValueError, match=said):
            LinearRegressor("poisson", **options).fit(table, y)
    for loss, said in ((ml.Pinball(0.5), "without kinks"), (ml.InverseGaussian(), "convex")):
        with pytest.raises(ValueError, match=said):
            LinearRegressor(loss, l1=0.1).fit(x, y + 1)
    with pytest.raises(ValueError, match="one raw prediction a row"):
        LinearClassifier(l1=0.1).fit(x, np.arange(60) % 3)
    with pytest.raises(ValueError, match="Is the target constant"):
        LinearRegressorCV().fit(x, np.ones(60))
    searches: list[tuple[dict[str, Any], str]] = [
        ({"rule": "best"}, "rule is"),
        ({"l1_ratio": 2}, "l1_ratio is"),
        ({"n_alphas": 0}, "n_alphas is"),
        ({"cv": 1}, "cv is 1"),
        ({"alphas": [-1]}, "alphas is"),
    ]
    for options, said in searches:
        with pytest.raises(ValueError, match=said):
            LinearRegressorCV("poisson", **options).fit(x, y)
    with pytest.raises(ValueError, match="selects columns"):
        model = LinearRegressor("poisson", l1=0.01).fit(x, y)
        model.inference(x, y)


def test_a_path_by_a_sample_ends_where_one_by_all_rows_does(monkeypatch: pytest.MonkeyPatch) -> None:
    r = np.random.default_rng(1)
    n = 3000
    frame = pl.DataFrame({"a": r.normal(size=n), "b": r.normal(size=n), "c": r.choice(list("uvw"), n, p=[0.7, 0.298, 0.002])})
    y = r.poisson(np.exp(0.8 * (frame["c"] == "v").to_numpy() + 0.5 * frame["a"].to_numpy())).astype(float)
    paths = []
    for least in (n + 1, n):
        monkeypatch.setattr(penalised, "SAMPLE_FROM", least)
        model = LinearRegressorCV("poisson", n_alphas=5, l1_ratio=0.9, tol=1e-9, cv=2).fit(frame, y)
        assert model.kkt_residual_path_.max() <= 1e-9
        paths.append(model.coef_path_)
        one = LinearRegressor("poisson", l1=0.01, l2=0.001, tol=1e-9).fit(frame, y)
        assert one.kkt_residual_ <= 1e-9
        paths.append(one.coef_)
    np.testing.assert_allclose(paths[2], paths[0], atol=1e-6)
    np.testing.assert_allclose(paths[3], paths[1], atol=1e-6)
