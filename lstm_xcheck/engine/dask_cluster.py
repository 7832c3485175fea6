"""A Dask cluster as executors: the only file that imports `distributed`.

Its workers may run in different environments. Each says which adapters it has, and gets the tasks of those.
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
from .distributed import Whereabouts

if TYPE_CHECKING:
    from distributed import Client

#: Seconds to wait for a scheduler.
CONNECT_SECONDS = 10.0
#: Seconds that tasks wait for a worker that has their adapter, once all that had it are gone.
RETURN_SECONDS = 60.0
#: A task whose worker died is run elsewhere so many times; a task that kills every worker is given up.
RETRIES = 2


@contextmanager
def connected(address: str) -> Iterator[Executors]:
    """For each adapter that a worker has, an executor that runs tasks on the workers that have it; else on any.

    Tasks are impure for Dask: the same bytes asked twice are computed twice.

    Args:
        address: of a scheduler, such as tcp://host:8786.

    Raises:
        UserError: when `distributed` is not installed, or no scheduler answers.
    """
    with _client(address) as client:
        yield Executors(client)


class Executors(dict[str, Executor]):
    """Executors by adapter, made when first asked for."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client, self._holders = client, _holders(client)
        self._gone_since: dict[str, float] = {}

    def whereabouts(self, adapter: str) -> Whereabouts:
        """What became of the workers that an adapter's tasks were given to.

        A worker that comes back has another address, to which Dask would never send them.
        """
        pinned = self._holders.get(adapter)
        try:
            present = self._client.nthreads().keys()
            if present if pinned is None else not present.isdisjoint(pinned):
                self._gone_since.pop(adapter, None)
                return "here"
            others = pinned and _holders(self._client).get(adapter)
        except OSError:  # no scheduler answers
            others = None
        if others:
            self._holders[adapter] = others
            self.pop(adapter, None)
            return "elsewhere"
        since = self._gone_since.setdefault(adapter, time.monotonic())
        return "gone" if time.monotonic() - since > RETURN_SECONDS else "here"

    def __missing__(self, adapter: str) -> Executor:
        # Not "rather these": Dask would let idle workers steal the tasks of busy ones.
        self[adapter] = self._client.get_executor(pure=False, retries=RETRIES, workers=self._holders.get(adapter))
        return self[adapter]


def entries_on(address: str) -> dict[str, Entry]:
    """The adapters that some worker of the scheduler has, by name; those that this process knows."""
    with _client(address) as client:
        held = _holders(client)
    return {name: entry for name, entry in known().items() if name in held}


def _holders(client: Client) -> dict[str, list[str]]:
    """The workers' addresses by the adapters that they have."""
    holders: defaultdict[str, list[str]] = defaultdict(list)
    for worker, names in sorted(client.run(_names_here).items()):
        for name in names:
            holders[name].append(worker)
    return dict(holders)


def _names_here() -> list[str]:
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
