"""A look at whole runs, where what a cell fed back to itself was not observed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arrays import Array
from ..model import Case
from .batched_mutants import MutantBatches
from .mistake import Mistake, Outputs, run_mistakes

#: Rounding that a run on its own states adds up may move outputs by this much, relative to the largest.
_ROUGHLY = 0.02
#: Longer runs are not tried for hundreds of hypotheses.
MOST_STEPS = 64
#: Steps of the top layer that a crowd is compared in.
_STEPS = 2
#: Steps of cells that a search may run, each worth about a tenth of a millisecond.
_MOST_WORK = 6000
#: What a step of all versions together costs beside a step of one.
_OF_BATCH = 5


class FreeRuns:
    """The free runs of one search: how near each comes, until there have been enough.

    Attributes:
        left: steps of cells that may still be run.
        stopped: whether something was left out.
    """

    def __init__(self, observed: Outputs, case: Case) -> None:
        self.observed, self.case = observed, case
        self.left, self.stopped = _MOST_WORK, False

    def far(self, mistakes: Sequence[Mistake]) -> float:
        """How far the mistaken LSTM, run freely in float64, is from what was observed; infinite beyond all doubt."""
        case, observed = self.case, self.observed
        if case.steps > MOST_STEPS or not self._take(case.spec.num_layers * case.spec.num_directions * case.steps):
            return float("inf")
        with np.errstate(over="ignore", invalid="ignore"):
            outputs = run_mistakes(mistakes, case)
            if outputs is None or any(n not in outputs or a.shape != outputs[n].shape for n, a in observed.items()):
                return float("inf")
            return max(_distance(np.asarray(array, np.float64), outputs[name]) for name, array in observed.items())

    def near(self, crowds: MutantBatches, case: Case, driving: Outputs) -> Sequence[Mistake]:
        """The mistakes of cells with which a case's first outputs, on one row, come anywhere near the observed ones.

        Args:
            crowds: what runs them.
            case, driving: as another mistake changes the case, and the observed outputs brought back.
        """
        row = int(np.argmax(case.valid.sum(axis=1)))
        first = _first_outputs(case, driving, row)
        batch = crowds.of(case.weights) if case.steps <= MOST_STEPS and len(first) else None
        if batch is None:
            return crowds.mistakes
        if not self._take(_OF_BATCH * _steps_of_batch(case, row)):
            return []
        with np.errstate(over="ignore", invalid="ignore"):
            outputs = batch.first_outputs(case, row, len(first))
            error = np.abs(outputs - first).max(axis=(1, 2))
            close = error <= 2.0 * _ROUGHLY * np.maximum(1.0, np.abs(outputs).max(axis=(1, 2)))
        return [mistake for mistake, near in zip(batch.mistakes, close, strict=True) if near]

    def _take(self, work: int) -> bool:
        self.stopped = self.stopped or self.left < work
        self.left -= 0 if self.stopped else work
        return not self.stopped


def _first_outputs(case: Case, driving: Outputs, row: int) -> Array:
    """What was observed of the top layer's first direction at its first steps; empty where nothing was."""
    spec = case.spec
    width = spec.output_size
    y = driving.get("y")
    if y is None or y.shape != (case.batch, case.steps, width * spec.num_directions):
        return np.empty((0, width))
    valid = np.asarray(y[row, case.valid[row], :width], np.float64)
    first = (valid[::-1] if spec.is_backward(0) else valid)[:_STEPS]
    seen = np.isfinite(first).all(axis=1)
    return first if seen.all() else first[: int(np.argmin(seen))]


def _steps_of_batch(case: Case, row: int) -> int:
    spec, length = case.spec, int(case.valid[row].sum())
    below = 2 * length if spec.bidirectional else min(_STEPS, length)
    return (spec.num_layers - 1) * below + min(_STEPS, length)


def _distance(a: Array, b: Array) -> float:
    """The largest error relative to the largest number; infinite where rounding cannot have added up to it."""
    far = float(np.abs(a - b).max()) / max(1.0, float(np.abs(b).max()))
    return far if far <= _ROUGHLY else float("inf")
