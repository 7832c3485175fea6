"""Whether changes of some numbers explain everything that can be seen of wrong units."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...arrays import Array
from ...compare.judge import SIGMAS
from ...model import Case, CellWeights, LSTMWeights
from ...oracle import TeacherForced, teacher_force
from ..discrepancy import Discrepancy
from ..fit import cell_arrays, layer_outputs
from ..linearised_cell import in_processing_order
from .equations import Equations, Family, Solution, solve
from .wrong_cell import NOISE, WrongCell, in_deviations, inverse

#: Equations beyond the numbers of a family, so that fitting says something.
SPARE = 5
#: A family that leaves more than this share of the squares in some unit fails without a second look.
_SHARE = 1e-3
#: Rows that estimates are made from, and products of a round of four families.
_ROWS, _BUDGET = 8, 30_000_000


@dataclass(frozen=True)
class Hypothesis:
    """One family, fitted: `explains` and `fails` may both be false.

    Attributes:
        family: (gate, column) of the numbers that may change.
        units: the units in question.
        change, error: estimates and standard errors, (units, 4, columns).
        explains: for each unit, whether rounding is all that is left.
        fails: for each unit, whether something is left that rounding cannot be.
    """

    family: Family
    units: Array
    change: Array
    error: Array
    explains: Array
    fails: Array

    @property
    def holds(self) -> bool:
        """Whether it explains every unit."""
        return bool(self.explains.all())

    def part(self, which: Array) -> Hypothesis:
        """The same of some units."""
        arrays = (getattr(self, name)[which] for name in ("units", "change", "error", "explains", "fails"))
        return Hypothesis(self.family, *arrays)


class Tests:
    """Fits families to as many wrong units of a cell as can be afforded.

    Estimates come from some rows and the first steps; whether a family explains is decided on all of them.
    """

    def __init__(self, discrepancy: Discrepancy, wrong: WrongCell, units: Array, numbers: int) -> None:
        self.wrong, self._discrepancy = wrong, discrepancy
        rows = np.abs(wrong.errors).max(axis=(0, 2))
        self._rows = np.sort(np.argsort(-rows, kind="stable")[:_ROWS])
        enough = -(-(4 * numbers + 120) // len(self._rows))
        self._steps = min(len(wrong.driven.valid), max(wrong.first_step + 8, enough))
        affordable = _BUDGET // (4 * self._steps * len(self._rows) * numbers**2)
        self.units = np.sort(units[: max(1, affordable)])
        self.equations = Equations.of(wrong, self.units, self._rows, self._steps)

    def of(self, units: Array, numbers: int) -> Tests:
        """Tests of these units, for families of so many numbers."""
        return Tests(self._discrepancy, self.wrong, units, numbers)

    def test(self, families: Sequence[Family]) -> list[Hypothesis]:
        """A hypothesis for each family, which must all have numbers enough."""
        found = solve(self.equations, families)
        before = self.equations.squares
        return [self._judged(family, found, n, before) for n, family in enumerate(families)]

    def explains(self, change: Array) -> bool:
        """Whether rounding is all that these changes leave."""
        return bool(self._judge(self._run(change))[0].all())

    def multiple(self, pattern: Array, size: float) -> tuple[float, float] | None:
        """The multiple of a change that explains all, and its standard error."""
        forced = self._run(size * pattern)
        error = 0.0
        for _ in range(3):
            own = self._weighted(forced)
            size, error = own.improved(pattern, size)
            forced = self._run(size * pattern)
        return (size, error) if self._judge(forced)[0].all() else None

    def _judged(self, family: Family, found: Solution, n: int, before: Array) -> Hypothesis:
        hopeless = (found.largest[n] > SIGMAS) & (found.squares[n] > _SHARE * before)
        if hopeless.all():
            return Hypothesis(
                family, self.units, found.change[n], found.error[n], np.zeros(len(self.units), bool), hopeless
            )
        change, error = found.change[n], found.error[n]
        forced = self._run(change)
        for _ in range(2):  # rounding of the hypothesis differs from that of the honest cell
            refined = solve(self._weighted(forced), [family], start=change[None])
            change, error = refined.change[0], refined.error[0]
            forced = self._run(change)
            explains, fails = self._judge(forced, len(family))
            explains &= refined.answering[0] >= len(family) + SPARE
            if explains.all():
                break
        return Hypothesis(family, self.units, change, error, explains, fails)

    def _judge(self, forced: TeacherForced, numbers: int = 0) -> tuple[Array, Array]:
        """Whether each unit's rest is rounding, and whether it cannot be."""
        errors = self._errors(forced)
        largest, squares = np.abs(errors).max(axis=0), (errors**2).sum(axis=0)
        return (largest <= NOISE) & (squares <= 0.64 * (len(errors) - numbers) + 4.0), largest > SIGMAS

    def _run(self, change: Array) -> TeacherForced:
        """The oracle with changed numbers, on all rows and steps."""
        case, profile = self._discrepancy.case, self._discrepancy.profile
        layer, direction = self.wrong.index
        arrays = cell_arrays(case, layer_outputs(self._discrepancy.observed, case), self.wrong.index)
        assert arrays is not None
        changed = _of_units(case, self.wrong.index, self.units, change)
        return teacher_force(changed, layer, direction, *arrays, profile, units=np.arange(len(self.units)))

    def _errors(self, forced: TeacherForced) -> Array:
        """All errors of y and c_n in deviations, (equations, units)."""
        driven = self.wrong.driven
        y, sigma = (in_processing_order(array, driven.backward) for array in (forced.y, forced.y_sigma))
        errors = in_deviations(driven.y[..., self.units] - y, sigma)[driven.valid]
        if self.wrong.c_n is None:
            return errors
        return np.concatenate([errors, in_deviations(self.wrong.c_n[:, self.units] - forced.c, forced.c_sigma)])

    def _weighted(self, forced: TeacherForced) -> Equations:
        """The equations with the rounding of a hypothesis."""
        sigma = in_processing_order(forced.y_sigma, self.wrong.driven.backward)[: self._steps, self._rows]
        weights = inverse(sigma)
        c_weights = None if self.equations.c_weights is None else 1.0 / forced.c_sigma[self._rows]
        return replace(self.equations, weights=weights, c_weights=c_weights)


def _of_units(case: Case, index: tuple[int, int], units: Array, change: Array) -> Case:
    """The case with these units of one cell alone, changed and not rounded."""
    layer, direction = index
    cells = [list(row) for row in case.weights.layers]
    own = {name: np.asarray(array[:, units], np.float64) for name, array in cells[layer][direction].items()}
    moved, width = np.swapaxes(change, 0, 1), own["W"].shape[2]
    changed: dict[str, Any] = {
        **own,
        "W": own["W"] + moved[..., :width],
        "U": own["U"] + moved[..., width:-1],
        "b": own.get("b", 0.0) + moved[..., -1],
    }
    cells[layer][direction] = CellWeights(**changed)
    other = copy(case)
    weights = LSTMWeights.of_checked(case.spec, tuple(map(tuple, cells)), "float64")
    for name, value in (("weights", weights), ("c0", None if case.c0 is None else case.c0[..., units])):
        object.__setattr__(other, name, value)
    return other
