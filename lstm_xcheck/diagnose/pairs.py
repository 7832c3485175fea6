"""Searches for two mistakes that together explain the outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..arrays import Array
from ..model import Case
from ..oracle import Profile
from ..oracle.cell import Cell
from .batched_mutants import BatchedMutants, MutantBatches
from .cell_mutants import CellMutants, Contributions, cell_contributions
from .fit import Fit, fit
from .free_run import MOST_STEPS, FreeRuns
from .mistake import Mistake, MutatedCase, Outputs, applicable_mistakes, gives_shapes, mutated_case
from .prefilter import (
    UNOBSERVED,
    Window,
    case_distances,
    distance_limit,
    longest_rows,
    observed_window,
    window_distances,
)

Pair = tuple[Mistake, Mistake]
#: A mistake with its mutated case.
Applied = tuple[Mistake, MutatedCase]
#: A pair and its distance from the observed outputs.
Candidate = tuple[float, Pair]

#: So many of the nearest pairs are tested in full; more candidates than that mean that the case proves nothing.
_MOST_TESTS = 120
#: The same without a window of the first cell: distances are then those of free runs, which rank better.
_MOST_TESTS_UNOBSERVED = 30
#: How far single precision may move the outputs of a free run.
_BATCH_TOLERANCE = 0.02


def fitting_pairs(
    observed: Outputs,
    case: Case,
    profile: Profile,
    catalogue: Sequence[Mistake],
    limit: float,
    free_runs: FreeRuns,
    wrong_cells: Sequence[tuple[int, int]],
) -> Iterator[tuple[Pair, Fit]]:
    """Every pair that explains the outputs, among the nearest.

    Args:
        limit: how far from the window of the first cell a pair may be to be tested in full.
        free_runs: used where the first cell was not observed.
        wrong_cells: each (layer, direction) known to be wrong.
    """
    found = False
    most = _MOST_TESTS if observed_window(case, observed, (0, 0)) is not None else _MOST_TESTS_UNOBSERVED
    for candidates in (_candidates, _rerun_pairs):  # the second is seldom needed
        nearest = sorted(candidates(observed, case, catalogue, limit, free_runs), key=lambda candidate: candidate[0])
        pairs = [pair for _, pair in nearest[:most]]
        for pair in _near_wrong_cell(pairs, observed, case, profile, wrong_cells[:1]):
            quality = fit(pair, observed, case, profile, wrong_cells[:1])
            if quality.within_bound:
                found = True
                yield pair, quality
        if found:
            return


def _near_wrong_cell(
    pairs: Sequence[Pair], observed: Outputs, case: Case, profile: Profile, wrong_cells: Sequence[tuple[int, int]]
) -> Sequence[Pair]:
    """The pairs that may explain the window of a wrong cell."""
    index = wrong_cells[0] if wrong_cells else (0, 0)
    window = observed_window(case, observed, index) if index != (0, 0) else None
    if window is None:
        return pairs
    limit = distance_limit(case.weights.layers[index[0]][index[1]], window, profile)
    mutated = {pair: found for pair in pairs if (found := mutated_case(pair, observed, case)) is not None}
    distances = dict(zip(mutated, case_distances([*mutated.values()], limit, index), strict=True))
    return [pair for pair in pairs if distances.get(pair, 0.0) < float("inf")]


def _candidates(
    observed: Outputs, case: Case, catalogue: Sequence[Mistake], limit: float, free_runs: FreeRuns
) -> Iterator[Candidate]:
    mutants = CellMutants(catalogue, case.weights.layers[0][0])
    window = observed_window(case, observed, (0, 0))
    if window is not None:
        yield from _cell_pairs(mutants, case, window, limit)
    others = [*mutants.unfiltered, *(mistake for mistake in catalogue if mistake.cell is None)]
    applied = applicable_mistakes(others, observed, case, any_shape=True)
    batches = MutantBatches(mutants.mistakes)
    for second, mutated in applied:
        if gives_shapes((second,), observed, case):
            yield from _mixed_pairs(second, mutated, mutants, limit, free_runs, batches)
    by_free_run = window is None and case.steps <= MOST_STEPS
    for distance, pair in _other_pairs(applied, observed, case, limit):
        final = free_runs.distance(pair) if by_free_run and distance == UNOBSERVED else distance
        if final < float("inf"):
            yield final, pair


def _mixed_pairs(
    second: Mistake,
    mutated: MutatedCase,
    mutants: CellMutants,
    limit: float,
    free_runs: FreeRuns,
    batches: MutantBatches,
) -> Iterator[Candidate]:
    """Pairs of a weight mistake and one of another kind."""
    case, outputs = mutated
    window = observed_window(case, outputs, (0, 0))
    if window is None:
        pairs = ((first, second) for first in free_runs.candidates(batches, case, outputs))
        yield from ((far, pair) for pair in pairs if (far := free_runs.distance(pair)) < float("inf"))
        return
    honest = case.weights.layers[0][0]
    own = mutants if honest is mutants.honest else CellMutants(mutants.mistakes, honest)
    yield from ((distance, (first, second)) for distance, first in own.candidates(case, (0, 0), window, limit))


def _rerun_pairs(
    observed: Outputs, case: Case, catalogue: Sequence[Mistake], limit: float, free_runs: FreeRuns
) -> Iterator[Candidate]:
    """Pairs of a weight mistake and one that reruns the LSTM."""
    window = observed_window(case, observed, (0, 0))
    if window is None:  # each pair would take one run to make and another to test
        free_runs.exhausted = True
        return
    pairs: list[tuple[Pair, MutatedCase]] = []
    mutants = CellMutants(catalogue, case.weights.layers[0][0])
    batch = MutantBatches(mutants.mistakes).batch(case.weights)
    for second in (mistake for mistake in catalogue if mistake.reruns):
        firsts = [mistake for mistake in catalogue if mistake.cell is not None or mistake.weights is not None]
        if batch is not None:
            far = {mistake.id for mistake in batch.mistakes} - _near_after_rerun(batch, mutants, case, window, limit)
            firsts = [mistake for mistake in firsts if mistake.id not in far]
        for first in firsts:
            changed = first.change_case(case)
            both = None if changed is None else second.change_case(changed)
            if both is not None:
                pairs.append(((first, second), MutatedCase(both, observed)))
    yield from _within_limit(pairs, limit)


def _near_after_rerun(
    batch: BatchedMutants, mutants: CellMutants, case: Case, window: Window, limit: float
) -> set[str]:
    """Ids of mutants near the window after a run of their own."""
    rows = longest_rows(case)
    with np.errstate(over="ignore", invalid="ignore"):
        finals = [batch.final_states(case, int(row)) for row in rows]
        first_u = np.stack([batch.recurrent_contribution(h) for h, _ in finals], axis=1)
        ids = [mistake.id for mistake in mutants.mistakes]
        places = [ids.index(mistake.id) for mistake in batch.mistakes]
        w, u, b = (array[places] for array in mutants.contributions(window).arrays)
        u = np.concatenate([first_u[:, None], u[:, 1:]], axis=1)
        restarted = window._replace(c=np.stack([c for _, c in finals], axis=1))
        distances = window_distances(
            Cell(case.spec, mutants.honest), restarted, w + u + b, max(limit, _BATCH_TOLERANCE)
        )
    return {mistake.id for mistake, distance in zip(batch.mistakes, distances, strict=True) if np.isfinite(distance)}


def _other_pairs(others: Sequence[Applied], observed: Outputs, case: Case, limit: float) -> Iterator[Candidate]:
    """Pairs of mistakes of data, spec or outputs, in both orders."""
    pairs: list[tuple[Pair, MutatedCase]] = []
    for a, (first, by_first) in enumerate(others):
        for b, (second, by_second) in enumerate(others):
            if a == b or (a > b and _commute(others[a], others[b], case)):
                continue
            outputs = by_second.outputs if first.undo is None else first.undo(by_second.outputs, case)
            both = None if outputs is None else second.change_case(by_first.case)
            if both is None or outputs is None:
                continue
            if _change_spec_alone(others[a], others[b], case) and both.spec in (
                by_first.case.spec,
                by_second.case.spec,
            ):
                continue  # one overrides the other
            if gives_shapes((first, second), observed, case):
                pairs.append(((first, second), MutatedCase(both, outputs)))
    yield from _within_limit(pairs, limit)


def _within_limit(pairs: Sequence[tuple[Pair, MutatedCase]], limit: float) -> Iterator[Candidate]:
    distances = case_distances([mutated for _, mutated in pairs], limit)
    for distance, (pair, _) in zip(distances, pairs, strict=True):
        if distance < float("inf"):
            yield distance, pair


def _commute(first: Applied, second: Applied, case: Case) -> bool:
    """Whether the order of two mistakes cannot matter."""
    if _change_spec_alone(first, second, case):
        return True
    changes = [
        {name for name in ("cell", "weights", "case", "outputs") if getattr(mistake, name) is not None}
        for mistake, _ in (first, second)
    ]
    return not changes[0] & changes[1] and not {"cell", "weights"} <= changes[0] | changes[1]


def _change_spec_alone(first: Applied, second: Applied, case: Case) -> bool:
    """Whether both change the spec and no number."""
    return all(
        changed.weights is not case.weights and changed.weights.layers is case.weights.layers
        for _, (changed, _) in (first, second)
    )


def _cell_pairs(mutants: CellMutants, case: Case, window: Window, limit: float) -> Iterator[Candidate]:
    """Two mistakes of one cell's weights.

    A permutation of gates after another mistake permutes that mistake's contributions. Mistakes that change different
    arrays add up. Only the other pairs are computed array by array.
    """
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
