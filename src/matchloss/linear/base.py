"""What LinearRegressor and LinearClassifier share: reading X, solving, raw predictions."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

import numpy as np
from numpy.typing import NDArray

import matchloss as ml
from matchloss.engine.arrays import as_weight
from matchloss.linear.as_model import model_of
from matchloss.linear.columns import is_frame, offset_in
from matchloss.linear.inputs import column_labels, numbers, refuse_infinite, refuse_mapping
from matchloss.linear.methods import descends
from matchloss.linear.model import write_model
from matchloss.linear.objective import NotFinite
from matchloss.linear.plan import Design, Number, learn_rows
from matchloss.linear.rows import Floats, TableRows, of_array, of_matrix
from matchloss.linear.solve import Options, Solution, raw_of, solve
from matchloss.linear.sparse import is_sparse
from matchloss.linear.summary import Summary
from matchloss.losses import Loss

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils import check_consistent_length
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError('the estimators need scikit-learn: pip install "matchloss[linear]"') from error

if TYPE_CHECKING:
    from matchloss.linear.file_options import FileOptions
    from matchloss.linear.formula import Terms
    from matchloss.linear.inference.inference import Inference, Kind
    from matchloss.linear.inference.information import Weights

TABLE = "an array of numbers (n, p), or a data frame (pandas, polars, pyarrow, ...)"
SPARSE = ("csr", "csc")  # formats that are taken as they are
CHECK_LATER = 1 << 22  # from this size X gets no pass of its own to look for NaN: the first gradient shows one anyway


class Linear(BaseEstimator):
    """What both estimators share: reading X, solving, raw predictions."""

    loss: str | Loss
    design_: Design | None
    formula_: Terms
    loss_: Loss
    _offset_column: str | None = None  # the name of a column of the frame that was fitted to

    def __init__(
        self,
        loss: str | Loss = "squared_error",
        *,
        l1: float = 0.0,
        l2: float = 0.0,
        penalty_factor: Any = None,
        groups: Any = None,
        bounds: Any = None,
        fit_intercept: bool = True,
        tol: float = 1e-8,
        max_passes: int = 100,
        method: str = "auto",
    ) -> None:
        self.loss = loss
        self.l1 = l1
        self.l2 = l2
        self.penalty_factor = penalty_factor
        self.groups = groups
        self.bounds = bounds
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_passes = max_passes
        self.method = method

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments; `deep`: those of the loss too, as loss__alpha."""
        own = super().get_params(deep)
        try:
            parameters = self._loss().parameters if deep else {}
        except (ValueError, TypeError):  # no loss: `fit` says so
            parameters = {}
        return own | {f"loss__{name}": value for name, value in parameters.items()}

    def set_params(self, **params: Any) -> Self:
        """Sets arguments; loss__alpha puts a new loss with that alpha in the place of the old one, which never changes."""
        of_loss = {name: params.pop(name) for name in list(params) if name.startswith("loss__")}
        super().set_params(**params)
        if of_loss:
            loss, given = self._loss(), {name.removeprefix("loss__"): value for name, value in of_loss.items()}
            for name in given:
                if name not in loss.parameters:
                    has = ", ".join(loss.parameters) or "none"
                    raise ValueError(f"Invalid parameter 'loss__{name}' for estimator {self}: the parameters of {loss.name} are {has}")
            self.loss = dataclasses.replace(loss, **given)
        return self

    def save(self, path: str | Path, target: str = "y") -> None:
        """Writes the fitted model to a JSON file that `matchloss.linear.load`, `matchloss predict` and `matchloss show` read.

        `target` is what the model is said to predict. ModelError for a loss that a file cannot name, OSError if it cannot be written.
        """
        self._check_fitted()
        write_model(path, model_of(self, target))

    @property
    def summary_(self) -> Summary:
        """How the fit ended, and its coefficients, as text or in a notebook as a table. Standard errors are not known yet."""
        self._check_fitted()
        coef, intercept = np.atleast_2d(getattr(self, "coef_")), np.atleast_1d(getattr(self, "intercept_"))  # noqa: B009
        facts = {
            "loss": repr(self.loss_),
            "penalty": ", ".join(f"{name} = {value:g}" for name, value in (("l1", self.l1), ("l2", self.l2)) if value) or "none",
            "method": f"{self.method_}, {self.n_passes_} passes",
            "ended": f"{'converged' if self.converged_ else 'not converged'}, largest entry of the gradient {self.gradient_norm_:.1e}",
            "objective": f"{self.objective_:.6g}",
        }
        classes = [str(label) for label in getattr(self, "classes_", [])]
        outputs = classes if len(coef) > 1 else [f"toward {classes[1]}" if classes else "value"]
        return Summary(repr(self), facts, tuple(self._names()), np.column_stack([intercept, coef]).T, tuple(outputs))

    def _html_repr(self) -> str:
        """In a notebook the summary of a fitted model stands below scikit-learn's diagram."""
        return super()._html_repr() + (self.summary_._repr_html_() if self.__sklearn_is_fitted__() else "")

    def _suited(self) -> Loss:
        """The loss; ValueError for one that the other estimator takes."""
        raise NotImplementedError

    def _settled(self, classes: tuple[Any, ...]) -> Loss:
        """The loss for these classes of a label, none for a number."""
        raise NotImplementedError

    def _take(self, found: Solution) -> None:
        """Sets the coefficients."""
        raise NotImplementedError

    def _target(self, y: Any) -> NDArray[Any]:
        """y as the fitted loss takes it."""
        raise NotImplementedError

    def _loss(self) -> Loss:
        return self.loss if isinstance(self.loss, Loss) else ml.get(self.loss)

    def _learn(self, X: Any, y: Any, sample_weight: Any) -> tuple[TableRows, NDArray[Any] | None]:
        """The rows of X, checked to be as many as y's, and the weights; sets scikit-learn's attributes about the columns."""
        for name in ("formula_", "_offset_column"):  # of an earlier fit
            self.__dict__.pop(name, None)
        refuse_mapping("X", X, TABLE)
        refuse_mapping("y", y, "an array, a list or a column")
        refuse_mapping("sample_weight", sample_weight, "a number >= 0 a row")
        weight = None if sample_weight is None else numbers("sample_weight", sample_weight)
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        if is_frame(X):
            names = column_labels(X)
            if not names:
                raise ValueError("X is a data frame without columns: 0 feature(s), of which at least 1 is needed")
            self.design_, rows = learn_rows(X, sample_weight=weight)
            check_consistent_length(rows.codes, y)
            self.n_features_in_ = len(self.design_.columns)
            if all(isinstance(name, str) for name in names):
                self.feature_names_in_ = np.array(names, dtype=object)
            if rows.n == 0:
                raise ValueError("Found a table with 0 rows; at least 1 is needed to fit to")
        else:
            X = validate_data(self, X, dtype=[np.float64, np.float32], ensure_all_finite=False, accept_sparse=SPARSE)
            check_consistent_length(X, y)
            if not is_sparse(X) and (X.size < CHECK_LATER or not self._loss().smooth):
                refuse_infinite(X)
            self.design_, rows = None, of_matrix(X) if is_sparse(X) else of_array(X)
        weight = as_weight(weight, (rows.n,))
        if weight is not None and not weight.any():
            raise ValueError("every sample_weight is zero: there is no row to fit to")
        return rows, weight

    def _solve(self, loss: Loss, rows: TableRows, target: NDArray[Any], weight: Any, offset: Any, outputs: int | None) -> Solution:
        try:
            found = self._found(loss, rows, target, weight, offset, outputs)
        except NotFinite:
            if isinstance(rows.numbers, np.ndarray):
                refuse_infinite(rows.numbers)
            raise
        self._ended(loss, found, 4)
        return found

    def _ended(self, loss: Loss, found: Solution, stacklevel: int) -> None:
        """Sets what is known of a fit but its coefficients, and warns of what the person should look at."""
        for message in found.messages:
            warnings.warn(message, ConvergenceWarning, stacklevel=stacklevel)
        self.loss_, self._centre = loss, found.centre if found.centre.any() else None
        self.converged_ = found.converged
        self.n_passes_ = found.passes
        self.objective_ = found.objective
        self.gradient_norm_ = self.kkt_residual_ = found.gradient_norm
        self.method_ = found.method
        self._diverging = found.diverging

    def fit_files(self, data: Any, target: str, **options: Unpack[FileOptions]) -> Self:
        """Fits the model to tables in files, which may be larger than memory; the coefficients are to the bit those of `fit`.

        `data`: a path, a folder, a pattern or a list of paths (Parquet, Arrow, CSV, CSV in gzip), or batches of frames of any library, as
        an iterator or as a function that returns one. `target` names a column. The keywords in
        `options`, none of which is needed, are these.

        `sample_weight` names a column of weights; the columns in `drop` are left out, and all others enter. Columns named in `categorical`,
        text, booleans and categories become levels. `missing`: "error", or "indicate", which puts the mean where a number is missing, with
        an indicator, and makes a level of a missing category. `offset` names a column that is added to the raw predictions, such as the
        logarithm of an exposure; predictions of a frame, and of a saved model, read it there.

        The files are read once. `memory`, such as "2GB", is how much the rows may take, by default half of what is free; what is larger
        goes to a file in the folder `scratch`, by default that for temporary files, in 10 to 40 bytes a row, and every pass reads it.
        With `checkpoint`, a path, each pass is kept there: after a kill, `resume=True` goes on from it, to the same coefficients.
        `progress` is told in a sentence what goes on.

        Raises what `fit` raises; FileError, ScratchError and CheckpointError (a ValueError, an OSError and a ValueError) name the file;
        NotInMemory (a ValueError) for a loss with kinks, whose method needs all rows at hand.

        >>> import os, tempfile
        >>> import polars as pl
        >>> from matchloss.linear import LinearRegressor
        >>> trips = pl.DataFrame({"km": [1.0, 2.0, 3.0, 4.0], "by": ["bus", "car", "car", "bus"], "minutes": [3.0, 4.0, 6.0, 9.0]})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     trips[:2].write_parquet(os.path.join(folder, "1.parquet"))
        ...     trips[2:].write_parquet(os.path.join(folder, "2.parquet"))
        ...     model = LinearRegressor().fit_files(folder, "minutes", memory="2GB")
        >>> dict(zip(model.coef_names_, model.coef_.round(6)))
        {'km': np.float64(2.0), 'by = car': np.float64(-1.0)}
        """
        from matchloss.linear.file_options import asked
        from matchloss.linear.from_files import fit_files

        if not self._plain():
            raise ValueError("fit_files takes a ridge or no penalty; l1, penalty_factor and bounds need the rows in memory: fit")
        fit_files(self, data, *asked(target, isinstance(self, ClassifierMixin), options))
        return self

    @classmethod
    def from_formula(cls, formula: str, data: Any, *, sample_weight: Any = None, offset: Any = None, **options: Any) -> Self:
        """A model fitted to a frame by a formula, such as "late ~ C(carrier) * distance"; `options` are the constructor's.

        formulaic reads the formula: C(a) makes levels of numbers, a:b products, a * b a + b + a:b, bs(a, df=6) splines, "- 1" leaves
        the intercept out. Predictions take frames with the same columns. FormulaError (a ValueError) for what cannot be read or is not
        there; ImportError without formulaic.

        >>> import pandas as pd
        >>> from matchloss.linear import LinearRegressor
        >>> trips = pd.DataFrame({"km": [1.0, 2.0, 3.0, 4.0], "by": ["bus", "car", "car", "bus"], "minutes": [3.0, 4.0, 6.0, 9.0]})
        >>> model = LinearRegressor.from_formula("minutes ~ km + by", trips)
        >>> dict(zip(model.coef_names_, model.coef_.round(6)))
        {'km': np.float64(2.0), 'by[T.car]': np.float64(-1.0)}
        """
        from matchloss.linear.formula import split

        y, X, terms = split(formula, data)
        if not terms.intercept:
            options["fit_intercept"] = False
        made: Any = cls(**options)
        made.fit(X, y, sample_weight, offset)
        made.formula_ = terms
        return made

    def inference(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        offset: Any = None,
        weights: Weights = "repeat",
        *,
        covariance: Kind | None = None,
        groups: Any = None,
    ) -> Inference:
        """How sure the coefficients are, on the rows, weights and offset that the model was fitted to: an estimator keeps no rows.

        `weights`: "repeat" (a weight of 3 is a row that is there three times) or "trials" (a row is the mean of so many: of trials, of
        policies). `covariance`: "fisher" (the default of a loss that is a likelihood), "observed", "HC0", "HC1" (the default of others),
        "cluster" with `groups`, a label a row, or "bayes". Raises DomainError for a loss with kinks, and after l1 > 0.
        See matchloss.linear.inference.inference.Inference for what it knows.

        >>> import numpy as np
        >>> from matchloss.linear import LinearRegressor
        >>> x, y = np.arange(6.0)[:, None], np.array([1.0, 0.9, 3.2, 2.8, 5.1, 5.2])
        >>> found = LinearRegressor().fit(x, y).inference(x, y)
        >>> found.bse.round(4), found.pvalues.round(4)
        (array([0.5101, 0.1685]), array([0.2642, 0.0049]))
        """
        from matchloss.linear.inference.build import infer

        self._check_fitted()
        return infer(self, X, self._target(y), sample_weight, offset, weights, covariance, groups)

    def _found(self, loss: Loss, rows: TableRows, target: NDArray[Any], weight: Any, offset: Any, outputs: int | None) -> Solution:
        """The solution, by the solvers of linear.solve if the penalty is a ridge or none."""
        options = {name: getattr(self, name) for name in ("l2", "fit_intercept", "tol", "max_passes", "method")}
        names = self._names()
        if self._plain() and not (self.method == "auto" and descends(loss, rows)):
            return solve(loss, rows, target, sample_weight=weight, offset=offset, outputs=outputs, names=names, **options)
        from matchloss.linear.penalties.asked import Asked
        from matchloss.linear.penalties.fit import problem, solve_penalised

        if self.method != "auto":
            raise ValueError(f'method="{self.method}" is for a ridge or no penalty; l1, bounds and the like have their own')
        asked = Asked(self.l1, self.l2, self.penalty_factor, self.groups, self.bounds)
        made = problem(loss, rows, target, weight, offset, asked, self.fit_intercept, self.design_, names, asked.l1 > 0)
        return solve_penalised(made, asked, Options(**options), names)

    def _plain(self) -> bool:
        """Whether the penalty is a ridge or none."""
        return self.l1 == 0 and self.penalty_factor is None and not self.bounds

    def _names(self) -> list[str]:
        return [f"x{j}" for j in range(self.n_features_in_)] if self.design_ is None else list(self.design_.names)

    @property
    def coef_names_(self) -> NDArray[Any]:
        """A name for each coefficient, in the order of coef_: "distance", "carrier = AA"."""
        self._check_fitted()
        return np.array(self._names(), dtype=object)

    def _rows(self, X: Any) -> TableRows:
        """The rows of X for prediction: a frame's columns are matched by name, in any order."""
        self._check_fitted()
        if hasattr(self, "formula_") and is_frame(X):
            X = self.formula_.expanded(X)
        if self.design_ is not None and is_frame(X):
            rows = self.design_.rows(X)
            for name, count in rows.unseen.items():
                warnings.warn(f"{count} rows have a level of {name} that was not in training: they count as the reference", stacklevel=3)
            return rows
        if self.design_ is not None and not all(isinstance(column, Number) for column in self.design_.columns):
            raise TypeError(f"{type(self).__name__} was fitted to a data frame with categories; X is {type(X).__name__}, not a data frame")
        X = validate_data(self, X, dtype=[np.float64, np.float32], ensure_all_finite=False, reset=False, accept_sparse=SPARSE)
        if is_sparse(X):
            return of_matrix(X)
        refuse_infinite(X)
        return of_array(X)

    def _read(self, X: Any, offset: Any) -> tuple[TableRows, Any]:
        """The rows of X for prediction, and their offset: that of its own column, if the fit had one and no other is given."""
        rows, column = self._rows(X), self._offset_column
        if offset is not None or column is None:
            return rows, offset
        if not is_frame(X):
            raise ValueError(f'the model has the offset "{column}", a column of its table: pass offset=, or a data frame that has it')
        return rows, offset_in(X, column)

    def _raw_of(self, rows: TableRows, intercept: Any, coef: Floats, offset: Any = None) -> Floats:
        centre = getattr(self, "_centre", None)
        return raw_of(rows, intercept, coef, centre if centre is not None and len(centre) == len(coef) else None, offset)

    def _check_fitted(self) -> None:
        """NotFittedError before a fit; what is fitted does not pay for scikit-learn's way to the words."""
        if not self.__sklearn_is_fitted__():
            check_is_fitted(self)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coef_")
