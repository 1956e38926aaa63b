"""What boosters call: an objective gives the gradient and the hessian of rows, not their loss. Which host's shape a function has is found
by calling it as the hosts do.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.audit.calling.calls import silence

Array = NDArray[Any]
Pair = tuple[Array, Array]

XGBOOST, LIGHTGBM, CATBOOST = "xgboost", "lightgbm", "catboost"
HOSTS = (XGBOOST, LIGHTGBM, CATBOOST)
NAMES = {XGBOOST: "XGBoost", LIGHTGBM: "LightGBM", CATBOOST: "CatBoost", "": "XGBoost or LightGBM"}
START = {XGBOOST: 0.5, LIGHTGBM: 0.0, CATBOOST: 0.0, "": 0.0}  # where the trees of a custom objective start
DATA = {  # what people call the second argument
    XGBOOST: ("dtrain", "dmatrix", "dtest", "d_train", "dmat"),
    LIGHTGBM: ("dataset", "train_data", "train_set", "train_dataset", "eval_data"),
}
PREDICTED = ("pred", "preds", "predt", "y_pred", "raw", "margin", "approx", "score", "scores", "logits", "z")
WANTED = ("y", "y_true", "true", "label", "labels", "target", "targets", "obs", "actual")
KINDS = {"regression": (-1.5, 0.0, 0.5, 2.0), "binary": (0.0, 1.0), "count": (0.0, 1.0, 2.0, 4.0), "positive": (0.5, 1.0, 3.0)}
CLASSES = (3, 2, 4, 5, 10)  # tried in turn: many objectives name their number of classes


class NotOne(Exception):
    """It is no objective of a booster, or it cannot be told of which host."""


@dataclass(frozen=True)
class Boosted:
    """An objective that answers by its host's convention; gradients and hessians have the sign of a loss: less is better.

    form: the arguments, such as "preds, data" or "target, preds, weight"; or "range" and "multi", which are CatBoost's methods.
    """

    fn: Any
    form: str
    host: str = ""  # "": of XGBoost or LightGBM, which agree on one output a row
    kind: str = "regression"
    classes: int = 0  # raw outputs a row, where they are several
    seed: int = 0

    @property
    def weighted(self) -> bool:
        """Whether it is given weights at all."""
        return self.form not in ("target, preds", "preds, target")

    def arrays(self, raw: Array, target: Array, weight: Array | None) -> tuple[Any, ...]:
        """The arguments, as the host passes them."""
        if self.classes and self.host == LIGHTGBM:
            raw = np.asfortranarray(raw)
        ways = {"preds, data": (raw, rows_of(target, weight)), "target, preds": (target, raw), "preds, target": (raw, target)}
        if self.form in ways:
            return ways[self.form]
        both = (target, raw, np.ones(len(target)) if weight is None else weight)
        return (*both, np.array([len(target)])) if self.form.endswith("group") else both

    def returned(self, raw: Array, target: Array, weight: Array | None = None) -> Any:
        """What the function itself returns."""
        raw, target = np.array(raw, copy=True), np.array(target, copy=True)
        with silence():
            if self.form == "range":
                return self.fn.calc_ders_range(raw, target, weight)
            if self.form == "multi":
                weights = [None] * len(raw) if weight is None else weight
                return [self.fn.calc_ders_multi(raw[i], target[i], weights[i]) for i in range(len(raw))]
            return self.fn(*self.arrays(raw, target, weight))

    def slopes(self, raw: Array, target: Array, weight: Array | None = None) -> Pair:
        """Gradient and hessian, (n,) or (n, K), or the hessian (n, K, K) where the host asks for that; NotOne for other shapes."""
        return self.read(self.returned(raw, target, weight), len(raw))

    def read(self, out: Any, n: int, host: str | None = None) -> Pair:
        """What the host makes of what was returned."""
        host = self.host if host is None else host
        try:
            if self.form == "range":
                both = -np.asarray(out, dtype=np.float64).reshape(n, 2)
                return both[:, 0], both[:, 1]
            if self.form == "multi":
                return (
                    -np.array([np.asarray(row[0], float).ravel() for row in out]),
                    -np.array([np.asarray(row[1], float) for row in out]),
                )
            gradient, hessian = (self._in_rows(np.asarray(part, dtype=np.float64), n, host) for part in out)
        except (TypeError, ValueError) as error:
            raise NotOne(f"it does not return a gradient and a hessian for {n} rows: {error}") from error
        return gradient, hessian

    def _in_rows(self, part: Array, n: int, host: str) -> Array:
        shape = (n, self.classes) if self.classes else (n,)
        if part.size != n * max(self.classes, 1):
            raise ValueError(f"shape {part.shape}, where {shape} is asked for")
        if not self.classes:
            return part.reshape(n)
        return part if part.shape == shape else part.reshape(shape, order="F" if host == LIGHTGBM else "C")


def rows_of(target: Array, weight: Array | None) -> Any:
    """What an objective may ask of a data set: XGBoost's DMatrix or LightGBM's Dataset."""
    labels, none = np.asarray(target, dtype=np.float64), np.array([])
    fields = {"label": labels, "weight": weight, "base_margin": none, "init_score": None, "group": None}
    return SimpleNamespace(
        get_label=lambda: labels, get_weight=lambda: none if weight is None else weight, get_base_margin=lambda: none,
        get_init_score=lambda: None, get_group=lambda: None, get_field=fields.get, get_float_info=fields.get,
        num_row=lambda: len(labels), num_data=lambda: len(labels), num_col=lambda: 1, num_feature=lambda: 1, label=labels, weight=weight,
    )  # fmt: skip


def boosted_of(fn: Any, kind: str | None = None, host: str | None = None, seed: int = 0) -> Boosted | None:
    """The objective that a function is; None where it is none. NotOne where two hosts read it differently, and nothing decides."""
    if hasattr(fn, "calc_ders_range") or hasattr(fn, "calc_ders_multi"):
        return _catboost(fn() if isinstance(fn, type) else fn, kind, seed)
    if isinstance(fn, type) or not callable(fn) or (named := _parameters(fn)) is None:
        return None
    for form in _forms(named):
        base = Boosted(fn, form, host or _host(fn, named, form), seed=seed)
        with silence():
            for found in _answers(base, kind):
                if form != "preds, data" and not _is_gradient_first(found):
                    return None
                return found
    return None


def _parameters(fn: Any) -> list[str] | None:
    """The names of what it must be given; None where that is not known, or not two to four."""
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        return None
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p.name for p in positional if p.default is p.empty]
    weights = [p.name for p in positional if p.default is None and "weight" in p.name.lower()]
    named = [*required, *weights[: len(required) == 2]]
    return named if 2 <= len(named) <= 4 and len(required) >= 2 else None


def _forms(named: list[str]) -> list[str]:
    first, second = (n.lower() for n in named[:2])
    if len(named) > 2:
        weight = "weight" in named[2].lower() or named[2].lower() == "w"
        return ["target, preds, weight" + ", group" * (len(named) == 4), "preds, data"] if weight else []
    if first in PREDICTED and second in WANTED:
        return ["preds, target"]
    return ["preds, data", "target, preds"]


def _host(fn: Any, named: list[str], form: str) -> str:
    """By the name of the data set, where its class is, or the one library that its module imports; "" where nothing tells."""
    if form == "preds, data":
        for host, words in DATA.items():
            if named[1].lower() in words:
                return host
    loaded = {getattr(v, "__name__", "").partition(".")[0] for v in getattr(fn, "__globals__", {}).values() if inspect.ismodule(v)}
    known = [host for host in (XGBOOST, LIGHTGBM) if host in loaded or host in type(fn).__module__.split(".")]
    return known[0] if len(known) == 1 else ""


def _answers(base: Boosted, kind: str | None) -> Iterator[Boosted]:
    """The ways in which it gives two arrays: one output a row, then several."""
    raw, y = np.array([-1.0, 0.5, 2.0, -0.25, 1.5, 0.75]), np.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.0])
    for some in (y, y + 0.5) if kind != "multiclass" else ():  # 0 may be refused
        if (answer := _answer(base, raw, some)) is not None and np.ptp(answer[0]) > 0:
            yield replace(base, kind=kind or kind_of(base))
    if kind not in (None, "multiclass"):
        return
    for classes in CLASSES:
        tried = replace(base, kind="multiclass", classes=classes)
        labels, logits = np.arange(6) % classes * 1.0, np.random.default_rng(base.seed).normal(size=(6, classes))
        if _answer(tried, logits, labels) is None:
            continue
        if not tried.host and not _shaped(tried, logits, labels):
            raise NotOne(
                "it returns the gradients of several classes as one row of numbers, which XGBoost reads row after row and LightGBM class "
                "after class; host=xgboost or host=lightgbm decides"
            )
        yield tried


def _answer(b: Boosted, raw: Array, y: Array) -> Pair | None:
    try:
        out = b.returned(raw, y)
        if not isinstance(out, tuple | list) or len(out) != 2:
            return None
        gradient, hessian = b.read(out, len(raw))
    except (Exception, SystemExit):
        return None
    return (gradient, hessian) if np.isfinite(gradient).all() else None


def _shaped(b: Boosted, raw: Array, y: Array) -> bool:
    return all(np.shape(part) == raw.shape for part in b.returned(raw, y))


def _is_gradient_first(b: Boosted) -> bool:
    """Whether the first of two arrays is a gradient, which has both signs far off, and not a value whose slope is the second."""
    if b.classes:
        return True
    y = np.repeat(KINDS[b.kind], 2)
    raw = np.resize([-6.0, 6.0], len(y))
    first, second = b.slopes(raw, y)
    if (first < 0).any() and (first > 0).any():
        return True
    rise = (b.slopes(raw + 1e-3, y)[0] - first) / 1e-3
    return not np.allclose(rise, second, rtol=0.05, atol=0.05 * np.abs(second).max())


def _catboost(fn: Any, kind: str | None, seed: int) -> Boosted:
    if hasattr(fn, "calc_ders_multi") and kind in (None, "multiclass"):
        logits, labels = np.random.default_rng(seed).normal(size=(6, 3)), np.arange(6) % 3 * 1.0
        base = Boosted(fn, "multi", CATBOOST, "multiclass", 3, seed)
        try:
            base.slopes(logits, labels)
            return base
        except Exception as error:
            if not hasattr(fn, "calc_ders_range"):
                raise NotOne(f"calc_ders_multi of three classes raises {type(error).__name__}: {error}") from error
    base = Boosted(fn, "range", CATBOOST, seed=seed)
    try:
        return replace(base, kind=kind or kind_of(base))
    except Exception as error:
        raise NotOne(f"calc_ders_range raises {type(error).__name__}: {error}") from error


def kind_of(b: Boosted) -> str:
    """What the targets are, by where the gradient changes its sign, whatever the sign."""

    def slopes(raw: Array, y: Any) -> Array:
        try:
            return b.slopes(raw, np.asarray(y, dtype=np.float64))[0]
        except Exception:  # it refuses such targets
            return np.full(len(raw), np.nan)

    def crosses(raw: Array, y: Array) -> bool:
        below, at, above = (slopes(raw + step, y) for step in (-1e-4, 0.0, 1e-4))
        size = np.abs(slopes(raw + 1.0, y)).max() + 1e-300
        return bool(((below * above < 0) | (np.abs(at) <= 1e-6 * size)).all())

    number, mean = np.array([-1.5, 0.5, 2.0]), np.array([0.5, 1.0, 3.0])
    if crosses(number, number):
        return "regression"
    if crosses(np.log(mean), mean):
        none, some = np.abs(slopes(np.array([-20.0, 0.0]), np.zeros(2)))  # of a count of 0 the gradient is the mean itself
        return "count" if none < 1e-3 * some else "positive"
    z = np.linspace(-3, 3, 7)
    return "binary" if (slopes(z, np.zeros(7)) * slopes(z, np.ones(7)) <= 0).all() else "regression"
