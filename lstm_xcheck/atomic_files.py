"""Writes files atomically; lists and hashes files."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path


def write_atomically(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Replace a file, or leave it as it was.

    The data may come in parts. A device or a pipe, such as /dev/null, is written to and stays what it is.

    Raises:
        OSError: when the folder cannot be written to or is full; no temporary file is left.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            file.writelines([data] if isinstance(data, bytes) else data)
        return
    # Not `tempfile`: its files are readable for their owner alone.
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
    """A file itself, or all files of a folder, sorted by path."""
    return tuple(sorted(file for file in path.rglob("*") if file.is_file())) if path.is_dir() else (path,)


def sha256_of(path: Path) -> str:
    """The sha256 of a file."""
    digest = hashlib.sha256()
    piece = memoryview(bytearray(1 << 18))  # stays in a processor's cache
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(piece):
            digest.update(piece[:count])
    return digest.hexdigest()
