"""One cell as each mistake of weights would change it, seen through a window.

The pre-activations of a step are a sum of what W, U and the biases contribute. Each mistake's contributions are
computed once; a reordering of gates merely reorders the honest ones, and pairs of mistakes are mostly sums of known
parts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arrays import Array
from ..model import Case, CellWeights
from ..oracle.cell import Cell
from .mistake import Mistake
from .prefilter import UNSEEN, Window, distances, product

#: Changed copies of a cell are kept while they have at most this many numbers together.
_KEPT = 2**22
_ALL = slice(None)


class Parts:
    """Contributions to the pre-activations, one entry for each mistake.

    Attributes:
        arrays: of W and U (mistakes, steps, rows, 4, hidden), of the biases (mistakes, 1, 1, 4, hidden).
        touched: which of the three a mistake changes, boolean (mistakes, 3).
    """

    def __init__(self, arrays: Sequence[Array], honest: Sequence[Array]) -> None:
        self.arrays = tuple(arrays)
        self.touched = np.stack([(a != b).any(axis=(1, 2, 3, 4)) for a, b in zip(arrays, honest, strict=True)], axis=1)

    def total(self, which: Array | slice = _ALL, steps: int | None = None, rows: int | None = None) -> Array:
        """The pre-activations of some mistakes, or of all, at the first steps and rows, or at all."""
        w, u, b = self.arrays
        total: Array = w[which, :steps, :rows] + u[which, :steps, :rows] + b[which]
        return total


class CellMutants:
    """One cell's wrong versions.

    Attributes:
        mistakes: those that change W, U or a bias, and nothing else.
        elsewhere: those that also change a peephole or projection, which a window does not vary.
    """

    def __init__(self, mistakes: Sequence[Mistake], honest: CellWeights) -> None:
        self.honest = honest
        self.mistakes: list[Mistake] = []
        self.elsewhere: list[Mistake] = []
        self._cells: dict[int, CellWeights] = {}
        self._parts: dict[tuple[bytes, bytes], Parts] = {}
        present = {name for name, _ in honest.items()}
        keep = 64 * honest.W.size <= _KEPT
        for mistake in mistakes:
            if mistake.permutes is not None:
                if present & set(mistake.permutes[1]):
                    self.mistakes.append(mistake)
            elif mistake.cell is not None and (changed := mistake.cell(honest)) is not None:
                seen = _same(changed.peephole, honest.peephole) and _same(changed.projection, honest.projection)
                if seen and keep:
                    self._cells[len(self.mistakes)] = changed
                (self.mistakes if seen else self.elsewhere).append(mistake)
        self.orders = np.array([m.permutes[0] if m.permutes else range(4) for m in self.mistakes]).reshape(-1, 4)
        self.reorders = np.array([m.permutes is not None for m in self.mistakes], dtype=bool)
        self.moved = np.array([_moved(m) for m in self.mistakes], dtype=bool).reshape(-1, 3)

    def cell(self, k: int) -> CellWeights:
        """The cell as mistake k makes it."""
        known = self._cells.get(k)
        if known is not None:
            return known
        change = self.mistakes[k].cell
        assert change is not None
        changed = change(self.honest)
        assert changed is not None
        return changed

    def parts(self, look: Window) -> Parts:
        """The contributions of every mistake."""
        key = (look.x.tobytes(), look.h.tobytes())
        if key not in self._parts:
            self._parts[key] = self._contributions(look)
        return self._parts[key]

    def _contributions(self, look: Window) -> Parts:
        honest = contributions(self.honest, look)
        arrays = [np.repeat(array[None], len(self.mistakes), axis=0) for array in honest]
        for array, own, moved in zip(arrays, honest, self.moved.T, strict=True):
            array[moved] = np.moveaxis(own[:, :, self.orders[moved]], 2, 0)
        for k in map(int, np.flatnonzero(~self.reorders)):
            for array, own in zip(arrays, contributions(self.cell(k), look, self.honest, honest), strict=True):
                array[k] = own
        return Parts(arrays, honest)

    def near(self, case: Case, layer: int, direction: int, look: Window, limit: float) -> list[tuple[float, Mistake]]:
        """The mistakes that may explain the window, each with its distance."""
        if not self.mistakes:
            return [(UNSEEN, mistake) for mistake in self.elsewhere]
        cell = Cell(case.spec, case.weights.layers[layer][direction])
        parts = self.parts(look)
        few = np.flatnonzero(np.isfinite(distances(cell, look.cut(1, 1), parts.total(steps=1, rows=1), limit)))
        worst = distances(cell, look, parts.total(few), limit) if few.size else ()
        close = [(float(far), self.mistakes[k]) for far, k in zip(worst, few, strict=True) if np.isfinite(far)]
        return close + [(UNSEEN, mistake) for mistake in self.elsewhere]


def contributions(
    cell: CellWeights, look: Window, known: CellWeights | None = None, parts: Sequence[Array] = ()
) -> tuple[Array, Array, Array]:
    """What W, U and the biases of a cell contribute; what it shares with a known cell is taken from there."""
    arrays = (cell.W, cell.U, cell.b, cell.b_r)
    same = (False,) * 4 if known is None else tuple(map(_shared, arrays, (known.W, known.U, known.b, known.b_r)))
    return (
        parts[0] if same[0] else product(cell.W, look.x),
        parts[1] if same[1] else product(cell.U, look.h),
        parts[2] if same[2] and same[3] else cell.total_bias[None, None],
    )


def _moved(mistake: Mistake) -> tuple[bool, bool, bool]:
    """Which of W, U and the biases a reordering touches."""
    names = mistake.permutes[1] if mistake.permutes else ()
    return "W" in names, "U" in names, "b" in names


def _shared(a: Array | None, b: Array | None) -> bool:
    """Whether two arrays are the same memory."""
    if a is None or b is None:
        return a is b
    return bool(a.shape == b.shape and a.__array_interface__["data"] == b.__array_interface__["data"])


def _same(a: Array | None, b: Array | None) -> bool:
    return a is b if a is None or b is None else np.array_equal(a, b)
