"""The mistakes that pass a cheap look, and are tested in full."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .batched_mutants import MutantBatches
from .cell_mutants import CellMutants
from .discrepancy import Discrepancy
from .free_run import MOST_STEPS, FreeRuns
from .mistake import Mistake, applicable_mistakes, gives_shapes, in_cells
from .prefilter import case_distances, observed_window, unobserved_window
from .prefilter import distance_limit as limit_of_window


def single_candidates(discrepancy: Discrepancy, catalogue: Sequence[Mistake], free_runs: FreeRuns) -> Iterator[Mistake]:
    """The mistakes that pass the prefilter.

    First those of all cells, then those of data, spec and outputs, then those in the wrong cells alone.
    """
    observed, case = discrepancy.observed, discrepancy.case
    if gives_shapes((), observed, case):
        yield from cell_candidates(catalogue, discrepancy, (0, 0), free_runs)
    others = applicable_mistakes([mistake for mistake in catalogue if mistake.cell is None], observed, case)
    wrong = discrepancy.wrong_cells()
    for index in dict.fromkeys([(0, 0), *wrong[:1]]):  # what fits the first cell may not fit another
        distances = case_distances([mutated for _, mutated in others], window_limit(discrepancy, index), index)
        others = [other for other, distance in zip(others, distances, strict=True) if distance < float("inf")]
    by_free_run = observed_window(case, observed, (0, 0)) is None and case.steps <= MOST_STEPS
    for mistake, _ in others:
        if not by_free_run or free_runs.distance((mistake,)) < float("inf"):
            yield mistake
    if 0 < len(wrong) < case.spec.num_layers * case.spec.num_directions:
        yield from (in_cells(m, wrong) for m in cell_candidates(catalogue, discrepancy, wrong[0], free_runs))


def cell_candidates(
    catalogue: Sequence[Mistake], discrepancy: Discrepancy, index: tuple[int, int], free_runs: FreeRuns
) -> list[Mistake]:
    """The mistakes that may explain the window of one cell."""
    observed, case = discrepancy.observed, discrepancy.case
    window = observed_window(case, observed, index)
    mutants = CellMutants(catalogue, case.weights.layers[index[0]][index[1]])
    if window is None:
        near = [*free_runs.candidates(MutantBatches(mutants.mistakes), case, observed), *mutants.unfiltered]
        return [mistake for mistake in near if free_runs.distance((mistake,)) < float("inf")]
    limit = window_limit(discrepancy, index)
    return [mistake for _, mistake in mutants.candidates(case, index, window, limit)]


def window_limit(discrepancy: Discrepancy, index: tuple[int, int]) -> float:
    """How far from a cell's window a candidate may be."""
    observed, case = discrepancy.observed, discrepancy.case
    window = observed_window(case, observed, index)
    if window is None and index[0] == 0:  # a mistake of layers may make it visible
        window = unobserved_window(case, observed, index[1])
    cell = case.weights.layers[index[0]][index[1]]
    return float("inf") if window is None else limit_of_window(cell, window, discrepancy.profile)
