"""Two mistakes at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..arrays import Array
from ..oracle import Profile
from ..spec import Case, CellWeights
from .fit import Fit, fit
from .mistake import Mistake, Outputs
from .screen import Window, distances, limit_of, parts_of, screen_cells, window

#: Hypotheses in one batch of gates.
_BATCH = 2048
#: Give up after this many full tests: too many survivors mean that the case tells nothing.
_MOST_TESTS = 200


def fitting_pairs(
    observed: Outputs, case: Case, profile: Profile, catalogue: Sequence[Mistake]
) -> Iterator[tuple[tuple[Mistake, ...], Fit]]:
    """Every pair that explains the outputs, up to a number of full tests."""
    tests = 0
    for pair in _candidates(observed, case, profile, catalogue):
        tests += 1
        if tests > _MOST_TESTS:
            return
        quality = fit(pair, observed, case, profile)
        if quality.holds:
            yield pair, quality


def _candidates(
    observed: Outputs, case: Case, profile: Profile, catalogue: Sequence[Mistake]
) -> Iterator[tuple[Mistake, Mistake]]:
    of_cells = [mistake for mistake in catalogue if mistake.cell is not None]
    others = [mistake for mistake in catalogue if mistake.cell is None]
    limit = limit_of(case, observed, profile)
    look = window(case, observed, 0, 0, limit)
    if look is not None:
        yield from _cell_pairs(of_cells, case, look)
    for other in others:
        yield from _mixed_pairs(other, of_cells, observed, case, limit)
    for a, first in enumerate(others):
        for second in others[a + 1 :]:
            yield from _other_pairs(first, second, observed, case, limit)


def _mixed_pairs(
    other: Mistake, of_cells: Sequence[Mistake], observed: Outputs, case: Case, limit: float
) -> Iterator[tuple[Mistake, Mistake]]:
    """A mistake of weights beside one of data, spec or outputs."""
    changed = other.change_case(case)
    driving = observed if other.undo is None else other.undo(observed, case)
    if changed is None or driving is None:
        return
    look = window(changed, driving, 0, 0, limit)
    if look is None:
        return
    for mistake in screen_cells(of_cells, changed, 0, 0, look)[0]:
        yield mistake, other


def _other_pairs(
    first: Mistake, second: Mistake, observed: Outputs, case: Case, limit: float
) -> Iterator[tuple[Mistake, Mistake]]:
    """Two mistakes of data, spec or outputs."""
    changed = first.change_case(case)
    driving = observed if second.undo is None else second.undo(observed, case)
    if changed is None or driving is None:
        return
    driving = driving if first.undo is None else first.undo(driving, case)
    changed = second.change_case(changed)
    if changed is None or driving is None:
        return
    look = window(changed, driving, 0, 0, limit)
    own = None if look is None else parts_of(changed.weights.layers[0][0], look)
    if look is None or own is None:
        return
    if distances(changed, 0, 0, look, own.w[None], own.u[None], own.b[None])[0] <= 1.0:
        yield first, second


def _cell_pairs(mistakes: Sequence[Mistake], case: Case, look: Window) -> Iterator[tuple[Mistake, Mistake]]:
    """Two mistakes of one cell's weights, both orders where they touch the same array."""
    honest = case.weights.layers[0][0]
    cells = {m.id: c for m in mistakes if m.cell is not None and (c := m.cell(honest)) is not None}
    usable = [m for m in mistakes if m.id in cells]
    touched = {id: _touched(honest, cell) for id, cell in cells.items()}
    own = {id: parts_of(cell, look) for id, cell in cells.items()}
    pending: list[tuple[Mistake, Mistake]] = []
    parts: list[tuple[Array, Array, Array]] = []
    base = parts_of(honest, look)
    for a, first in enumerate(usable):
        for second in usable[a + 1 :]:
            shared = touched[first.id] & touched[second.id]
            if shared:
                composed = _composed(first, second, cells)
                if composed is None:
                    continue
                p = parts_of(composed, look)
                parts.append((p.w, p.u, p.b))
            else:
                parts.append(
                    tuple(
                        getattr(own[first.id] if n in touched[first.id] else own[second.id] if n in touched[second.id] else base, n)
                        for n in ("w", "u", "b")
                    )  # type: ignore[arg-type]
                )
            pending.append((first, second))
            if len(pending) == _BATCH:
                yield from _near(pending, parts, case, look)
                pending, parts = [], []
    if pending:
        yield from _near(pending, parts, case, look)


def _touched(honest: CellWeights, cell: CellWeights) -> frozenset[str]:
    """Which contributions a mistake changes."""
    names = {"w": ("W",), "u": ("U",), "b": ("b", "b_r")}
    return frozenset(
        part
        for part, arrays in names.items()
        if any(
            (x := getattr(honest, n)) is not None and not np.array_equal(np.asarray(x), np.asarray(getattr(cell, n)))
            for n in arrays
        )
    )


def _composed(first: Mistake, second: Mistake, cells: dict[str, CellWeights]) -> CellWeights | None:
    assert second.cell is not None
    return second.cell(cells[first.id])


def _near(
    pending: list[tuple[Mistake, Mistake]], parts: list[tuple[Array, Array, Array]], case: Case, look: Window
) -> Iterator[tuple[Mistake, Mistake]]:
    w, u, b = (np.stack(group) for group in zip(*parts, strict=True))
    close = distances(case, 0, 0, look, w, u, b) <= 1.0
    yield from (pair for pair, near in zip(pending, close, strict=True) if near)
