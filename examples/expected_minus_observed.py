"""The pictures of docs/expected-minus-observed.md, written to a folder: what each loss of structures expected, and what was observed."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

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
    SigLIP,
    Transcripts,
)
from matchloss.report.pictures import write
from matchloss.report.pictures.structured import alignment_chart, expected_chart


def sequences(rng: np.random.Generator) -> dict[str, Any]:
    """CTC and a CRF."""
    logits = rng.normal(size=(10, 1, 4))
    logits[range(10), 0, [0, 1, 1, 0, 0, 2, 2, 3, 0, 0]] += 2.0
    said, ctc, crf = Transcripts([[1, 2, 3]], [3], [10]), CTC(), LinearChainCRF()
    raw = (rng.normal(size=(1, 6, 3)), np.eye(3) - 0.5, np.zeros(3), np.zeros(3))
    tags = Paths([[0, 1, 0, 2, 2, 1]])
    letters = alignment_chart(["blank", "c", "a", "t"], ctc.predict(logits, said)[:, 0], ctc.observed(logits, said)[:, 0], 'CTC of "cat"')
    words = crf.predict(raw, tags)[0][0], crf.observed(raw, tags)[0][0]
    return {"ctc": letters, "crf": alignment_chart(["noun", "verb", "other"], *words, "A CRF: tags of six words", along="word")}


def choices() -> dict[str, Any]:
    """Cox, a ranking, a choice and ordered labels."""
    eta, risk = np.array([0.9, 0.2, -0.4, 0.5, -0.8, 0.0]), RiskSets([2, 3, 4, 6, 7, 9.0], [1, 0, 1, 1, 0, 1])
    people = [f"{'died' if died else 'left'} in week {t}" for t, died in zip((2, 3, 4, 6, 7, 9), (1, 0, 1, 1, 0, 1), strict=True)]
    lists, z = Rankings([0, 6]), np.array([0.4, 1.3, -0.2, 0.6, -0.9, 0.1])
    trip, v = ChoiceSets([0, 4], [0, 1, 0, 0]), np.array([1.0, 0.4, -0.2, 0.1])
    cox, order, choice = Cox(), PlackettLuce(top=3), Choice()
    places = [f"place {k}" for k in range(1, 7)]
    made = {
        "cox": expected_chart(people, cox.predict(eta, risk), cox.observed(eta, risk), "deaths", "Cox: six people at risk"),
        "plackett_luce": expected_chart(
            places, order.predict(z, lists), order.observed(z, lists), "choices", "Plackett-Luce: the first three of six"
        ),
        "conditional_logit": expected_chart(
            ["air", "train", "bus", "car"], choice.predict(v, trip), choice.observed(v, trip), "choices", "A choice: how to travel"
        ),
    }
    for loss in (OrderedLogit(), OrderedProbit()):
        raw = ([0.4], [-1.0, 0.0, 1.2])
        p, seen = loss.predict(raw)[0], loss.observed(raw, [1])[0]
        made[loss.name] = expected_chart(["poor", "fair", "good", "excellent"], p, seen, "labels", f"{loss.title}: one answer")
    return made


def pairs(rng: np.random.Generator) -> dict[str, Any]:
    """Images and texts of a batch."""
    a = rng.normal(size=(5, 8))
    b = a + rng.normal(size=(5, 8))
    names, made = [f"image {k}" for k in range(1, 6)], {}
    for loss in (InfoNCE(), CLIP(), SigLIP()):
        raw = (a, b, 0.3, -1.5)[: len(loss.raw_names)]
        made[loss.name] = alignment_chart(names, loss.predict(raw).T, loss.observed(raw), f"{loss.title}: five pairs", along="text")
    return made


def main(folder: str) -> None:
    """Writes a picture for each loss, by its name."""
    rng = np.random.default_rng(4)
    write(sequences(rng) | choices() | pairs(rng), folder, formats=("svg",))


if __name__ == "__main__":
    main(sys.argv[1])
