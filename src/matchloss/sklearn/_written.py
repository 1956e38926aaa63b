"""Fitted trees as JSON of plain arrays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn.utils.validation import check_is_fitted

from matchloss.files import replacing
from matchloss.losses import CATALOGUE, Loss
from matchloss.sklearn._columns import Columns
from matchloss.sklearn._private import NODE

FORMAT, SCHEMA = "matchloss trees", 1
LABELS: dict[str, Any] = {"i": int, "u": int, "f": float, "b": bool, "U": str, "O": str}  # by the kind of a dtype


class TreesError(ValueError):
    """A file that holds no valid trees, or trees that no file can hold; the message names the file and what is wrong."""


def write(model: Any, path: str | Path) -> None:
    """Writes a fitted model of trees to a JSON file, in one step: a killed process leaves the old file."""
    check_is_fitted(model)
    found = {
        "format": FORMAT,
        "schema": SCHEMA,
        "host": f"scikit-learn {sklearn.__version__}",
        "loss": {"name": _name_of(model.loss_), "parameters": model.loss_.parameters},
        "curvature": None if model.curvature_ is None else [model.curvature_.name, model.curvature_.factor],
        "classes": None,
        "columns": _columns_out(model),
        "start": model._baseline_prediction[0].tolist(),
        "trees": [[_tree_out(tree) for tree in round] for round in model._predictors],
    }
    if hasattr(model, "classes_"):
        kind = model.classes_.dtype.kind
        found["classes"] = {"kind": kind, "labels": [LABELS[kind](label) for label in model.classes_.tolist()]}
    text = json.dumps(found, allow_nan=False, ensure_ascii=False)
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def _name_of(loss: Loss) -> str:
    cls = type(loss)
    if CATALOGUE.get(loss.name) is cls:
        return loss.name
    if cls.__module__.startswith("matchloss.") or cls.__module__ == "__main__" or "<locals>" in cls.__qualname__:
        raise TreesError(f"{loss!r} is neither in the catalogue nor in a module that can be imported, so that no file can name it")
    return f"{cls.__module__}:{cls.__qualname__}"


def _columns_out(model: Any) -> dict[str, Any]:
    names = [str(name) for name in getattr(model, "feature_names_in_", [])] or None
    if isinstance(model._preprocessor, Columns):
        return {"names": names, "levels": [None if v is None else list(v) for v in model._preprocessor.levels]}
    levels: list[Any] = [None] * model.n_features_in_
    if model._preprocessor is not None:
        encoder = model._preprocessor.named_transformers_["encoder"]
        for j, known in zip(np.flatnonzero(model.is_categorical_), encoder.categories_, strict=True):
            levels[j] = [level for level in known.tolist() if level is not None and level == level]
    return {"names": names, "levels": levels}


def _tree_out(tree: Any) -> dict[str, Any]:
    nodes = {name: tree.nodes[name].tolist() for name in NODE.names or () if name != "bin_threshold"}
    nodes["num_threshold"] = [x if np.isfinite(x) else None for x in nodes["num_threshold"]]  # None: all numbers go to the left
    return nodes | {"left_levels": tree.raw_left_cat_bitsets.tolist()}
