"""A Dask cluster as executors; the only module that imports `distributed`.

The workers of a cluster may run in different environments. Each reports its adapters, and gets the chunks of those.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..adapters import Entry
from ..adapters.registry import installed, known
from ..errors import UserError
from .distributed import WorkerState

if TYPE_CHECKING:
    from distributed import Client

#: Seconds to wait for a scheduler.
CONNECT_SECONDS = 10.0
#: Seconds that chunks wait for a new worker with their adapter once all former ones are gone.
REPLACEMENT_SECONDS = 60.0
#: How often Dask runs a chunk elsewhere after its worker died; a chunk that kills every worker then fails.
RETRIES = 2


@contextmanager
def connect(address: str) -> Iterator[DaskExecutors]:
    """Executors of a cluster, by adapter, from its address such as tcp://host:8786."""
    with _client(address) as client:
        yield DaskExecutors(client)


def cluster_entries(address: str) -> dict[str, Entry]:
    """Known adapters that a worker of the cluster has, by name."""
    with _client(address) as client:
        present = _workers_by_adapter(client)
    return {name: entry for name, entry in known().items() if name in present}


class DaskExecutors(dict[str, Executor]):
    """Executors by adapter, for the workers that have it.

    An adapter that no worker has runs on any. Executors are made when first asked for. Calls are impure for Dask: equal
    bytes are computed again.
    """

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client, self._workers = client, _workers_by_adapter(client)
        self._gone_since: dict[str, float] = {}

    def worker_state(self, adapter: str) -> WorkerState:
        """The state of the workers that have an adapter's chunks.

        A worker that restarts has another address, to which Dask never sends chunks that were pinned to the old one.
        """
        pinned = self._workers.get(adapter)
        try:
            present = self._client.nthreads().keys()
            if present if pinned is None else not present.isdisjoint(pinned):
                self._gone_since.pop(adapter, None)
                return "present"
            others = pinned and _workers_by_adapter(self._client).get(adapter)
        except OSError:  # no scheduler answers
            others = None
        if others:
            self._workers[adapter] = others
            self.pop(adapter, None)
            return "replaced"
        since = self._gone_since.setdefault(adapter, time.monotonic())
        return "gone" if time.monotonic() - since > REPLACEMENT_SECONDS else "present"

    def __missing__(self, adapter: str) -> Executor:
        # Not "rather these": Dask would let idle workers steal the chunks of busy ones.
        self[adapter] = self._client.get_executor(pure=False, retries=RETRIES, workers=self._workers.get(adapter))
        return self[adapter]


def _workers_by_adapter(client: Client) -> dict[str, list[str]]:
    """Addresses of the workers that have each adapter."""
    addresses: defaultdict[str, list[str]] = defaultdict(list)
    for worker, names in sorted(client.run(_installed_names).items()):
        for name in names:
            addresses[name].append(worker)
    return dict(addresses)


def _installed_names() -> list[str]:
    return sorted(installed())


@contextmanager
def _client(address: str) -> Iterator[Client]:
    try:
        from distributed import Client
    except ImportError:
        raise UserError(
            "--dask needs distributed, which this Python lacks; run: pip install 'lstm-xcheck[dask]'"
        ) from None
    if not re.search(r":\d+$", address):  # a client of such an address prints a traceback when Python ends
        raise UserError(f"--dask {address}: should be the address of a scheduler with its port, tcp://host:8786")
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise UserError(f"--dask {address}: no scheduler answers there: {error}") from error
    try:
        if not client.scheduler_info()["workers"]:
            raise UserError(f"--dask {address}: the scheduler has no workers; start one with: dask worker {address}")
        yield client
    finally:
        client.close()
