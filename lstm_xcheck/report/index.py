"""An SQLite index of a run's rows, for fast queries.

It is made from the lines of a run, again whenever those have changed.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from ..compare import Row
from ..errors import UserError
from ..events import Outcome

#: Version of the tables; an index of another version is made again.
_SCHEMA = "3"

_TABLES = """
CREATE TABLE source (schema TEXT, size INTEGER, changed INTEGER);
CREATE TABLE cells (cell INTEGER PRIMARY KEY, "case" TEXT, adapter TEXT, verdict TEXT, seconds REAL);
CREATE TABLE rows (
    cell INTEGER, "case" TEXT, adapter TEXT, quantity TEXT, verdict TEXT,
    max_abs REAL, score REAL, worst TEXT, reason TEXT, decided_by TEXT, precision TEXT
);
"""
_INDEXES = """
CREATE INDEX rows_by_verdict ON rows (verdict, adapter);
CREATE INDEX rows_by_adapter ON rows (adapter, "case");
"""
_COLUMNS = '"case", adapter, quantity, verdict, max_abs, score, worst, reason, decided_by, precision'


@contextmanager
def opened(file: Path, lines: Path, outcomes: Callable[[], Iterable[Outcome]]) -> Iterator[sqlite3.Connection]:
    """Open the index of a run; in memory where it cannot be written.

    It is made from `outcomes` unless it was made of the present `lines`.
    """
    stat = lines.stat() if lines.exists() else None
    source = (_SCHEMA, stat.st_size if stat else 0, stat.st_mtime_ns if stat else 0)
    try:
        if not _is_fresh(file, source):
            _make(file, source, outcomes())
        connection = sqlite3.connect(file)
    except (OSError, sqlite3.OperationalError):
        connection = sqlite3.connect(":memory:")
        _fill(connection, source, outcomes())
    except sqlite3.Error as error:
        raise UserError(f"{file} cannot be made: {error}; remove it and try again") from error
    with closing(connection):
        yield connection


def find(
    connection: sqlite3.Connection,
    *,
    adapters: Sequence[str] = (),
    verdicts: Sequence[str] = (),
    case: str = "",
    limit: int | None = None,
) -> Iterator[Row]:
    """Rows that satisfy all conditions, the largest score first."""
    conditions, values = ["1"], list[object]()
    for column, wanted in (("adapter", adapters), ("verdict", verdicts)):
        if wanted:
            conditions.append(f"{column} IN ({', '.join('?' * len(wanted))})")
            values += wanted
    if case:
        conditions.append('instr("case", ?) > 0')
        values.append(case)
    where = " AND ".join(conditions)
    query = f"SELECT {_COLUMNS} FROM rows WHERE {where} ORDER BY score IS NULL, score DESC, rowid LIMIT ?"
    found = connection.execute(query, [*values, -1 if limit is None else limit])
    for name, adapter, quantity, verdict, max_abs, score, worst, reason, decided_by, precision in found:
        place = tuple(int(index) for index in worst.split(",")) if worst else None
        yield Row(name, adapter, quantity, verdict, max_abs, score, place, reason, decided_by, precision)


def _is_fresh(file: Path, source: tuple[str, int, int]) -> bool:
    """Whether the index was made of the present lines."""
    if not file.exists():
        return False
    with closing(sqlite3.connect(file)) as connection:
        try:
            return connection.execute("SELECT schema, size, changed FROM source").fetchall() == [source]
        except sqlite3.DatabaseError:  # no database, or other tables
            return False


def _make(file: Path, source: tuple[str, int, int], outcomes: Iterable[Outcome]) -> None:
    """Make the index under a temporary name, then rename it."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        with closing(sqlite3.connect(temporary)) as connection:
            _fill(connection, source, outcomes)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _fill(connection: sqlite3.Connection, source: tuple[str, int, int], outcomes: Iterable[Outcome]) -> None:
    connection.executescript(_TABLES)
    with connection:
        for number, outcome in enumerate(outcomes):
            cell = (number, outcome.case, outcome.adapter, outcome.verdict, outcome.seconds)
            connection.execute("INSERT INTO cells VALUES (?, ?, ?, ?, ?)", cell)
            connection.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", _rows(number, outcome))
        connection.execute("INSERT INTO source VALUES (?, ?, ?)", source)
    connection.executescript(_INDEXES)


def _rows(number: int, outcome: Outcome) -> Iterator[tuple[object, ...]]:
    for row in outcome.rows:
        worst = ",".join(map(str, row.worst or ()))
        figures = row.max_abs, row.score, worst, row.reason, row.decided_by, row.precision
        yield number, row.case, row.adapter, row.quantity, row.verdict, *figures
