"""How wrong each step is, for the charts of a diagnosis."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...arrays import Array
from ...compare.scores import index_of_max
from ...model import GATES
from ..discrepancy import Discrepancy
from ..fit import difference, error_ratio
from ..mistake import output_name
from .wrong_cell import WrongCell, wrong_cells

#: Longer sequences are given by the worst step of each of so many parts.
_PARTS = 64


def step_profile(discrepancy: Discrepancy) -> dict[str, Any]:
    """Error and bound of each step, and what each gate would need.

    Keys: quantity; steps; error and bound of the number with the largest error / bound; worst (batch, step, unit);
    gates. {} where no sequence was observed. `gates` has by how much the pre-activation of each gate alone would have
    to differ to explain a step, to first order, the median over the wrong numbers: 0 where none is wrong, None where no
    such change explains it. It is {} where it is unknown what the wrong cell read, and with a projection.
    """
    spec = discrepancy.case.spec
    names = [output_name(spec, layer) for layer in range(spec.num_layers)]
    sequences = [name for name in names if name in discrepancy.comparable]
    if not sequences:
        return {}
    quantity = next((name for name in sequences if name in discrepancy.wrong), sequences[-1])
    array, reference = discrepancy.comparable[quantity]
    error = difference(array, reference.value)
    ratio = error_ratio(error, reference.bound)
    by_step = ratio.max(axis=(0, 2))
    parts = np.array_split(np.arange(len(by_step)), min(_PARTS, len(by_step)))
    steps = [int(part[np.argmax(by_step[part])]) for part in parts]
    places = [(row, t, unit) for t in steps for row, unit in [index_of_max(ratio[:, t])]]
    return {
        "quantity": quantity,
        "steps": steps,
        "error": [_plain(error[place]) for place in places],
        "bound": [_plain(reference.bound[place]) for place in places],
        "worst": list(places[int(np.argmax([ratio[place] for place in places]))]),
        "gates": _gates(discrepancy, steps) if quantity in discrepancy.wrong else {},
    }


def _gates(discrepancy: Discrepancy, steps: list[int]) -> dict[str, list[float | None]]:
    """The change that each gate of the first wrong cell would need."""
    cells = wrong_cells(discrepancy)
    wrong = WrongCell.of(discrepancy, cells[0]) if cells else None
    if wrong is None or wrong.driven.cell.projection is not None:
        return {}
    needed = [_median(change, wrong.far) for change in _changes(wrong)]
    return {gate: [_plain(row[wrong.in_time(t)]) for t in steps] for gate, row in zip(GATES, needed, strict=True)}


def _changes(wrong: WrongCell) -> tuple[Array, ...]:
    """By gate, the change of each pre-activation that explains the error of y alone."""
    honest, error = wrong.honest, wrong.errors * wrong.sigma
    with np.errstate(divide="ignore", invalid="ignore"):
        c_error = np.where(error == 0.0, 0.0, error / honest.h_by_c)
        before = np.concatenate([np.zeros_like(c_error[:1]), c_error[:-1]])
        added = c_error - honest.carry * np.where(np.isfinite(before), before, 0.0)
        return added / honest.c_by_i, added / honest.c_by_f, added / honest.c_by_g, error / honest.h_by_o


def _median(change: Array, far: Array) -> Array:
    """The median size over the wrong numbers; infinite where no change explains them."""
    size = np.abs(np.nan_to_num(change, nan=np.inf, posinf=np.inf, neginf=np.inf))
    return np.array([np.median(row[where]) if where.any() else 0.0 for row, where in zip(size, far, strict=True)])


def _plain(value: float) -> float | None:
    """Three digits; None for what is not finite."""
    return float(f"{value:.3g}") if np.isfinite(value) else None
