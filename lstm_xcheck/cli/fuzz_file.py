"""The reproducer as a file: where it may go, how it is written, and whether it fails as it should."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from ..adapters import Entry
from ..atomic_files import write_atomically
from ..diagnose import Diagnosis
from ..errors import UserError
from ..fuzz import CannotReproduce, Finding, reproducer
from ..fuzz.script import TEST

#: The reproducer is run once; importing a framework from a cold disk takes this long.
_SECONDS = 300.0


def check_out(path: Path) -> None:
    """Refuse a file that cannot be written before the search begins.

    Raises:
        UserError: saying why.
    """
    if path.suffix != ".py":
        raise UserError(f"--out {path}: the suffix is {path.suffix!r}, but should be .py")
    if not path.parent.is_dir():
        raise UserError(f"--out {path}: the folder {path.parent} does not exist; make it first")
    if path.exists():
        raise UserError(f"--out {path}: the file exists; remove it or choose another name")


def free_name(adapter: str) -> Path:
    """A file in the current folder that does not exist yet."""
    stem = f"test_xcheck_{re.sub(r'[^a-z0-9]+', '_', adapter.lower())}"
    names = (Path(f"{stem}{f'_{number}' if number else ''}.py") for number in range(1_000_000))
    return next(name for name in names if not name.exists())


def written(finding: Finding, entry: Entry, diagnosis: Diagnosis | None, out: Path | None) -> tuple[Path | None, str]:
    """The reproducer, and what running it once has shown."""
    path = out or free_name(finding.adapter)
    try:
        text = reproducer(finding, entry, diagnosis, path.parent)
    except CannotReproduce as reason:
        return None, f"no reproducer: {reason}"
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}; give --out FILE.py in another folder") from error
    return path, _tried(path, finding)


def _tried(path: Path, finding: Finding) -> str:
    """Whether the file fails where nothing of this process can help it."""
    if any("gave no answer" in row.reason for row in finding.outcome.rows):
        return "it has not been run, since it would not end"
    code = f"import runpy, sys; runpy.run_path(sys.argv[1])[{TEST!r}]()"
    command = [sys.executable, "-c", code, str(path)]
    try:
        run = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"run once: it does not end within {_SECONDS:g} s"
    expected = b"" if finding.outcome.verdict == "crashed" else b"AssertionError"
    if run.returncode and expected in run.stderr:
        return "run once: it fails, as it should"
    if run.returncode:
        return "run once: it cannot be run here"
    return "run once: it passes, unlike in lstm-xcheck's own worker"
