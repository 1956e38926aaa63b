"""A fit to the rows of a Dask collection."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from matchloss.dask import watch
from matchloss.dask.cluster import read
from matchloss.dask.frames import frames_of
from matchloss.dask.watch import Session
from matchloss.linear import LinearClassifier, LinearRegressor
from matchloss.linear.from_files import Said, fit_source, refuse_kinks
from matchloss.linear.plan import Missing
from matchloss.linear.sources.learn import Spec

E = TypeVar("E", LinearRegressor, LinearClassifier)


def fit(
    estimator: E,
    collection: Any,
    target: str,
    sample_weight: str | None = None,
    client: Session | None = None,
    *,
    categorical: Collection[str] = (),
    drop: Collection[str] = (),
    missing: Missing = "error",
    offset: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> E:
    """Fits the estimator to a Dask data frame whose rows stay with the workers; returns the estimator, fitted as by its own `fit`.

    `target` and `sample_weight` name columns; all others enter but those in `drop`. Columns named in `categorical`, text, booleans and
    categories become levels. `missing`: "error", or "indicate", which puts the mean where a number is missing, with an indicator, and
    makes a level of a missing category. `offset` names a column that is added to the raw predictions, such as the logarithm of an
    exposure; predictions of a frame read it there. `client`: by default the one that is open. `progress` is told in a sentence what
    goes on.

    Workers read each partition once and keep it in compact form, 10 to 40 bytes a row; the solver runs here, and a pass sends it
    coefficients and adds the sums that come back. The coefficients are those of a fit in memory to about 1e-12; the same number of
    partitions gives the same bits. A lost worker's partitions are read again, by other workers.

    Raises what the estimator's `fit` raises, with the partition's number; ClusterError (an OSError) where workers are too small,
    paused or gone; TypeError for what is no Dask data frame; NotInMemory (a ValueError) for a loss with kinks.

    >>> import dask.dataframe as dd, pandas as pd
    >>> from distributed import Client
    >>> from matchloss.linear import LinearRegressor
    >>> trips = pd.DataFrame({"km": [1.0, 2.0, 3.0, 4.0], "by": ["bus", "car", "car", "bus"], "minutes": [3.0, 4.0, 6.0, 9.0]})
    >>> with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0") as client:
    ...     model = fit(LinearRegressor(), dd.from_pandas(trips, npartitions=2), target="minutes")
    >>> dict(zip(model.coef_names_, model.coef_.round(6)))
    {'km': np.float64(2.0), 'by = car': np.float64(-1.0)}
    """
    bounds = refuse_kinks(estimator._suited(), estimator.method)
    frames = frames_of(collection, [target, sample_weight, offset, *categorical, *drop])
    client, tell = watch.client_of(client), progress or (lambda text: None)
    tell(f"reading {len(frames)} partition{'s' if len(frames) != 1 else ''}")
    labels = isinstance(estimator, LinearClassifier)
    spec = Spec(target, labels, sample_weight, tuple(categorical), tuple(drop), missing, bounds, offset)
    found = read(client, frames, spec).learned
    fit_source(estimator, found, Said(tell, found.source.rows.n), offset)
    return estimator
