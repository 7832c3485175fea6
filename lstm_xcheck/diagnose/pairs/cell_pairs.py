"""Pairs of mistakes of one cell's weights, compared with a window of its outputs.

A permutation of gates after another mistake permutes that mistake's contributions. Mistakes that change different
arrays add up. Only the other pairs are computed array by array.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...arrays import Array
from ...model import Case
from ...oracle.cell import Cell
from ..cell_mutants import CellMutants, Contributions, cell_contributions
from ..mistake import Mistake
from ..prefilter import Window, window_distances

Pair = tuple[Mistake, Mistake]
#: A pair and its distance from the observed outputs.
Candidate = tuple[float, Pair]


def cell_pairs(mutants: CellMutants, case: Case, window: Window, limit: float) -> Iterator[Candidate]:
    """Every pair within the limit of the window."""
    if not mutants.mistakes:
        return
    cell, first_step = Cell(case.spec, mutants.honest), window.cut(1, 1)
    full, brief = mutants.contributions(window), mutants.contributions(first_step)
    for a, first in enumerate(mutants.mistakes):
        summed, composed = _partners(mutants, full, a)
        for contributions, part in ((brief, first_step), (full, window)):
            if summed.size:
                z = _sums(mutants, contributions, full.changed, a, summed)
                distances = window_distances(cell, part, z, limit)
                summed, distances = summed[np.isfinite(distances)], distances[np.isfinite(distances)]
        if summed.size:
            yield from ((float(d), (first, mutants.mistakes[b])) for d, b in zip(distances, summed, strict=True))
        if composed.size:
            yield from _composed(mutants, cell, a, composed, window, limit)


def _partners(mutants: CellMutants, contributions: Contributions, a: int) -> tuple[Array, Array]:
    """Partners of mistake a: for `_sums`, and for `_composed`."""
    changed = contributions.changed
    affected = mutants.permuted | changed
    possible = changed.any(axis=1) & changed[a].any()
    possible[a] = False
    if mutants.mistakes[a].shifted_gate:
        possible &= np.array([m.shifted_gate != mutants.mistakes[a].shifted_gate for m in mutants.mistakes])
    if mutants.mistakes[a].family == "precision":  # weights are not rounded twice
        possible &= np.array([m.family != "precision" for m in mutants.mistakes])
    overlaps = (changed[a] & affected).any(axis=1)
    overlaps_reversed = (affected[a] & changed).any(axis=1)
    disjoint = ~overlaps & (overlaps_reversed | (np.arange(len(changed)) > a))
    if mutants.permuting[a]:
        mixes_gates = np.array([mistake.mixes_gates for mistake in mutants.mistakes])
        # two permutations of the same arrays are a third
        same_arrays = mutants.permuting & (mutants.permuted == mutants.permuted[a]).all(axis=1)
        summed = possible & ((mutants.permuting & overlaps & ~same_arrays) | disjoint)
        return np.flatnonzero(summed), np.flatnonzero(possible & ~mutants.permuting & overlaps & mixes_gates)
    summed = possible & ((mutants.permuting & overlaps) | disjoint)
    return np.flatnonzero(summed), np.flatnonzero(possible & ~mutants.permuting & overlaps)


def _sums(mutants: CellMutants, contributions: Contributions, changed: Array, a: int, others: Array) -> Array:
    """Pre-activations with mistake a made before each of the others."""
    total: Array | float = 0.0
    affected = mutants.permuted | changed
    for k, array in enumerate(contributions.arrays):
        picked = array[np.where(affected[others, k], others, a)]
        permuted = changed[a, k] & mutants.permuted[others, k]
        if permuted.any():
            picked[permuted] = np.moveaxis(array[a][:, :, mutants.orders[others[permuted]]], 2, 0)
        total = total + picked
    return np.asarray(total)


def _composed(
    mutants: CellMutants, cell: Cell, a: int, others: Array, window: Window, limit: float
) -> Iterator[Candidate]:
    """Mistake a, then each of the others on the changed cell."""
    before, known = mutants.cell(a), [array[a] for array in mutants.contributions(window).arrays]
    pairs, batch = [], []
    for second in (mutants.mistakes[b] for b in others):
        after = None if second.cell is None else second.cell(before)
        if after is not None:
            w, u, bias = cell_contributions(after, window, before, known)
            pairs.append((mutants.mistakes[a], second))
            batch.append(w + u + bias)
    if batch:
        distances = window_distances(cell, window, np.stack(batch), limit)
        yield from ((float(d), pair) for d, pair in zip(distances, pairs, strict=True) if np.isfinite(d))
