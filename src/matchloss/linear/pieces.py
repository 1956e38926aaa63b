"""A loss that is linear between kinks, as the rows of a linear program for linear.interior."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.engine.namespaces import NUMPY
from matchloss.linear.rows import Floats

Piece = tuple[Floats, Floats, Floats]  # kink, slope below it, slope above, (n,) each


def pieces(loss: Any, target: Floats, weight: Floats | None = None) -> list[Piece]:
    """(kink, low, high) of each piece, (n,) each; summed over pieces and rows they are the weighted mean loss up to a constant.

    Raises NotImplementedError for a loss that is not linear between kinks.

    >>> import matchloss as ml
    >>> pieces(ml.Pinball(alpha=0.75), np.array([1.0, 5.0]))
    [(array([1., 5.]), array([-0.375, -0.375]), array([0.125, 0.125]))]
    """
    core = loss.simplified
    if core.pieces_formula is None:
        raise NotImplementedError(f"{loss!r} is not linear between kinks: an interior point method does not fit it")
    share = np.full(target.shape, 1 / max(target.size, 1)) if weight is None else weight / weight.sum()
    made = core.pieces_formula(NUMPY, target, *core.constants)
    return [(np.broadcast_to(np.asarray(k, float), target.shape).copy(), share * below, share * above) for k, below, above in made]


def merged(parts: list[Piece]) -> tuple[NDArray[np.intp] | None, Floats, Floats, Floats]:
    """One piece per row: (row index, kink, low, high). The index is None if no row has two pieces that matter, so none is repeated.

    >>> import matchloss as ml
    >>> merged(pieces(ml.Hinge(), np.array([0.0, 1.0])))
    (None, array([-1.,  1.]), array([ 0. , -0.5]), array([0.5, 0. ]))
    >>> merged(pieces(ml.Hinge(), np.array([0.25])))
    (array([0, 0]), array([ 1., -1.]), array([-0.25,  0.  ]), array([0.  , 0.75]))
    """
    live = np.array([(low != 0) | (high != 0) for _, low, high in parts])
    if (live.sum(axis=0) <= 1).all():
        which = live.argmax(axis=0)
        kink, low, high = (np.choose(which, [part[i] for part in parts]) for i in range(3))
        return None, kink, low, high
    rows = [np.flatnonzero(row) for row in live]
    kink, low, high = (np.concatenate([part[i][row] for part, row in zip(parts, rows, strict=True)]) for i in range(3))
    return np.concatenate(rows), kink, low, high
