"""Which gate, which array and which numbers: only what one family explains and its rivals do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ...arrays import Array
from ..discrepancy import Discrepancy
from .equations import Family
from .hypothesis import SPARE, Hypothesis, Tests
from .wrong_cell import WrongCell

ARRAYS = ("W", "U", "b")
_GATES = range(4)
_T = TypeVar("_T")
#: Slopes of this many numbers are computed at once, and wrong units in one number each are looked at.
_BUDGET, _FEW = 3_000_000, 4


@dataclass(frozen=True)
class Statement:
    """What alone explains all that can be seen.

    Attributes:
        hypothesis: the family that does, with its estimates.
        gate: its gate, or None where several may be meant.
        array: W, U or b, or None.
        single: whether one number of each unit is all that changed.
        all_units: whether every wrong unit was looked at.
    """

    hypothesis: Hypothesis
    gate: int | None
    array: str | None
    single: bool
    all_units: bool


class Columns:
    """The columns of [W | U | b] that are not always zero."""

    def __init__(self, wrong: WrongCell) -> None:
        inputs = wrong.driven.inputs[wrong.driven.valid]
        alive = np.flatnonzero((inputs != 0.0).any(axis=0))
        width, end = wrong.driven.cell.weights.W.shape[2], inputs.shape[1] - 1
        self.width, self.end = width, end
        self.of = {
            "W": [int(k) for k in alive if k < width],
            "U": [int(k) for k in alive if width <= k < end],
            "b": [end],
        }

    @property
    def all(self) -> list[int]:
        """Every such column."""
        return [k for name in ARRAYS for k in self.of[name]]

    def array(self, column: int) -> str:
        """The array that a column belongs to."""
        return "W" if column < self.width else "b" if column == self.end else "U"

    def family(self, gates: Sequence[int], arrays: Sequence[str]) -> Family:
        """The numbers of these gates and arrays."""
        return [(gate, k) for gate in gates for name in arrays for k in self.of[name]]


def needed(columns: Columns) -> int:
    """Equations without which no gate can be told."""
    return len(columns.all) + SPARE


def state(discrepancy: Discrepancy, wrong: WrongCell) -> Statement | None:
    """What alone explains the wrong units; None where nothing is proven."""
    columns = Columns(wrong)
    return single_number(discrepancy, wrong, columns) or gate_or_array(discrepancy, wrong, columns)


def single_number(discrepancy: Discrepancy, wrong: WrongCell, columns: Columns) -> Statement | None:
    """One number of each wrong unit, if no other number explains it too."""
    units = _worst(wrong)[:_FEW]
    tests = _tests(discrepancy, wrong, units, 1)
    if tests.equations.count < 1 + SPARE:
        return None
    near = _near(tests, columns)
    if not near:
        return None
    tested = tests.test([[number] for number in near])
    open_ = [[n for n, found in enumerate(tested) if not found.fails[u]] for u in range(len(units))]
    if any(len(numbers) != 1 or not tested[numbers[0]].explains[u] for u, numbers in enumerate(open_)):
        return None
    chosen = [numbers[0] for numbers in open_]
    if len(units) < len(wrong.units):
        return _same_number(discrepancy, wrong, columns, {near[n] for n in chosen})
    numbers = [near[n] for n in chosen]
    change, error = (
        np.stack([getattr(tested[n], name)[u] for u, n in enumerate(chosen)]) for name in ("change", "error")
    )
    every = np.ones(len(units), bool)
    whole = Hypothesis(numbers, units, change, error, every, ~every)
    return Statement(
        whole,
        _only({g for g, _ in numbers}),
        _only({columns.array(k) for _, k in numbers}),
        single=True,
        all_units=True,
    )


def _same_number(
    discrepancy: Discrepancy, wrong: WrongCell, columns: Columns, numbers: set[tuple[int, int]]
) -> Statement | None:
    """The same number of every wrong unit, such as the bias of one gate."""
    number = _only(numbers)
    if number is None:
        return None
    (found,) = _tests(discrepancy, wrong, wrong.units, 1).test([[number]])
    if not found.holds:
        return None
    return Statement(found, number[0], columns.array(number[1]), single=True, all_units=True)


def _near(tests: Tests, columns: Columns) -> list[tuple[int, int]]:
    """The numbers that, to first order, may explain some unit best."""
    family = columns.family(_GATES, ARRAYS)
    left, before = tests.equations.left(family), tests.equations.squares
    best: set[int] = set()
    for u in range(len(before)):
        order = np.argsort(left[u])
        best |= {int(n) for n in order[:_NEAREST] if left[u, n] < _HOPELESS * before[u]}
    return [family[n] for n in sorted(best)]


#: As many numbers are fitted, unless they leave more than this share of the squares.
_NEAREST, _HOPELESS = 12, 0.9


def gate_or_array(discrepancy: Discrepancy, wrong: WrongCell, columns: Columns) -> Statement | None:
    """One gate, or one array in every gate, if its rivals fail."""
    most = len(columns.all)
    tests = _tests(discrepancy, wrong, _worst(wrong), most)
    count = tests.equations.count
    gate = _only_gate(tests, columns) if count >= most + SPARE else None
    if gate is not None:
        array = _only_array(tests, columns, [gate.family[0][0]])
        found = gate if array is None else array
        name = None if array is None else columns.array(array.family[0][1])
        return Statement(found, gate.family[0][0], name, False, len(tests.units) == len(wrong.units))
    array = _only_array(tests, columns, list(_GATES))
    if array is None:
        return None
    return Statement(array, None, columns.array(array.family[0][1]), False, len(tests.units) == len(wrong.units))


def _only_gate(tests: Tests, columns: Columns) -> Hypothesis | None:
    """The gate that explains, where all others fail."""
    found = tests.test([columns.family([gate], ARRAYS) for gate in _GATES])
    holding = [one for one in found if one.holds]
    return holding[0] if len(holding) == 1 and sum(one.is_refuted for one in found) == 3 else None


def _only_array(tests: Tests, columns: Columns, gates: Sequence[int]) -> Hypothesis | None:
    """The array that explains in these gates, where the others fail, one by one and together."""
    present = [name for name in ARRAYS if columns.of[name]]
    alone = {name: columns.family(gates, [name]) for name in present}
    rest = {name: columns.family(gates, [other for other in present if other != name]) for name in present}
    count = tests.equations.count
    testable = [name for name in present if len(alone[name]) + SPARE <= count]
    if not testable:
        return None
    found = dict(zip(testable, tests.test([alone[name] for name in testable]), strict=True))
    holding = [name for name in testable if found[name].holds]
    if len(holding) != 1 or len(rest[holding[0]]) + SPARE > count:
        return None
    (others,) = tests.test([rest[holding[0]]])
    return found[holding[0]] if others.is_refuted else None


def _tests(discrepancy: Discrepancy, wrong: WrongCell, units: Array, numbers: int) -> Tests:
    """Tests on as many units, rows and steps as the budget allows, most wrong first."""
    driven = wrong.driven
    rows = np.sort(np.argsort(-np.abs(wrong.errors).max(axis=(0, 2)), kind="stable")[:_ROWS])
    enough = 3 * numbers + 40
    steps = min(len(driven.valid), max(wrong.first_step + 8, -(-enough // len(rows))))
    equations = max(1, steps * len(rows))
    most = max(1, _BUDGET // (4 * equations * numbers))
    return Tests(discrepancy, wrong, np.sort(units[:most]), rows, steps)


#: Rows that are looked at.
_ROWS = 8


def _worst(wrong: WrongCell) -> Array:
    """The wrong units, most wrong first."""
    units = wrong.units
    order: Array = units[np.argsort(-np.abs(wrong.errors[..., units]).max(axis=(0, 1)), kind="stable")]
    return order


def _only(found: set[_T]) -> _T | None:
    return next(iter(found)) if len(found) == 1 else None
