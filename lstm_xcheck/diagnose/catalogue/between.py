"""The same mistake in every layer of a stack, or below its top."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ...arrays import Array
from ...model import Case
from ...oracle import LayerMap
from ...oracle.layer_map import OutputMap
from ..mistake import Mistake
from .axes import can_exchange, swapped, view_back, viewed
from .direction import flip_valid


def _of_halves(change: Callable[[Array, Array, Case], tuple[Array, Array]]) -> OutputMap:
    def output_map(y: Array, case: Case) -> Array:
        forward, backward = np.split(y, 2, axis=-1)
        return np.concatenate(change(forward, backward, case), axis=-1)

    return output_map


def _regrouped(*shape: int) -> OutputMap:
    """Transpose the units of both directions, taken as this shape."""
    return lambda y, case: np.swapaxes(y.reshape(*y.shape[:2], *shape), 2, 3).reshape(y.shape)


class _Row(NamedTuple):
    """One permutation: where it applies, itself and its inverse."""

    id: str
    title: str
    fix: str
    applies: Callable[[Case], bool]
    change: OutputMap
    undo: OutputMap


def _in_time(case: Case) -> bool:
    return case.steps > 1 and case.mask is None


def _of_both(case: Case) -> bool:
    return case.spec.bidirectional and case.mask is None


_flip_backward = _of_halves(lambda f, b, case: (f, flip_valid(b, case)))
_flip_forward = _of_halves(lambda f, b, case: (flip_valid(f, case), b))
_exchange = _of_halves(lambda f, b, case: (b, f))
_reverse_units = _of_halves(lambda f, b, case: (f[..., ::-1], b[..., ::-1]))

_ROWS = (
    _Row("backward-not-reversed-back", "backward half in processing order", "Reverse the backward half of each layer.",
         lambda case: _of_both(case) and case.steps > 1, _flip_backward, _flip_backward),
    _Row("forward-reversed", "forward half in reverse time", "Leave the forward half of each layer as it is.",
         lambda case: _of_both(case) and case.steps > 1, _flip_forward, _flip_forward),
    _Row("halves-exchanged", "halves exchanged", "Put the forward outputs of each layer first.",
         _of_both, _exchange, _exchange),
    _Row("halves-interleaved", "directions joined unit by unit", "Concatenate the directions of each layer.",
         lambda case: _of_both(case) and case.spec.output_size > 1, _regrouped(2, -1), _regrouped(-1, 2)),
    _Row("output-reversed", "outputs in reverse time", "Reverse the outputs of each layer back.",
         _in_time, flip_valid, flip_valid),
    _Row("output-viewed", "outputs reshaped instead of transposed", "Use transpose(0, 1), not view or reshape.",
         can_exchange, lambda y, case: view_back(y), lambda y, case: viewed(y)),
    _Row("batch-time-exchanged", "batch and time exchanged", "Transpose the outputs of each layer back.",
         lambda case: can_exchange(case) and case.batch == case.steps,
         lambda y, case: swapped(y), lambda y, case: swapped(y)),
    _Row("units-reversed", "units in reverse order", "Keep the units of each layer in their order.",
         lambda case: case.spec.output_size > 1,
         lambda y, case: _reverse_units(y, case) if case.spec.bidirectional else y[..., ::-1],
         lambda y, case: _reverse_units(y, case) if case.spec.bidirectional else y[..., ::-1]),
)  # fmt: skip


def _entry(row: _Row, *, spares_top: bool) -> Mistake:
    def where_it_applies(case: Case) -> Case | None:
        return case if case.spec.num_layers > 1 and row.applies(case) else None

    where, id = ("every layer but the top", "below-the-top") if spares_top else ("every layer", "in-every-layer")
    return Mistake(
        id=f"{row.id}-{id}",
        family="direction" if row.applies in (_in_time, _of_both) else "axes",
        title=f"{row.title}, in {where}",
        explanation=f"The outputs of {where} are changed before the next layer reads them.",
        fix=row.fix,
        case=where_it_applies,
        between=LayerMap(row.change, row.undo, spares_top),
    )


BETWEEN = tuple(_entry(row, spares_top=spares_top) for row in _ROWS for spares_top in (False, True))
