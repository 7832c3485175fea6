"""Mistakes whose first effects exceed any rounding, found for all of them at once.

Where the outputs of the first layer were observed, the first steps of its first cell are compared: their states are
known, and no run is needed. Elsewhere all mutants run as one batch on their own states, and the final states of the
first cell or the first output of the last layer are compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arrays import Array
from ..compare.reference import references
from ..model import Case
from ..oracle import Profile, profile_named, teacher_force
from .batched_mutants import BatchedMutants, MutantBatches
from .cell_mutants import CellMutants
from .fit import direction_half, layer_outputs
from .mistake import Mistake, Outputs, output_name
from .prefilter import observed_window


def certain_mistakes(
    case: Case, observed: Outputs, profile: Profile, catalogue: Sequence[Mistake], bounds: float
) -> set[str]:
    """Ids of mistakes that exceed so many bounds at first sight.

    Args:
        observed: the quantities that are compared, as an honest implementation gives them.
    """
    mutants = CellMutants(catalogue, case.weights.layers[0][0])
    if 0 in layer_outputs(observed, case):
        return _at_first_steps(mutants, case, observed, profile, bounds)
    batch = MutantBatches(mutants.mistakes).batch(case.weights)
    return set() if batch is None else _in_free_runs(batch, case, observed, profile, bounds)


def _at_first_steps(mutants: CellMutants, case: Case, observed: Outputs, profile: Profile, bounds: float) -> set[str]:
    window = observed_window(case, observed, (0, 0))
    if window is None:
        return set()
    y = direction_half(observed[output_name(case.spec, 0)], case.spec, 0)
    bound = teacher_force(case, 0, 0, case.x, y, profile).y_bound
    limit = 2.0 * bounds * float(bound.max())
    candidates = mutants.candidates(case, (0, 0), window.cut(1, len(window.c)), limit)
    ids = {mistake.id for mistake in mutants.mistakes if _fits_every_cell(mistake, case)}
    return ids - {mistake.id for _, mistake in candidates}


def _fits_every_cell(mistake: Mistake, case: Case) -> bool:
    """Whether the other cells, of whatever shape, can have it as well."""
    if mistake.permutes is not None or mistake.cell is None:
        return True
    return all(mistake.cell(cell) is not None for layer, direction, cell in case.weights.cells() if layer or direction)


def _in_free_runs(batch: BatchedMutants, case: Case, observed: Outputs, profile: Profile, bounds: float) -> set[str]:
    """The batch rounds to float32, so limits are never those of a finer precision."""
    spec, row = case.spec, int(np.argmax(case.valid.sum(axis=1)))
    rougher = max(profile, profile_named("float32"), key=lambda known: known.u)
    expected = references(case, {}, rougher)
    exceeds = np.zeros(len(batch.mistakes), bool)

    def compare(name: str, values: Array, place: tuple[int, ...]) -> None:
        reference = expected[name]
        width = values.shape[-1]
        error = np.abs(values - reference.value[place][:width])
        exceeds[:] |= (error > 4.0 * bounds * reference.bound[place][:width]).any(axis=-1)

    with np.errstate(over="ignore", invalid="ignore"):
        if {"h_n", "c_n"} & set(observed):
            for name, values in zip(("h_n", "c_n"), batch.final_states(case, row), strict=True):
                if name in observed:
                    compare(name, values, (0, row))
        elif "y" in observed:
            times = np.flatnonzero(case.valid[row])
            compare("y", batch.first_outputs(case, row, 1)[:, 0], (row, int(times[-1 if spec.is_backward(0) else 0])))
    return {mistake.id for mistake, exceeds_all in zip(batch.mistakes, exceeds, strict=True) if exceeds_all}
