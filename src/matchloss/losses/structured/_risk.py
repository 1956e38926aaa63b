"""Who is at risk at which time, sorted once for any number of evaluations."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from matchloss.engine.arrays import as_array, as_weight, refuse, same_shape
from matchloss.errors import DomainError, ShapeError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_serials = itertools.count()
ALIVE: WeakValueDictionary[str, RiskSets] = WeakValueDictionary()  # by serial: hosts whose graphs hold texts find them here


@dataclass(frozen=True, eq=False)
class RiskSets:
    """Rows with a time (n,), whether an event ended it (event (n,), 0 or 1), and perhaps an entry before it, strata, weights.

    A row is at risk in (entry, time], among the rows of its own stratum. strata: labels of any type. weight: a number >= 0 a row; a row
    of weight 0 might as well be absent. Sorting is done once, here.
    Raises DomainError for events other than 0 and 1, times that are not finite, an entry that is not before its time, negative weights,
    and where no row has an event; ShapeError for shapes that do not fit.

    >>> from matchloss.losses.structured import RiskSets
    >>> risk = RiskSets([1.0, 2.0, 2.0, 3.0], [1, 1, 0, 1])
    >>> risk.times.tolist(), risk.deaths.tolist()
    ([1.0, 2.0, 3.0], [1, 1, 1])
    """

    time: Any
    event: Any
    entry: Any = None
    strata: Any = None
    weight: Any = None
    # Rows below are sorted by the event time at which they leave; `order` says which row of the person's each is.
    order: Integers = field(init=False, repr=False)
    low: Integers = field(init=False, repr=False)  # the first event time at which the row is at risk
    high: Integers = field(init=False, repr=False)  # the last one; -1: none
    w: Floats = field(init=False, repr=False)
    died: NDArray[np.bool_] = field(init=False, repr=False)
    # Event times, within strata.
    times: Floats = field(init=False, repr=False)
    stratum: Integers = field(init=False, repr=False)  # of each event time
    strata_names: NDArray[Any] = field(init=False, repr=False)
    starts: NDArray[np.bool_] = field(init=False, repr=False)  # whether it is the first of its stratum
    ends: Integers = field(init=False, repr=False)  # rows ends[i] .. ends[i + 1] leave at time i
    deaths: Integers = field(init=False, repr=False)
    death_weight: Floats = field(init=False, repr=False)
    serial: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        time, event = as_array("time", self.time), as_array("event", self.event)
        if time.ndim != 1:
            raise ShapeError(f"time has shape {time.shape}; one number a row, (n,), is needed")
        same_shape("event", event, time.shape, "time")
        refuse("time", time, ~np.isfinite(time), "finite")
        refuse("event", event, ~((event == 0) | (event == 1)), "0 (censored) or 1")
        weight = as_weight(self.weight, time.shape)
        n, time = time.size, time.astype(np.float64)
        w = np.ones(n) if weight is None else weight.astype(np.float64)
        died = (event == 1) & (w > 0)
        if not died.any():
            raise DomainError(f"event is 0 in every row of positive weight ({n} rows): without an event nothing is compared")
        entry = None if self.entry is None else self._entry(time)
        names, stratum = self._strata(n)
        every = time if entry is None else np.concatenate([time, entry])
        values, rank = np.unique(every, return_inverse=True)
        place = stratum * values.size + rank[:n]  # orders by stratum, then by time
        at = np.unique(place[died])
        home = at // values.size
        high = np.searchsorted(at, place, "right") - 1
        low = np.searchsorted(home, stratum)
        if entry is not None:
            low = np.searchsorted(at, np.where(entry == -np.inf, stratum * values.size - 1, stratum * values.size + rank[n:]), "right")
        high[(high < low) | (w == 0)] = -1  # never at risk when somebody dies
        order = np.argsort(high, kind="stable")
        high = high[order]
        w, died = w[order], died[order]
        own = high[died]
        made = {
            "order": order, "low": low[order], "high": high, "w": w, "died": died, "times": values[at % values.size], "stratum": home,
            "strata_names": names, "starts": np.append(True, home[1:] != home[:-1]), "ends": np.searchsorted(high, np.arange(at.size + 1)),
            "deaths": np.bincount(own, minlength=at.size), "death_weight": np.bincount(own, w[died], minlength=at.size),
            "serial": str(next(_serials)),
        }  # fmt: skip
        for name, x in made.items():
            object.__setattr__(self, name, x)
        ALIVE[self.serial] = self

    @property
    def n(self) -> int:
        """How many rows."""
        return self.order.size

    @property
    def late(self) -> bool:
        """Whether rows come under observation at times of their own."""
        return self.entry is not None

    def _entry(self, time: Floats) -> Floats:
        entry = as_array("entry", self.entry).astype(np.float64)
        same_shape("entry", entry, time.shape, "time")
        bad = ~(entry < time)  # -inf: from the beginning
        if bad.any():
            i = int(bad.argmax())
            raise DomainError(f"entry[{i}] is {float(entry[i])!r}; allowed: below time[{i}], {float(time[i])!r}")
        return entry

    def _strata(self, n: int) -> tuple[NDArray[Any], Integers]:
        if self.strata is None:
            return np.zeros(1, np.int64), np.zeros(n, np.int64)
        strata = np.asarray(self.strata)
        same_shape("strata", strata, (n,), "time")
        if strata.dtype.kind == "f":
            refuse("strata", strata, np.isnan(strata), "a label, none missing")
        names, stratum = np.unique(strata, return_inverse=True)
        return names, stratum.astype(np.int64)
