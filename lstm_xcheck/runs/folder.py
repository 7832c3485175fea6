"""Folders of runs, resumable after a kill at any moment.

plan.json     the description of the run; written at once, before the first task
cells.jsonl   appended to, one line for each task that ended; the task of a torn or damaged line is run again
power.json    the statements of detection power; written at once, after the last task
seconds.json  how long the run took, all its parts together; written at once, when a part ends
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

from ..atomic_files import write_atomically
from ..errors import UserError
from ..events import Outcome
from .description import PLAN_FILE, RunDescription

try:
    import fcntl
except ImportError:  # Windows: no lock against two runs in one folder
    fcntl = None  # type: ignore[assignment]

#: One line for each task that ended, the statements of detection power, and the duration.
OUTCOMES_FILE, POWER_FILE, SECONDS_FILE = "cells.jsonl", "power.json", "seconds.json"


class RunFolder:
    """A folder of a run, open for appending tasks that end.

    `resume`: whether it may hold this run already; None where the user has no such option. `seconds` is the duration
    of its earlier parts.
    """

    def __init__(self, path: Path, description: RunDescription, *, resume: bool | None = False) -> None:
        self.path, self.description, self._resume = path, description, resume
        self._file: FileIO | None = None
        self.seconds, self._start = 0.0, time.perf_counter()

    def __enter__(self) -> RunFolder:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._check_content()
            self._file = _open_locked(self.path / OUTCOMES_FILE)
            try:
                self._write_description()
                _cut_torn_line(self._file)
            except BaseException:
                self._file.close()
                raise
        except OSError as error:
            raise UserError(f"--out {self.path}: cannot be written: {error.strerror}") from error
        self.seconds = read_seconds(self.path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        try:
            os.fsync(self._file.fileno())
            total = self.seconds + time.perf_counter() - self._start
            write_atomically(self.path / SECONDS_FILE, f"{total:.3f}\n".encode())
        except OSError as failure:
            if error is None:
                raise UserError(f"--out {self.path}: cannot be written: {failure.strerror}") from failure
        finally:
            self._file.close()

    def append(self, key: str, outcome: Outcome) -> None:
        """Add a task that ended.

        One write of one line: a kill leaves the line, or a part without a line end.
        """
        assert self._file is not None, "the folder is open"
        rest = memoryview(encode_line(key, outcome))
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise UserError(
                f"--out {self.path}: cannot be written: {error.strerror}; what ended is kept, go on with --resume"
            ) from error

    def _check_content(self) -> None:
        """Refuse a folder that holds anything but a run of this plan."""
        if (self.path / PLAN_FILE).exists():
            if not self._resume:
                advice = "name another" if self._resume is None else "add --resume to go on, or name another"
                raise UserError(f"--out {self.path}: holds a run already; {advice}")
            difference = RunDescription.read(self.path).difference(self.description)
            if difference:
                raise UserError(f"--out {self.path}: is of another plan: {difference}; name another folder")
            return
        # A run that was killed before it wrote plan.json leaves a temporary file and no task.
        files = (file for file in self.path.iterdir() if file.name != OUTCOMES_FILE or file.stat().st_size)
        others = [file.name for file in files if not file.name.startswith(f".{PLAN_FILE}.")]
        if others:
            raise UserError(f"--out {self.path}: holds {others[0]} and no run, but should be empty or not exist")

    def _write_description(self) -> None:
        """Write plan.json, unless another run did so before this one had the lock."""
        if (self.path / PLAN_FILE).exists():
            self._check_content()
        else:
            write_atomically(self.path / PLAN_FILE, self.description.to_json())


def read_outcomes(folder: Path) -> Iterator[tuple[str, Outcome]]:
    """Read key and outcome of every task that ended, without torn or damaged lines."""
    try:
        with (folder / OUTCOMES_FILE).open("rb") as file:
            yield from filter(None, map(_decode_line, file))
    except FileNotFoundError:
        return  # killed before the first task
    except OSError as error:
        raise UserError(f"{folder / OUTCOMES_FILE} cannot be read: {error.strerror}") from error


def write_power(folder: Path, statements: Sequence[Mapping[str, Any]]) -> None:
    """Write the statements of detection power."""
    try:
        write_atomically(folder / POWER_FILE, (json.dumps(list(statements), indent=1) + "\n").encode())
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be written: {error.strerror}") from error


def read_power(folder: Path) -> list[dict[str, Any]]:
    """Read the statements of detection power; none before a run has ended."""
    try:
        return [_checked_statement(fields) for fields in json.loads((folder / POWER_FILE).read_bytes())]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{folder / POWER_FILE} cannot be read: {error}; remove it to go without") from error


def read_seconds(folder: Path) -> float:
    """Seconds of the run in a folder so far; 0 before a part ended."""
    try:
        seconds = float((folder / SECONDS_FILE).read_text())
    except FileNotFoundError:
        return 0.0
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / SECONDS_FILE} cannot be read: {error}; remove it to go without") from error
    return seconds if 0 <= seconds < float("inf") else 0.0


def _checked_statement(fields: Any) -> dict[str, Any]:
    texts, lists = ("case", "sentence"), ("caught", "blind", "uncertain")
    if not all(isinstance(fields[name], str) for name in texts):
        raise ValueError("a statement's case and sentence should be text")
    for name in lists:
        if not all(isinstance(mistake, str) for mistake in fields[name]):
            raise ValueError(f"{name} should be names of mistakes")
    return dict(fields)


def encode_line(key: str, outcome: Outcome) -> bytes:
    """The line of a task, with its checksum."""
    fields = {"key": key, "outcome": outcome.to_dict()}
    return (json.dumps({**fields, "crc": _checksum(fields)}, separators=(",", ":")) + "\n").encode()


def _checksum(fields: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps([fields["key"], fields["outcome"]], separators=(",", ":")).encode())


def _decode_line(line: bytes) -> tuple[str, Outcome] | None:
    """Key and outcome of a line; None for a torn or damaged one."""
    if not line.endswith(b"\n"):
        return None
    try:
        fields = json.loads(line)
        if fields["crc"] != _checksum(fields):
            return None
        return str(fields["key"]), Outcome.from_dict(fields["outcome"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _open_locked(file: Path) -> FileIO:
    """Open a file for appending, by one run at a time.

    The system unlocks the file however the run ends. The file has no buffer: what a full disk refuses must not be
    written again when the file is closed.
    """
    stream = file.open("ab+", buffering=0)
    if fcntl is not None:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.close()
            raise UserError(f"--out {file.parent}: is written by another run now; wait or name another") from None
    return stream


def _cut_torn_line(file: FileIO) -> None:
    """Cut the file after its last line end."""
    size = file.seek(0, os.SEEK_END)
    end, block = size, 2**16
    while end > 0:
        start = max(0, end - block)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end < size:
        file.truncate(end)
