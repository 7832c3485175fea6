"""What an engine says while it works. Engines emit these; reports and progress bars listen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .compare import CountRow, Row, VerdictName, worst_of


@dataclass(frozen=True)
class Planned:
    """The work is known: one cell for each case and adapter.

    Attributes:
        order: ids of the cases as they were given, where that is known; cells end in any order.
    """

    cells: int
    cases: int
    adapters: tuple[str, ...]
    notes: tuple[str, ...] = ()
    order: tuple[str, ...] = ()


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

    def to_dict(self) -> dict[str, Any]:
        """Plain data, from which `from_dict` makes the same outcome; not the report's own form."""
        # What `dataclasses.asdict` gives, but nothing is copied deep: every cell of a sweep comes through here.
        count = None if self.count is None else dict(vars(self.count))
        return {**vars(self), "rows": tuple(dict(vars(row)) for row in self.rows), "count": count}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Outcome:
        """The outcome that `to_dict`, sent through JSON or not, was made of.

        Raises:
            KeyError, TypeError, AttributeError: when the data are of something else.
        """
        fields = dict(data)
        rows = tuple(Row(**{**row, "worst": row["worst"] and tuple(row["worst"])}) for row in fields.pop("rows"))
        count = fields.pop("count")
        fields.update({name: tuple(fields[name]) for name in ("diagnoses", "power")})
        return cls(**fields, rows=rows, count=count and CountRow(**count))


@dataclass(frozen=True)
class Finished:
    """All cells have ended, or the run was interrupted."""

    seconds: float
    interrupted: bool = False


#: Diagnoses told of one adapter in a run; a wrong adapter is wrong in every case, for the same reason.
MOST_DIAGNOSES = 3

Event = Planned | Started | Outcome | Finished
