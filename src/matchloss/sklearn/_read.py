"""Fitted trees from JSON of plain arrays. Nothing in a file is run, and every index in it is checked before trees follow it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from matchloss.boosting.curvature import Curvature
from matchloss.errors import DomainError
from matchloss.files import strict_json
from matchloss.losses import CATALOGUE, Loss, SimplexLoss
from matchloss.sklearn._columns import Columns, Level
from matchloss.sklearn._estimators import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from matchloss.sklearn._private import NODE, BinMapper, TreePredictor, host_loss
from matchloss.sklearn._written import FORMAT, LABELS, SCHEMA, TreesError

LIMIT = 2**30  # bytes
WORDS = 8  # of 32 bits, one bit a level: which levels go to the left
Model = HistGradientBoostingRegressor | HistGradientBoostingClassifier


def load(path: str | Path, loss: type[Loss] | None = None) -> Model:
    """The fitted model in a file that `save` wrote. A loss of your own is read only if you pass its class.

    TreesError for a file that holds anything else.

    >>> import os, tempfile
    >>> import numpy as np
    >>> from matchloss.sklearn import HistGradientBoostingRegressor, load
    >>> X = np.arange(60.0)[:, None]
    >>> model = HistGradientBoostingRegressor(loss="poisson", max_iter=5).fit(X, X[:, 0] // 20)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "trees.json")
    ...     model.save(path)
    ...     again = load(path)
    >>> again.loss_, bool((again.predict(X) == model.predict(X)).all())
    (Poisson(), True)
    """
    path = Path(path)
    with path.open("rb") as file:
        content = file.read(LIMIT + 1)
    try:
        if len(content) > LIMIT:
            raise ValueError(f"it has more than {LIMIT} bytes")
        found = strict_json(content)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise ValueError(f'its format is not "{FORMAT}"')
        if found.get("schema") != SCHEMA:
            raise ValueError(f"its schema is {found.get('schema')!r}; this version reads {SCHEMA}")
        return _model(found, loss)
    except KeyError as error:
        raise TreesError(f"{path} holds no trees: it has no {error.args[0]}") from None
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise TreesError(f"{path} holds no trees: {error}") from error


def _model(found: dict[str, Any], own: type[Loss] | None) -> Model:
    loss = _loss(found["loss"], own)
    curvature = None if found["curvature"] is None else Curvature(*found["curvature"])
    start = np.array(found["start"], np.float64)
    if start.ndim != 1 or not np.isfinite(start).all():
        raise ValueError("its start is no list of finite numbers")
    columns = _columns(found["columns"])
    model: Any
    if found["classes"] is None:
        model = HistGradientBoostingRegressor(loss, curvature=curvature)
        classes = None
    else:
        model = HistGradientBoostingClassifier(loss, curvature=curvature)
        kind, labels = found["classes"]["kind"], found["classes"]["labels"]
        model.classes_ = np.array([LABELS[kind](label) for label in labels], dtype=object if kind == "O" else None)
        classes = len(model.classes_)
        if len(set(labels)) < max(2, len(labels)):
            raise ValueError("its classes are fewer than two, or one is there twice")
    outputs = classes if isinstance(loss, SimplexLoss) else 1
    if len(start) != outputs:
        raise ValueError(f"its start has {len(start)} numbers; the loss {loss.name} asks for {outputs}")
    model.loss_, model.curvature_ = loss, curvature
    model._loss = host_loss(loss, curvature, classes, False)
    model.n_trees_per_iteration_, model._baseline_prediction = outputs, start[None, :]
    model.n_features_in_ = model._n_features = len(columns.levels)
    if columns.names is not None:
        model.feature_names_in_ = np.array(columns.names, dtype=object)
    categorical = np.array([levels is not None for levels in columns.levels], bool)
    model.is_categorical_ = categorical if categorical.any() else None
    model._preprocessor = columns if categorical.any() else None
    counts = [len(levels) for levels in columns.levels if levels is not None]  # trees see these columns first
    model._bin_mapper = _bins(counts, len(columns.levels))
    model._is_categorical_remapped = np.sort(categorical)[::-1] if categorical.any() else None
    model._predictors = [[_tree(tree, len(columns.levels), len(counts)) for tree in round] for round in found["trees"]]
    if not model._predictors or any(len(round) != outputs for round in model._predictors):
        raise ValueError(f"each of its rounds must have {outputs} trees")
    model.do_early_stopping_, model.train_score_, model.validation_score_ = False, np.array([]), np.array([])
    return model


def _loss(found: dict[str, Any], own: type[Loss] | None) -> Loss:
    name = found["name"]
    cls = CATALOGUE.get(name)
    if cls is None and own is None:
        raise ValueError(f"its loss is {name!r}, which is not in the catalogue: pass its class as loss=")
    if own is not None and name not in (own.name, f"{own.__module__}:{own.__qualname__}"):
        raise ValueError(f"its loss is {name!r}, not {own.__qualname__}")
    cls = cls or own
    assert cls is not None
    parameters = found["parameters"]
    if set(parameters) != {f.name for f in fields(cls)}:
        raise ValueError(f"the parameters of {name} are {', '.join(f.name for f in fields(cls)) or 'none'}, not {', '.join(parameters)}")
    try:
        return cls(**parameters)
    except DomainError as error:
        raise ValueError(str(error)) from error


def _columns(found: dict[str, Any]) -> Columns:
    names, levels = found["names"], found["levels"]
    if not levels or not all(v is None or (isinstance(v, list) and 0 < len(v) <= 256) for v in levels):
        raise ValueError("its columns have no levels, or more than 256")
    for column in levels:
        for level in column or []:
            if not isinstance(level, Level):
                raise ValueError(f"{str(level)[:40]!r} is no level")
    if names is not None and (len(names) != len(levels) or not all(isinstance(name, str) for name in names)):
        raise ValueError(f"it has {len(names)} names of {len(levels)} columns")
    return Columns(None if names is None else tuple(names), tuple(None if v is None else tuple(v) for v in levels))


def _bins(counts: list[int], columns: int) -> Any:
    """What scikit-learn asks for when it predicts: which levels there are in each column of levels."""
    mapper = BinMapper()
    mapper.is_categorical_ = (np.arange(columns) < len(counts)).astype(np.uint8)
    mapper.bin_thresholds_ = [np.arange(count, dtype=np.float64) for count in counts] + [np.array([])] * (columns - len(counts))
    return mapper


def _tree(found: dict[str, Any], columns: int, of_levels: int) -> Any:
    """A tree whose every node leads on to a later one, so that a walk ends, and names columns and sets that there are."""
    size = len(found["value"])
    nodes: Any = np.zeros(size, NODE)
    for name in NODE.names or ():
        if name == "bin_threshold":  # of training alone
            continue
        values = found[name]
        if len(values) != size:
            raise ValueError(f"a tree has {len(values)} entries of {name} and {size} of value")
        if name == "num_threshold":
            values = [np.inf if x is None else x for x in values]
        nodes[name] = np.array(values, np.float64 if NODE[name].kind == "f" else np.int64)
    sets = np.array(found["left_levels"], np.uint32).reshape(-1, WORDS)
    inner = nodes["is_leaf"] == 0
    at = np.arange(size)
    wrong = {
        "a child that is not a later node": inner
        & ~((at < nodes["left"]) & (nodes["left"] < size) & (at < nodes["right"]) & (nodes["right"] < size)),
        "a column that is not there": inner & ~((nodes["feature_idx"] >= 0) & (nodes["feature_idx"] < columns)),
        "levels of a column of numbers": inner & (nodes["is_categorical"] != 0) & ~(nodes["feature_idx"] < of_levels),
        "a set of levels that is not there": inner & (nodes["is_categorical"] != 0) & ~(nodes["bitset_idx"] < len(sets)),
        "a value that is not finite": ~np.isfinite(nodes["value"]),
    }
    for what, bad in wrong.items():
        if bad.any():
            raise ValueError(f"node {int(np.argmax(bad))} of a tree has {what}")
    if size == 0:
        raise ValueError("a tree has no node")
    return TreePredictor(nodes, np.zeros_like(sets), sets)
