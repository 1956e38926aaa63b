"""The demonstration's fits, of flights that left New York in 2013."""

from __future__ import annotations

from collections.abc import Callable

from matchloss.fit.result import FitResult
from matchloss.fit.run import fit
from matchloss.tables.flights import CYCLIC, LABEL, SOURCE
from matchloss.tables.read import pl

LATE = 0.9  # of ten flights, so many arrive before the delay that this quantile predicts
ABOUT = (
    "pinball with alpha = 0.9 predicts the delay that nine flights in ten stay below; squared error predicts the mean",
    "the held-out scores are of rows that no model saw; the constant is the best one under the same loss",
)
CARRIER_L2 = 1e-5  # carriers that fly to one place alone have no finite best coefficients


def fit_flights(table: pl.DataFrame, tell: Callable[[str], None]) -> dict[str, FitResult]:
    """Four targets and four losses, by a name for their files.

    Late or not, by the logistic loss; the delay, by squared error: its mean; the delay again, by pinball: what nine flights in ten stay
    below; and the carrier, by cross entropy, known from when and where it flies.
    """

    def one(target: str, drop: list[str], **options: float | str | dict[str, float]) -> FitResult:
        return fit(table, target, source=SOURCE, categorical=CYCLIC, drop=drop, progress=tell, **options)  # pyright: ignore[reportArgumentType]

    return {
        "late": one(LABEL, ["arr_delay"]),
        "delay": one("arr_delay", [LABEL]),
        "delay-90": one("arr_delay", [LABEL], loss="pinball", parameters={"alpha": LATE}),
        "carrier": one("carrier", ["arr_delay", LABEL], l2=CARRIER_L2),
    }
