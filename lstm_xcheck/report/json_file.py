"""Writes reports atomically, in the format of the file's suffix."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from ..atomic_files import write_atomically
from ..errors import UserError
from .html_page import to_html
from .junit_file import junit_parts
from .markdown_file import to_markdown
from .model import Report
from .sarif_file import to_sarif

#: Suffix -> the text in parts.
_WRITERS: dict[str, Callable[[Report], Iterable[str]]] = {
    ".html": lambda report: [to_html(report)],
    ".json": lambda report: itertools.chain(report.json_parts(), "\n"),
    ".xml": junit_parts,
    ".md": lambda report: [to_markdown(report)],
    ".sarif": lambda report: [to_sarif(report)],
}


def check_report_path(path: Path) -> None:
    """Check suffix and folder before any work is done."""
    if path.suffix not in _WRITERS:
        raise UserError(f"--report {path}: the suffix is {path.suffix!r}, but should be one of {', '.join(_WRITERS)}")
    if not path.parent.is_dir():
        raise UserError(f"--report {path}: the folder {path.parent} does not exist; make it first")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"--report {path}: the folder {path.parent} cannot be written to; choose another")
    if path.is_dir():
        raise UserError(f"--report {path}: is a folder, but should be a file to write")


def write_report(report: Report, path: Path) -> None:
    """Write a report in the format of its suffix."""
    check_report_path(path)
    try:
        write_atomically(path, (part.encode() for part in _WRITERS[path.suffix](report)))
    except OSError as error:
        raise UserError(f"--report {path}: cannot be written: {error.strerror}") from error
