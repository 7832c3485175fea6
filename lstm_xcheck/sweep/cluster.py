"""A Dask cluster as executors: the only file that imports `distributed`.

Its workers may run in different environments. Each says which adapters it has, and gets the tasks of those.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..adapters import Entry
from ..adapters.registry import installed, known
from ..errors import UserError

if TYPE_CHECKING:
    from distributed import Client

#: Seconds to wait for a scheduler.
CONNECT_SECONDS = 10.0
#: A task whose worker died is run elsewhere so many times; a task that kills every worker is given up.
RETRIES = 2


@contextmanager
def connected(address: str) -> Iterator[Mapping[str, Executor]]:
    """For each adapter that a worker has, an executor that runs tasks on the workers that have it; else on any.

    Tasks are impure for Dask: the same bytes asked twice are computed twice. Where all workers that have an adapter
    have died its tasks wait for one of them to come back.

    Args:
        address: of a scheduler, such as tcp://host:8786.

    Raises:
        UserError: when `distributed` is not installed, or no scheduler answers.
    """
    with _client(address) as client:
        yield _Executors(client)


class _Executors(dict[str, Executor]):
    """Executors by adapter, made when first asked for."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client, self._holders = client, _holders(client)

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
