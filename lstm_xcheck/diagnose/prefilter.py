"""Cheap test of mutants on the first steps of one cell.

A mutant is dropped if its outputs are farther from the observed ones than rounding could ever put them. Every other
mutant is tested in full.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import Array
from ..model import Case, CellWeights
from ..oracle import Profile
from ..oracle.cell import Cell, activate
from .fit import cell_arrays, layer_outputs
from .mistake import MutatedCase, Outputs

#: A window has at most so many rows, and as many steps as make this many numbers in a row, but at least two.
ROWS, NUMBERS = 3, 24
#: A candidate may be this many times farther than the crudest bound of an honest step: mutants differ in theirs.
_SLACK = 8.0
#: Distance of what no window shows: tested in full, after everything else.
UNOBSERVED = 1e300
#: From this many mutants on, one row and step are compared before the rest.
_MANY = 12


class Window(NamedTuple):
    """The first steps of one cell.

    x, h and y are (steps, rows, width); c, before the first step, is (rows, hidden).
    """

    x: Array
    h: Array
    c: Array
    y: Array

    def cut(self, steps: int, rows: int) -> Window:
        """A smaller window."""
        return Window(self.x[:steps, :rows], self.h[:steps, :rows], self.c[:rows], self.y[:steps, :rows])


def observed_window(case: Case, observed: Outputs, index: tuple[int, int]) -> Window | None:
    """The window of cell (layer, direction); None if not observed."""
    arrays = cell_arrays(case, layer_outputs(observed, case), index)
    if arrays is None:
        return None
    layer, direction = index
    rows = longest_rows(case)
    times = _first_times(case, direction, rows)
    x, y = (np.asarray(array[rows, times], np.float64) for array in arrays)
    finite = np.asarray(np.isfinite(x).all(axis=(1, 2)) & np.isfinite(y).all(axis=(1, 2)))
    steps = len(finite) if finite.all() else int(np.argmin(finite))
    if not steps:
        return None
    x, y = x[:steps], y[:steps]
    h = np.concatenate([case.initial("h0", layer, direction)[None, rows], y[:-1]])
    return Window(x, h, case.initial("c0", layer, direction)[rows], y)


def unobserved_window(case: Case, observed: Outputs, direction: int) -> Window:
    """A stand-in for `distance_limit`, as large as any window."""
    x = np.moveaxis(np.asarray(case.x, np.float64), 1, 0)
    h, c = (case.initial(name, 0, direction) for name in ("h0", "c0"))
    y = np.concatenate([np.asarray(array, np.float64).ravel() for array in observed.values()])
    return Window(x, h, c, y[np.isfinite(y)])


def longest_rows(case: Case) -> Array:
    """The rows of a window: those with most valid steps."""
    rows: Array = np.argsort(-case.valid.sum(axis=1), kind="stable")[:ROWS]
    return rows


def _first_times(case: Case, direction: int, rows: Array) -> Array:
    """The times of each row's first processed steps, (steps, rows)."""
    backward = case.spec.is_backward(direction)
    valid = case.valid[rows, ::-1] if backward else case.valid[rows]
    count = min(max(2, NUMBERS // case.spec.output_size), int(valid.sum(axis=1).min()))
    order = np.argsort(~valid, axis=1, kind="stable")[:, :count].T
    return case.steps - 1 - order if backward else order


def distance_limit(cell: CellWeights, window: Window, profile: Profile) -> float:
    """How far from the window a candidate may be.

    A bound on the rounding of any pre-activation, carried to h with the steepest slopes and the largest states.
    """
    w, u = np.abs(np.asarray(cell.W, np.float64)), np.abs(np.asarray(cell.U, np.float64))
    state = max(1.0, float(np.abs(window.h).max()), float(np.abs(window.c).max()), float(np.abs(window.y).max()))
    rows = w.sum(axis=2) * float(np.abs(window.x).max()) + u.sum(axis=2) * state
    mass = float(rows.max() + np.abs(cell.total_bias).max())
    terms = float((np.count_nonzero(w, axis=2) + np.count_nonzero(u, axis=2)).max()) + 8.0
    state *= max(1.0, len(window.x) / 2.0)  # c accumulates the error of each step
    digits = profile.resolution * max(1.0, float(np.abs(np.asarray(cell.U, np.float64)).sum(axis=2).max()))
    rounding = (terms * profile.u_sum + 2.0 * profile.u_in + 8.0 * profile.u) * max(1.0, mass)
    return _SLACK * (rounding + digits) * state


def contribution(matrix: Array, vectors: Array) -> Array:
    """Matrix (4, hidden, width) times vectors, (steps, rows, 4, hidden)."""
    flat = np.asarray(matrix, np.float64).reshape(-1, matrix.shape[2])
    steps, rows = vectors.shape[:2]
    return (vectors.reshape(steps * rows, -1) @ flat.T).reshape(steps, rows, 4, -1)


def window_distances(cell: Cell, window: Window, z: Array, limit: float) -> Array:
    """Each mutant's distance from the window; infinite beyond the limit.

    z: pre-activations (mutants, steps, rows, 4, hidden). The window's c and y may differ by mutant.
    """
    count, steps, rows = z.shape[:3]
    c = np.broadcast_to(window.c, (count, *window.c.shape[-2:]))
    y = np.broadcast_to(window.y, (count, *window.y.shape[-3:]))
    if count >= _MANY and rows > 1:
        first_row = window._replace(c=c[:, :1], y=y[:, :1, :1])
        near = np.isfinite(window_distances(cell, first_row, z[:, :1, :1], limit))
        if 4 * near.sum() < count:
            worst = np.full(count, np.inf)
            worst[near] = window_distances(cell, window._replace(c=c[near], y=y[near]), z[near], limit)
            return worst
    remaining, worst = np.arange(count), np.zeros(count)
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(steps):
            now = activate(cell, z[:, step], c)
            error = np.abs(now.h - y[:, step]).max(axis=(-2, -1))
            near = error <= limit  # NaN is beyond it
            worst[remaining] = np.where(near, np.maximum(worst[remaining], error), np.inf)
            remaining, z, y, c = remaining[near], z[near], y[near], now.c[near]
            if not remaining.size:
                break
    return worst


def case_distances(mutated: Sequence[MutatedCase], limit: float, index: tuple[int, int] = (0, 0)) -> list[float]:
    """Each case's distance from its window; `UNOBSERVED` without one.

    Cases of one spec and shape are compared in one batch.
    """
    layer, direction = index
    result = [UNOBSERVED] * len(mutated)
    groups: dict[tuple[object, ...], list[tuple[int, Window]]] = {}
    windows: dict[tuple[object, ...], Window | None] = {}
    for k, (case, outputs) in enumerate(mutated):
        source = _window_source(case, outputs, direction)
        if source not in windows:
            windows[source] = observed_window(case, outputs, index)
        window = windows[source]
        if window is not None:
            cell = case.weights.layers[layer][direction]
            group = (case.spec, window.y.shape, memory_key(cell.peephole), memory_key(cell.projection))
            groups.setdefault(group, []).append((k, window))
    cache: dict[tuple[int, bytes, bytes], Array] = {}
    for members in groups.values():
        cells = [mutated[k].case.weights.layers[layer][direction] for k, _ in members]
        z = np.stack([_pre_activations(cell, own, cache) for cell, (_, own) in zip(cells, members, strict=True)])
        own_windows = [own for _, own in members]
        batch = own_windows[0]._replace(
            c=np.stack([own.c for own in own_windows]), y=np.stack([own.y for own in own_windows])
        )
        distances = window_distances(Cell(mutated[members[0][0]].case.spec, cells[0]), batch, z, limit)
        for (k, _), distance in zip(members, distances, strict=True):
            result[k] = float(distance)
    return result


def _window_source(case: Case, outputs: Outputs, direction: int) -> tuple[object, ...]:
    """A key that cases with the same window share."""
    data = (case.x, case.h0, case.c0, case.lengths, case.mask, outputs)
    spec = case.spec
    shape = (spec.num_layers, spec.num_directions, spec.output_size, spec.hidden_size, spec.is_backward(direction))
    return (*map(id, data), *shape)


def memory_key(array: Array | None) -> object:
    """A key that arrays of the same memory and shape share."""
    return None if array is None else (array.shape, array.__array_interface__["data"])


def _pre_activations(cell: CellWeights, window: Window, cache: dict[tuple[int, bytes, bytes], Array]) -> Array:
    """Cached pre-activations; many cases share weights and data."""
    key = (id(cell), window.x.tobytes(), window.h.tobytes())
    if key not in cache:
        cache[key] = contribution(cell.W, window.x) + contribution(cell.U, window.h) + cell.total_bias
    return cache[key]
