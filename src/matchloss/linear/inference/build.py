"""Inference from a fitted estimator and its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from matchloss.errors import DomainError
from matchloss.linear.advice import all_at_the_end
from matchloss.linear.columns import library_of
from matchloss.linear.endless import endless
from matchloss.linear.inference.inference import Inference, Kind, names_of
from matchloss.linear.inference.information import Standing, Weights
from matchloss.linear.metric import POTRF
from matchloss.linear.objective import Measure, Objective
from matchloss.linear.rows import Floats, TableRows, moved
from matchloss.linear.solve import blas_on_one_thread, objective

if TYPE_CHECKING:
    from matchloss.linear.plan import Design
    from matchloss.losses import Loss

I = TypeVar("I", bound=Inference)
CLEAR = 1e-8  # a column of which this share of its squared length is left beside those before it is no combination of them
AWAY = 0.01  # standard errors: a gradient that moves a coefficient by more says that these rows are others


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted linear model and its penalty, without its rows."""

    loss: Loss
    coef: Floats  # (1, p) or (K, p)
    intercept: Floats  # (1,) or (K,)
    fit_intercept: bool
    l2: float
    names: tuple[str, ...]  # of the p coefficients
    columns: dict[str, list[int]]  # the coefficients of each column, of those
    classes: tuple[str, ...] = ()
    diverging: tuple[int, ...] = ()  # without a finite best, the intercept, if any, counted as the first


def infer(
    estimator: Any, X: Any, target: NDArray[Any], sample_weight: Any, offset: Any, weights: Weights, kind: Kind | None, groups: Any
) -> Inference:
    """The Inference of an estimator; `target` is given as its loss takes it."""
    _refuse(estimator)
    names = tuple(str(name) for name in estimator.coef_names_)
    fit = Fit(
        estimator.loss_,
        np.atleast_2d(estimator.coef_),
        np.atleast_1d(estimator.intercept_),
        bool(estimator.fit_intercept),
        float(estimator.l2),
        names,
        columns_of(estimator.design_),
        tuple(str(label) for label in getattr(estimator, "classes_", [])),
        getattr(estimator, "_diverging", ()),
    )
    rows, offset = estimator._read(X, offset)
    made = infer_rows(fit, rows, target, sample_weight, offset, weights, kind, groups)
    made.backend, made.reads = library_of(X), estimator._read
    return made


def infer_rows(
    fit: Fit,
    rows: TableRows,
    target: NDArray[Any],
    sample_weight: Any = None,
    offset: Any = None,
    weights: Weights = "repeat",
    kind: Kind | None = None,
    groups: Any = None,
) -> Inference:
    """The same for rows as passes read them."""
    refuse_loss(fit.loss, weights)
    outputs = None if len(fit.coef) == 1 else len(fit.coef)
    given = rows.n
    f = objective(fit.loss, rows, target, sample_weight, offset, fit.l2, outputs, fit.fit_intercept)
    made = assembled(Inference, f, fit, lambda theta: Standing(f, theta, weights), weights)
    made.rows = None if f.rows.n == given else np.flatnonzero(np.asarray(sample_weight, np.float64) > 0)
    made.given, made.kind, made.groups = given, kind or made.kind, groups
    ending(made, fit, None, f.weight is not None and not (f.weight == np.round(f.weight)).all())
    return made


def refuse_loss(loss: Loss, weights: str) -> None:
    """DomainError for a loss whose coefficients have no standard errors, and for what weights cannot mean."""
    if weights not in ("repeat", "trials"):
        raise DomainError(f'weights is {weights!r}; allowed: "repeat" (a weight counts equal rows), "trials" (a row is a mean of so many)')
    if not loss.smooth:
        raise DomainError(
            f"{loss!r} has kinks: its coefficients have no standard errors from second derivatives; draw rows with replacement and refit"
        )


def assembled(cls: type[I], f: Objective, fit: Fit, standing: Callable[[Floats], Standing], weights: Weights) -> I:
    """The Inference of a fit before it is known which coefficients have a standard error; see `ending`."""
    loss, head = fit.loss, int(fit.fit_intercept)
    theta, centre, params = _coefficients(f, fit.coef, fit.intercept)
    return cls(
        standing=standing(theta),
        names=names_of(fit.names, fit.fit_intercept, fit.classes[1:] if f.outputs else ()),
        params=params,
        centre=np.concatenate([np.zeros(head), centre]),
        kept=np.ones(theta.size, bool),
        independent=np.ones(f.size, bool),
        title=f"{loss.title} regression" if loss.title else repr(loss),
        facts=_facts(loss, fit.classes, weights, f),
        kind="fisher" if loss.simplified.likelihood else "HC1",
        columns={name: [head + j + k for k in range(0, theta.size, f.size) for j in own] for name, own in fit.columns.items()},
    )


def ending(made: Inference, fit: Fit, sums: tuple[Floats, Floats] | None, fractions: bool) -> None:
    """Sets the notes, and which coefficients have no standard error.

    `sums`: X'w and X'(w y), for rows that are not at hand; `fractions`: whether some weight is no whole number.
    """
    with blas_on_one_thread():
        _judge(made, fit, sums, fractions)


def columns_of(design: Design | None) -> dict[str, list[int]]:
    """The coefficients of each column of a frame."""
    made: dict[str, list[int]] = {}
    at = 0
    for column in () if design is None else design.columns:
        made[column.name] = list(range(at, at + len(column.names)))
        at += len(column.names)
    return made


def _refuse(estimator: Any) -> None:
    if estimator.bounds or estimator.penalty_factor is not None:
        raise DomainError("with bounds or penalty factors the usual standard errors do not hold: there are none")
    if estimator.l1:
        raise DomainError(
            "l1 > 0 selects columns, and standard errors after a selection by the same rows are too small: there are none. "
            "Refit the chosen columns with l1=0 to other rows"
        )


def _coefficients(f: Objective, coef: Floats, intercept: Floats) -> tuple[Floats, Floats, Floats]:
    """theta, or its contrasts with the first class, for centred rows; the centre of each column; and the coefficients, class by class."""
    if f.outputs is not None:
        coef, intercept = coef[1:] - coef[0], intercept[1:] - intercept[0]
    wide = np.zeros(f.rows.width)
    if f.rows.shift is not None:
        wide[1 : 1 + f.rows.q] = f.rows.shift
    centre = wide[f.rows.slots]
    columns = coef.T if f.outputs is not None else coef[0]
    own = intercept if f.outputs is not None else intercept[0]
    shifted = np.asarray(moved(np.asarray(own, np.float64), centre, columns))
    head = [shifted[None]] if f.intercept else []
    theta = np.concatenate([*head, columns])
    whole = np.concatenate([intercept[:, None], coef], axis=1) if f.intercept else coef
    return theta, centre, whole.ravel()


def _facts(loss: Loss, classes: Sequence[str], weights: str, f: Objective) -> dict[str, str]:
    made = {"Loss:": repr(loss)}
    if len(classes) == 2:
        made["Target:"] = f"{classes[1]}, against {classes[0]}"
    elif classes:
        made["Target:"] = f"contrasts with {classes[0]}"
    if f.source.weighted:
        made["Weights:"] = "repeat rows" if weights == "repeat" else "trials of a row"
    if f.l2:
        made["Ridge:"] = f"l2 = {f.l2:g}"
    return made


def _judge(made: Inference, fit: Fit, sums: tuple[Floats, Floats] | None, fractions: bool) -> None:
    f, notes = made.f, []
    each = names_of(fit.names, fit.fit_intercept, ())
    independent = made.independent.copy()
    if not (f.l2 or _determined(made.standing.observed)):
        left_out = f.collinear()
        independent[left_out] = False
        if len(left_out):
            notes.append(f"Collinear columns have no standard error: {_listed([each[j] for j in left_out])}.")
    kept = np.tile(independent, made.standing.size // f.size)
    if f.l2 == 0:
        gone = _diverging(made, fit, sums)
        kept &= ~gone
        if gone.any():
            which = _listed([made.names[j] for j in np.flatnonzero(gone)])
            notes.append(
                f"No finite best coefficient, and so no standard error (separated classes, or a level whose targets all agree): {which}."
            )
    made.kept, made.independent = kept, independent
    if made.df_resid <= 0:
        notes.append(f"There are {made.nobs:g} observations and {made.fitted} coefficients: nothing is left to tell how sure they are.")
    if f.loss.simplified.likelihood == "":
        notes.append(
            f"{f.loss!r} is no likelihood: the errors are the sandwich's, right for the coefficients that minimise its mean over all rows "
            "that could have come, whatever law they follow."
        )
    elif made.standing.weights == "repeat" and fractions:
        notes.append('Weights are not whole numbers; they were taken as repeats of a row. weights="trials" takes a row as a mean.')
    if f.l2:
        notes.append("With a ridge coefficients are drawn to 0: errors are of their spread about that, not about the truth.")
    away = _away(made)
    if away > AWAY:
        notes.append(
            f"These rows' optimum is up to {away:.2g} standard errors away: fit to the same rows, weights and offset, with a smaller tol."
        )
    made.notes = tuple(notes)


def _determined(information: Floats) -> bool:
    """Whether second derivatives alone show that no column is near a combination of others."""
    diagonal = np.diagonal(information)
    if not (diagonal > 0).all():
        return False
    scale = 1 / np.sqrt(diagonal)
    factor, failed = POTRF(information * scale * scale[:, None], lower=1)
    return not failed and bool((np.diagonal(factor) ** 2 > CLEAR).all())


def _away(made: Inference) -> float:
    """The largest Newton step still to take, in standard errors."""
    standing, inverse = made.standing, made._bread
    gradient = standing.gradient
    if made.f.l2:
        gradient = gradient + standing.penalty @ standing.theta.T.ravel()
    error = np.sqrt(np.maximum(np.diagonal(inverse), 0))
    step, kept = np.abs(inverse @ gradient), made.kept & (error > 0)
    return float((step[kept] / error[kept]).max(initial=0.0))


def _diverging(made: Inference, fit: Fit, sums: tuple[Floats, Floats] | None) -> NDArray[np.bool_]:
    """Coefficients (P M,) without a finite best: of levels whose targets all lie at an end, or along a direction that never stops."""
    f = made.f
    gone = np.zeros((made.standing.size // f.size, f.size), bool)
    at_end = _levels_at_the_end(f, sums)
    if at_end is not None:
        gone |= at_end
    gone[:, [j for j in fit.diverging if j < f.size]] = True
    if all_at_the_end(f):  # with the intercept at infinity nothing is known of slopes
        gone[:] = True
    if sums is None and not gone.any():  # a direction is sought in the rows
        whole = made.standing.whole
        direction = endless(f, Measure(whole, 0.0, np.zeros_like(whole), None), [])
        if direction is not None:
            moves = np.abs(direction if direction.ndim == 1 else (direction[:, 1:] - direction[:, :1]).T)
            gone |= (moves > 1e-8 * moves.max()).reshape(gone.shape)
    return gone.ravel()


def _levels_at_the_end(f: Objective, sums: tuple[Floats, Floats] | None) -> NDArray[np.bool_] | None:
    """(M, P): levels of categories with all targets 0 (of a count or an amount), all 0 or all 1, or without a row of some class."""
    if not f.rows.levels or (f.outputs is None and not _has_an_end(f.loss)):
        return None
    start = 1 + f.rows.q + f.rows.s
    if f.outputs is None:
        mass, total = (part[start:] for part in sums or _sums_by_slot(f))
        got = total / np.where(mass > 0, mass, 1)
        end = (got == 0) | ((got == 1) if f.loss.target_domain.high == 1 else False)
        end = (end & (mass > 0))[None]
    else:
        weight = np.ones(f.rows.n) if f.weight is None else f.weight
        mass = f.matrix.transposed(weight)[start:]
        shares = np.eye(f.outputs)[f.target] if f.target.ndim == 1 else f.target
        got = np.column_stack([f.matrix.transposed(weight * shares[:, k])[start:] for k in range(f.outputs)]).T
        end = ((got[1:] == 0) | (got[:1] == 0)) & (mass > 0)
    made = np.zeros((len(end), f.size), bool)
    for first, levels in zip(f.rows.first, f.rows.levels, strict=True):
        here = end[:, first - start : first - start + levels]
        own = (f.slots >= first) & (f.slots < first + levels)
        made[:, own] = here[:, f.slots[own] - first] | here[:, :1]  # where the reference is at the end, all others move against it
        if f.intercept:
            made[:, 0] |= here[:, 0]
    return made


def _sums_by_slot(f: Objective) -> tuple[Floats, Floats]:
    """X'w and X'(w y), of each level its weight and its weighted targets."""
    weight = np.ones(f.rows.n) if f.weight is None else f.weight
    return f.matrix.transposed(weight), f.matrix.transposed(weight * f.target)


def _has_an_end(loss: Loss) -> bool:
    """Whether targets all at the domain's lower end, such as counts of 0, have no finite best constant."""
    low = float(loss.target_domain.low)
    return low in loss.target_domain and bool(np.isinf(loss.best_constant(np.array([low]))))


def _listed(names: list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
