"""LinearRegressorCV and LinearClassifierCV: a path of penalties, and the penalty that predicts left-out rows best."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.linear.base import Linear
from matchloss.linear.estimators import LinearClassifier, LinearRegressor
from matchloss.linear.penalties.asked import Asked
from matchloss.linear.penalties.fit import Problem, problem
from matchloss.linear.penalties.path import Path, alphas_of, path
from matchloss.linear.rows import Floats, TableRows
from matchloss.linear.solve import Options, Solution, raw_of
from matchloss.losses import Loss
from matchloss.signatures import with_loss

try:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import KFold, StratifiedKFold, check_cv
except ImportError as error:
    raise ImportError('the estimators need scikit-learn: pip install "matchloss[linear]"') from error

RULES = ("min", "1se")


class Searching(Linear):
    """What both estimators share: the path, the folds, the choice. See LinearRegressorCV."""

    classifies = False

    def __init__(
        self,
        loss: str | Loss = "squared_error",
        *,
        n_alphas: int = 50,
        min_alpha_ratio: float = 1e-3,
        alphas: Any = None,
        l1_ratio: float = 0.5,
        rule: str = "min",
        cv: Any = 5,
        seed: int = 0,
        penalty_factor: Any = None,
        groups: Any = None,
        bounds: Any = None,
        fit_intercept: bool = True,
        tol: float = 1e-8,
        max_passes: int = 100,
    ) -> None:
        self.loss = loss
        self.n_alphas = n_alphas
        self.min_alpha_ratio = min_alpha_ratio
        self.alphas = alphas
        self.l1_ratio = l1_ratio
        self.rule = rule
        self.cv = cv
        self.seed = seed
        self.penalty_factor = penalty_factor
        self.groups = groups
        self.bounds = bounds
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_passes = max_passes

    @property
    def l1(self) -> float:
        """The l1 that was chosen; before a fit 0."""
        return getattr(self, "alpha_", 0.0) * self.l1_ratio

    @property
    def l2(self) -> float:
        """The l2 that was chosen; before a fit 0."""
        return getattr(self, "alpha_", 0.0) * (1 - self.l1_ratio)

    def _found(
        self, loss: Loss, rows: TableRows, target: NDArray[Any], weight: Floats | None, offset: Any, outputs: int | None
    ) -> Solution:
        options, names, design = self._options(), self._names(), self.design_
        asked = Asked(float(self.l1_ratio > 0), 1.0, self.penalty_factor, self.groups, self.bounds)
        offset = None if offset is None else np.asarray(offset, np.float64)

        def part(index: NDArray[np.intp] | None) -> Problem:
            rest = [None if a is None else a if index is None else a[index] for a in (target, weight, offset)]
            taken = rows if index is None else rows.take(index)
            return problem(loss, taken, *rest, asked, bool(self.fit_intercept), design, names, self.l1_ratio > 0)  # pyright: ignore[reportArgumentType, reportCallIssue]

        whole = part(None)
        given = self.alphas
        alphas = alphas_of(whole, self.l1_ratio, self.n_alphas, self.min_alpha_ratio, self.tol) if given is None else _checked(given)
        found = path(whole, alphas, self.l1_ratio, options, names)
        losses, sizes = [], []
        for fold, (train, test) in enumerate(self._folds(target)):
            if weight is not None and not (weight[train].any() and weight[test].any()):
                raise ValueError(
                    f"fold {fold}: all rows {'left out' if weight[train].any() else 'learned from'} have the weight 0: take another cv"
                )
            there = path(part(train), found.alphas, self.l1_ratio, options, names)
            share = None if weight is None else weight[test]
            far = None if offset is None else offset[test]
            held = rows.take(test)
            losses.append([loss(self._raw_at(held, s, far), target[test], share) for s in there.solutions])
            sizes.append(len(test) if share is None else share.sum())
        return self._chosen(found, np.array(losses).T, np.array(sizes, np.float64))

    def _raw_at(self, rows: TableRows, s: Solution, offset: Floats | None) -> Floats:
        """The raw predictions of a solution."""
        return raw_of(rows, s.intercept, s.coef, s.centre, offset)

    def _options(self) -> Options:
        for name, low, high in (("l1_ratio", 0, 1), ("min_alpha_ratio", 0, 1)):
            value = getattr(self, name)
            if not low <= value <= high or (name == "min_alpha_ratio" and not 0 < value < 1):
                raise ValueError(f"{name} is {value!r}; it must lie between {low} and {high}")
        if not (isinstance(self.n_alphas, int | np.integer) and self.n_alphas >= 1):
            raise ValueError(f"n_alphas is {self.n_alphas!r}; it must be a whole number, 1 or more")
        if self.rule not in RULES:
            raise ValueError(f"rule is {self.rule!r}; allowed: {', '.join(RULES)}")
        return Options(0.0, self.fit_intercept, self.tol, self.max_passes)

    def _folds(self, target: NDArray[Any]) -> Any:
        """Rows to learn from and rows to judge by; a number of folds means shuffled ones, and for labels folds with each label's share."""
        zeros = np.zeros(len(target))
        if isinstance(self.cv, int | np.integer):
            if not 2 <= self.cv <= len(target):
                raise ValueError(f"cv is {self.cv}; there are {len(target)} rows: 2 folds or more, and at most a row each")
            made = StratifiedKFold if self.classifies and np.bincount(target.astype(np.intp)).min() >= self.cv else KFold
            return made(int(self.cv), shuffle=True, random_state=self.seed).split(zeros, target)
        splitter: Any = check_cv(self.cv, target, classifier=self.classifies)
        return splitter.split(zeros, target)

    def _chosen(self, found: Path, losses: Floats, sizes: Floats) -> Solution:
        """Set the attributes of the path; the solution that the rule chooses."""
        mean = losses @ sizes / sizes.sum()
        error = losses.std(axis=1, ddof=1) / np.sqrt(losses.shape[1]) if losses.shape[1] > 1 else np.zeros(len(mean))
        if not np.isfinite(mean).any():
            raise ValueError("the loss of rows left out is not finite at any penalty")
        best = int(np.nanargmin(mean))
        chosen = best if self.rule == "min" else int(np.flatnonzero(mean <= mean[best] + error[best])[0])
        self.alphas_, self.coef_path_, self.intercept_path_ = found.alphas, found.coef, found.intercept
        self.loss_path_, self.mean_loss_path_, self.loss_error_path_ = losses, mean, error
        self.kkt_residual_path_ = np.array([s.gradient_norm for s in found.solutions])
        self.best_index_, self.alpha_ = chosen, float(found.alphas[chosen])
        far = int((self.kkt_residual_path_ > self.tol).sum())
        if far:
            worst = self.kkt_residual_path_.max()
            said = f"{far} of {len(mean)} penalties did not converge: the largest KKT residual is {worst:.1e}"
            warnings.warn(said, ConvergenceWarning, stacklevel=4)
        return found.solutions[chosen]


class LinearRegressorCV(Searching, LinearRegressor):
    """LinearRegressor whose penalty is chosen on left-out rows: mean loss + alpha (l1_ratio |coef| + (1 - l1_ratio) / 2 coef^2).

    Alphas fall in equal ratios from the least that keeps every coefficient 0 to `min_alpha_ratio` times that, or are given as `alphas`;
    each solution starts at the previous one, on all rows and on those of each fold. `cv`: a number of folds, shuffled by `seed`, or a
    splitter of scikit-learn, or pairs of arrays of row numbers. `rule`: "min" takes the alpha with the least mean loss on left-out rows,
    "1se" the largest whose mean lies within one standard error of that. Other parameters are LinearRegressor's.

    Attributes: those of LinearRegressor, and `alphas_`, `alpha_`, `best_index_`, `coef_path_` (alphas, p), `intercept_path_`, `loss_path_`
    (alphas, folds), `mean_loss_path_`, `loss_error_path_`, `kkt_residual_path_`. `l1` and `l2` are the chosen penalty.
    Raises what LinearRegressor raises, and ValueError for a loss that is not convex, or has kinks, or K raw predictions a row.
    Source: Friedman, Hastie and Tibshirani (2010).

    >>> import numpy as np
    >>> r = np.random.default_rng(0)
    >>> x = r.normal(size=(200, 10))
    >>> y = r.poisson(np.exp(x[:, 0]))
    >>> model = LinearRegressorCV("poisson", rule="1se").fit(x, y)
    >>> np.flatnonzero(model.coef_).tolist(), model.coef_path_.shape
    ([0], (50, 10))
    """


class LinearClassifierCV(Searching, LinearClassifier):
    """LinearClassifier of two classes whose penalty is chosen on left-out rows. Parameters and attributes are LinearRegressorCV's.

    >>> import numpy as np
    >>> r = np.random.default_rng(0)
    >>> x = r.normal(size=(200, 10))
    >>> y = np.where(x[:, 3] + r.logistic(size=200) > 0, "yes", "no")
    >>> model = LinearClassifierCV(rule="1se").fit(x, y)
    >>> np.flatnonzero(model.coef_[0]).tolist(), model.classes_.tolist()
    ([3, 9], ['no', 'yes'])
    """

    classifies = True

    __init__ = with_loss(Searching.__init__, "cross_entropy")


def _checked(alphas: Any) -> Floats:
    made = np.atleast_1d(np.asarray(alphas, np.float64))
    if made.ndim != 1 or not len(made) or not (np.isfinite(made) & (made >= 0)).all():
        raise ValueError(f"alphas is {alphas!r}; allowed: numbers, finite and >= 0")
    return made
