"""A run on disk: what was planned, and a line for each cell that ended. It survives being killed at any moment.

plan.json     what is run, by content; written whole, before the first cell
cells.jsonl   a line for each cell that ended, only ever appended to; a torn or damaged one is left out, its cell redone
power.json    what the matches prove; written whole, after the last cell
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

from ..atomic_files import write_atomically
from ..errors import UserError
from ..events import Outcome

try:
    import fcntl
except ImportError:  # Windows: two runs in one folder are not noticed there
    fcntl = None  # type: ignore[assignment]

#: Version of both files.
SCHEMA = 1
PLAN, CELLS, POWER = "plan.json", "cells.jsonl", "power.json"


@dataclass(frozen=True)
class Description:
    """What a folder holds the cells of.

    Attributes:
        key: digest of all cases, those of other shards included.
        cases: how many there are.
        adapters: the identity of each, by name.
        shards: the parts that are here, as (number, of how many); empty for the whole.
        planned: cells that are to end here.
        subject: what was verified, for the report.
        order: ids of all cases, those of other shards included; empty where an older version wrote it.
    """

    key: str
    cases: int
    adapters: Mapping[str, Mapping[str, Any]]
    shards: Sequence[Sequence[int]] = ()
    planned: int = 0
    subject: Mapping[str, Any] = field(default_factory=dict)
    order: Sequence[str] = ()

    def to_json(self) -> bytes:
        """The content of plan.json."""
        return (json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1) + "\n").encode()

    @classmethod
    def read(cls, folder: Path) -> Description:
        """What a folder says of itself.

        Raises:
            UserError: when it is no folder of a run.
        """
        file = folder / PLAN
        try:
            fields = json.loads(file.read_bytes())
            schema = fields.pop("schema")
            if schema != SCHEMA:
                raise UserError(f"{file} has schema {schema!r}, but this version reads {SCHEMA}; read it with its own")
            return cls(**fields)._checked()
        except FileNotFoundError:
            raise UserError(f"{folder} holds no {PLAN}, but should be a folder that verify --out wrote") from None
        except NotADirectoryError:
            raise UserError(f"{folder} is a file, but should be a folder that verify --out wrote") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{file} cannot be read: {error}") from error

    def _checked(self) -> Description:
        """The same, when everything is of its type; a file may have been damaged.

        Raises:
            ValueError: naming what is not.
        """
        for name, kind in (("key", str), ("cases", int), ("planned", int), ("subject", dict), ("adapters", dict)):
            if type(getattr(self, name)) is not kind:
                raise ValueError(f"{name} should be of type {kind.__name__}")
        if not all(isinstance(identity, dict) for identity in self.adapters.values()):
            raise ValueError("an adapter's identity should be of type dict")
        if not isinstance(self.order, list) or not all(isinstance(id, str) for id in self.order):
            raise ValueError("order should be a list of names")
        if not isinstance(self.shards, list) or not all(_is_shard(shard) for shard in self.shards):
            raise ValueError("shards should be a list of pairs of numbers")
        return self

    def difference(self, other: Description) -> str:
        """The first thing in which another plan differs, in words; "" when it is the same."""
        if self.key != other.key:
            return f"it holds {self.cases} other cases"
        if list(map(list, self.shards)) != list(map(list, other.shards)):
            return f"it holds {_shard_words(self.shards)}, not {_shard_words(other.shards)}"
        if set(self.adapters) != set(other.adapters):
            return f"it holds the adapters {', '.join(sorted(self.adapters))}, not {', '.join(sorted(other.adapters))}"
        return next((text for name in self.adapters if (text := self.adapter_difference(other, name))), "")

    def adapter_difference(self, other: Description, name: str) -> str:
        """In what one adapter differs between two plans."""
        mine, theirs = self.adapters[name], other.adapters[name]
        if mine == theirs:
            return ""
        old, new = mine.get("versions", {}), theirs.get("versions", {})
        changed = [package for package in old if old[package] != new.get(package)]
        if changed:
            return f"{name} ran with {changed[0]} {old[changed[0]]}, not {new.get(changed[0])}"
        return f"the code or the environment variables of {name} changed"


def _is_shard(shard: object) -> bool:
    return isinstance(shard, list) and len(shard) == 2 and all(type(number) is int for number in shard)


def _shard_words(shards: Sequence[Sequence[int]]) -> str:
    return ", ".join(f"shard {number}/{of}" for number, of in shards) or "all of the cases"


class RunFolder:
    """An open folder of a run: read what ended, append what ends.

    Raises:
        UserError: on entering, when the folder belongs to another plan, is used by another run or cannot be written.
    """

    def __init__(self, path: Path, description: Description, *, resume: bool | None = False) -> None:
        """`resume`: whether it may hold this plan's run already; None where nobody could ask for that."""
        self.path, self.description, self._resume = path, description, resume
        self._file: FileIO | None = None

    def __enter__(self) -> RunFolder:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._refuse_another_run()
            self._file = _locked(self.path / CELLS)
            try:
                self._prepare()
                _cut_torn_line(self._file)
            except BaseException:
                self._file.close()
                raise
        except OSError as error:
            raise UserError(f"--out {self.path}: cannot be written: {error.strerror}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        try:
            os.fsync(self._file.fileno())
        except OSError as failure:
            if error is None:
                raise UserError(f"--out {self.path}: cannot be written: {failure.strerror}") from failure
        finally:
            self._file.close()

    def append(self, key: str, outcome: Outcome) -> None:
        """Add a cell that ended. One write of one line: a kill leaves all of it, or a part that has no end.

        Raises:
            UserError: when the disk is full or gone.
        """
        assert self._file is not None, "the folder is open"
        rest = memoryview(cell_line(key, outcome))
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise UserError(
                f"--out {self.path}: cannot be written: {error.strerror}; what ended is kept, go on with --resume"
            ) from error

    def _refuse_another_run(self) -> None:
        """See that what is in the folder is a run of this plan, or nothing."""
        if (self.path / PLAN).exists():
            if not self._resume:
                advice = "name another" if self._resume is None else "add --resume to go on, or name another"
                raise UserError(f"--out {self.path}: holds a run already; {advice}")
            difference = Description.read(self.path).difference(self.description)
            if difference:
                raise UserError(f"--out {self.path}: is of another plan: {difference}; name another folder")
            return
        # A run killed before its plan.json was in place leaves at most a temporary file, and no cell.
        begun = (file for file in self.path.iterdir() if file.name != CELLS or file.stat().st_size)
        others = [file.name for file in begun if not file.name.startswith(f".{PLAN}.")]
        if others:
            raise UserError(f"--out {self.path}: holds {others[0]} and no run, but should be empty or not exist")

    def _prepare(self) -> None:
        """Write plan.json; another run may have done so before this one had the lock."""
        if (self.path / PLAN).exists():
            self._refuse_another_run()
        else:
            write_atomically(self.path / PLAN, self.description.to_json())


def read_cells(folder: Path) -> Iterator[tuple[str, Outcome]]:
    """Key and outcome of every cell that ended, in that order; what is no whole line is left out.

    Raises:
        UserError: when the file cannot be read.
    """
    try:
        with (folder / CELLS).open("rb") as file:
            for line in file:
                cell = _parsed(line)
                if cell is not None:
                    yield cell
    except FileNotFoundError:
        return  # killed before the first cell
    except OSError as error:
        raise UserError(f"{folder / CELLS} cannot be read: {error.strerror}") from error


def write_power(folder: Path, statements: Sequence[Mapping[str, Any]]) -> None:
    """Keep what the matches prove."""
    try:
        write_atomically(folder / POWER, (json.dumps(list(statements), indent=1) + "\n").encode())
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be written: {error.strerror}") from error


def read_power(folder: Path) -> list[dict[str, Any]]:
    """What was kept; nothing for a run that has not ended.

    Raises:
        UserError: when the file cannot be read.
    """
    try:
        return [_statement(fields) for fields in json.loads((folder / POWER).read_bytes())]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / POWER} cannot be read: {error}; remove it to go without") from error


def _statement(fields: Any) -> dict[str, Any]:
    texts, lists = ("case", "sentence"), ("caught", "blind", "uncertain")
    if not all(isinstance(fields[name], str) for name in texts):
        raise ValueError("a statement's case and sentence should be text")
    for name in lists:
        if not all(isinstance(mistake, str) for mistake in fields[name]):
            raise ValueError(f"{name} should be names of mistakes")
    return dict(fields)


def cell_line(key: str, outcome: Outcome) -> bytes:
    """One line, with a sum over its content."""
    fields = {"key": key, "outcome": outcome.to_dict()}
    return (json.dumps({**fields, "crc": _sum(fields)}, separators=(",", ":")) + "\n").encode()


def _sum(fields: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps([fields["key"], fields["outcome"]], separators=(",", ":")).encode())


def _parsed(line: bytes) -> tuple[str, Outcome] | None:
    """One line; None for one that was torn by a kill or damaged: its cell has not ended."""
    if not line.endswith(b"\n"):
        return None
    try:
        fields = json.loads(line)
        return (str(fields["key"]), Outcome.from_dict(fields["outcome"])) if fields["crc"] == _sum(fields) else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _locked(file: Path) -> FileIO:
    """The file opened for appending, by one run at a time; the system unlocks it however that run ends.

    Without a buffer: what a full disk has refused must not be written again when the file is closed.
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
    """Remove what follows the last line end."""
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
