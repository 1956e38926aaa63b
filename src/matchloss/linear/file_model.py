"""A fit to files whose result is a plain value: nothing of scikit-learn is imported, which alone takes 100 MB of memory."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

import matchloss
from matchloss.linear.as_model import ENDED, made
from matchloss.linear.file_options import FileOptions, asked
from matchloss.linear.from_files import fit_table
from matchloss.linear.solve import Options
from matchloss.losses import Loss
from matchloss.losses._labels import for_classes

if TYPE_CHECKING:
    from matchloss.linear.model import Model


def fit_files(
    loss: str | Loss,
    data: Any,
    target: str,
    *,
    l2: float = 0.0,
    fit_intercept: bool = True,
    tol: float = 1e-8,
    max_passes: int = 100,
    method: str = "auto",
    labels: bool | None = None,
    **options: Unpack[FileOptions],
) -> Model:
    """A linear model of tables in files, which may be larger than memory, under any smooth loss: the coefficients of
    `LinearRegressor.fit_files` and `LinearClassifier.fit_files` to the bit, in 100 MB less, because no estimator is made.

    It minimises sum(w * value(raw, y)) / sum(w) + l2 / 2 * |coef|^2, the intercept free. `loss`, a name or a Loss. `labels`: whether the
    target is a label; by default it is one if LinearClassifier takes the loss, such as logistic and cross_entropy. The arguments from `l2`
    to `method` are the estimators', and `options` are the keywords of their `fit_files`, which raises the same errors. Warns where the
    solver did not converge.

    The model has `intercept`, `coef`, `design.names`, `classes` and `about`; `predict(frame)` gives predictions and, by column, the number
    of rows with a level that was not in training. `save(path)` writes a file that `matchloss.linear.load` reads as an estimator.

    >>> import os, tempfile
    >>> import polars as pl
    >>> from matchloss.linear import fit_files
    >>> trips = pl.DataFrame({"km": [1.0, 2.0, 3.0, 4.0], "by": ["bus", "car", "car", "bus"], "minutes": [3.0, 4.0, 6.0, 9.0]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     trips.write_parquet(os.path.join(folder, "trips.parquet"))
    ...     model = fit_files("squared_error", folder, "minutes", memory="2GB")
    >>> dict(zip(model.design.names, model.coef.round(6)))
    {'km': np.float64(2.0), 'by = car': np.float64(-1.0)}
    """
    loss = loss if isinstance(loss, Loss) else matchloss.get(loss)
    solver = Options(l2, fit_intercept, tol, max_passes, method)
    labels = bool({"binary", "multiclass"}.intersection(loss.suits)) if labels is None else labels
    if not labels and loss.family == "simplex":
        raise ValueError(f"{loss.name} is a loss of labels; labels=False is for a target that is a number")
    spec, how = asked(target, labels, options)

    def settled(classes: tuple[Any, ...]) -> Loss:
        return for_classes(loss, classes, "a model of labels") if labels else loss

    chosen, found, ended = fit_table(loss, data, spec, how, solver, settled)
    for message in ended.messages:
        warnings.warn(message, stacklevel=2)
    about = {"l2": l2, "fit_intercept": bool(fit_intercept), "tol": tol, **{name: getattr(ended, name) for name in ENDED}}
    classes = np.array(found.classes) if labels else None
    return replace(made(chosen, found.design, ended.intercept, ended.coef, target, classes, about), offset=spec.offset)
