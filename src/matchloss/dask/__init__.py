"""Linear models of rows on a Dask cluster: the same losses, solvers and coefficients as in memory, with the `distributed` that you have.

    from distributed import Client
    import dask.dataframe as dd
    import matchloss.dask
    from matchloss.linear import LinearClassifier

    client = Client("tcp://scheduler:8786")
    flights = dd.read_parquet("s3://bucket/flights/*.parquet")
    model = matchloss.dask.fit(LinearClassifier(), flights, target="late")

Workers read each partition once and keep it in compact form, 10 to 40 bytes a row; a pass of the solver sends coefficients and adds the
sums that come back. When a worker is lost, Dask makes its partitions again from where they came.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matchloss.dask.fitting import fit
    from matchloss.dask.frames import read_parquet
    from matchloss.dask.scores import predict, predict_proba, score
    from matchloss.dask.watch import ClusterError

__all__ = ["ClusterError", "fit", "predict", "predict_proba", "read_parquet", "score"]
HOMES = {"ClusterError": "watch", "fit": "fitting", "read_parquet": "frames"}  # modules of names; scores for all others


def __getattr__(name: str) -> Any:
    if name in __all__:  # workers import this package for its `parts`: scikit-learn and pandas would take 100 MB of each
        return getattr(importlib.import_module(f"matchloss.dask.{HOMES.get(name, 'scores')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
