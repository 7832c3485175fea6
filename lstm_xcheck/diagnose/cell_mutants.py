"""Mutants of one cell, compared with a window of its outputs.

The pre-activations of a step are the sum of the contributions of W, U and the biases. Each mutant's contributions are
computed once. A permutation of gates permutes the honest contributions, and most pairs of mistakes are sums of known
contributions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arrays import Array
from ..model import Case, CellWeights
from ..oracle.cell import Cell
from .mistake import Mistake
from .prefilter import UNOBSERVED, Window, contribution, memory_key, window_distances

#: Changed cells are cached while they have at most this many weights together.
_CACHE_LIMIT = 2**22
_ALL = slice(None)


class Contributions:
    """Contributions to the pre-activations, one entry for each mutant.

    `arrays`: W and U (mutants, steps, rows, 4, hidden), biases (mutants, 1, 1, 4, hidden); `changed`: (mutants, 3).
    """

    def __init__(self, arrays: Sequence[Array], honest: Sequence[Array]) -> None:
        self.arrays = tuple(arrays)
        self.changed = np.stack([(a != b).any(axis=(1, 2, 3, 4)) for a, b in zip(arrays, honest, strict=True)], axis=1)

    def total(self, which: Array | slice = _ALL, steps: int | None = None, rows: int | None = None) -> Array:
        """Pre-activations of these mutants at the first steps and rows."""
        w, u, b = self.arrays
        total: Array = w[which, :steps, :rows] + u[which, :steps, :rows] + b[which]
        return total


class CellMutants:
    """The mutants of one cell.

    Attributes:
        mistakes: those that change W, U or a bias, and nothing else.
        unfiltered: those that also change a peephole or projection, which all mutants of a window share.
        orders: each mistake's order of gates, (mistakes, 4).
        permuting: whether a mistake is a permutation of gates, (mistakes).
        permuted: which of W, U and the biases it permutes, (mistakes, 3).
    """

    def __init__(self, catalogue: Sequence[Mistake], honest: CellWeights) -> None:
        self.honest = honest
        self.mistakes: list[Mistake] = []
        self.unfiltered: list[Mistake] = []
        self._cells: dict[int, CellWeights] = {}
        self._contributions: dict[tuple[bytes, bytes], Contributions] = {}
        present = {name for name, _ in honest.items()}
        cached = 64 * honest.W.size <= _CACHE_LIMIT
        for mistake in catalogue:
            if mistake.cell is None:
                continue
            if mistake.permutes is not None:
                if present & set(mistake.permutes[1]):
                    self.mistakes.append(mistake)
            elif (changed := mistake.cell(honest)) is not None:
                filtered = _equal(changed.peephole, honest.peephole) and _equal(changed.projection, honest.projection)
                if filtered and cached:
                    self._cells[len(self.mistakes)] = changed
                (self.mistakes if filtered else self.unfiltered).append(mistake)
        self.orders = np.array([m.permutes[0] if m.permutes else range(4) for m in self.mistakes]).reshape(-1, 4)
        self.permuting = np.array([m.permutes is not None for m in self.mistakes], dtype=bool)
        self.permuted = np.array(
            [[m.permutes is not None and name in m.permutes[1] for name in ("W", "U", "b")] for m in self.mistakes],
            dtype=bool,
        ).reshape(-1, 3)

    def cell(self, k: int) -> CellWeights:
        """The cell with mistake k."""
        if k in self._cells:
            return self._cells[k]
        change = self.mistakes[k].cell
        assert change is not None
        changed = change(self.honest)
        assert changed is not None
        return changed

    def contributions(self, window: Window) -> Contributions:
        """The contributions of every mutant."""
        key = (window.x.tobytes(), window.h.tobytes())
        if key not in self._contributions:
            self._contributions[key] = self._compute(window)
        return self._contributions[key]

    def _compute(self, window: Window) -> Contributions:
        honest = cell_contributions(self.honest, window)
        arrays = [np.repeat(array[None], len(self.mistakes), axis=0) for array in honest]
        for array, own, permuted in zip(arrays, honest, self.permuted.T, strict=True):
            array[permuted] = np.moveaxis(own[:, :, self.orders[permuted]], 2, 0)
        for k in map(int, np.flatnonzero(~self.permuting)):
            mutant = cell_contributions(self.cell(k), window, self.honest, honest)
            for array, own in zip(arrays, mutant, strict=True):
                array[k] = own
        return Contributions(arrays, honest)

    def candidates(
        self, case: Case, index: tuple[int, int], window: Window, limit: float
    ) -> list[tuple[float, Mistake]]:
        """Distances and mistakes that may explain the window of a cell."""
        unfiltered = [(UNOBSERVED, mistake) for mistake in self.unfiltered]
        if not self.mistakes:
            return unfiltered
        cell = Cell(case.spec, case.weights.layers[index[0]][index[1]])
        contributions = self.contributions(window)
        first_step = window_distances(cell, window.cut(1, 1), contributions.total(steps=1, rows=1), limit)
        near = np.flatnonzero(np.isfinite(first_step))
        distances = window_distances(cell, window, contributions.total(near), limit) if near.size else ()
        found = [(float(far), self.mistakes[k]) for far, k in zip(distances, near, strict=True) if np.isfinite(far)]
        return found + unfiltered


def cell_contributions(
    cell: CellWeights, window: Window, known: CellWeights | None = None, known_contributions: Sequence[Array] = ()
) -> tuple[Array, Array, Array]:
    """Contributions of W, U and biases, reusing a known cell's."""
    same_w, same_u, same_b, same_b_r = (
        known is not None and memory_key(getattr(cell, name)) == memory_key(getattr(known, name))
        for name in ("W", "U", "b", "b_r")
    )
    return (
        known_contributions[0] if same_w else contribution(cell.W, window.x),
        known_contributions[1] if same_u else contribution(cell.U, window.h),
        known_contributions[2] if same_b and same_b_r else cell.total_bias[None, None],
    )


def _equal(a: Array | None, b: Array | None) -> bool:
    return a is b if a is None or b is None else np.array_equal(a, b)
