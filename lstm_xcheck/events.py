"""What an engine says while it works. Engines emit these; reports and progress bars listen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Union

from .compare import CountRow, Row, VerdictName, worst_of


@dataclass(frozen=True)
class Planned:
    """The work is known: one cell for each case and adapter."""

    cells: int
    cases: int
    adapters: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Started:
    """A cell has been given to a worker."""

    case: str
    adapter: str


@dataclass(frozen=True)
class Outcome:
    """A cell has ended; every planned cell ends exactly once.

    Attributes:
        rows: at least one.
        count: the reconciled parameter count, where the cell was run.
        environment: versions of what computed.
        diagnoses, power: plain data for the report.
        seconds: wall time in the backend, the oracle not included.
    """

    case: str
    adapter: str
    rows: tuple[Row, ...]
    count: CountRow | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    diagnoses: tuple[dict[str, Any], ...] = ()
    power: tuple[dict[str, Any], ...] = ()
    seconds: float = 0.0

    @property
    def verdict(self) -> VerdictName:
        """The worst verdict of the cell's rows."""
        return worst_of(row.verdict for row in self.rows)


@dataclass(frozen=True)
class Finished:
    """All cells have ended, or the run was interrupted."""

    seconds: float
    interrupted: bool = False


Event = Union[Planned, Started, Outcome, Finished]
