"""The numbers of a cell as columns of [W | U | b]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...arrays import Array
from .equations import Family
from .wrong_cell import WrongCell

#: The arrays whose columns stand next to each other.
ARRAYS = ("W", "U", "b")


class Columns:
    """The columns of [W | U | b] that are not always zero.

    Attributes:
        of: those of each array.
        values: every column as given, (4, hidden, columns).
    """

    def __init__(self, wrong: WrongCell) -> None:
        driven = wrong.driven
        alive = np.flatnonzero((driven.inputs[driven.valid] != 0.0).any(axis=0))
        self._first: dict[str, int] = {"W": 0, "U": driven.cell.weights.W.shape[2], "b": driven.inputs.shape[-1] - 1}
        self.of: dict[str, list[int]] = {name: [] for name in ARRAYS}
        for k in map(int, alive):
            self.of[self.array(k)].append(k)
        kernel = driven.cell.kernel.reshape(4, -1, self._first["b"])
        self.values: Array = np.concatenate([kernel, driven.cell.bias[..., None]], axis=-1)

    @property
    def all(self) -> list[int]:
        """Every such column."""
        return [k for name in ARRAYS for k in self.of[name]]

    def array(self, column: int) -> str:
        """The array that a column belongs to."""
        return next(name for name in reversed(ARRAYS) if self._first[name] <= column)

    def place(self, column: int) -> int:
        """Where in its array a column is."""
        return column - self._first[self.array(column)]

    def family(self, gates: Sequence[int], arrays: Sequence[str]) -> Family:
        """The numbers of these gates and arrays."""
        return [(gate, k) for gate in gates for name in arrays for k in self.of[name]]
