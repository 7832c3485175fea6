"""What was done to an array: scaled, added to, permuted, or single numbers changed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...arrays import Array
from ...compare.judge import SIGMAS
from ...model import GATES
from .columns import Columns
from .hypothesis import Tests
from .statements import Statement

#: Estimates agree with a pattern within this many standard errors.
_CLOSE = 6.0
#: Numbers that are listed, and the share of the largest change below which a number counts as unchanged.
_LISTED, _UNCHANGED = 16, 1e-2


def describe_change(tests: Tests, statement: Statement, columns: Columns) -> dict[str, Any]:
    """The change as plain data: `units`, `change` of a whole array, `unit_map`, `numbers`."""
    estimates = _Estimates(statement, columns)
    numbers = estimates.numbers()
    if len(set(statement.numbers)) < 2:
        some = tests.of(estimates.units, numbers=1)
        for find in (_scaled, _added, _permuted):
            found = find(some, estimates)
            if found:
                return {**_widened(tests, estimates, found), **found.data, **numbers}
    return {"units": estimates.units.tolist(), **numbers}


class _Pattern(NamedTuple):
    """A change (4, hidden, columns) of the whole cell, and its name as data."""

    change: Array
    data: dict[str, Any]


def _widened(tests: Tests, estimates: _Estimates, found: _Pattern) -> dict[str, Any]:
    """The units that a pattern explains, and whether it may be in every gate."""
    every = tests.of(tests.wrong.units, numbers=1)
    change = estimates.limited(found.change, estimates.gates, every.units)
    tried = every if every.explains(change) else tests.of(estimates.units, numbers=1)
    gates = list(range(len(GATES)))
    hidden = len(estimates.gates) < len(gates) and tried.explains(estimates.limited(found.change, gates, tried.units))
    return {"units": tried.units.tolist(), **({"or_every_gate": True} if hidden else {})}


class _Estimates:
    """Numbers as given and as estimated, (units, gates, columns)."""

    def __init__(self, statement: Statement, columns: Columns) -> None:
        found = statement.hypothesis
        self.statement, self.columns, self.units = statement, columns, found.units
        self.gates = list(statement.gates)
        self.family = sorted({k for _, k in found.family})
        self.given = self.of_units(columns.values)
        self.change, self.error = (array[:, self.gates][..., self.family] for array in (found.change, found.error))
        self.free = self.error > 0.0

    def of_units(self, array: Array) -> Array:
        """These numbers of an array (4, hidden, columns)."""
        return np.swapaxes(array[self.gates][..., self.family], 0, 1)[self.units]

    def limited(self, change: Array, gates: list[int], units: Array) -> Array:
        """A change (4, hidden, columns) in these gates and columns alone, (units, 4, columns)."""
        only = np.zeros_like(change)
        part = np.ix_(np.array(gates), units, np.array(self.family))
        only[part] = change[part]
        return np.swapaxes(only, 0, 1)[units]

    def agrees(self, change: Array) -> bool:
        """Whether every estimate is this one, as far as it is known."""
        return bool((np.abs(change - self.change) <= _CLOSE * self.error + 1e-12)[self.free].all())

    def numbers(self) -> dict[str, Any]:
        """Each number that changed; empty where one may or may not have changed."""
        size, error = np.abs(self.change), self.error
        changed = self.free & (size > SIGMAS * error)
        unchanged = size + SIGMAS * error < _UNCHANGED * size.max()
        if not (changed | unchanged | ~self.free).all():
            return {}
        places = np.argwhere(changed)
        order = np.argsort(-size[changed], kind="stable")
        listed = [self._number(*map(int, places[n])) for n in order[:_LISTED]]
        return {"numbers": listed, "numbers_changed": len(places)}

    def _number(self, u: int, g: int, k: int) -> dict[str, Any]:
        column, array = self.family[k], self.columns.array(self.family[k])
        given, change = float(self.given[u, g, k]), float(self.change[u, g, k])
        place = {} if array == "b" else {"column": self.columns.place(column)}
        return {
            "array": array, "gate": GATES[self.gates[g]], "unit": int(self.units[u]), **place, "given": given,
            "used": given + change, "error": float(self.error[u, g, k]),
        }  # fmt: skip


def _scaled(tests: Tests, estimates: _Estimates) -> _Pattern | None:
    """Whether all numbers were multiplied by one factor, which may be 0."""
    pattern = estimates.columns.values
    found = _fitted(tests, estimates, pattern)
    if found is None:
        return None
    return _Pattern(found[0] * pattern, {"change": {"kind": "scaled", "factor": 1.0 + found[0], "error": found[1]}})


def _added(tests: Tests, estimates: _Estimates) -> _Pattern | None:
    """Whether one constant was added to all numbers."""
    pattern = np.ones_like(estimates.columns.values)
    found = _fitted(tests, estimates, pattern)
    if found is None:
        return None
    return _Pattern(found[0] * pattern, {"change": {"kind": "added", "constant": found[0], "error": found[1]}})


def _fitted(tests: Tests, estimates: _Estimates, pattern: Array) -> tuple[float, float] | None:
    """The multiple of a pattern that explains all, with its standard error."""
    own = estimates.of_units(pattern)
    free = estimates.free & (own != 0.0)
    if free.sum() < 2:
        return None
    error = np.maximum(estimates.error, 1e-300)
    weight = np.where(free, own / error, 0.0)
    size = float((weight * estimates.change / error).sum() / (weight**2).sum())
    if not estimates.agrees(size * own):
        return None
    return tests.multiple(estimates.limited(pattern, estimates.gates, estimates.units), size)


def _permuted(tests: Tests, estimates: _Estimates) -> _Pattern | None:
    """Whether units were exchanged, in rows or in columns of U."""
    if estimates.statement.array is None or estimates.statement.numbers:
        return None
    values, used = estimates.columns.values, estimates.given + estimates.change
    every = np.swapaxes(values[estimates.gates][..., estimates.family], 0, 1)
    rows = _exchange(estimates.units, _matches(used, estimates.error, every))
    if rows:
        order = [rows.get(unit, unit) for unit in range(values.shape[1])]
        found = _Pattern(values[:, order] - values, _exchanged("rows", rows))
        if tests.explains(estimates.limited(found.change, estimates.gates, estimates.units)):
            return found
    if estimates.statement.array != "U" or len(estimates.family) != values.shape[1]:
        return None
    own, error, given = (np.moveaxis(array, -1, 0) for array in (used, estimates.error, estimates.given))
    columns = _exchange(np.arange(len(own)), _matches(own, error, given))
    if columns:
        change = np.zeros_like(values)
        order = [columns.get(unit, unit) for unit in range(len(own))]
        change[..., estimates.family] = values[..., estimates.family][..., order] - values[..., estimates.family]
        if tests.explains(estimates.limited(change, estimates.gates, estimates.units)):
            return _Pattern(change, _exchanged("columns", columns))
    return None


def _exchanged(what: str, sources: dict[int, int]) -> dict[str, Any]:
    return {"change": {"kind": f"{what} permuted"}, "unit_map": {str(unit): source for unit, source in sources.items()}}


def _matches(values: Array, errors: Array, sources: Array) -> list[int]:
    """Which source each estimate is; -1 where it is none or may be several."""
    matches = []
    for value, error in zip(values, errors, strict=True):
        close = (np.abs(sources - value) <= _CLOSE * error + 1e-12).all(axis=(1, 2))
        matches.append(int(np.argmax(close)) if close.sum() == 1 else -1)
    return matches


def _exchange(units: Array, sources: list[int]) -> dict[int, int]:
    """The units whose numbers are another's; empty unless it is an exchange among them."""
    moved = {int(u): s for u, s in zip(units, sources, strict=True) if int(u) != s}
    return {} if -1 in moved.values() or set(moved) != set(moved.values()) else moved
