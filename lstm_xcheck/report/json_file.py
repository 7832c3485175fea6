"""Reports as files, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from ..errors import UserError
from .model import Report

_WRITERS: dict[str, Callable[[Report], str]] = {".json": lambda report: report.to_json() + "\n"}


def check_report_path(path: Path) -> None:
    """Refuse an unknown suffix or a missing folder before any work is done.

    Raises:
        UserError: naming what is possible.
    """
    if path.suffix not in _WRITERS:
        raise UserError(f"--report {path}: the suffix is {path.suffix!r}, but should be one of {', '.join(_WRITERS)}")
    if not path.parent.is_dir():
        raise UserError(f"--report {path}: the folder {path.parent} does not exist; make it first")
    if path.is_dir():
        raise UserError(f"--report {path}: is a folder, but should be a file to write")


def write_report(report: Report, path: Path) -> None:
    """Write a report in the format of its suffix, through a temporary file in the same folder."""
    check_report_path(path)
    write_atomically(path, _WRITERS[path.suffix](report).encode())


def write_atomically(path: Path, data: bytes) -> None:
    """The old file or the new one, never half of it."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
