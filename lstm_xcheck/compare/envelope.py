"""Where a statistic objects, honest kernels decide.

Roundings are not independent where terms, or steps, are equal; a sum of them may honestly be off by many standard
deviations. With D the largest error of any honest variant so far, an objection is withdrawn

    8 sigma   where every pair of batch row and unit beyond it has error <= 8 sigma + 2 D, D counted only where it is
              more than chance, beyond 3 sigma somewhere in the unit
    rms       where the root mean square is at most twice the largest of one variant, over the pairs that contribute
              most and others spread over the tensor

It never turns a mismatch into anything. A projection mixes units: every hidden unit of the rows in question runs then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Array
from ..model import Case
from ..oracle import HonestErrors, Profile, honest_errors, honest_outputs
from .reference import Reference
from .tiers import SIGMAS, Measured, in_sigmas, rms_limit
from .verdict import Row

WITHDRAWN = "withdrawn by the envelope"

#: An honest error counts as evidence beyond this many standard deviations.
_EVIDENCE = 3.0
#: Honest kernels that were not tried may be so much farther off than those that were.
_MARGIN = 2.0
#: Pairs for the root mean square: those that contribute most, and others spread over the tensor.
_SAMPLE = 32
#: Products at a time, and in all of one cell; beyond it the pairs farthest off stand for the others.
_AT_A_TIME, _IN_ALL = 2_000_000, 200_000_000
#: Terms of a sum that take as long as the cells behind it; pairs that are run first.
_LEAST_WIDTH, _FIRST = 64, 8
#: Pairs of which quantities: outputs, hidden units, or both where they are the same.
OUTPUTS, CELLS, BOTH = "outputs", "cells", "both"


@dataclass(frozen=True)
class _Part:
    """One quantity of one cell, each (batch, steps, units) or (batch, units)."""

    error: Array
    sigma: Array
    sigmas: Array

    def by_pair(self, sums: bool) -> Array:
        """The largest, or the sum of squares, over steps; (batch, units)."""
        steps = self.sigmas if self.sigmas.ndim == 3 else self.sigmas[:, None]
        combined: Array = (steps**2).sum(axis=1) if sums else steps.max(axis=1)
        return combined


@dataclass(frozen=True)
class _Cell:
    """One layer and direction whose outputs were observed."""

    case: Case
    layer: int
    direction: int
    x: Array
    observed: Array
    parts: dict[str, _Part]
    c_sigma: Array
    y_sigma: Array
    profile: Profile

    def run(self, pairs: Array, family: str) -> HonestErrors:
        """Run honest variants of these pairs."""
        run = honest_outputs if family == OUTPUTS and self.case.spec.proj_size else honest_errors
        return run(self.case, self.layer, self.direction, self.x, self.observed, pairs, self.profile)

    @property
    def families(self) -> dict[str, dict[str, _Part]]:
        """Quantities whose pairs are the same: outputs and hidden units, unless projected."""
        if not self.case.spec.proj_size:
            return {BOTH: self.parts}
        cells = {name: part for name, part in self.parts.items() if name == "c_n"}
        return {OUTPUTS: {name: part for name, part in self.parts.items() if name != "c_n"}, CELLS: cells}

    def products(self, family: str) -> int:
        """Products of one pair over all steps."""
        width = max(_LEAST_WIDTH, int(self.x.shape[-1] + self.observed.shape[-1]))
        units = self.case.spec.hidden_size if family == OUTPUTS else 1
        return 4 * self.case.steps * width * units

    def at_a_time(self, family: str) -> int:
        """As many pairs as fit."""
        return max(1, _AT_A_TIME // self.products(family))


def reconsidered(
    rows: list[Row], measured: dict[str, Measured], observed: dict[str, Array], expected: dict[str, Reference],
    case: Case, profile: Profile,
) -> list[Row]:  # fmt: skip
    """The rows with every objection withdrawn that honest kernels explain."""
    suspects = {row.quantity for row in rows if row.verdict == "suspect"}
    by_sigma = {name for name in suspects if measured[name].sigmas > SIGMAS}
    by_rms = {name for name in suspects if measured[name].rms > measured[name].rms_limit}
    standing: set[str] = set()
    examined = every = 0
    for cell in _cells(suspects, observed, expected, case, profile):
        for family in cell.families:
            done, total = _check_pairs(cell, family, by_sigma - standing, standing)
            examined, every = examined + done, every + total
            _check_rms(cell, family, by_rms - standing, standing)
        if standing == suspects:
            break
    note = "roundings are correlated here, and honest kernels are as far off"
    if examined < every:
        note += f"; of {every} pairs of row and unit the {examined} farthest off were run"
    withdrawn = suspects - standing
    rows = [
        replace(row, verdict="match", decided_by=WITHDRAWN, reason=note) if row.quantity in withdrawn else row
        for row in rows
    ]
    return [row.with_note("no honest kernel is as far off") if row.quantity in standing else row for row in rows]


def _cells(
    suspects: set[str], observed: dict[str, Array], expected: dict[str, Reference], case: Case, profile: Profile
) -> Iterator[_Cell]:
    """The cells that suspect quantities come from, the lowest layer first."""
    spec, x = case.spec, np.asarray(case.x, np.float64)
    for layer in range(spec.num_layers):
        top = layer == spec.num_layers - 1
        name = "y" if top else f"layer{layer}.y"
        if expected[name].free or name not in observed:
            return
        y = np.asarray(observed[name], np.float64)
        for direction in range(spec.num_directions):
            columns = slice(direction * spec.output_size, (direction + 1) * spec.output_size)
            row = layer * spec.num_directions + direction
            places = {name: (..., columns), "h_n": (row,), "c_n": (row,), **({"last": (..., columns)} if top else {})}
            parts = {
                quantity: _part(observed[quantity], expected[quantity], place, case, profile)
                for quantity, place in places.items()
                if quantity in suspects
            }
            if parts:
                sigmas = expected["c_n"].sigma[row], expected[name].sigma[..., columns]
                yield _Cell(case, layer, direction, x, y[..., columns], parts, *sigmas, profile)
        x = y


def _part(array: Array, reference: Reference, place: tuple[object, ...], case: Case, profile: Profile) -> _Part:
    error = np.abs(np.asarray(array, np.float64) - reference.value)[place]  # type: ignore[index]
    sigma = reference.sigma[place]  # type: ignore[index]
    return _Part(error, sigma, in_sigmas(error, sigma, case, profile))


def _check_pairs(cell: _Cell, family: str, names: set[str], standing: set[str]) -> tuple[int, int]:
    """Add to `standing` whose 8 sigma stand; returns pairs run, and pairs beyond."""
    parts = {name: part for name, part in cell.families[family].items() if name in names}
    if not parts:
        return 0, 0
    ratio = np.max([part.by_pair(sums=False) for part in parts.values()], axis=0)
    order = np.argsort(-ratio, axis=None)[: int((ratio > SIGMAS).sum())]
    pairs = np.stack(np.unravel_index(order, ratio.shape), axis=-1)
    size = cell.at_a_time(family)
    most = min(len(pairs), max(size, _IN_ALL // cell.products(family)))
    backward = cell.case.spec.is_backward(cell.direction)
    # The first few are farthest off: where they are no honest errors, the others need not be run.
    start, end = 0, min(_FIRST, size)
    while start < most and parts:
        rows, units = pairs[start : min(most, end)].T
        errors = cell.run(pairs[start : min(most, end)], family)
        h, c, counts = errors.largest(backward), errors.c_n.max(axis=1), np.zeros(len(rows), bool)
        if family != CELLS:
            counts |= (h > _EVIDENCE * cell.y_sigma[rows, :, units]).any(axis=1)
        if family != OUTPUTS:
            counts |= c > _EVIDENCE * cell.c_sigma[rows, units]
        for name, part in list(parts.items()):
            if part.error.ndim == 3:
                error, sigma, more = part.error[rows, :, units], part.sigma[rows, :, units], h * counts[:, None]
            else:
                error, sigma = part.error[rows, units], part.sigma[rows, units]
                more = (c if name == "c_n" else h.max(axis=1)) * counts
            if (in_sigmas(np.maximum(error - _MARGIN * more, 0.0), sigma, cell.case, cell.profile) > SIGMAS).any():
                standing.add(name)
                del parts[name]
        start, end = end, end + size
    return most, len(pairs)


def _check_rms(cell: _Cell, family: str, names: set[str], standing: set[str]) -> None:
    """Add to `standing` the quantities whose root mean square no honest variant comes near."""
    for name in names & set(cell.families[family]):
        part = cell.parts[name]
        squares = part.by_pair(sums=True)
        spread = np.linspace(0, squares.size - 1, min(_SAMPLE, squares.size)).astype(int)
        chosen = np.unique(np.concatenate([np.argsort(-squares, axis=None)[:_SAMPLE], spread]))
        # Of each, at most as many as fit; those that contribute most are among them.
        chosen = chosen[:: -(-len(chosen) // cell.at_a_time(family))]
        pairs = np.stack(np.unravel_index(chosen, squares.shape), axis=-1)
        rows, units = pairs.T
        errors = cell.run(pairs, family)
        if part.error.ndim == 3:
            seen, sigma, honest = part.sigmas[rows, :, units], part.sigma[rows, :, units], errors.h
        else:
            seen, sigma = part.sigmas[rows, units], part.sigma[rows, units]
            honest = errors.c_n if name == "c_n" else errors.h_n
        known = np.broadcast_to(np.expand_dims(sigma > 0.0, 1), honest.shape)
        ratios = np.where(known, honest / np.expand_dims(np.where(sigma > 0.0, sigma, 1.0), 1), 0.0)
        axes = (0, 2) if part.error.ndim == 3 else (0,)
        number = max(1, int((sigma > 0.0).sum()))
        largest = float(np.sqrt((ratios**2).sum(axis=axes).max() / number))
        if float(np.sqrt((seen**2).sum() / number)) > max(rms_limit(len(pairs)), _MARGIN * largest):
            standing.add(name)
