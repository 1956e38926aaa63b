"""Boosted trees as plain arrays: those of scikit-learn, which has no file of its own for them."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.files import strict_json

if TYPE_CHECKING:
    from collections.abc import Sequence

Floats = NDArray[np.float64]
FORMAT = "matchloss trees"
DEEPEST = 1000  # nodes from the root to a leaf


@dataclass(frozen=True, eq=False)
class ArrayForest:
    """raw = start + the values of the leaves that a row falls into, tree by tree; the nodes of all trees stand behind one another.

    At a node a row goes left where its number is at most the threshold, or its level is one of `levels[place]`; where it is missing, or
    a level that the trees have not seen, it goes where `missing_left` says. `known` are the levels that the trees have seen.
    """

    start: Floats  # (K,), of one raw prediction a row (1,)
    single: bool  # whether raw predictions are (n,)
    roots: NDArray[np.int64]  # (rounds, K)
    column: NDArray[np.int64]  # -1 at a leaf
    threshold: Floats
    place: NDArray[np.int64]  # in `levels`, -1 where the column holds numbers
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    missing_left: NDArray[np.bool_]
    value: Floats  # of a leaf
    levels: tuple[tuple[int, ...], ...]
    known: dict[int, tuple[int, ...]]  # by column
    columns: int

    @property
    def trees(self) -> int:
        """How many rounds there are."""
        return len(self.roots)

    def raw(self, X: Floats) -> Floats:
        """Raw predictions (n,) or (n, K)."""
        X = np.array(X, np.float64, order="F")
        for j, seen in self.known.items():
            X[~np.isin(X[:, j], seen), j] = np.nan
        made = np.tile(self.start, (len(X), 1))
        goes_left = self._tables()
        for round_ in self.roots:
            for k, root in enumerate(round_):
                made[:, k] += self.value[self._leaves(X, int(root), goes_left)]
        return made[:, 0] if self.single else made

    def _tables(self) -> NDArray[np.bool_]:
        """Whether a level goes left, (sets, levels)."""
        wide = 1 + max((level for seen in self.known.values() for level in seen), default=0)
        table = np.zeros((max(len(self.levels), 1), wide), bool)
        for i, levels in enumerate(self.levels):
            table[i, list(levels)] = True
        return table

    def _leaves(self, X: Floats, root: int, goes_left: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The leaf of each row, by following all rows down at once."""
        at = np.full(len(X), root)
        inner = np.flatnonzero(self.column[at] >= 0)
        while inner.size:
            node = at[inner]
            x = X[inner, self.column[node]]
            gone = np.isnan(x)
            left = x <= self.threshold[node]
            sets = self.place[node]
            of_levels = (sets >= 0) & ~gone
            if of_levels.any():
                left[of_levels] = goes_left[sets[of_levels], x[of_levels].astype(np.intp)]
            left = np.where(gone, self.missing_left[node], left)
            at[inner] = np.where(left, self.left[node], self.right[node])
            inner = inner[self.column[at[inner]] >= 0]
        return at

    def write(self, path: Path) -> None:
        """JSON of plain arrays; floats are read back bit for bit."""
        found: dict[str, Any] = {"format": FORMAT}
        for field in fields(self):
            x = getattr(self, field.name)
            found[field.name] = x.tolist() if isinstance(x, np.ndarray) else x
        found["known"] = {str(j): list(seen) for j, seen in self.known.items()}
        lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(x, allow_nan=False)}" for name, x in found.items())
        path.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8", newline="\n")


def read_forest(path: Path) -> ArrayForest:
    """The trees in a file that `ArrayForest.write` wrote; ValueError, in a few words, for a file that holds anything else."""
    found = strict_json(path.read_bytes())
    names = [field.name for field in fields(ArrayForest)]
    if not isinstance(found, dict) or found.get("format") != FORMAT or set(found) != {"format", *names}:
        raise ValueError(f'it does not say "format": "{FORMAT}" with the arrays that such a file has')
    try:
        made = ArrayForest(
            start=np.array(found["start"], np.float64).reshape(-1),
            single=found["single"] is True,
            roots=_whole(found["roots"]).reshape(len(found["roots"]), -1),
            column=_whole(found["column"]),
            threshold=np.array(found["threshold"], np.float64),
            place=_whole(found["place"]),
            left=_whole(found["left"]),
            right=_whole(found["right"]),
            missing_left=np.array(found["missing_left"], bool),
            value=np.array(found["value"], np.float64),
            levels=tuple(tuple(_whole(levels).tolist()) for levels in found["levels"]),
            known={int(j): tuple(_whole(seen).tolist()) for j, seen in found["known"].items()},
            columns=int(found["columns"]),
        )
    except (TypeError, AttributeError, OverflowError) as error:
        raise ValueError("an array holds something else than numbers") from error
    _check(made)
    return made


def _whole(values: Sequence[Any]) -> NDArray[np.int64]:
    made = np.array(values if len(values) else [], np.float64)
    if not (made == np.floor(made)).all() or (np.abs(made) > 2**31).any():
        raise ValueError("an array of whole numbers holds others")
    return made.astype(np.int64)


def _check(forest: ArrayForest) -> None:
    """ValueError where following a row down could lead anywhere but to a leaf."""
    n = len(forest.column)
    arrays = (forest.threshold, forest.place, forest.left, forest.right, forest.missing_left, forest.value)
    if any(x.shape != (n,) for x in arrays) or forest.roots.shape[1:] not in ((len(forest.start),), (0,)):
        raise ValueError("its arrays do not have the same length")
    if len(forest.start) != 1 and forest.single:
        raise ValueError("its start does not go with one raw prediction a row")
    inner = forest.column >= 0
    here = np.arange(n)[inner]
    for child in (forest.left[inner], forest.right[inner]):
        if not ((child > here) & (child < n)).all():  # behind their parent, so that every way down ends
            raise ValueError("a node leads nowhere")
    if ((forest.roots < 0) | (forest.roots >= n)).any() or (forest.column >= forest.columns).any():
        raise ValueError("a tree or a column is none of the file's")
    if ((forest.place >= len(forest.levels)) | (forest.place < -1)).any():
        raise ValueError("a set of levels is none of the file's")
    levels = [*forest.levels, *forest.known.values()]
    if any(min(found, default=0) < 0 or max(found, default=0) > 2**20 for found in levels):
        raise ValueError("a level is none that a column can have")
    if not all(0 <= j < forest.columns for j in forest.known):
        raise ValueError("a column of levels is none of the file's")
    if inner.any() and not set(forest.column[inner & (forest.place >= 0)].tolist()) <= set(forest.known):
        raise ValueError("a column of levels has no levels")
