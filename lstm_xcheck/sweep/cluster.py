"""A Dask cluster as an executor: the only file that imports `distributed`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from ..errors import UserError

#: Seconds to wait for a scheduler.
CONNECT_SECONDS = 10.0
#: A task whose worker died is run elsewhere so many times; a task that kills every worker is given up.
RETRIES = 2


@contextmanager
def connected(address: str) -> Iterator[Executor]:
    """An executor that runs tasks on the workers of a scheduler such as tcp://host:8786.

    Tasks are impure for Dask: the same bytes asked twice are computed twice.

    Raises:
        UserError: when `distributed` is not installed, or no scheduler answers.
    """
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
        yield client.get_executor(pure=False, retries=RETRIES)
    finally:
        client.close()
