"""What failed in the last run of a folder, kept for `verify --last-failed`."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from ..atomic_files import write_atomically
from ..errors import UserError

#: Failures kept of one run.
_MOST = 10_000


def _file(folder: Path) -> Path:
    """The file of a folder in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "lstm-xcheck" / "last-run" / f"{hashlib.sha256(str(folder).encode()).hexdigest()[:32]}.json"


def keep_failures(folder: Path, failed: Iterable[tuple[str, str]]) -> None:
    """Keep the failed (case, adapter) pairs of a run in a folder.

    Raises:
        OSError: where the cache cannot be written.
    """
    file = _file(folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    kept = {"folder": str(folder), "failed": [list(pair) for pair in failed][:_MOST]}
    write_atomically(file, (json.dumps(kept, indent=1) + "\n").encode())


def last_failures(folder: Path) -> list[tuple[str, str]]:
    """The failed (case, adapter) pairs of the last run in a folder.

    Raises:
        UserError: where there was no run, or nothing failed in it.
    """
    try:
        failed = [(str(case), str(adapter)) for case, adapter in json.loads(_file(folder).read_bytes())["failed"]]
    except FileNotFoundError:
        raise UserError(
            f"--last-failed: no run of verify in {folder} is known; run once without --last-failed"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"--last-failed: {_file(folder)} cannot be read: {error}; remove it") from error
    if not failed:
        raise UserError(f"--last-failed: nothing failed in the last run of verify in {folder}; run without it")
    return failed
