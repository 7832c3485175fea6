"""Free runs of mutants, for cells that were not observed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arrays import Array
from ..model import Case
from .batched_mutants import MutantBatches
from .fit import difference
from .mistake import Mistake, Outputs, run_mistakes

#: Accumulated rounding may move the outputs of a free run by this much, relative to the largest.
_TOLERANCE = 0.02
#: Longer cases are not run for hundreds of mutants.
MOST_STEPS = 64
#: How many of the top layer's first steps of a batch are compared.
_STEPS = 2
#: Steps of cells that one search may run, each about a tenth of a millisecond.
_BUDGET = 6000
#: Cost of one step of all mutants as a batch, in steps of one cell.
_BATCH_COST = 5


class FreeRuns:
    """Free runs and their distances, within the budget of a search."""

    def __init__(self, observed: Outputs, case: Case) -> None:
        self.observed, self.case = observed, case
        self.budget, self.exhausted = _BUDGET, False

    def distance(self, mistakes: Sequence[Mistake]) -> float:
        """Distance of the mutant's free run; infinite beyond the tolerance."""
        case, observed = self.case, self.observed
        if case.steps > MOST_STEPS or not self._spend(case.spec.num_layers * case.spec.num_directions * case.steps):
            return float("inf")
        with np.errstate(over="ignore", invalid="ignore"):
            outputs = run_mistakes(mistakes, case)
            if outputs is None or any(n not in outputs or a.shape != outputs[n].shape for n, a in observed.items()):
                return float("inf")
            return max(_distance(np.asarray(array, np.float64), outputs[name]) for name, array in observed.items())

    def candidates(self, batches: MutantBatches, case: Case, observed: Outputs) -> Sequence[Mistake]:
        """The mistakes of cells whose first outputs, or final states, come near.

        One row is compared.
        """
        row = int(np.argmax(case.valid.sum(axis=1)))
        first, states = _first_outputs(case, observed, row), _final_states(case, observed, row)
        batch = batches.batch(case.weights) if case.steps <= MOST_STEPS and (len(first) or states) else None
        if batch is None:
            return batches.mistakes
        if not self._spend(_BATCH_COST * (_batch_steps(case, row) if len(first) else int(case.valid[row].sum()))):
            return []
        with np.errstate(over="ignore", invalid="ignore"):
            if len(first):
                near = _are_near(batch.first_outputs(case, row, len(first)), first)
            else:
                final = dict(zip(("h_n", "c_n"), batch.final_states(case, row), strict=True))
                near = np.all([_are_near(final[name], state) for name, state in states.items()], axis=0)
        return [mistake for mistake, is_near in zip(batch.mistakes, near, strict=True) if is_near]

    def _spend(self, work: int) -> bool:
        self.exhausted = self.exhausted or self.budget < work
        self.budget -= 0 if self.exhausted else work
        return not self.exhausted


def _first_outputs(case: Case, observed: Outputs, row: int) -> Array:
    """Observed first outputs of the top layer's first direction, if any."""
    spec = case.spec
    width = spec.output_size
    y = observed.get("y")
    if y is None or y.shape != (case.batch, case.steps, width * spec.num_directions):
        return np.empty((0, width))
    valid = np.asarray(y[row, case.valid[row], :width], np.float64)
    first = (valid[::-1] if spec.is_backward(0) else valid)[:_STEPS]
    finite = np.isfinite(first).all(axis=1)
    return first if finite.all() else first[: int(np.argmin(finite))]


def _final_states(case: Case, observed: Outputs, row: int) -> dict[str, Array]:
    """Observed final states of the first cell, by name."""
    cells, spec = case.spec.num_layers * case.spec.num_directions, case.spec
    shapes = {"h_n": (cells, case.batch, spec.output_size), "c_n": (cells, case.batch, spec.hidden_size)}
    given = {name: array for name, array in observed.items() if array.shape == shapes.get(name)}
    states = {name: np.asarray(array[0, row], np.float64) for name, array in given.items()}
    return {name: state for name, state in states.items() if np.isfinite(state).all()}


def _are_near(outputs: Array, observed: Array) -> Array:
    """Whether each mutant's outputs, (mutants, ...), come near the observed ones."""
    axes = tuple(range(1, outputs.ndim))
    error, size = np.abs(outputs - observed).max(axis=axes), np.abs(outputs).max(axis=axes)
    return np.asarray(error <= 2.0 * _TOLERANCE * np.maximum(1.0, size))


def _batch_steps(case: Case, row: int) -> int:
    """How many steps of cells `BatchedMutants.first_outputs` runs."""
    spec, length = case.spec, int(case.valid[row].sum())
    below = 2 * length if spec.bidirectional else min(_STEPS, length)
    return (spec.num_layers - 1) * below + min(_STEPS, length)


def _distance(a: Array, b: Array) -> float:
    """Relative distance; infinite beyond the tolerance."""
    distance = float(difference(a, b).max()) / max(1.0, float(np.abs(b).max()))
    return distance if distance <= _TOLERANCE else float("inf")
