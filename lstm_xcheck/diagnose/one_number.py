"""The best explanation by one wrong number that is in no catalogue.

An explanation of the catalogue must beat "some single number is off by any amount": a weight, a row, gate, array or
column times a factor, a constant on a bias, a number of the initial states, c decaying. Units of a teacher-forced cell
do not depend on each other, so one pass over the steps gives the effect of each such change to first order. With
residual r, standard deviation s and effect d, what the best size of the change leaves of sum (r / s)^2 is

    R - (sum r d / s^2)^2 / sum (d / s)^2
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..arrays import Array
from .discrepancy import Discrepancy
from .fit import direction_half, layer_outputs
from .linearised_cell import DrivenCell, LinearisedCell, in_processing_order, linearise
from .mistake import output_name

#: With more numbers than this per step, only the most wrong units are examined; what others could explain is less.
_MOST_NUMBERS, _UNITS = 2**18, 16


class _Weighted(NamedTuple):
    """Residuals of one cell in processing order, r / s^2 and 1 / s^2.

    y: (steps, batch, hidden), of h before a projection; c: (batch, hidden), of the final c.
    """

    y: Array
    y_weight: Array
    c: Array
    c_weight: Array

    def of_units(self, units: Array) -> _Weighted:
        """Those of some units."""
        return _Weighted(*(array[..., units] for array in self))


class Gains(NamedTuple):
    """How much of the sum of squares one wrong number explains at best.

    weight: a weight, a bias, a number of the initial states or a constant on the outputs of a unit; unit: a row, column
    or decay of one unit; array: the same in all units.
    """

    weight: float = 0.0
    unit: float = 0.0
    array: float = 0.0


def largest_gains(discrepancy: Discrepancy) -> Gains:
    """The largest gains of one wrong number in any cell that was observed."""
    outputs = layer_outputs(discrepancy.observed, discrepancy.case)
    spec = discrepancy.case.spec
    gains = [Gains()]
    for index in ((layer, d) for layer in range(spec.num_layers) for d in range(spec.num_directions)):
        driven = DrivenCell.of(discrepancy.case, outputs, index)
        if driven is None or discrepancy.expected[output_name(spec, index[0])].free:
            continue
        with np.errstate(all="ignore"):
            gains.append(_gains(driven, linearise(driven), discrepancy, index))
    return Gains(*np.nanmax(np.array(gains), axis=0))


def _gains(driven: DrivenCell, slopes: LinearisedCell, discrepancy: Discrepancy, index: tuple[int, int]) -> Gains:
    """The largest gain of each kind of change in one cell."""
    weighted = _weighted(discrepancy, slopes, index)
    width = driven.inputs.shape[-1]
    hidden = slopes.c.shape[-1]
    units = np.arange(hidden)
    if driven.inputs.shape[1] * hidden * width > _MOST_NUMBERS:
        share = (weighted.y**2 / np.maximum(weighted.y_weight, 1e-300)).sum(axis=(0, 1))
        units = np.argsort(-share)[:_UNITS]
    few, few_weighted = _units_of(slopes, units), weighted.of_units(units)
    weight = max(
        _best(*_of_weights(driven.inputs, few, few_weighted)),
        *_of_states(driven, few, few_weighted, units),
        _best(weighted.y.sum(axis=(0, 1)), weighted.y_weight.sum(axis=(0, 1))),
    )
    parts = _parts(driven)
    with_columns = parts[0].size * width <= 16 * _MOST_NUMBERS
    by_unit = _of_changes(_changes(driven, parts, with_columns=with_columns), slopes, weighted)
    decay = _of_decay(slopes, weighted)
    unit = max(_best(*by_unit), _best(*decay))
    if slopes.projection is not None:  # its outputs mix units
        return Gains(weight, unit)
    return Gains(weight, unit, max(_best(*(part.sum(axis=0) for part in found)) for found in (by_unit, decay)))


def _weighted(discrepancy: Discrepancy, slopes: LinearisedCell, index: tuple[int, int]) -> _Weighted:
    spec = discrepancy.case.spec
    layer, direction = index
    backward = spec.is_backward(direction)
    array, reference = discrepancy.comparable[output_name(spec, layer)]
    r, s = (
        in_processing_order(direction_half(part, spec, direction), backward)
        for part in (array - reference.value, reference.sigma)
    )
    y, y_weight = _inverse_square(r, s)
    if slopes.projection is not None:
        assert slopes.y_by_r is not None
        y, y_weight = (slopes.y_by_r * y) @ slopes.projection, (slopes.y_by_r * y_weight) @ slopes.projection**2
    zero = np.zeros(slopes.c.shape[1:])
    if "c_n" not in discrepancy.comparable or discrepancy.comparable["c_n"][1].free:
        return _Weighted(y, y_weight, zero, zero)
    array, reference = discrepancy.comparable["c_n"]
    row = layer * spec.num_directions + direction
    return _Weighted(y, y_weight, *_inverse_square(array[row] - reference.value[row], reference.sigma[row]))


def _units_of(slopes: LinearisedCell, units: Array) -> LinearisedCell:
    """The slopes of some units."""
    names = ("c_before", "c", "h", "carry", "c_by_i", "c_by_f", "c_by_g", "h_by_c", "h_by_o")
    return replace(slopes, **{name: getattr(slopes, name)[..., units] for name in names})


def _c_by_z(slopes: LinearisedCell, t: int) -> Array:
    """Slopes of c by i, f and g, (batch, 3, hidden)."""
    return np.stack([slopes.c_by_i[t], slopes.c_by_f[t], slopes.c_by_g[t]], axis=1)


def _inverse_square(r: Array, s: Array) -> tuple[Array, Array]:
    """r / s^2 and 1 / s^2; 0 where s is 0."""
    weight = np.where(s > 0.0, 1.0 / np.maximum(s, 1e-150) ** 2, 0.0)
    return r * weight, weight


def _best(a: Array, d: Array) -> float:
    """The largest a^2 / d."""
    return float(np.where(d > 0.0, a**2 / np.where(d > 0.0, d, 1.0), 0.0).max(initial=0.0))


def _of_weights(inputs: Array, slopes: LinearisedCell, weighted: _Weighted) -> tuple[Array, Array]:
    """Of each weight and bias, (4, units, inputs)."""
    steps, batch, width = inputs.shape
    units = slopes.c.shape[-1]
    a, d = np.zeros((4, units, width)), np.zeros((4, units, width))
    dc = np.zeros((3, batch, units, width))
    for t in range(steps):
        v = inputs[t]
        r, w = weighted.y[t], weighted.y_weight[t]
        dc *= slopes.carry[t][..., None]
        dc += np.moveaxis(_c_by_z(slopes, t), 1, 0)[..., None] * v[:, None]
        a[:3] += np.einsum("bu,gbuk->guk", r * slopes.h_by_c[t], dc)
        d[:3] += np.einsum("bu,gbuk->guk", w * slopes.h_by_c[t] ** 2, dc**2)
        a[3] += (r * slopes.h_by_o[t]).T @ v
        d[3] += (w * slopes.h_by_o[t] ** 2).T @ v**2
    a[:3] += np.einsum("bu,gbuk->guk", weighted.c, dc)
    d[:3] += np.einsum("bu,gbuk->guk", weighted.c_weight, dc**2)
    return a, d


def _of_states(driven: DrivenCell, slopes: LinearisedCell, weighted: _Weighted, units: Array) -> list[float]:
    """The gains of single numbers of h0 and c0."""
    weights = np.asarray(driven.cell.weights.U, np.float64)[:, units]
    batch, outputs = driven.inputs.shape[1], weights.shape[2]
    first = np.zeros((1, *slopes.c.shape[1:], 1 + outputs))  # the last axis: c0, then each number of h0
    by_z = _c_by_z(slopes, 0)
    first[0, ..., 0] = slopes.carry[0]
    first[0, ..., 1:] = np.einsum("bgu,guk->buk", by_z, weights[:3])
    dc, a, d = first[0], np.zeros((batch, 1 + outputs)), np.zeros((batch, 1 + outputs))
    own_a, own_d = np.zeros(dc.shape[:2]), np.zeros(dc.shape[:2])
    for t in range(len(slopes.c)):
        if t:
            dc = slopes.carry[t][..., None] * dc
        dh = slopes.h_by_c[t][..., None] * dc
        if t == 0:
            dh[..., 1:] += slopes.h_by_o[0][..., None] * weights[3][None]
        own_a += weighted.y[t] * dh[..., 0]
        own_d += weighted.y_weight[t] * dh[..., 0] ** 2
        a += np.einsum("bu,buk->bk", weighted.y[t], dh)
        d += np.einsum("bu,buk->bk", weighted.y_weight[t], dh**2)
    own_a += weighted.c * dc[..., 0]
    own_d += weighted.c_weight * dc[..., 0] ** 2
    a += np.einsum("bu,buk->bk", weighted.c, dc)
    d += np.einsum("bu,buk->bk", weighted.c_weight, dc**2)
    return [_best(own_a, own_d), _best(a, d), _best(a.sum(axis=0), d.sum(axis=0))]


def _parts(driven: DrivenCell) -> tuple[Array, Array, Array]:
    """W x, U h and the bias, (steps, batch, 4, hidden) each."""
    cell, width = driven.cell, driven.cell.weights.W.shape[2]
    x, h = driven.inputs[..., :width], driven.inputs[..., width:-1]
    shape = (*x.shape[:2], 4, -1)
    kernel = cell.kernel
    return (
        (x @ kernel[:, :width].T).reshape(shape),
        (h @ kernel[:, width:].T).reshape(shape),
        np.broadcast_to(cell.bias, (*x.shape[:2], *cell.bias.shape)),
    )


def _changes(driven: DrivenCell, parts: tuple[Array, Array, Array], *, with_columns: bool) -> Array:
    """Changes of pre-activations per unit of their number, (changes, steps, batch, 4, hidden)."""
    wx, uh, bias = parts
    gates = [[g] for g in range(4)] + [[0, 1, 2, 3], [0, 1, 3]]
    whole = [wx, uh, bias, np.ones_like(wx), wx + uh + bias]
    changes = []
    for part in whole:
        if part.any():
            for chosen in gates:
                change = np.zeros_like(part)
                change[:, :, chosen] = part[:, :, chosen]
                changes.append(change)
    if with_columns:
        kernel = driven.cell.kernel.reshape(4, -1, driven.inputs.shape[-1] - 1)
        columns = driven.inputs[..., :-1, None, None] * np.moveaxis(kernel, 2, 0)
        changes += [*np.moveaxis(columns, 2, 0)]
    return np.stack(changes)


def _of_changes(changes: Array, slopes: LinearisedCell, weighted: _Weighted) -> tuple[Array, Array]:
    """Of each change in each unit alone, (hidden, changes)."""
    dh, dc = slopes.respond(np.moveaxis(changes, 0, -1))
    a = np.einsum("tbu,tbuk->uk", weighted.y, dh) + np.einsum("bu,buk->uk", weighted.c, dc[-1])
    d = np.einsum("tbu,tbuk->uk", weighted.y_weight, dh**2)
    return a, d + np.einsum("bu,buk->uk", weighted.c_weight, dc[-1] ** 2)


def _of_decay(slopes: LinearisedCell, weighted: _Weighted) -> tuple[Array, Array]:
    """Of c, and of h, times a factor at every step, (hidden, 2)."""
    hidden = slopes.c.shape[-1]
    a, d = np.zeros((hidden, 2)), np.zeros((hidden, 2))
    dc = np.zeros(slopes.c.shape[1:])
    for t in range(len(slopes.c)):
        changes = slopes.h_by_c[t] != 0.0
        dc = slopes.carry[t] * dc + np.where(changes, slopes.c[t], 0.0)
        for k, dh in enumerate((slopes.h_by_c[t] * dc, slopes.h[t] * changes)):
            a[:, k] += (weighted.y[t] * dh).sum(axis=0)
            d[:, k] += (weighted.y_weight[t] * dh**2).sum(axis=0)
    a[:, 0] += (weighted.c * dc).sum(axis=0)
    d[:, 0] += (weighted.c_weight * dc**2).sum(axis=0)
    return a, d
