"""What was done to an array: scaled, added to, permuted, or single numbers changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
    """The change as plain data: `change` of a whole array, `unit_map`, `numbers`."""
    estimates = _Estimates(statement, columns)
    found: dict[str, Any] = {"units": estimates.units.tolist()}
    if len(set(statement.numbers)) > 1:
        return {**found, **estimates.numbers()}
    some = tests.of(statement.hypothesis.units, numbers=1)
    for pattern in (_scaled, _added, _permuted):
        change = pattern(some, estimates)
        if change:
            return {**found, **change, **estimates.numbers()}
    return {**found, **estimates.numbers()}


class _Estimates:
    """Numbers as given and as estimated, (units, gates, columns)."""

    def __init__(self, statement: Statement, columns: Columns) -> None:
        found = statement.hypothesis
        self.statement, self.columns, self.units = statement, columns, found.units
        self.gates = list(statement.gates)
        self.family = sorted({k for _, k in found.family})
        self.given, self.change, self.error = (
            np.moveaxis(array, 0, 1)[self.gates][..., self.family].swapaxes(0, 1)
            for array in (columns.values[:, found.units].swapaxes(0, 1), found.change, found.error)
        )
        self.free = self.error > 0.0

    def dense(self, change: Array) -> Array:
        """A change of these numbers among all, (units, 4, columns)."""
        dense = np.zeros((len(self.units), 4, self.columns.values.shape[-1]))
        dense[np.ix_(range(len(self.units)), self.gates, self.family)] = np.where(self.free, change, 0.0)
        return dense

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


def _scaled(tests: Tests, estimates: _Estimates) -> dict[str, Any]:
    """Whether all numbers were multiplied by one factor, which may be 0."""
    factor = _fitted(tests, estimates, estimates.given)
    if factor is None:
        return {}
    value, error = factor
    return {"change": {"kind": "scaled", "factor": 1.0 + value, "error": error}}


def _added(tests: Tests, estimates: _Estimates) -> dict[str, Any]:
    """Whether one constant was added to all numbers."""
    constant = _fitted(tests, estimates, np.ones_like(estimates.given))
    return {} if constant is None else {"change": {"kind": "added", "constant": constant[0], "error": constant[1]}}


def _fitted(tests: Tests, estimates: _Estimates, pattern: Array) -> tuple[float, float] | None:
    """The multiple of a pattern that explains all, with its standard error."""
    free = estimates.free & (pattern != 0.0)
    if free.sum() < 2:
        return None
    weight = np.where(free, pattern / np.maximum(estimates.error, 1e-300), 0.0)
    size = float((weight * estimates.change / np.maximum(estimates.error, 1e-300)).sum() / (weight**2).sum())
    if not estimates.agrees(size * pattern):
        return None
    return tests.multiple(estimates.dense(pattern), size)


def _permuted(tests: Tests, estimates: _Estimates) -> dict[str, Any]:
    """Whether units were exchanged, in rows or in columns of U."""
    if estimates.statement.array is None or estimates.statement.numbers:
        return {}
    every = np.swapaxes(estimates.columns.values[estimates.gates][..., estimates.family], 0, 1)
    used = estimates.given + estimates.change
    rows = _matches(lambda u: used[u], lambda u: estimates.error[u], every, len(used))
    found = _exchange(estimates.units, rows)
    if found and tests.explains(estimates.dense(every[rows] - estimates.given)):
        return {"change": {"kind": "rows permuted"}, "unit_map": found}
    if estimates.statement.array != "U" or len(estimates.family) != every.shape[0]:
        return {}
    sources = np.moveaxis(estimates.given, -1, 0)
    columns = _matches(lambda k: used[..., k], lambda k: estimates.error[..., k], sources, len(sources))
    found = _exchange(np.arange(len(sources)), columns)
    if found and tests.explains(estimates.dense(estimates.given[..., columns] - estimates.given)):
        return {"change": {"kind": "columns permuted"}, "unit_map": found}
    return {}


def _matches(value: Callable[[int], Array], error: Callable[[int], Array], sources: Array, count: int) -> list[int]:
    """Which source each estimate is; -1 where it is none or may be several."""
    matches = []
    for n in range(count):
        close = (np.abs(sources - value(n)) <= _CLOSE * error(n) + 1e-12).all(axis=(1, 2))
        matches.append(int(np.argmax(close)) if close.sum() == 1 else -1)
    return matches


def _exchange(units: Array, sources: list[int]) -> dict[str, int]:
    """The units whose numbers are another's; empty unless it is an exchange among them."""
    moved = {int(u): s for u, s in zip(units, sources, strict=True) if int(u) != s}
    if not moved or -1 in moved.values() or set(moved) != set(moved.values()):
        return {}
    return {str(u): s for u, s in moved.items()}
