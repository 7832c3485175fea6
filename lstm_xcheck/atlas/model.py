"""The atlas as data: a cell for each runtime and feature."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from ..errors import SpecError
from ..model.features import FEATURES

State = Literal["right", "refuses", "wrong", "not run"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True)
class Cell:
    """What one runtime does with one feature.

    Attributes:
        state: `right`; `refuses` with a reason; `wrong` in silence; `not run`.
        reason: of what refuses or was not run, or a note on what is right; one sentence.
        cause: id of the mistake that the diagnosis names; "" where none is proven.
        effect: the largest absolute error, which the wrong outputs show; None elsewhere.
    """

    adapter: str
    feature: str
    state: State
    reason: str = ""
    cause: str = ""
    effect: float | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Adapter and feature."""
        return self.adapter, self.feature


@dataclass(frozen=True)
class Atlas:
    """Cells, and the versions that were run, by adapter."""

    cells: tuple[Cell, ...]
    versions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def adapters(self) -> tuple[str, ...]:
        """The runtimes in order."""
        return tuple(dict.fromkeys(cell.adapter for cell in self.cells))

    def of(self, adapter: str, *states: State) -> tuple[Cell, ...]:
        """The cells of a runtime, all or those of some states."""
        return tuple(cell for cell in self.cells if cell.adapter == adapter and (not states or cell.state in states))

    def with_others(self, other: Atlas) -> Atlas:
        """Put in the runtimes of another one, which replace those of their names."""
        kept = tuple(cell for cell in self.cells if cell.adapter not in other.adapters)
        return Atlas((*kept, *other.cells), {**self.versions, **other.versions})

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; features with what they mean."""
        return {
            "schema": 1,
            "features": [{"name": row.name, "meaning": row.meaning, "group": row.group} for row in FEATURES],
            "versions": {name: dict(found) for name, found in self.versions.items()},
            "cells": [
                {name: value for name, value in asdict(cell).items() if value not in ("", None)} for cell in self.cells
            ],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Atlas:
        """The atlas of the data of `to_dict`.

        Raises:
            SpecError: for other data.
        """
        try:
            cells = tuple(Cell(**cell) for cell in data["cells"])
            return cls(cells, data["versions"])
        except (KeyError, TypeError) as error:
            raise SpecError(f"this is no atlas: {error!r}; write one with: lstm-xcheck atlas --json") from error


def totals(cells: Iterable[Cell]) -> dict[State, int]:
    """The number of cells in each state."""
    found = [cell.state for cell in cells]
    return {state: found.count(state) for state in STATES}
