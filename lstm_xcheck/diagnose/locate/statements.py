"""Which gate, array and numbers: what one family explains and its rivals do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ...arrays import Array
from .columns import ARRAYS, Columns
from .hypothesis import SPARE, Hypothesis, Tests

_T = TypeVar("_T")
_GATES = range(4)
#: As many wrong units tell families apart, and may have one wrong number each.
_FEW = 4
#: As many single numbers are fitted to each unit, unless they leave more than this share of the squares.
_NEAREST, _HOPELESS = 12, 0.9
#: Outputs beyond the numbers of an array by which it stands alone, where the others together have too many numbers.
_AMPLE = 12


@dataclass(frozen=True)
class Statement:
    """What alone explains all that can be seen.

    Attributes:
        hypothesis: the family that does, with its estimates.
        gates: the gates that it concerns.
        array: W, U or b; None where several may be meant.
        numbers: for one number in each unit, its (gate, column).
    """

    hypothesis: Hypothesis
    gates: tuple[int, ...]
    array: str | None
    numbers: tuple[tuple[int, int], ...] = ()


def equations_needed(columns: Columns) -> int:
    """Equations without which no gate can be told."""
    return len(columns.all) + SPARE


def state(tests: Tests, columns: Columns) -> Statement | None:
    """What alone explains the wrong units; None where nothing is proven."""
    return _single_numbers(tests, columns) or _gate_or_array(tests, columns)


def _single_numbers(tests: Tests, columns: Columns) -> Statement | None:
    """One number of each wrong unit, if no other number explains it too."""
    few = tests.of(tests.wrong.units[:_FEW], numbers=1)
    if few.equations.count < 1 + SPARE:
        return None
    near = _near(few, columns)
    tested = few.test([[number] for number in near]) if near else []
    open_ = [[n for n, found in enumerate(tested) if not found.fails[u]] for u in range(len(few.units))]
    if any(len(numbers) != 1 or not tested[numbers[0]].explains[u] for u, numbers in enumerate(open_)):
        return None
    chosen = [numbers[0] for numbers in open_]
    numbers = [near[n] for n in chosen]
    if len(few.units) < len(tests.wrong.units):
        return _same_number(tests, columns, set(numbers))
    change, error = (
        np.stack([getattr(tested[n], name)[u] for u, n in enumerate(chosen)]) for name in ("change", "error")
    )
    every = np.ones(len(few.units), bool)
    array = _only({columns.array(k) for _, k in numbers})
    whole = Hypothesis(numbers, few.units, change, error, every, ~every)
    return Statement(whole, tuple(sorted({g for g, _ in numbers})), array, tuple(numbers))


def _near(tests: Tests, columns: Columns) -> list[tuple[int, int]]:
    """The numbers that, to first order, explain some unit best."""
    family = columns.family(_GATES, ARRAYS)
    left, before = tests.equations.left(family), tests.equations.squares
    best: set[int] = set()
    for u in range(len(before)):
        best |= {int(n) for n in np.argsort(left[u])[:_NEAREST] if left[u, n] < _HOPELESS * before[u]}
    return [family[n] for n in sorted(best)]


def _same_number(tests: Tests, columns: Columns, numbers: set[tuple[int, int]]) -> Statement | None:
    """The same number of every wrong unit, such as the bias of one gate."""
    number = _only(numbers)
    every = tests.of(tests.wrong.units, numbers=1)
    if number is None or len(every.units) < len(tests.wrong.units):
        return None
    (found,) = every.test([[number]])
    if not found.holds:
        return None
    return Statement(found, (number[0],), columns.array(number[1]), (number,) * len(found.units))


def _gate_or_array(tests: Tests, columns: Columns) -> Statement | None:
    """One gate, or one array in every gate, where its rivals fail."""
    few = tests.of(tests.wrong.units[:_FEW], numbers=len(columns.all))
    gate = _only_gate(few, columns) if few.equations.count >= equations_needed(columns) else None
    gates, of_gate = (tuple(_GATES), np.ones(len(few.units), bool)) if gate is None else ((gate[0],), gate[1])
    array = _only_array(few, columns, gates, of_gate)
    if gate is None and array is None:
        return None
    name, where = (None, of_gate) if array is None else array
    family = columns.family(gates, ARRAYS if name is None else [name])
    (found,) = tests.of(tests.wrong.units, numbers=len(columns.all)).test([family])
    if not (where.all() and found.holds):
        found = found.part(np.isin(found.units, few.units[where]) & found.explains)
    return Statement(found, gates, name) if found.units.size else None


def _only_gate(tests: Tests, columns: Columns) -> tuple[int, Array] | None:
    """The gate that explains most units of which all others fail, and those units."""
    found = tests.test([columns.family([gate], ARRAYS) for gate in _GATES])
    if not np.any([one.explains for one in found], axis=0).all():
        return None  # where no single gate explains some unit, one that seems to explain another is doubtful
    alone = [_alone(found[gate], [found[other] for other in _GATES if other != gate]) for gate in _GATES]
    gate = max(_GATES, key=lambda g: int(alone[g].sum()))
    return (gate, alone[gate]) if alone[gate].any() else None


def _only_array(tests: Tests, columns: Columns, gates: Sequence[int], within: Array) -> tuple[str, Array] | None:
    """The array that alone explains in these gates, and in which units.

    The others fail one by one and together; what has more numbers than there are outputs explains anything, and is not
    tested.
    """
    present, count = [name for name in ARRAYS if columns.of[name]], tests.equations.count
    families = {name: columns.family(gates, [name]) for name in present}
    testable = [name for name in present if len(families[name]) + SPARE <= count]
    if not testable:
        return None
    found = dict(zip(testable, tests.test([families[name] for name in testable]), strict=True))
    if not np.any([one.explains for one in found.values()], axis=0).all():
        return None
    alone = {name: within & _alone(found[name], [found[k] for k in testable if k != name]) for name in testable}
    name = max(testable, key=lambda k: int(alone[k].sum()))
    rest, size = [other for other in present if other != name], len(families[name])
    others = columns.family(gates, rest)
    if not alone[name].any() or not others:
        return (name, alone[name]) if alone[name].any() else None
    if len(others) + SPARE <= count:
        alone[name] &= tests.test([others])[0].fails
    elif size + _AMPLE > count or any(other not in found and len(families[other]) <= size for other in rest):
        return None
    return (name, alone[name]) if alone[name].any() else None


def _alone(one: Hypothesis, rivals: Sequence[Hypothesis]) -> Array:
    """The units that one explains, of which every rival fails."""
    units: Array = np.all([one.explains, *(rival.fails for rival in rivals)], axis=0)
    return units


def _only(found: set[_T]) -> _T | None:
    return next(iter(found)) if len(found) == 1 else None
