"""Searches for two mistakes that together explain the outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...model import Case
from ...oracle.cell import Cell
from ..batched_mutants import BatchedMutants, MutantBatches
from ..cell_mutants import CellMutants
from ..discrepancy import Discrepancy
from ..fit import Fit, fit
from ..free_run import MOST_STEPS, FreeRuns
from ..mistake import (
    Mistake,
    MutatedCase,
    Outputs,
    applicable_mistakes,
    changed_case,
    exclude_each_other,
    gives_shapes,
    mutated_case,
)
from ..prefilter import (
    UNOBSERVED,
    Window,
    case_distances,
    distance_limit,
    longest_rows,
    observed_window,
    window_distances,
)
from .cell_pairs import Candidate, Pair, cell_pairs

#: A mistake with its mutated case.
Applied = tuple[Mistake, MutatedCase]

#: So many of the nearest pairs are tested in full; more candidates than that mean that the case proves nothing.
_MOST_TESTS = 120
#: The same without a window of the first cell: distances are then those of free runs, which rank better.
_MOST_TESTS_UNOBSERVED = 30
#: How far single precision may move the outputs of a free run.
_BATCH_TOLERANCE = 0.02


@dataclass(frozen=True)
class _PairSearch:
    """What all parts of one search share.

    `limit`: how far from the window a pair may be to be tested in full; `free_runs`: where no first cell was observed.
    """

    observed: Outputs
    case: Case
    catalogue: Sequence[Mistake]
    limit: float
    free_runs: FreeRuns

    @cached_property
    def mutants(self) -> CellMutants:
        """The mutants of the first cell."""
        return CellMutants(self.catalogue, self.case.weights.layers[0][0])

    @cached_property
    def window(self) -> Window | None:
        """The window of the first cell."""
        return observed_window(self.case, self.observed, (0, 0))

    @cached_property
    def batches(self) -> MutantBatches:
        """Batches of all mutants."""
        return MutantBatches(self.mutants.mistakes)


def fitting_pairs(
    discrepancy: Discrepancy, catalogue: Sequence[Mistake], limit: float, free_runs: FreeRuns
) -> Iterator[tuple[Pair, Fit]]:
    """Every pair that explains the outputs, among those nearest to the window.

    `limit`: how far from the window of the first cell a pair may be.
    """
    observed, case, profile = discrepancy.observed, discrepancy.case, discrepancy.profile
    search = _PairSearch(observed, case, catalogue, limit, free_runs)
    wrong_cells = discrepancy.wrong_cells()[:1]
    most = _MOST_TESTS if search.window is not None else _MOST_TESTS_UNOBSERVED
    found = False
    for candidates in (_candidates, _rerun_pairs):  # the second is seldom needed
        nearest = sorted(candidates(search), key=lambda candidate: candidate[0])
        for pair in _near_wrong_cell([pair for _, pair in nearest[:most]], discrepancy, wrong_cells):
            quality = fit(pair, observed, case, profile, wrong_cells)
            if quality.within_bound:
                found = True
                yield pair, quality
        if found:
            return


def _near_wrong_cell(
    pairs: Sequence[Pair], discrepancy: Discrepancy, wrong_cells: Sequence[tuple[int, int]]
) -> Sequence[Pair]:
    """The pairs that may explain the window of a wrong cell."""
    observed, case = discrepancy.observed, discrepancy.case
    index = wrong_cells[0] if wrong_cells else (0, 0)
    window = observed_window(case, observed, index) if index != (0, 0) else None
    if window is None:
        return pairs
    limit = distance_limit(case.weights.layers[index[0]][index[1]], window, discrepancy.profile)
    mutated = {pair: found for pair in pairs if (found := mutated_case(pair, observed, case)) is not None}
    distances = dict(zip(mutated, case_distances([*mutated.values()], limit, index), strict=True))
    return [pair for pair in pairs if distances.get(pair, 0.0) < float("inf")]


def _candidates(search: _PairSearch) -> Iterator[Candidate]:
    if search.window is not None:
        yield from cell_pairs(search.mutants, search.case, search.window, search.limit)
    others = [*search.mutants.unfiltered, *(mistake for mistake in search.catalogue if mistake.cell is None)]
    applied = applicable_mistakes(others, search.observed, search.case, any_shape=True)
    for second, mutated in applied:
        if gives_shapes((second,), search.observed, search.case):
            yield from _mixed_pairs(search, second, mutated)
    by_free_run = search.window is None and search.case.steps <= MOST_STEPS
    for distance, pair in _other_pairs(search, applied):
        final = search.free_runs.distance(pair) if by_free_run and distance == UNOBSERVED else distance
        if final < float("inf"):
            yield final, pair


def _mixed_pairs(search: _PairSearch, second: Mistake, mutated: MutatedCase) -> Iterator[Candidate]:
    """Pairs of a weight mistake and one of another kind.

    One that reruns the LSTM has run with the right weights here, so it comes first; `_rerun_pairs` has the other order.
    """
    case, outputs = mutated
    window = observed_window(case, outputs, (0, 0))
    if window is None:
        firsts = search.free_runs.candidates(search.batches, case, outputs)
        pairs = [(second, first) if second.reruns else (first, second) for first in firsts]
        yield from ((far, pair) for pair in pairs if (far := search.free_runs.distance(pair)) < float("inf"))
        return
    mutants, honest = search.mutants, case.weights.layers[0][0]
    own = mutants if honest is mutants.honest else CellMutants(mutants.mistakes, honest)
    for far, first in own.candidates(case, (0, 0), window, search.limit):
        yield far, (second, first) if second.reruns else (first, second)


def _rerun_pairs(search: _PairSearch) -> Iterator[Candidate]:
    """Pairs of a weight mistake and one that reruns the LSTM."""
    if search.window is None:  # each pair would take one run to make and another to test
        search.free_runs.exhausted = True
        return
    pairs: list[tuple[Pair, MutatedCase]] = []
    batch = search.batches.batch(search.case.weights)
    for second in (mistake for mistake in search.catalogue if mistake.reruns):
        firsts = [mistake for mistake in search.catalogue if mistake.cell is not None or mistake.weights is not None]
        if batch is not None:
            far = {mistake.id for mistake in batch.mistakes} - _near_after_rerun(search, batch, search.window)
            firsts = [mistake for mistake in firsts if mistake.id not in far]
        for first in firsts:
            both = changed_case((first, second), search.case)
            if both is not None:
                pairs.append(((first, second), MutatedCase(both, search.observed)))
    yield from _within_limit(pairs, search.limit)


def _near_after_rerun(search: _PairSearch, batch: BatchedMutants, window: Window) -> set[str]:
    """Ids of mutants near the window after a run of their own."""
    case, mutants = search.case, search.mutants
    with np.errstate(over="ignore", invalid="ignore"):
        finals = [batch.final_states(case, int(row)) for row in longest_rows(case)]
        first_u = np.stack([batch.recurrent_contribution(h) for h, _ in finals], axis=1)
        ids = [mistake.id for mistake in mutants.mistakes]
        places = [ids.index(mistake.id) for mistake in batch.mistakes]
        w, u, b = (array[places] for array in mutants.contributions(window).arrays)
        u = np.concatenate([first_u[:, None], u[:, 1:]], axis=1)
        restarted = window._replace(c=np.stack([c for _, c in finals], axis=1))
        limit = max(search.limit, _BATCH_TOLERANCE)
        distances = window_distances(Cell(case.spec, mutants.honest), restarted, w + u + b, limit)
    return {mistake.id for mistake, distance in zip(batch.mistakes, distances, strict=True) if np.isfinite(distance)}


def _other_pairs(search: _PairSearch, others: Sequence[Applied]) -> Iterator[Candidate]:
    """Pairs of mistakes of data, spec or outputs, in both orders."""
    case, pairs = search.case, []
    for a, (first, by_first) in enumerate(others):
        for b, (second, by_second) in enumerate(others):
            if a == b or exclude_each_other(first, second) or (a > b and _commute(others[a], others[b], case)):
                continue
            outputs = by_second.outputs if first.undo is None else first.undo(by_second.outputs, case)
            both = None if outputs is None else second.change_case(by_first.case)
            if both is None or outputs is None:
                continue
            specs = (by_first.case.spec, by_second.case.spec)
            if _change_spec_alone(others[a], others[b], case) and both.spec in specs:
                continue  # one overrides the other
            if gives_shapes((first, second), search.observed, case):
                pairs.append(((first, second), MutatedCase(both, outputs)))
    yield from _within_limit(pairs, search.limit)


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
