"""Connectionist temporal classification: labels without times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import threads
from matchloss.errors import DomainError, ShapeError
from matchloss.losses.structured._compiled import loop
from matchloss.losses.structured._structured import Array, Arrays, StructuredLoss, as_integers, by_weight, within

BLOCK = 4  # sequences that a thread takes at once
NO_ALIGNMENT = 1  # what the loop answers; 2 where a score is not a number


@dataclass(frozen=True, eq=False)
class Transcripts:
    """What N sequences say, but not when: labels, how many each sequence has, and how many frames it has.

    labels: padded (N, S), or all of them one after the other (sum of label_lengths,), as in PyTorch. Lengths (N,).
    DomainError for negative lengths, ShapeError where labels and lengths do not fit.
    """

    labels: Any
    label_lengths: Any
    frame_lengths: Any

    def __post_init__(self) -> None:
        lengths = as_integers("label_lengths", self.label_lengths)
        if lengths.ndim != 1:
            raise ShapeError(f"label_lengths has shape {lengths.shape}; one number a sequence, (N,), is needed")
        frames, labels = as_integers("frame_lengths", self.frame_lengths, lengths.shape), as_integers("labels", self.labels)
        refuse_negative("label_lengths", lengths)
        refuse_negative("frame_lengths", frames)
        if labels.ndim == 2:
            if labels.shape[0] != lengths.size:
                raise ShapeError(f"labels has {labels.shape[0]} rows, label_lengths {lengths.size}")
            within("label_lengths", lengths, 0, labels.shape[1], f"at most the {labels.shape[1]} labels of a row")
        elif labels.ndim != 1 or labels.size != lengths.sum():
            raise ShapeError(f"labels has shape {labels.shape}; (N, S) is needed, or (sum of label_lengths,) = ({lengths.sum()},)")
        for name, a in (("labels", labels), ("label_lengths", lengths), ("frame_lengths", frames)):
            object.__setattr__(self, name, a)

    @cached_property
    def rows(self) -> list[NDArray[np.int64]]:
        """The labels of each sequence."""
        if self.labels.ndim == 2:
            return [row[:length] for row, length in zip(self.labels, self.label_lengths, strict=True)]
        return np.split(self.labels, np.cumsum(self.label_lengths)[:-1]) if self.label_lengths.size else []


def refuse_negative(name: str, x: Array) -> None:
    """DomainError for the first entry below 0."""
    within(name, x, 0, np.iinfo(np.int64).max, "0 or more")


@dataclass(frozen=True)
class CTC(StructuredLoss):
    """Connectionist temporal classification: minus the log probability of a label sequence, summed over its alignments with the frames.

    raw: logits (T, N, C), frames first, as PyTorch's `ctc_loss` has them; `from_logits=False` in `compute` takes log-probabilities.
    target: `Transcripts(labels, label_lengths, frame_lengths)`. value (N,): -log of the sum over alignments of the product over frames of
    p[t, class]; an alignment is the labels with repetitions and with blanks between them, at least one blank between equal labels.
    gradient: p[t, c] - P(class c at t | labels): expected minus observed. A sequence without any alignment raises DomainError, which
    says how many frames are missing; with zero_infinity its value and gradient are 0.
    Parameters: blank, the class of "no label"; zero_infinity. Source: Graves, Fernandez, Gomez and Schmidhuber (2006).

    >>> import numpy as np
    >>> from matchloss.losses.structured import CTC, Transcripts
    >>> logits = np.zeros((2, 1, 3))                     # 2 frames, 1 sequence, a blank and 2 labels
    >>> loss, said = CTC(), Transcripts([[1]], [1], [2])
    >>> np.exp(-loss.value(logits, said)).round(4)       # 3 of the 9 strings say "1": 1-, -1, 11
    array([0.3333])
    >>> loss.gradient(logits, said)[0, 0].round(4)       # expected minus observed
    array([-0.    , -0.3333,  0.3333])
    """

    name: ClassVar[str] = "ctc"
    aliases: ClassVar[tuple[str, ...]] = ("ctc_loss", "CTCLoss")
    title: ClassVar[str] = "Connectionist temporal classification"
    equation: ClassVar[str] = "-log sum over alignments of prod_t p[t, class], p = softmax(z)"
    partition: ClassVar[str] = "all strings of classes, one a frame"
    error_signal: ClassVar[str] = "p[t, c] - P(class c at t | labels)"
    expected: ClassVar[str] = "how often each class comes at each frame"
    observed_is: ClassVar[str] = "the same among the alignments of the labels"
    group: ClassVar[str] = "sequence"
    raw_shapes: ClassVar[str] = "logits (T, N, C)"
    target_is: ClassVar[str] = "Transcripts(labels, label_lengths, frame_lengths)"
    convex: ClassVar[bool] = False  # the log of a sum over alignments is taken away
    singles: ClassVar[bool] = True
    sources: ClassVar[tuple[str, ...]] = ("Graves, Fernandez, Gomez and Schmidhuber 2006",)

    blank: int = 0
    zero_infinity: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.blank, bool) or not isinstance(self.blank, int | np.integer) or self.blank < 0:
            raise DomainError(f"CTC's blank is {self.blank!r}; allowed: a class, 0 or more")

    def groups(self, raw: Arrays, target: Transcripts) -> int:
        return target.label_lengths.size

    def compute(
        self, raw: Arrays, target: Transcripts, weight: Array | None, graded: bool, from_logits: bool = True
    ) -> tuple[Array, Arrays]:
        z = raw[0]
        self._check(z, target)
        many, scale = z.shape[1], by_weight(weight, z.shape[1])
        plain = (np.abs(scale) > 1e-6) & (np.abs(scale) < 1e6)  # beyond, small probabilities could underflow in the units of the weight
        inner = np.where(plain | (scale == 0), scale, 1.0)
        value, gradient, found = np.empty(many), np.empty_like(z), np.empty(many, np.int64)
        rows, frames, sizes = target.rows, target.frame_lengths, target.label_lengths
        labels = np.concatenate(rows) if rows else np.empty(0, np.int64)
        given = z, labels, np.append(0, np.cumsum(sizes)), frames, self.blank, from_logits, graded, inner
        room = (2, frames.max(initial=0), 2 * sizes.max(initial=0) + 3)
        run: Callable[..., int] = loop("ctc", "sequences", z.dtype.name)
        spare: list[tuple[Array, Array]] = []  # scratch that no thread is using; fresh memory is slow

        def work(start: int, stop: int) -> int:
            try:
                scratch = spare.pop()
            except IndexError:
                scratch = np.empty(room), np.empty(room, np.int64)
            run(*given, start, stop, *scratch, value, gradient, found)
            spare.append(scratch)
            return -1

        threads.over_blocks(many, BLOCK, work)
        for n in np.flatnonzero(found):
            if found[n] == NO_ALIGNMENT and not self.zero_infinity:
                raise DomainError(self._infeasible(int(n), rows[n], int(frames[n])))
            value[n] = gradient[: frames[n], n] = 0.0 if found[n] == NO_ALIGNMENT else np.nan
        for n in np.flatnonzero(inner != scale):
            gradient[:, n] *= scale[n]
        return value * scale, (gradient,) if graded else ()

    def observed(self, raw: Any, target: Transcripts) -> Array:
        """P(class c at t | labels), of raw's shape: the alignment, as probabilities. Raises what `evaluate` raises.

        >>> import numpy as np
        >>> CTC().observed(np.zeros((2, 1, 3)), Transcripts([[1]], [1], [2]))[0].round(4)
        array([[ 0.3333,  0.6667, -0.    ]])
        """
        (z,) = self._parts(raw)
        top = z.max(axis=-1, keepdims=True)
        log_probs = z - top - np.log(np.exp(z - top).sum(axis=-1, keepdims=True))
        return -self.compute((log_probs,), target, None, True, from_logits=False)[1][0]

    def _check(self, z: Array, target: Transcripts) -> None:
        if z.ndim != 3 or z.shape[1] != target.label_lengths.size:
            raise ShapeError(f"raw has shape {z.shape}; (T, N, C) is needed, here of {target.label_lengths.size} sequences")
        frames, _, classes = z.shape
        if self.blank >= classes:
            raise DomainError(f"CTC's blank is {self.blank}; allowed: a class, 0 to {classes - 1}")
        within("frame_lengths", target.frame_lengths, 0, frames, f"at most the {frames} frames of raw")
        flat = np.concatenate(target.rows) if target.rows else target.labels
        bad = (flat < 0) | (flat >= classes) | (flat == self.blank)
        if bad.any():
            first, ends = int(bad.argmax()), np.cumsum(target.label_lengths)
            n = int(np.searchsorted(ends, first, "right"))
            where = f"labels of sequence {n}, position {first - int(ends[n] - target.label_lengths[n])}"
            raise DomainError(f"{where}: {flat[first]}; allowed: 0 to {classes - 1} but the blank, {self.blank}")

    @staticmethod
    def _infeasible(n: int, row: Array, frames: int) -> str:
        needed = row.size + int((row[1:] == row[:-1]).sum())
        if needed > frames:
            between = f", {needed - row.size} of them for blanks between equal labels" if needed > row.size else ""
            return (
                f"sequence {n}: {row.size} labels need {needed} frames{between}, and it has {frames}, {needed - frames} too few; "
                "zero_infinity=True gives such sequences value and gradient 0"
            )
        return f"sequence {n}: every alignment has probability 0; zero_infinity=True gives such sequences value and gradient 0"
