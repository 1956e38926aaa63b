"""Objectives of boosters: our own versions of errors that people published, which shared/research/objectives.md lists, and sound ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

Numbers = NDArray[Any]


def weighed(gradient: Numbers, hessian: Numbers, data: Any) -> tuple[Numbers, Numbers]:
    """Times the weights of a data set, if it has any."""
    w = data.get_weight()
    return (gradient, hessian) if w is None or not len(w) else (gradient * w, hessian * w)


# --- sound --------------------------------------------------------------------------------------------------------------------------


def squared(preds: Numbers, dtrain: Any) -> tuple[Numbers, Numbers]:
    return weighed(preds - dtrain.get_label(), np.ones_like(preds), dtrain)


def unweighted_squared(y_true: Numbers, y_pred: Numbers) -> tuple[Numbers, Numbers]:
    return 2 * (y_pred - y_true), np.full(len(y_pred), 2.0)


def logistic(preds: Numbers, dtrain: Any) -> tuple[Numbers, Numbers]:
    p = expit(preds)
    return weighed(p - dtrain.get_label(), np.maximum(p * (1 - p), 1e-16), dtrain)


def poisson(preds: Numbers, dtrain: Any) -> tuple[Numbers, Numbers]:
    mu = np.exp(preds)
    return weighed(mu - dtrain.get_label(), mu * np.exp(0.7), dtrain)


def gamma(y_true: Numbers, y_pred: Numbers, weight: Numbers) -> tuple[Numbers, Numbers]:
    ratio = y_true * np.exp(-y_pred)
    return weight * (1 - ratio), weight * ratio


def tweedie(y_true: Numbers, y_pred: Numbers, sample_weight: Numbers, group: Numbers) -> tuple[Numbers, Numbers]:
    half = np.exp(0.5 * y_pred)
    return sample_weight * (half - y_true / half), sample_weight * (0.5 * half + 0.5 * y_true / half)


def lightgbm_huber(preds: Numbers, train_data: Any) -> tuple[Numbers, Numbers]:
    """Its own has a hessian of 1."""
    d = preds - train_data.get_label()
    return weighed(np.clip(d, -1, 1), np.ones_like(d), train_data)


def pinball(y_true: Numbers, y_pred: Numbers) -> tuple[Numbers, Numbers]:
    return np.where(y_pred > y_true, 0.25, -0.75), np.ones(len(y_pred))


def pseudo_huber(preds: Numbers, dtrain: Any) -> tuple[Numbers, Numbers]:
    d = preds - dtrain.get_label()
    root = np.sqrt(1 + d * d)
    return weighed(d / root, root**-3, dtrain)


def softmax_xgboost(preds: Numbers, dtrain: Any) -> tuple[Numbers, Numbers]:
    """The factor 2 is that of XGBoost's own."""
    p = softmax(preds, axis=1)
    y = np.eye(preds.shape[1])[dtrain.get_label().astype(int)]
    return p - y, 2 * p * (1 - p)


def softmax_lightgbm(preds: Numbers, train_data: Any) -> tuple[Numbers, Numbers]:
    p = softmax(preds, axis=1)
    y = np.eye(preds.shape[1])[train_data.get_label().astype(int)]
    return (p - y).ravel("F"), (1.5 * p * (1 - p)).ravel("F")


class CatRmse:
    """As CatBoost's documentation has it."""

    def calc_ders_range(self, approxes: Sequence[float], targets: Sequence[float], weights: Sequence[float] | None) -> Any:
        w = [1.0] * len(targets) if weights is None else weights
        return [((t - a) * v, -v) for a, t, v in zip(approxes, targets, w, strict=True)]


class CatLogloss:
    """As CatBoost's documentation has it."""

    def calc_ders_range(self, approxes: Any, targets: Any, weights: Any) -> Any:
        p = expit(approxes)
        w = np.ones(len(p)) if weights is None else np.asarray(weights)
        return np.stack([w * (targets - p), -w * p * (1 - p)], axis=1)


class CatMulti:
    """Softmax, with a full matrix."""

    def calc_ders_multi(self, approx: Any, target: float, weight: float | None) -> Any:
        p, w = softmax(np.asarray(approx)), 1.0 if weight is None else weight
        return list(w * (np.eye(len(p))[int(target)] - p)), (-w * (np.diag(p) - np.outer(p, p))).tolist()


SOUND = (
    squared, unweighted_squared, logistic, poisson, gamma, tweedie, lightgbm_huber, pinball, pseudo_huber, softmax_xgboost,
    softmax_lightgbm, CatRmse, CatLogloss, CatMulti,
)  # fmt: skip


# --- published with an error --------------------------------------------------------------------------------------------------------


def fair_sign(y_true: Numbers, y_pred: Numbers) -> tuple[Numbers, Numbers]:
    """xgboost#3037."""
    d = y_true - y_pred
    return d / (np.abs(d) + 1), 1 / (np.abs(d) + 1) ** 2


def huber_signs(preds: Numbers, dtrain: Any) -> tuple[Numbers, Numbers]:
    """xgboost#2602: both signs, and 0 outside."""
    d = dtrain.get_label() - preds
    return np.clip(d, -2, 2), np.where(np.abs(d) > 2, 0.0, -1.0)


def pseudo_huber_sign(preds: Numbers, dtrain: Any) -> tuple[Numbers, Numbers]:
    """xgboost#279: the sign; the hessian vanishes."""
    d = dtrain.get_label() - preds
    return d / np.sqrt(1 + d * d), (1 + d * d) ** -1.5


def flattened_by_columns(preds: Numbers, dtrain: Any) -> tuple[Numbers, Numbers]:
    """xgboost#4467."""
    gradient, hessian = softmax_xgboost(preds, dtrain)
    return gradient.flatten("F"), hessian.flatten("F")


def flattened_by_rows(preds: Numbers, train_data: Any) -> tuple[Numbers, Numbers]:
    """LightGBM#1308: C order where classes come first."""
    gradient, hessian = softmax_xgboost(preds, train_data)
    return gradient.flatten(), hessian.flatten()


def read_by_rows(preds: Numbers, dataset: Any) -> tuple[Numbers, Numbers]:
    """LightGBM#1644: read in C order, written in F."""
    rows = preds.ravel("F").reshape(preds.shape)
    gradient, hessian = softmax_xgboost(rows, dataset)
    return gradient.ravel("F"), hessian.ravel("F")


def focal_in_p(preds: Numbers, train_data: Any) -> tuple[Numbers, Numbers]:
    """LightGBM#2052: derivatives in the probability."""
    y, p = train_data.get_label(), expit(preds)

    def slope(p: Numbers, y: Numbers) -> Numbers:
        q = np.where(y == 1, p, 1 - p)
        return np.where(y == 1, 1, -1) * (2 * (1 - q) * np.log(q) - (1 - q) ** 2 / q)

    return slope(p, y), (slope(p + 1e-6, y) - slope(p - 1e-6, y)) / 2e-6


def no_sigmoid(preds: Numbers, train_data: Any) -> tuple[Numbers, Numbers]:
    """LightGBM#1230."""
    return preds - train_data.get_label(), preds * (1 - preds)


def smape(y_true: Numbers, y_pred: Numbers) -> tuple[Numbers, Numbers]:
    """LightGBM#2156: a negative hessian."""
    size, d = np.abs(y_true) + np.abs(y_pred), y_pred - y_true
    gradient = np.sign(d) / size - np.abs(d) * np.sign(y_pred) / size**2
    return gradient, -2 * np.sign(d) * np.sign(y_pred) / size**2 + 2 * np.abs(d) / size**3


def squared_gradient(y_true: Numbers, y_pred: Numbers) -> tuple[Numbers, Numbers]:
    """LightGBM#1742: the gradient is a square."""
    return (y_pred - y_true) ** 2, np.ones(len(y_pred))


class CatPoissonSigns:
    """catboost#2514: both signs."""

    def calc_ders_range(self, approxes: Any, targets: Any, weights: Any) -> Any:
        mu = np.exp(approxes)
        return list(zip(mu - targets, mu, strict=True))


class CatSign:
    """catboost#1596: der1."""

    def calc_ders_range(self, approxes: Any, targets: Any, weights: Any) -> Any:
        p = expit(approxes)
        return list(zip(p - targets, -p * (1 - p), strict=True))


class CatFair:
    """catboost#114: der2."""

    def calc_ders_range(self, approxes: Any, targets: Any, weights: Any) -> Any:
        d = np.asarray(targets) - approxes
        return list(zip(d / (np.abs(d) + 1), 1 / (np.abs(d) + 1) ** 2, strict=True))


class CatVector:
    """catboost#2020: a vector where a matrix belongs."""

    def calc_ders_multi(self, approx: Any, target: float, weight: float | None) -> Any:
        p = softmax(np.asarray(approx))
        return list(np.eye(len(p))[int(target)] - p), list(-p * (1 - p))


class CatFocalInP:
    """rahowa/catboost_focal_loss#2: the chain's factor is missing."""

    def calc_ders_range(self, approxes: Any, targets: Any, weights: Any) -> Any:
        p, y = expit(approxes), np.asarray(targets)
        return list(zip(y / p - (1 - y) / (1 - p), -y / p**2 - (1 - y) / (1 - p) ** 2, strict=True))


def imbalance_sign(preds: Numbers, dtrain: Any) -> tuple[Numbers, Numbers]:
    """jhwjhw0123/Imbalance-XGBoost#1: the sign."""
    y, p = dtrain.get_label(), expit(preds)
    return 3.0**y * (y - p), 3.0**y * p * (1 - p)


PUBLISHED = {  # and the check that should tell
    fair_sign: "gradient",
    huber_signs: "gradient",
    pseudo_huber_sign: "gradient",
    flattened_by_columns: "layout",
    flattened_by_rows: "layout",
    read_by_rows: "layout",
    focal_in_p: "gradient",
    no_sigmoid: "hessian",
    smape: "hessian",
    squared_gradient: "minimum",
    CatPoissonSigns: "gradient",
    CatSign: "gradient",
    CatFair: "hessian",
    CatVector: "hessian",
    CatFocalInP: "gradient",
    imbalance_sign: "gradient",
}


# --- metrics ------------------------------------------------------------------------------------------------------------------------


def rmse(preds: Numbers, dtrain: Any) -> tuple[str, float]:
    return "rmse", float(np.sqrt(np.mean((preds - dtrain.get_label()) ** 2)))


def logloss(preds: Numbers, train_data: Any) -> tuple[str, float, bool]:
    y = train_data.get_label()
    return "logloss", float(np.mean(np.logaddexp(0, preds) - y * preds)), False


def accuracy(preds: Numbers, train_data: Any) -> tuple[str, float, bool]:
    return "accuracy", float(np.mean((preds > 0) == train_data.get_label())), True


def likelihood(y_true: Numbers, y_pred: Numbers) -> float:
    """Greater is better, and nobody says so."""
    return float(np.mean(y_true * y_pred - np.logaddexp(0, y_pred)))


class CatRmseMetric:
    """As CatBoost's documentation has it."""

    def is_max_optimal(self) -> bool:
        return False

    def evaluate(self, approxes: Any, target: Any, weight: Any) -> tuple[float, float]:
        return float(np.sum((np.asarray(approxes[0]) - target) ** 2)), float(len(target))

    def get_final_error(self, error: float, weight: float) -> float:
        return float(np.sqrt(error / weight))


def mlogloss(preds: Numbers, dtrain: Any) -> tuple[str, float]:
    p = softmax(preds, axis=1)
    return "mlogloss", -float(np.log(p[np.arange(len(p)), dtrain.get_label().astype(int)]).mean())
