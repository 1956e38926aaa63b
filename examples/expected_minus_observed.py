"""The pictures of docs/expected-minus-observed.md, written to a folder: alignments of CTC, a risk set, a ranking."""

from __future__ import annotations

import sys

import numpy as np

from matchloss.losses.structured import CTC, Cox, PlackettLuce, Rankings, RiskSets, Transcripts
from matchloss.report.pictures import write
from matchloss.report.pictures.structured import alignment_chart, expected_chart


def main(folder: str) -> None:
    """Writes three pictures."""
    rng = np.random.default_rng(4)
    logits = rng.normal(size=(10, 1, 4))
    logits[range(10), 0, [0, 1, 1, 0, 0, 2, 2, 3, 0, 0]] += 2.0
    said = Transcripts([[1, 2, 3]], [3], [10])
    ctc, cox, order = CTC(), Cox(), PlackettLuce(top=3)
    letters = alignment_chart(["blank", "c", "a", "t"], ctc.predict(logits, said)[:, 0], ctc.observed(logits, said)[:, 0], 'CTC of "cat"')
    eta, risk = np.array([0.9, 0.2, -0.4, 0.5, -0.8, 0.0]), RiskSets([2, 3, 4, 6, 7, 9.0], [1, 0, 1, 1, 0, 1])
    names = [f"{'died' if died else 'left'} in week {t}" for t, died in zip((2, 3, 4, 6, 7, 9), (1, 0, 1, 1, 0, 1), strict=True)]
    deaths = expected_chart(names, cox.predict(eta, risk), cox.observed(eta, risk), "deaths", "Cox: six people at risk")
    lists, z = Rankings([0, 6]), np.array([0.4, 1.3, -0.2, 0.6, -0.9, 0.1])
    places = expected_chart(
        [f"place {k}" for k in range(1, 7)],
        order.predict(z, lists),
        order.observed(z, lists),
        "choices",
        "Plackett-Luce: the first three of six",
    )
    write({"ctc": letters, "cox": deaths, "ranking": places}, folder, formats=("svg",))


if __name__ == "__main__":
    main(sys.argv[1])
