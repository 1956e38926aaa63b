"""Objectives of boosters: what people published with an error is told by the right check; controls and our own are not accused."""

from __future__ import annotations

import contextlib
import importlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import matchloss as ml
from audited import objectives as made
from audited.objectives import PUBLISHED, SOUND
from command import matchloss
from matchloss.audit import Report, audit
from matchloss.audit.calling.calls import silence
from matchloss.audit.calling.objectives import NotOne, boosted_of


def audited(fn: Any, **given: Any) -> Report:
    return audit(fn, isolate=False, **given)


def errors(report: Report) -> list[tuple[str, str]]:
    return [(f.check, f.message) for f in report.of("error")]


@pytest.mark.parametrize("fn", PUBLISHED, ids=lambda fn: fn.__name__)
def test_an_objective_published_with_an_error_is_told_by_the_right_check(fn: Any) -> None:
    report = audited(fn)
    assert report.outcome == "broken" and PUBLISHED[fn] in {check for check, _ in errors(report)}
    assert not [c for c in report.checks if c.status == "crashed"]


@pytest.mark.parametrize("fn", SOUND, ids=lambda fn: fn.__name__)
def test_a_sound_objective_is_not_accused(fn: Any) -> None:
    report = audited(fn)
    assert report.outcome == "sound" and report.convention is not None and report.convention.objective, report
    warned = {"unweighted_squared", "softmax_xgboost", "softmax_lightgbm", "pinball"}  # they ignore weights, where they are given any
    assert {f.check for f in report.of("warning")} <= ({"weights"} if fn.__name__ in warned else set())
    assert not [c for c in report.checks if c.status == "crashed"]


CATALOGUE = [
    ml.SquaredError(), ml.Logistic(), ml.Poisson(), ml.Gamma(), ml.Tweedie(), ml.Huber(), ml.Expectile(0.3), ml.CrossEntropy(), ml.Focal(),
    ml.NegativeBinomial(),
]  # fmt: skip


@pytest.mark.parametrize("host", ["xgboost", "lightgbm", "catboost"])
@pytest.mark.parametrize("loss", CATALOGUE, ids=repr)
def test_our_own_objectives_are_not_accused_and_have_the_metric_of_their_loss(loss: ml.Loss, host: str) -> None:
    room = importlib.import_module(f"matchloss.{host}")
    report = audited(room.objective(loss), metric=room.metric(loss))
    assert report.convention is not None and report.convention.host == host
    assert report.outcome == "sound" and not report.of("warning"), report
    assert not [c for c in report.checks if c.status == "crashed"]


def test_each_shape_is_called_as_its_host_does() -> None:
    shapes = {
        made.squared: ("preds, data", "xgboost", "regression"), made.lightgbm_huber: ("preds, data", "lightgbm", "regression"),
        made.unweighted_squared: ("target, preds", "", "regression"), made.gamma: ("target, preds, weight", "", "positive"),
        made.poisson: ("preds, data", "xgboost", "count"), made.CatLogloss: ("range", "catboost", "binary"),
        made.CatMulti: ("multi", "catboost", "multiclass"), made.softmax_lightgbm: ("preds, data", "lightgbm", "multiclass"),
    }  # fmt: skip
    for fn, shape in shapes.items():
        boosted = boosted_of(fn)
        assert boosted is not None and (boosted.form, boosted.host, boosted.kind) == shape


def test_losses_are_no_objectives() -> None:
    def with_gradient(y_true: Any, y_pred: Any) -> Any:
        return (y_pred - y_true) ** 2, 2 * (y_pred - y_true)

    for fn in (with_gradient, np.subtract, lambda raw, target: (raw - target) ** 2, ml.SquaredError(), 3, dict, lambda *a: a):
        assert boosted_of(fn) is None


def test_where_nothing_tells_the_host_that_is_asked_for() -> None:
    def flat(y_true: Any, y_pred: Any) -> Any:
        gradient, hessian = made.softmax_xgboost(y_pred, made_data(y_true))
        return gradient.ravel(), hessian.ravel()

    with pytest.raises(NotOne, match="host=xgboost or host=lightgbm decides"):
        boosted_of(flat)
    report = audited(flat)
    assert report.outcome == "not judged" and "host=lightgbm" in report.why
    assert audited(flat, host="xgboost").outcome == "sound"
    assert errors(audited(flat, host="lightgbm"))[0][0] == "layout"


def made_data(y: Any) -> Any:
    from types import SimpleNamespace

    return SimpleNamespace(get_label=lambda: y)


def test_weights_that_go_wrong() -> None:
    def half(preds: Any, dtrain: Any) -> Any:
        d, w = preds - dtrain.get_label(), dtrain.get_weight()
        return (d * w if len(w) else d), np.ones_like(d)

    def none(preds: Any, dtrain: Any) -> Any:
        return preds - dtrain.get_label(), np.ones_like(preds)

    assert errors(audited(half)) == [("weights", "with a weight of 3 a row's hessian is 1, where 3 is right")]
    assert [(f.check, f.severity) for f in audited(none).findings if f.severity != "note"] == [("weights", "warning")]


def test_an_objective_that_reads_one_order_and_writes_the_other() -> None:
    def of_flat(preds: Any, train_data: Any) -> Any:
        gradient, hessian = made.softmax_xgboost(preds.reshape(len(train_data.get_label()), -1), train_data)
        return gradient.ravel("F"), hessian.ravel("F")

    report = audited(of_flat)  # right since LightGBM 4.0, which gives rows
    assert report.outcome == "sound"
    assert any(f.check == "layout" and "LightGBM before 4.0" in f.message for f in report.of("warning"))


def test_what_else_is_told() -> None:
    def zero(preds: Any, dtrain: Any) -> Any:
        return np.sign(preds - dtrain.get_label()), np.zeros_like(preds)

    def overflows(preds: Any, dtrain: Any) -> Any:
        e = np.exp(preds**2)
        return e / (1 + e) * np.sign(preds - dtrain.get_label()), np.ones_like(preds)

    def writes(preds: Any, dtrain: Any) -> Any:
        preds -= dtrain.get_label()
        return preds, np.ones_like(preds)

    assert errors(audited(zero))[0][0] == "hessian"
    assert errors(audited(overflows))[0][0] == "finite"
    assert ("layout", "it writes to the predictions or the targets that it is given: the host uses them again") in errors(audited(writes))
    factor = next(f for f in audited(made.poisson).findings if f.check == "hessian")
    assert factor.severity == "note" and "2.01375 times the slope" in factor.message
    start = next(f for f in audited(made.logistic).findings if f.check == "minimum")
    assert "start at 0.5 in XGBoost" in start.message and "the best constant is 0: give it as base_score" in start.message


@pytest.mark.parametrize(
    ("objective", "metric", "severity"),
    [
        (made.squared, made.rmse, None), (made.logistic, made.logloss, None), (made.logistic, made.accuracy, "note"),
        (made.logistic, made.rmse, "warning"), (made.logistic, made.likelihood, "error"),
        (made.CatRmse, made.CatRmseMetric, None), (made.softmax_xgboost, made.mlogloss, None),
        (made.CatLogloss, made.CatRmseMetric, "warning"),
    ],
)  # fmt: skip
def test_a_metric_is_of_the_same_loss_or_not(objective: Any, metric: Any, severity: str | None) -> None:
    report = audited(objective, metric=metric)
    assert [f.severity for f in report.findings if f.check == "gradient"] == ([severity] if severity else [])


def test_snippets_run() -> None:
    for fn in (*PUBLISHED, *SOUND):
        for finding in audited(fn).findings:
            assert finding.snippet or finding.severity != "error"
            if finding.snippet:
                with contextlib.redirect_stdout(io.StringIO()) as out, silence():
                    exec(finding.snippet, {"fn": fn() if isinstance(fn, type) else fn})
                assert out.getvalue()


MINE = """
import numpy as np

def objective(preds, dtrain):
    return dtrain.get_label() - preds, np.ones_like(preds)

def metric(preds, dtrain):
    return "mse", float(np.mean((preds - dtrain.get_label()) ** 2))
"""


def test_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine_boosted.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    code, out, _ = matchloss(capsys, "audit", "mine_boosted:objective", "--metric", "mine_boosted:metric")
    said = " ".join(out.split())
    assert code == 1 and "as an objective of XGBoost" in said and "with the wrong sign" in said
    assert "metric's" not in said and "from mine_boosted import objective as fn" in said  # but for the sign the two are of one loss
