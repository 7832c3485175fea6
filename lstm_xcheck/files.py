"""Files written whole or not at all, listed and hashed."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from queue import Queue
from threading import Thread
from types import TracebackType

#: How many pieces may wait to be hashed.
_AHEAD = 64


def write_atomically(path: Path, data: bytes | Iterable[bytes]) -> None:
    """The old file or the new one, never half of it; the data may come in parts.

    Raises:
        OSError: when the folder cannot be written to or is full; nothing is left behind then.
    """
    # Not `tempfile`, whose files nobody but their owner may read.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            file.writelines([data] if isinstance(data, bytes) else data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def files_in(path: Path) -> tuple[Path, ...]:
    """A file itself, or all files in a folder, in an order that is the same everywhere."""
    return tuple(sorted(file for file in path.rglob("*") if file.is_file())) if path.is_dir() else (path,)


def sha256_of(path: Path) -> str:
    """The hash of a file, read in pieces that stay in a processor's cache."""
    digest = hashlib.sha256()
    piece = memoryview(bytearray(1 << 18))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(piece):
            digest.update(piece[:count])
    return digest.hexdigest()


class HashedFile:
    """A new file that is written from its start to its end, and hashed on the way by a thread of its own.

    What is written must not change before the file is closed.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")
        self._digest = hashlib.sha256()
        self._pieces: Queue[bytes | memoryview | None] = Queue(_AHEAD)
        self._hashing = Thread(target=self._hash, daemon=True)

    def __enter__(self) -> HashedFile:
        self._hashing.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pieces.put(None)
        self._hashing.join()
        self._file.close()

    def write(self, data: bytes | memoryview) -> int:
        """Append."""
        count = self._file.write(data)
        self._pieces.put(data)
        return count

    def flush(self) -> None:
        """Hand all of it to the system."""
        self._file.flush()

    @property
    def sha256(self) -> str:
        """The hash of the file, once it is closed."""
        return self._digest.hexdigest()

    def _hash(self) -> None:
        while (piece := self._pieces.get()) is not None:
            self._digest.update(piece)
