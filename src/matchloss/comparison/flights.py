"""The demonstration's comparisons, of flights that left New York in 2013."""

from __future__ import annotations

from collections.abc import Callable

from matchloss.comparison.result import Comparison
from matchloss.comparison.run import compare
from matchloss.tables.flights import CYCLIC, LABEL, SOURCE
from matchloss.tables.read import pl

USUAL = ("squared_error", "absolute_error", "huber", "log_cosh", "argument")  # and what the argument sets beside them


def compare_flights(table: pl.DataFrame, tell: Callable[[str], None]) -> list[Comparison]:
    """Both comparisons: the arrival delay as a number, and more than 15 minutes late as a label."""
    label = compare(table.drop("arr_delay"), LABEL, source=SOURCE, categorical=CYCLIC, progress=tell)
    number = compare(table.drop(LABEL), "arr_delay", USUAL, source=SOURCE, categorical=CYCLIC, progress=tell)
    return [label, number]


SAMPLE = 40_000  # flights for trees, which take longer: more than 30,000 rows are cut into folds once
WITH_TREES = {LABEL: ("logistic", "sigmoid_brier"), "arr_delay": ("squared_error", "absolute_error")}


def compare_models(table: pl.DataFrame, tell: Callable[[str], None]) -> list[Comparison]:
    """Linear models beside boosted trees, each under two losses, on a sample of the flights."""
    made = []
    for target, losses in WITH_TREES.items():
        other = next(name for name in WITH_TREES if name != target)
        source, rows = SOURCE, table.height
        if rows > SAMPLE:
            source, rows = f"{SOURCE}, {SAMPLE:,} of them drawn at random", SAMPLE
        options = {"source": source, "categorical": CYCLIC, "model": "linear,trees", "rows": rows, "progress": tell}
        made.append(compare(table.drop(other), target, losses, **options))
    return made
