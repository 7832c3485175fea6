"""The first wrong cell, and its errors in standard deviations of rounding."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...arrays import Array
from ...compare.judge import SIGMAS
from ...compare.reference import Reference
from ..discrepancy import Discrepancy
from ..fit import direction_half, layer_outputs
from ..linearised_cell import DrivenCell, LinearisedCell, in_processing_order, linearise
from ..mistake import output_name

#: Errors within this many standard deviations are rounding; beyond SIGMAS they are not.
NOISE = 3.0


@dataclass(frozen=True)
class WrongCell:
    """A cell that is wrong although it is driven by what was observed.

    Attributes:
        index: layer and direction.
        driven: what it read and answered.
        errors: of y in standard deviations, (steps, batch, output) in processing order; zero at padding.
        sigma: that deviation, of the same shape.
        c_errors, c_sigma, c_n: of c_n, (batch, hidden); None where c_n was not observed.
    """

    index: tuple[int, int]
    driven: DrivenCell
    errors: Array
    sigma: Array
    c_errors: Array | None
    c_sigma: Array | None
    c_n: Array | None

    @classmethod
    def of(cls, discrepancy: Discrepancy, index: tuple[int, int]) -> WrongCell | None:
        """The cell of this index; None where its inputs or outputs were not observed."""
        layer, direction = index
        case = discrepancy.case
        driven = DrivenCell.of(case, layer_outputs(discrepancy.observed, case), index)
        if driven is None:
            return None
        reference = discrepancy.expected[output_name(case.spec, layer)]
        value, sigma = (
            in_processing_order(direction_half(array, case.spec, direction), driven.backward)
            for array in (reference.value, reference.sigma)
        )
        errors = np.where(driven.valid[..., None], in_deviations(driven.y - value, sigma), 0.0)
        states = discrepancy.comparable.get("c_n")
        if states is None or states[1].free:
            return cls(index, driven, errors, sigma, None, None, None)
        row = layer * case.spec.num_directions + direction
        c_n, c_value, c_sigma = (np.asarray(array, np.float64)[row] for array in (states[0], *_parts(states[1])))
        return cls(index, driven, errors, sigma, in_deviations(c_n - c_value, c_sigma), c_sigma, c_n)

    @cached_property
    def honest(self) -> LinearisedCell:
        """The cell as it should be, with its slopes."""
        return linearise(self.driven)

    @property
    def far(self) -> Array:
        """Where y is not rounding, (steps, batch, output)."""
        beyond: Array = np.abs(self.errors) > SIGMAS
        return beyond

    @property
    def units(self) -> Array:
        """The wrong units, most wrong first; without a projection, components of y are units."""
        size = np.zeros(self.driven.c0.shape[-1])
        if self.driven.cell.projection is None:
            size = np.abs(self.errors).max(axis=(0, 1))
        if self.c_errors is not None:
            size = np.maximum(size, np.abs(self.c_errors).max(axis=0))
        order: Array = np.argsort(-size, kind="stable")
        return order[size[order] > SIGMAS]

    @property
    def rows(self) -> Array:
        """The wrong rows of the batch."""
        return np.flatnonzero(self.far.any(axis=(0, 2)))

    @property
    def first_step(self) -> int:
        """The first wrong step, in processing order."""
        return int(np.argmax(self.far.any(axis=(1, 2))))

    def in_time(self, step: int) -> int:
        """A step of processing order as a step of time."""
        return len(self.errors) - 1 - step if self.driven.backward else step


def _parts(reference: Reference) -> tuple[Array, Array]:
    return reference.value, reference.sigma


def in_deviations(error: Array, sigma: Array) -> Array:
    """error / sigma; 0 / 0 is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error == 0.0, 0.0, error / sigma)


def inverse(sigma: Array) -> Array:
    """1 / sigma; 0 where it is 0, at padding."""
    return np.divide(1.0, sigma, out=np.zeros_like(sigma), where=sigma > 0.0)


def wrong_cells(discrepancy: Discrepancy) -> list[tuple[int, int]]:
    """Each driven (layer, direction) of the first wrong layer that is wrong."""
    spec = discrepancy.case.spec
    for layer in range(spec.num_layers):
        name = output_name(spec, layer)
        if name not in discrepancy.comparable or discrepancy.expected[name].free:
            continue
        array, reference = discrepancy.comparable[name]
        outside = np.abs(array - reference.value) > np.minimum(reference.bound, SIGMAS * reference.sigma)
        wrong = [d for d in range(spec.num_directions) if direction_half(outside, spec, d).any()]
        if wrong and name in discrepancy.wrong:
            return [(layer, d) for d in wrong]
    return []
