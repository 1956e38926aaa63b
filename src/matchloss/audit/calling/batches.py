"""Losses of a whole batch, whose rows or pixels depend on each other, such as Dice or a loss of embeddings: found by calling them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from matchloss.audit.calling.adapt import callee_of
from matchloss.audit.calling.calls import Raised
from matchloss.audit.calling.frameworks import framework
from matchloss.audit.calling.home import frameworks_of
from matchloss.audit.calling.probe import orders_of
from matchloss.audit.calling.structures import TAGS, Array, Group, Structure
from matchloss.audit.calling.subject import usual

SAME = 1e-4  # relative: a function may compute in float32
IMAGES, MAPS = (2, 3, 3, 4), (2, 3, 4)
# What a batch is made of: the shapes of predictions and of targets, and what those are. There are 3 classes, and embeddings of 4 numbers.
SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...], str]] = {
    "images, labels": (IMAGES, MAPS, "labels"), "images, one-hot": (IMAGES, MAPS, "one-hot"),
    "images of one class": ((2, 1, 3, 4), (2, 1, 3, 4), "yes"), "images of one class, maps": ((2, 1, 3, 4), MAPS, "yes"),
    "maps": (MAPS, MAPS, "yes"), "embeddings": ((8, TAGS), (8,), "labels"), "numbers": ((8,), (8,), "numbers"),
    "rows of yes or no": ((8,), (8,), "yes"),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Batch(Structure):
    """A function of a batch of predictions and targets."""

    shape: str = ""  # of SHAPES
    whole: bool = False  # labels travel as integers
    shares: bool = False  # predictions are probabilities

    def draw(self, scale: float = 1.0, seed: int = 0, ties: bool = False) -> list[Group]:
        """One batch, in which each class occurs, and more than once; with ties it has one class alone."""
        rng = np.random.default_rng([self.seed, seed])
        size, labels, what = SHAPES[self.shape]
        k = rng.permutation(np.resize(np.arange(2 if what == "yes" else 3), np.prod(labels))).reshape(labels) * (not ties)
        tags: Array = k if self.whole else k * 1.0
        if what == "one-hot":
            tags = np.moveaxis(np.eye(3)[k], -1, 1)
        elif what == "numbers":
            tags = rng.normal(size=size).round(3)
        raw = scale * rng.normal(size=size)
        return [{"raw": (usual("multiclass" if size[1:2] == (3,) else "binary", raw) if self.shares else raw).round(3), "tags": tags}]

    def sides(self) -> tuple[Array, list[Array]]:
        """Predictions that are good for the targets of a draw, and some that are bad."""
        g = self.draw()[0]
        raw, tags, what = g["raw"], g["tags"], SHAPES[self.shape][2]
        if what == "numbers":
            return tags, [tags + 1.5, -tags]
        if self.shape == "embeddings":
            return np.eye(TAGS)[tags.astype(int)] + 0.01 * raw, [raw]
        hot = np.moveaxis(np.eye(3)[tags.astype(int)], -1, 1) if what == "labels" else tags.reshape(raw.shape)
        return 0.1 + 0.8 * hot, [0.9 - 0.8 * hot]  # logits or probabilities


def batch_of(fn: Any, loaded: Sequence[str] = (), seed: int = 0) -> Batch | None:
    """The loss of a whole batch that a function is; None where it is none, or where its rows do not depend on each other."""
    try:
        callee = callee_of(fn)
        signature = inspect.signature(getattr(fn, "forward", fn))
    except (TypeError, ValueError):
        return None
    names = [p.name for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"][:2]
    if len(names) < 2 or not set(callee.parameters) <= set(names):
        return None
    orders = orders_of(replace(callee, parameters=dict.fromkeys(names)))  # type: ignore[arg-type]
    for library in frameworks_of(fn, loaded):
        for order in orders:
            first, second = names if order.startswith("prediction") else names[::-1]
            for tried in _of_shapes(Batch(callee, "batch", {"raw": first, "tags": second}, framework(library), seed=seed)):
                try:
                    if sign := _sense(tried):
                        return replace(tried, sign=sign, shares=_of_shares(tried, sign))
                except (Raised, TypeError, ValueError):
                    continue
    return None


def _of_shapes(made: Batch) -> Iterator[Batch]:
    for shape, (*_, what) in SHAPES.items():
        for whole in (True, False) if what == "labels" else (False, True) if what == "yes" else (False,):
            yield replace(made, shape=shape, whole=whole)


def _sense(t: Batch) -> int:
    """1 for a loss, -1 for a score, of which more is better; 0 for what is neither, or no function of a whole batch."""
    batch = t.draw()[0]
    out = t.run(lambda: t.callee.call(**t.arrays(t.given([batch]))))
    if not t.framework.owns(out) or np.size(t.framework.numbers(out)) != 1 or not _coupled(t, batch):
        return 0
    turned = {role: x[::-1].copy() for role, x in batch.items()}
    other = {**batch, "tags": np.roll(batch["tags"], 1, axis=0)}
    v, again, changed = (t.value(t.given([g])) for g in (batch, turned, other))
    if not np.isfinite(v) or not np.isclose(v, again, rtol=SAME) or np.isclose(v, changed, rtol=SAME):
        return 0
    good, bad = t.sides()
    least, more = t.value(t.given([{**batch, "raw": good}])), [t.value(t.given([{**batch, "raw": b}])) for b in bad]
    return 1 if all(least < m for m in more) else -1 if all(least > m for m in more) else 0


def _of_shares(t: Batch, sign: int) -> bool:
    """Whether a probability of 1 is better than the logit 2, as it is for what takes probabilities."""
    batch, (good, _) = t.draw()[0], t.sides()
    if t.shape in ("embeddings", "numbers"):
        return False
    hot = (good - 0.1) / 0.8
    certain, logit = (t.value(t.given([{**batch, "raw": z}])) for z in (hot, 4.0 * hot - 2.0))
    return sign * certain < sign * logit


def _coupled(t: Batch, batch: Group) -> bool:
    """Whether what one row, or one pixel of an image, adds to the value depends on another."""
    raw = batch["raw"]
    way, place = np.sin(1.0 + np.arange(raw.size)).reshape(raw.shape), np.arange(raw.shape[-1 if raw.ndim > 2 else 0])
    one, other = (place == 0, place == 1) if raw.ndim != 2 else ((place == 0)[:, None], (place == 1)[:, None])
    v = [t.value(t.given([{**batch, "raw": raw + d * way}])) for d in (0.0, 1.0 * one, 1.0 * other, 1.0 * (one | other))]
    return bool(abs(v[3] - v[2] - v[1] + v[0]) > SAME * max(map(abs, v)) / 10)
