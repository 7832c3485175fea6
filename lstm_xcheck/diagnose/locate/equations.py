"""Changes of weights that fit the outputs of wrong units best.

A *family* is a set of numbers that may have changed: (gate, column of [W | U | b]) of every unit. Driven by observed h,
a unit depends on its own numbers alone, so that all units and several families are solved side by side by Gauss-Newton
with the damping of Levenberg.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ...arrays import Array
from ...model import CellWeights
from ...oracle.cell import Cell
from ..linearised_cell import DrivenCell, LinearisedCell, linearise
from .wrong_cell import WrongCell, inverse

#: (gate, column) pairs, columns of x, then h, then the bias.
Family = Sequence[tuple[int, int]]

_ROUNDS = 10
#: A round changes a weight by at most this much.
_LONGEST = 4.0
#: Squares per equation from which slow progress is given up.
_FAR = 100.0
#: The variance of a number that is not determined.
_UNKNOWN = 1e30


@dataclass(frozen=True)
class Equations:
    """What some units answered, on some rows and the first steps.

    Attributes:
        driven: the cell with these units alone.
        weights: 1 / sigma of each y, zero at padding, (steps, batch, units).
        c_n, c_weights: (batch, units), or None.
    """

    driven: DrivenCell
    weights: Array
    c_n: Array | None
    c_weights: Array | None

    @classmethod
    def of(cls, wrong: WrongCell, units: Array, rows: Array, steps: int) -> Equations:
        """The equations of these units, rows and first steps."""
        driven, part = wrong.driven, np.ix_(np.arange(steps), rows, units)
        cell = Cell(driven.cell.spec, _of_units(driven.cell.weights, units))
        valid = driven.valid[:steps, rows]
        own = replace(
            driven, cell=cell, inputs=driven.inputs[:steps, rows], y=driven.y[part], c0=driven.c0[np.ix_(rows, units)],
            valid=valid,
        )  # fmt: skip
        weights = inverse(wrong.sigma[part])
        if wrong.c_n is None or wrong.c_sigma is None or driven.valid[steps:, rows].any():
            return cls(own, weights, None, None)
        states = np.ix_(rows, units)
        return cls(own, weights, wrong.c_n[states], 1.0 / wrong.c_sigma[states])

    @property
    def count(self) -> int:
        """Equations of each unit."""
        return int(self.driven.valid.sum()) + (0 if self.c_n is None else len(self.c_n))

    @property
    def squares(self) -> Array:
        """Sum of squared errors of each unit as it should be."""
        total: Array = (self.residuals(linearise(self.driven, self.driven.z[:, None])) ** 2).sum(axis=-1)[0]
        return total

    def residuals(self, run: LinearisedCell) -> Array:
        """What a run leaves unexplained, in deviations, (..., units, equations)."""
        parts = [(self.driven.y[:, None] - run.y) * self.weights[:, None]]
        if self.c_n is not None and self.c_weights is not None:
            parts.append(((self.c_n - run.c[-1]) * self.c_weights)[None])
        return _by_unit(np.concatenate(parts))

    def jacobian(self, run: LinearisedCell, columns: Array, gates: Array) -> Array:
        """Slopes of the same by each number of each family, (families, units, equations, numbers).

        columns: (families, numbers); gates: one-hot, (families, 4, numbers), zero for numbers that are not used.
        """
        v = np.moveaxis(self.driven.inputs[..., columns], 2, 1)[..., None, :]
        into_c = np.stack([run.c_by_i, run.c_by_f, run.c_by_g], axis=-1) @ gates[:, None, :3] * v
        slopes = run.h_by_o[..., None] * gates[:, None, None, 3] * v
        dc = np.zeros(into_c.shape[1:])
        for t in range(len(into_c)):
            dc = run.carry[t, ..., None] * dc + into_c[t]
            slopes[t] += run.h_by_c[t, ..., None] * dc
        slopes *= self.weights[:, None, ..., None]
        if self.c_weights is not None:
            slopes = np.concatenate([slopes, (dc * self.c_weights[..., None])[None]])
        return _by_unit(slopes, 1)

    def left(self, family: Family) -> Array:
        """The squares that each number alone would leave, to first order, (units, numbers)."""
        columns, gates, _ = _arrays([family])
        run = linearise(self.driven, self.driven.z[:, None])
        slopes, errors = self.jacobian(run, columns, gates)[0], self.residuals(run)[0]
        matched = np.einsum("une,un->ue", slopes, errors) ** 2
        own = np.maximum((slopes**2).sum(axis=1), 1e-300)
        remaining: Array = (errors**2).sum(axis=-1)[:, None] - matched / own
        return remaining

    def improved(self, pattern: Array, size: float) -> tuple[float, float]:
        """A better multiple of a change (units, 4, columns), and its standard error."""
        dz = np.einsum("tbk,ugk->tbgu", self.driven.inputs, pattern, optimize=True)
        run = linearise(self.driven, (self.driven.z + size * dz)[:, None])
        dh, dc = run.respond(dz[:, None, ..., None])
        parts = [dh[..., 0] * self.weights[:, None]]
        if self.c_weights is not None:
            parts.append(dc[-1:, ..., 0] * self.c_weights)
        slopes = _by_unit(np.concatenate(parts))
        squares = max(float((slopes**2).sum()), 1e-300)
        return size + float((slopes * self.residuals(run)).sum()) / squares, squares**-0.5


def _by_unit(array: Array, after: int = 0) -> Array:
    """(steps, families, batch, units, ...) as (families, units, steps * batch, ...)."""
    moved = np.moveaxis(array, (1, 3), (0, 1))
    return moved.reshape(*moved.shape[:2], -1, *moved.shape[4 : 4 + after])


def _of_units(weights: CellWeights, units: Array) -> CellWeights:
    """The same cell with these units alone."""
    return weights.map(lambda array: array[:, units])


class Solution(NamedTuple):
    """The best change of each family, unit by unit.

    Attributes:
        change: (families, units, 4, columns).
        error: standard error of each number, of the same shape; zero where it may not change.
        largest: largest residual in deviations, (families, units).
        squares: sum of squared residuals, (families, units).
        answering: how many outputs y answer to some number at all, (families, units).
    """

    change: Array
    error: Array
    largest: Array
    squares: Array
    answering: Array


def solve(equations: Equations, families: Sequence[Family], start: Array | None = None) -> Solution:
    """Gauss-Newton for every family and unit at once, from `start` or no change."""
    columns, gates, used = _arrays(families)
    units, width = equations.weights.shape[-1], equations.driven.inputs.shape[-1]
    base, lead = equations.driven.z, (len(families), units)

    def run(step: Array) -> tuple[LinearisedCell, Array, Array]:
        change = _dense(step, columns, gates, width)
        dz = np.einsum("tbk,nugk->tnbgu", equations.driven.inputs, change, optimize=True)
        now = linearise(equations.driven, base[:, None] + dz)
        left = equations.residuals(now)
        return now, left, np.nan_to_num((left**2).sum(axis=-1), nan=np.inf)

    found = np.zeros((*lead, columns.shape[1]))
    if start is not None:
        found = np.einsum("nugp,ngp->nup", start[..., columns[0]], gates)
    now, left, squares = run(found)
    slopes = equations.jacobian(now, columns, gates)
    damping = np.full(lead, 1e-4)
    active = np.ones(lead, dtype=bool)
    for _ in range(_ROUNDS):
        normal, scale = _normal(slopes, used)
        step = _step(normal, scale, damping, (slopes * left[..., None]).sum(axis=-2))
        trial = found + np.where(active[..., None], np.clip(step, -_LONGEST, _LONGEST), 0.0)
        now, left_then, squares_then = run(trial)
        better = squares_then < squares
        slow = squares_then > squares * (1.0 - np.where(squares_then > _FAR * equations.count, 0.05, 1e-4))
        active &= ~(better & slow) & ~(~better & (damping > 1e2)) & (squares > 1e-6)
        found, left = (np.where(better[..., None], a, b) for a, b in ((trial, found), (left_then, left)))
        squares = np.where(better, squares_then, squares)
        damping = np.where(better, damping / 10.0, np.minimum(damping * 100.0 + 1e-8, 1e4))
        if better.any():
            slopes = np.where(better[..., None, None], equations.jacobian(now, columns, gates), slopes)
        if not active.any():
            break
    normal, scale = _normal(slopes, used)
    inverted = np.linalg.inv(normal + _fixed(scale, 1e-13))
    variance = np.einsum("...pp->...p", inverted)
    errors = _dense(np.sqrt(np.where(variance > 0.0, variance, _UNKNOWN)) * scale, columns, gates, width)
    answering = (slopes[..., : equations.weights[..., 0].size, :] != 0.0).any(axis=-1).sum(axis=-1)
    return Solution(_dense(found, columns, gates, width), errors, np.abs(left).max(axis=-1), squares, answering)


def _arrays(families: Sequence[Family]) -> tuple[Array, Array, Array]:
    """Columns (families, numbers), one-hot gates (families, 4, numbers), and which numbers are used."""
    most = max(len(family) for family in families)
    columns, used = np.zeros((len(families), most), np.intp), np.zeros((len(families), most))
    gates = np.zeros((len(families), 4, most))
    for n, family in enumerate(families):
        for p, (gate, column) in enumerate(family):
            columns[n, p], gates[n, gate, p], used[n, p] = column, 1.0, 1.0
    return columns, gates, used


def _dense(numbers: Array, columns: Array, gates: Array, width: int) -> Array:
    """(families, units, numbers) as (families, units, 4, width)."""
    chosen = np.eye(width)[columns]  # (families, numbers, width)
    dense: Array = np.matmul(numbers[..., None, :] * gates[:, None], chosen[:, None])
    return dense


def _normal(slopes: Array, used: Array) -> tuple[Array, Array]:
    """Normal equations with a unit diagonal, and the scale of each number."""
    normal = np.swapaxes(slopes, -1, -2) @ slopes
    diagonal = np.einsum("...pp->...p", normal)
    scale = np.where((diagonal > 0.0) & (used[:, None] > 0.0), 1.0 / np.sqrt(np.maximum(diagonal, 1e-300)), 0.0)
    return normal * scale[..., None] * scale[..., None, :], scale


def _step(normal: Array, scale: Array, damping: Array, gradient: Array) -> Array:
    """One damped step; numbers of scale zero stay."""
    matrix = normal + _fixed(scale, damping[..., None] + 1e-13)
    step: Array = np.linalg.solve(matrix, (gradient * scale)[..., None])[..., 0] * scale
    return np.nan_to_num(step)


def _fixed(scale: Array, damping: Array | float) -> Array:
    """Damping on the diagonal, and one where a number stays."""
    diagonal: Array = (damping + (scale == 0.0))[..., None] * np.eye(scale.shape[-1])
    return diagonal
