"""A comparison: the same linear model, by the same trainer, under every candidate loss, scored on held-out rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.comparison.candidates import choose
from matchloss.comparison.result import Comparison, Fit
from matchloss.linear.solve import raw_of, solve
from matchloss.linear.warm import warm
from matchloss.tables.design import describe, describe_unseen, held, learn
from matchloss.tables.holdout import frequencies, hold_out
from matchloss.tables.losses import get_loss
from matchloss.tables.prepare import prepare
from matchloss.tables.scores import held_out, score_names
from matchloss.tables.target import needed
from matchloss.tables.words import plural

if TYPE_CHECKING:
    from matchloss.linear.rows import TableRows
    from matchloss.losses import Loss
    from matchloss.tables.target import Target

Tell = Callable[[str], None]
RIDGE = 1e-6  # a level whose rows all have the same label has no finite best coefficient
MAX_PASSES = 200


def compare(
    data: Any,
    target: str,
    *,
    source: str | None = None,
    losses: Sequence[str | Loss] | None = None,
    keep: Collection[str] = (),
    drop: Collection[str] = (),
    categorical: Collection[str] = (),
    rows: int | None = None,
    counts: bool | None = None,
    test_fraction: float = 0.2,
    seed: int = 0,
    progress: Tell | None = None,
) -> Comparison:
    """Fit and score every candidate loss for the column `target` of a table.

    `losses` replaces the candidates for the target's kind: names of the catalogue, "module:class" for a person's own, or losses.
    The other options, and `data`, are those of `matchloss.tables.prepare.prepare`; `progress` is told what goes on.
    DataError for a table, a column or an option that no comparison can be made from.

    >>> import polars as pl
    >>> table = pl.DataFrame({"x": [i % 7 for i in range(40)], "y": [2 * (i % 7) + i % 3 for i in range(40)]})
    >>> found = compare(table, "y", losses=["squared_error", "huber"])
    >>> found.kind, found.rows_train, found.rows_test, list(found.fits[0].scores)
    ('number', 32, 8, ['squared error', 'absolute error'])
    """
    tell = progress or (lambda text: None)
    tell("looking at the columns")
    take = needed([get_loss(name) for name in losses or ()])
    ready = prepare(
        data, target, source=source, keep=keep, drop=drop, categorical=categorical, counts=counts, take=take, rows=rows, seed=seed
    )
    wanted = ready.target
    train, test = hold_out(wanted, test_fraction, seed)
    fit_to, judge_by = wanted.values[train], wanted.values[test]
    shares = frequencies(wanted, fit_to)
    chosen = choose(wanted, losses, fit_to)
    design, learned = learn(ready, train)
    judged = held(design, ready, test)
    messages = [*ready.notes, f"{plural(len(train), 'row')} to learn from, {len(test):,} held out, drawn at random (seed {seed})."]
    messages += [*describe(design, ready), *describe_unseen(design, judged.unseen)]
    fits = [_fit(loss, note, wanted, learned, fit_to, judged, judge_by, tell) for loss, note in chosen]
    if wanted.kind != "number":
        messages.append(f"A ridge of {RIDGE:.6f} keeps every model finite where a level alone decides the target.")
    messages += [f"{loss.name}: {note}." for loss, note in chosen if note]
    labels = bool(wanted.classes)
    low, high = (0.0, 1.0) if labels else np.quantile(np.asarray(fit_to, dtype=np.float64), [0.05, 0.95])
    return Comparison(
        source=ready.source,
        target=target,
        kind=wanted.kind,
        classes=wanted.classes,
        frequencies=shares,
        target_range=(float(low), float(high)),
        rows_train=len(train),
        rows_test=len(test),
        features=len(design.names),
        messages=tuple(messages),
        score_names=score_names(wanted.kind),
        fits=tuple(fits),
    )


def _fit(
    loss: Loss, note: str, wanted: Target, learned: TableRows, fit_to: NDArray[Any], held: TableRows, judge_by: NDArray[Any], tell: Tell
) -> Fit:
    tell(f"{loss.name}: loading")
    outputs = len(wanted.classes) if loss.family == "simplex" else None
    fit_to = fit_to.astype(np.float64 if outputs is None else np.int64)
    warm(loss, learned, fit_to, outputs)
    l2 = 0.0 if wanted.kind == "number" else RIDGE
    found = solve(loss, learned, fit_to, l2=l2, outputs=outputs, max_passes=MAX_PASSES, progress=lambda n: tell(f"{loss.name}: pass {n}"))
    scores = held_out(loss, wanted.kind, raw_of(held, found.intercept, found.coef), judge_by)
    penalty = l2 / 2 * float(np.square(found.coef).sum())
    return Fit(loss, note, found.passes, found.seconds, found.converged, found.objective - penalty, scores)
