"""The reproducer of `fuzz`: check the path, write, run once."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from ..adapters import Entry
from ..atomic_files import write_atomically
from ..diagnose import Diagnosis
from ..errors import UserError
from .reproducer import CannotReproduce, reproducer
from .script import TEST
from .search import Finding

#: Limit of the trial run; importing a framework from a cold disk takes long.
_SECONDS = 300.0


def check_out(path: Path) -> None:
    """Refuse a file that cannot be written."""
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


def write_reproducer(
    finding: Finding, entry: Entry, diagnosis: Diagnosis | None, out: Path | None
) -> tuple[Path | None, str]:
    """Write the reproducer; returns its path and the result of a trial run.

    The path is None where no reproducer can be made; the text is then the reason.
    """
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
    """The result of running the file in a fresh process, in words."""
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
