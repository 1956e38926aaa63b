"""What every host of boosted trees refuses, in the same words and with the row; what one alone refuses stands in its own file."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import matchloss as ml
import matchloss.boosting.versions
import sweeps
from boosted import diabetes, tumours
from tree_hosts import HOSTS, Host

pytestmark = pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.title)


@pytest.fixture(autouse=True)
def no_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    sweeps.spare_loops(monkeypatch)


def with_entry(value: Any, row: int = 7) -> Any:
    y = diabetes()[1].copy()
    y[row] = value
    return y


def test_a_target_outside_the_domain_is_named(host: Host) -> None:
    X, y = diabetes()
    for loss, target, words in [
        ("poisson", with_entry(-1), r"target\[7\] is -1.0; allowed: \[0, inf\), the targets of poisson"),
        (ml.Gamma(), with_entry(0), r"target\[7\] is 0.0; allowed: \(0, inf\), the targets of gamma"),
        ("huber", with_entry(np.nan), r"target\[7\] is nan; allowed: \(-inf, inf\), the targets of huber"),
        ("squared_error", with_entry(np.inf), r"target\[7\] is inf; allowed: \(-inf, inf\)"),
        ("poisson", pd.Series(y.astype(int)).astype("Int64").where(y != y[3]), r"target\[3\] is nan; allowed: \[0, inf\)"),
        ("poisson", pl.Series([None, *y[1:]]), r"target\[0\] is nan; allowed: \[0, inf\)"),
        ("poisson", np.where(y > 100, "high", "low"), r"target\[0\] is 'high'; allowed: numbers; for labels take the classifier"),
    ]:
        with pytest.raises(ml.DomainError, match=words):
            host.regressor(loss, **host.quick).fit(X, target)
    host.regressor("poisson", **host.quick).fit(X, with_entry(-1), sample_weight=np.where(np.arange(len(y)) == 7, 0.0, 1.0))


def test_a_target_of_the_rows_to_evaluate_on_is_named(host: Host) -> None:
    """LightGBM would read NaN as 0, and CatBoost and XGBoost would print a trace of C++."""
    X, y = diabetes()
    for bad in (np.nan, -1.0):
        with pytest.raises(ml.DomainError, match=rf"in eval set 0: target\[7\] is {bad}; allowed: \[0, inf\), the targets of poisson"):
            host.regressor("poisson", **host.quick).fit(X, y, **host.watched(X, with_entry(bad)))


@pytest.mark.parametrize("missing", [np.nan, None, pd.NA], ids=str)
def test_a_missing_label_is_named(host: Host, missing: Any) -> None:
    """CatBoost would take NaN for one more class."""
    X, y = tumours()
    labels = y.astype(float if missing is np.nan else object)
    labels[3] = missing
    with pytest.raises(ml.DomainError, match=r"target\[3\] is (nan|None|<NA>); allowed: labels, none of them missing"):
        host.classifier(**host.quick).fit(X, labels)


def test_a_label_to_evaluate_on_that_training_has_not_is_refused(host: Host) -> None:
    X, y = tumours()
    with pytest.raises(ValueError, match=r"unseen|is 2; (the classes are 0, 1|allowed: (\[0, 1\]|labels 0))|is 2.0; allowed: \[0, 1\]"):
        host.classifier("logistic", **host.quick).fit(X, y, **host.watched(X, np.where(np.arange(len(y)) == 5, 2, y)))


def test_weights_and_lengths_are_checked(host: Host) -> None:
    X, y = diabetes()
    with pytest.raises(Exception, match=r"(sample_weight\[3\] is -1.0; allowed: finite and >= 0|Weights\[3\] is negative)"):
        host.regressor("poisson", **host.quick).fit(X, y, sample_weight=np.where(np.arange(len(y)) == 3, -1.0, 1.0))
    with pytest.raises(Exception, match=r"(442, 441|441 and length of data=442)"):
        host.regressor("poisson", **host.quick).fit(X, y[:-1])


def test_what_is_no_loss_for_these_targets_is_refused(host: Host) -> None:
    X, y = diabetes()
    for loss, words in [
        (ml.Huber, r"the loss is the class Huber; an instance is meant: Huber\(\)"),
        (None, "the loss is None; allowed: a Loss, or a name such as 'poisson'"),
        (np.square, r"the loss is <ufunc 'square'>; .* \(a function becomes a loss as a subclass of PointwiseLoss, or by match\)"),
        ("huberr", "no loss is called 'huberr'; near it: huber"),
        ("cross_entropy", "cross_entropy is a loss of K raw predictions a row: the classifier takes it"),
    ]:
        with pytest.raises((TypeError, ValueError), match=words):
            host.regressor(loss, **host.quick).fit(X, y)
    with pytest.raises(ValueError, match="is a loss of a number: the regressor takes it"):
        host.classifier("huber", **host.quick).fit(*tumours())
    with pytest.raises(ValueError, match="Only binary classification is supported by probit; there are 3 classes"):
        host.classifier("probit", **host.quick).fit(X, np.arange(len(y)) % 3)
    with pytest.raises(ValueError, match="the labels hold 1 class"):
        host.classifier(**host.quick).fit(X, np.zeros(len(y)))


def test_a_curvature_that_cannot_train_is_refused_before_training(host: Host) -> None:
    X, y = diabetes()
    for loss, curvature, words in [
        ("absolute_error", "exact", r"curvature exact of AbsoluteError\(\) is 0 in every row"),
        ("poisson", "majorizer", r"Poisson\(\) has no curvature 'majorizer'; allowed: exact, fisher, absolute, unit"),
        ("poisson", "newton", "no curvature 'newton'; allowed: exact"),
        ("poisson", ("exact", -1), r"the factor of the curvature exact is -1.0; allowed: \(0, inf\)"),
        ("poisson", ("exact",), r"curvature is \('exact',\); allowed: one of exact, fisher, .*, or with a factor, as \(\"exact\", 2.0\)"),
    ]:
        with pytest.raises(ValueError, match=words):
            host.regressor(loss, curvature=curvature, **host.quick).fit(X, y)
    if host.title != "scikit-learn":
        with pytest.raises(ml.DomainError, match="its leaves must be renewed"):
            host.module.objective("pinball(alpha=0.9)")


def test_an_objective_of_the_hosts_beside_the_loss_is_refused(host: Host) -> None:
    with pytest.raises((TypeError, ValueError), match="objective"):
        host.regressor("poisson", objective="poisson", **host.quick).fit(*diabetes())
    assert "objective" not in repr(host.regressor("poisson"))


class Late(ml.PointwiseLoss):
    """A person's own loss without a gradient at large raw predictions."""

    convex = True
    linear_in_target = True

    @staticmethod
    def formula(m: Any, raw: Any, target: Any) -> Any:
        d = raw - target
        return 0.5 * d * d, m.where(raw > 2, float("nan"), d), 1.0 + 0.0 * d


def test_a_gradient_that_is_not_finite_stops_training(host: Host) -> None:
    X, y = diabetes()
    words = r"gradient of Late\(\) is nan in (row|a row like) \d+.* \(raw prediction 2\.?\d*, target .*\); training stops"
    with pytest.raises(ml.DomainError, match=words):
        host.regressor(Late(), **host.quick | {host.trees: 100}).fit(X, np.minimum(y, 300) / 100)


def test_a_version_that_was_not_tried_is_said_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = diabetes()
    assert host.plan.KNOWN[0] <= tuple(map(int, host.version.split(".")[:2])) <= host.plan.KNOWN[1]
    monkeypatch.setattr(matchloss.boosting.versions, "_said", set())
    monkeypatch.setattr(host.plan, "KNOWN", ((0, 1), (0, 2)))
    with pytest.warns(UserWarning, match=rf"{host.title} \d+\.\d+\.\d+ was not tried .* which knows 0\.1 to 0\.2"):
        host.regressor(**host.quick).fit(X, y)
    host.regressor(**host.quick).fit(X, y)  # not again: a warning is an error here


def test_a_column_that_would_end_the_process_is_refused(host: Host) -> None:
    X, y = diabetes()
    frame = pl.DataFrame({"age": X[:, 0], "bmi": X[:, 2] > 0})
    host.regressor(**host.quick).fit(frame, y).predict(frame)
    by = pl.Series("by", np.where(X[:, 1] > 0, "bus", "foot"), dtype=pl.Categorical)
    if host.title in ("LightGBM", "CatBoost"):
        fitted = host.regressor(**host.quick).fit(frame, y)
        for use in (lambda: host.regressor(**host.quick).fit(frame.with_columns(by), y), lambda: fitted.predict(frame.with_columns(by))):
            with pytest.raises(ValueError, match=rf"{host.title} would end the process at the column 'by' \(Categorical"):
                use()
        words = frame.with_columns(by.cast(pl.String))
        if host.title == "CatBoost":  # which takes words
            host.regressor(**host.quick).fit(words, y, cat_features=["by"]).predict(words)


def test_a_host_that_is_not_installed_is_said_with_the_command(host: Host) -> None:
    package = host.module.__name__.partition(".")[2]
    for absent in {package, "sklearn"} - ({"sklearn"} if package == "catboost" else set()):
        code = f"import sys; sys.modules[{absent!r}] = None; import matchloss.{package}"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert f'pip install "matchloss[{package}]"' in done.stderr.splitlines()[-1], done.stderr
