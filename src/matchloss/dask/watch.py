"""Waiting for workers, and saying so when they cannot give what is asked of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import matchloss

try:
    import distributed
    from distributed import Future
    from distributed.scheduler import KilledWorker
except ImportError as error:
    raise ImportError('fits on a cluster need Dask: pip install "matchloss[dask]"') from error

Session: TypeAlias = Any  # a distributed.Client: what its methods return depends on whether it is asynchronous, so types would lie

BASE = 300e6  # bytes of Python, NumPy, LLVM and the compiled loops in a worker
FULL = 0.6  # the share of a worker's memory above which Dask begins to write what it keeps to disk
STEP = 1.0  # seconds between two looks at the workers
PATIENCE = 30.0  # seconds that a worker may be paused, or none be there, before a fit gives up


class ClusterError(OSError):
    """The workers cannot do what is asked; the message says which, and what would help."""


def client_of(client: Session | None) -> Session:
    """The client that is given, or the one that the person opened."""
    if client is not None:
        return client
    try:
        return distributed.get_client()
    except ValueError as error:
        raise ClusterError('there is no Dask client: open one first, client = distributed.Client("ADDRESS"), or pass client=') from error


def check(client: Session) -> None:
    """ClusterError where there is no worker, one is too small for Python itself, or one has another matchloss, or none."""
    workers = _workers(client)
    if not workers:
        raise ClusterError(f"the cluster at {client.scheduler.address} has no worker")
    for address, about in workers.items():
        limit = about.get("memory_limit") or 0
        if limit and limit * FULL < BASE:
            raise ClusterError(
                f"the worker {address} may use {_bytes(limit)} of memory, and Python with its compiled loops takes {_bytes(BASE)}: "
                f"give each worker {_bytes(1e9)} or more (memory_limit=, --memory-limit)"
            )
    for address, version in client.run(_version).items():
        if version != matchloss.__version__:
            has = f"has matchloss {version}" if version else "has no matchloss"
            raise ClusterError(f"the worker {address} {has}; this process has {matchloss.__version__}, and both need the same")


def check_room(client: Session, needed: int) -> None:
    """ClusterError where the compact rows do not fit into the memory of all workers."""
    limits = [about.get("memory_limit") or 0 for about in _workers(client).values()]
    room = sum(max(FULL * limit - BASE, 0.0) for limit in limits)
    if all(limits) and needed > room:
        raise ClusterError(
            f"the rows take {_bytes(needed)} in compact form, and the {len(limits)} workers have room for {_bytes(room)}: {FULL:.0%} of "
            f"their memory, less {_bytes(BASE)} each for Python and its compiled loops. More workers would do, or more memory for each"
        )


def result(client: Session, asked: Future | Sequence[Future]) -> Any:
    """What futures hold; ClusterError where workers are paused, lost or killed again and again, so that it would never come."""
    futures = [asked] if isinstance(asked, Future) else list(asked)
    watch = Watch(client)
    try:
        while True:
            try:
                distributed.wait(futures, timeout=STEP)
                break
            except TimeoutError:
                watch.look()
        found = client.gather(futures)
    except KilledWorker as error:
        raise ClusterError(
            f"{error.allowed_failures + 1} workers died at the same partition, the last one {error.last_worker.address}: most often it is "
            "too large for their memory. Smaller partitions (repartition), or more memory for each worker, would help"
        ) from error
    return found[0] if isinstance(asked, Future) else found


@dataclass
class Watch:
    """How long which workers have been paused, and how long there has been none."""

    client: Session
    since: dict[str, float] = field(default_factory=dict)

    def look(self) -> None:
        """ClusterError where that has been too long."""
        workers, now = _workers(self.client), time.monotonic()
        paused = {address for address, about in workers.items() if about.get("status") == "paused"}
        bad = paused if workers else {""}
        self.since = {address: self.since.get(address, now) for address in bad}
        for address, began in self.since.items():
            if now - began < PATIENCE:
                continue
            if not address:
                raise ClusterError(f"all workers are gone, for {PATIENCE:.0f} seconds now; the fit needs one at least")
            about = workers[address]
            holds = f"{_bytes(about.get('metrics', {}).get('memory', 0))} of {_bytes(about.get('memory_limit') or 0)}"
            raise ClusterError(
                f"the worker {address} has been paused for {PATIENCE:.0f} seconds: it holds {holds}, and Dask starts no task on it until "
                "it holds less. More memory for each worker, more workers, or smaller partitions would help"
            )


def _workers(client: Session) -> Mapping[str, Any]:
    return client.scheduler_info(n_workers=-1)["workers"]


def _version() -> str:
    try:
        import matchloss
    except ImportError:
        return ""
    return matchloss.__version__


def _bytes(n: float) -> str:
    return f"{n / 1e9:.1f} GB" if n >= 1e9 else f"{n / 1e6:.0f} MB"
