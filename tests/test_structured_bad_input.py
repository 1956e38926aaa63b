"""Bad input of losses of structures and of their trainers: each message names what is wrong, where, and what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from matchloss.errors import DomainError, ShapeError
from matchloss.linear import ConditionalLogit, CoxRegression, OrderedRegressor
from matchloss.losses.structured import (
    CLIP,
    CTC,
    Choice,
    ChoiceSets,
    Cox,
    InfoNCE,
    LinearChainCRF,
    OrderedLogit,
    OrderedProbit,
    Paths,
    PlackettLuce,
    Rankings,
    RiskSets,
    Transcripts,
)

nan, inf = np.nan, np.inf
FRAMES = np.zeros((4, 2, 3))  # 4 frames of 2 sequences, a blank and 2 labels
CHAIN = (np.zeros((2, 3, 2)), np.zeros((2, 2)), np.zeros(2), np.zeros(2))
TAGS = Paths([[0, 1, 1], [1, 0, 0]])
RISK = RiskSets([1.0, 2.0, 3.0], [1, 0, 1])


def changed(x: np.ndarray, at: Any, value: float) -> np.ndarray:
    x = x.copy()
    x[at] = value
    return x


def chain(at: Any, value: float, part: int = 0) -> tuple[np.ndarray, ...]:
    return tuple(changed(x, at, value) if k == part else x for k, x in enumerate(CHAIN))


SAYS: dict[str, tuple[Callable[[], Any], str]] = {
    # CTC
    "too few frames": (
        lambda: CTC().value(FRAMES, Transcripts([[1, 0, 0], [1, 1, 2]], [1, 3], [4, 3])),
        "sequence 1: 3 labels need 4 frames, 1 of them for blanks between equal labels, and it has 3, 1 too few; zero_infinity=True",
    ),
    "alignments of probability 0": (
        lambda: CTC().value(changed(FRAMES, np.s_[:, 1, 2], -inf), Transcripts([[1], [2]], [1, 1], [4, 4])),
        "sequence 1: every alignment has probability 0",
    ),
    "a blank among labels": (
        lambda: CTC().value(FRAMES, Transcripts([[1, 1], [2, 0]], [1, 2], [4, 4])),
        "labels of sequence 1, position 1: 0; allowed: 0 to 2 but the blank, 0",
    ),
    "a class outside": (
        lambda: CTC().value(FRAMES, Transcripts([1, 3], [1, 1], [4, 4])),
        "labels of sequence 1, position 0: 3; allowed: 0 to 2 but the blank, 0",
    ),
    "a blank outside": (
        lambda: CTC(blank=3).value(FRAMES, Transcripts([1, 1], [1, 1], [4, 4])),
        "CTC's blank is 3; allowed: a class, 0 to 2",
    ),
    "more frames than there are": (
        lambda: CTC().value(FRAMES, Transcripts([1, 1], [1, 1], [4, 5])),
        "frame_lengths[1] is 5; allowed: at most the 4 frames of raw",
    ),
    "a length below 0": (lambda: Transcripts([1], [1, -1], [4, 4]), "label_lengths[1] is -1; allowed: 0 or more"),
    # CRF
    "a path that is forbidden": (
        lambda: LinearChainCRF().value(chain((0, 0), -inf, 1), Paths([[0, 1, 1], [1, 0, 0]])),
        "the path of sequence 1 has probability 0: a score of -inf forbids it",
    ),
    "a tag outside": (lambda: LinearChainCRF().value(CHAIN, Paths([[0, 1, 1], [1, 2, 0]])), "tags[1, 1] is 2; allowed: 0 to 1"),
    "a score of a CRF": (
        lambda: LinearChainCRF().value(chain((1, 2, 0), nan), TAGS),
        "emissions[1, 2, 0] is nan; allowed: finite, or -inf where it is forbidden",
    ),
    "a transition": (lambda: LinearChainCRF().value(chain((1, 0), inf, 1), TAGS), "transitions[1, 0] is inf"),
    "a length of 0": (lambda: Paths([[0, 1], [1, 0]], [2, 0]), "lengths[1] is 0; allowed: whole numbers from 1 to 2"),
    # Cox
    "all censored": (lambda: RiskSets([1.0, 2.0], [0, 0]), "event is 0 in every row of positive weight (2 rows)"),
    "no rows": (lambda: RiskSets([], []), "event is 0 in every row of positive weight (0 rows)"),
    "entry at its time": (
        lambda: RiskSets([1.0, 2.0], [1, 1], entry=[0.0, 2.0]),
        "entry[1] is 2.0; allowed: below time[1], 2.0",
    ),
    "an entry that is not a number": (
        lambda: RiskSets([1.0, 2.0], [1, 1], entry=[0.0, nan]),
        "entry[1] is nan; allowed: below time[1], 2.0",
    ),
    "an event that is no event": (lambda: RiskSets([1.0, 2.0], [1, 2]), "event[1] is 2; allowed: 0 (censored) or 1"),
    "a time": (lambda: RiskSets([1.0, inf], [1, 1]), "time[1] is inf; allowed: finite"),
    "a negative weight": (lambda: RiskSets([1.0, 2.0], [1, 1], weight=[1.0, -1.0]), "[1] is -1.0"),
    "a stratum that is missing": (
        lambda: RiskSets([1.0, 2.0], [1, 1], strata=[1.0, nan]),
        "strata[1] is nan; allowed: a label, none missing",
    ),
    "a log hazard": (lambda: Cox().value([0.0, nan, 0.0], RISK), "raw[1] is nan; allowed: finite"),
    # lists and sets
    "an empty list": (lambda: Rankings([0, 2, 2, 3]), "list 1 is empty; allowed: 1 entry or more"),
    "an order with a place twice": (lambda: Rankings([0, 2, 4], [0, 1, 1, 1]), "order of list 1: allowed: each position of the list once"),
    "an order outside": (lambda: Rankings([0, 2], [0, 2]), "order[1] is 2; allowed: positions within the list, from 0"),
    "a relevance": (lambda: Rankings.by_relevance([1.0, nan], [0, 2]), "relevance[1] is nan; allowed: a number"),
    "a score of a list": (
        lambda: PlackettLuce().value([0.0, 0.0, inf], Rankings([0, 1, 3])),
        "list 1, position 1: the score is inf; allowed: finite",
    ),
    "an empty set": (lambda: ChoiceSets([0, 0, 1], [1]), "set 0 is empty; allowed: 1 entry or more"),
    "a choice": (lambda: ChoiceSets([0, 2], [1, 0.5]), "chosen[1] is 0.5; allowed: 0 or 1"),
    "a utility": (
        lambda: Choice().value([0.0, 0.0, nan], ChoiceSets([0, 1, 3], [1, 1, 0])),
        "set 1, position 1: the utility is nan; allowed: finite",
    ),
    # ordered
    "thresholds that cross": (
        lambda: OrderedLogit().value(([0.0], [1.0, 0.5]), [1]),
        "thresholds[1] is 0.5; allowed: above thresholds[0], 1.0",
    ),
    "a threshold": (lambda: OrderedProbit().value(([0.0], [nan]), [1]), "thresholds[0] is nan; allowed: finite"),
    "an unseen label": (lambda: OrderedProbit().value(([0.0, 0.0], [0.0, 1.0]), [1, 3]), "labels[1] is 3; allowed: 0 to 2"),
    # pairs
    "a single pair": (lambda: CLIP().value((np.eye(1), np.eye(1), 1.0), None), "there are 1 pairs; allowed: 2 or more"),
    "features that are not finite": (
        lambda: InfoNCE().value((changed(np.eye(3), (1, 2), nan), np.eye(3), 1.0), None),
        "a[1, 2] is nan; allowed: finite",
    ),
    "features so large that logits overflow": (
        lambda: InfoNCE().value((np.eye(3) * 1e300, np.eye(3) * 1e300, 1.0), None),
        "as far from 0 as 1e+300 and 1e+300, and overflow",
    ),
}


@pytest.mark.parametrize("what", SAYS)
def test_what_is_wrong_is_named_with_its_place(what: str) -> None:
    call, message = SAYS[what]
    with pytest.raises((DomainError, ShapeError)) as raised:
        call()
    assert message in str(raised.value), str(raised.value)


def test_sets_of_which_none_or_all_are_chosen_are_0_and_counted() -> None:
    sets = ChoiceSets([0, 2, 4, 6], [0, 0, 1, 1, 1, 0])
    found = Choice().evaluate(np.arange(6.0), sets)
    assert sets.idle == 2 and found.value[:2].tolist() == [0.0, 0.0] and (found.gradient[:4] == 0).all() and found.value[2] > 0


def test_a_sequence_that_is_not_a_number_is_one_alone() -> None:
    found = CTC().evaluate(changed(FRAMES, (1, 1, 0), nan), Transcripts([1, 1], [1, 1], [4, 4]))
    assert np.isfinite(found.value[0]) and np.isnan(found.value[1]) and np.isfinite(found.gradient[:, 0]).all()


ROWS = pl.DataFrame({"x": [0.5, 1.0, 2.0, 3.0, 1.5, 0.0], "t": [1.0, 2, 3, 4, 5, 6], "e": [1, 0, 1, 1, 0, 1], "g": [1, 1, 2, 2, 3, 3]})
TRAINERS: dict[str, tuple[Callable[[], Any], str]] = {
    "all censored": (lambda: CoxRegression().fit(ROWS.with_columns(e=0), "t", "e"), "event is 0 in every row"),
    "entry at its time": (
        lambda: CoxRegression().fit(ROWS, "t", "e", entry=[0.0, 0, 3, 0, 0, 0]),
        "entry[2] is 3.0; allowed: below time[2]",
    ),
    "a missing number": (lambda: CoxRegression().fit(ROWS.with_columns(x=pl.Series([1.0, nan, 2, 3, 4, 5.0])), "t", "e"), "x"),
    "dependent columns": (lambda: CoxRegression().fit(ROWS.with_columns(y=1 - pl.col("x")), "t", "e"), "linearly dependent: x, y"),
    "constant within sets": (
        lambda: ConditionalLogit().fit(ROWS.select("g", c=pl.Series([0, 1, 0, 1, 1, 0]), z="g"), "c", "g"),
        "constant within every set",
    ),
    "separated choices": (
        lambda: ConditionalLogit().fit(ROWS.select("x", "g", c=pl.Series([0, 1, 0, 1, 1, 0])), "c", "g"),
        "tells the chosen",
    ),
    "no set that says anything": (lambda: ConditionalLogit().fit(ROWS.select("x", "g", c=pl.lit(1)), "c", "g"), "none or all are chosen"),
    "a negative weight": (lambda: OrderedRegressor().fit(ROWS.select("x"), [0, 1, 1, 0, 1, 0], [1, 1, 1, 1, -2, 1]), "[4] is -2"),
    "separated labels": (lambda: OrderedRegressor().fit(ROWS.select("x"), [0, 1, 1, 1, 1, 0]), "separates the labels"),
    "an unseen label": (lambda: OrderedRegressor(classes=[1, 2]).fit(ROWS.select("x"), [1, 2, 1, 3, 2, 1]), "y[3] is 3; allowed: 1, 2"),
    "a label without rows": (
        lambda: OrderedRegressor(classes=[1, 2, 3]).fit(ROWS.select("x"), [1, 3, 1, 3, 3, 1]),
        "label 2: no row has it",
    ),
    "no rows": (lambda: OrderedRegressor().fit(ROWS.select("x")[:0], np.zeros(0, int)), "y has no labels: 0 rows"),
    "no columns": (lambda: CoxRegression().fit(ROWS.select("t", "e"), "t", "e"), "without columns of its own"),
}


@pytest.mark.parametrize("what", TRAINERS)
def test_trainers_say_what_is_wrong_and_keep_no_answer(what: str) -> None:
    call, message = TRAINERS[what]
    with pytest.raises(ValueError) as raised:
        call()
    assert message in str(raised.value), str(raised.value)


def test_inputs_are_not_modified_and_may_be_read_only_and_strided() -> None:
    rng = np.random.default_rng(0)
    cases: list[tuple[Any, Any, Any]] = [
        (CTC(), rng.normal(size=(4, 2, 6)), Transcripts([[1, 2], [2, 0]], [2, 1], [4, 3])),
        (Cox(), rng.normal(size=6), RISK),
        (PlackettLuce(), rng.normal(size=10), Rankings([0, 2, 5])),
        (Choice(), rng.normal(size=10), ChoiceSets([0, 2, 5], [1, 0, 0, 1, 0])),
    ]
    for loss, wide, target in cases:
        raw = wide[..., ::2]
        raw.flags.writeable = False
        before, found = raw.copy(), loss.evaluate(raw, target)
        again = loss.evaluate(before, target)
        assert (raw == before).all() and np.array_equal(found.value, again.value) and np.array_equal(found.gradient, again.gradient)
