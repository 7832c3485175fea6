"""Events of a run. Engines emit them; reports and progress bars listen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .compare import CountRow, Row, VerdictName, worst_of


@dataclass(frozen=True)
class Planned:
    """A run begins; it has one task for each case and adapter.

    Attributes:
        tasks: their number.
        cases: their number.
        adapters: names.
        notes: remarks for the report.
        order: ids of the cases in the order of the plan, where it is known; tasks end in any order.
        families: the case family of each id, where it is known.
    """

    tasks: int
    cases: int
    adapters: tuple[str, ...]
    notes: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    families: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Started:
    """A task was given to a worker."""

    case: str
    adapter: str


@dataclass(frozen=True)
class Outcome:
    """A task ended; every planned task ends exactly once.

    Attributes:
        case: id of the case.
        adapter: name.
        rows: at least one.
        count: the reconciled parameter count, where the case was run.
        environment: versions of what computes.
        diagnoses, power: plain data for the report.
        seconds: time in the backend, without the oracle.
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
        """The worst verdict of the rows."""
        return worst_of(row.verdict for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `from_dict`; not the form of the report."""
        # Equal to `dataclasses.asdict`, but without its deep copies: every task of a run passes here.
        count = None if self.count is None else dict(vars(self.count))
        return {**vars(self), "rows": tuple(dict(vars(row)) for row in self.rows), "count": count}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Outcome:
        """The outcome of the data of `to_dict`, sent through JSON or not.

        Raises:
            KeyError, TypeError, AttributeError: for other data.
        """
        fields = dict(data)
        rows = tuple(Row(**{**row, "worst": row["worst"] and tuple(row["worst"])}) for row in fields.pop("rows"))
        count = fields.pop("count")
        fields.update({name: tuple(fields[name]) for name in ("diagnoses", "power")})
        return cls(**fields, rows=rows, count=count and CountRow(**count))


@dataclass(frozen=True)
class Finished:
    """All tasks ended, or the run was interrupted."""

    seconds: float
    interrupted: bool = False


#: Diagnoses of each adapter in a run; a wrong adapter is usually wrong in every case for the same reason.
MAX_DIAGNOSES = 3

Event = Planned | Started | Outcome | Finished
