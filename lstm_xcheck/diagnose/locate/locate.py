"""Where an error is that no mistake explains."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...arrays import Array
from ...compare.judge import SIGMAS
from ...compare.reference import Reference, references
from ...model import GATES
from ..discrepancy import Discrepancy
from ..fit import difference, direction_half, is_loose, is_outside, layer_outputs
from ..mistake import output_name
from .change import describe_change
from .columns import Columns
from .final_state import gates_by_c_n
from .hypothesis import Tests
from .initial_state import rows_of_c0
from .statements import equations_needed, state
from .wrong_cell import WrongCell, wrong_cells

#: What follows from y must be so many times as wrong as what follows from the states.
_REFUTED = 100.0


def locate(discrepancy: Discrepancy) -> dict[str, Any]:
    """What can be told for certain, as plain data; absent keys are not known.

    Keys: layer, direction, step (the first wrong one), rows, units, other_directions, gates_by_c_n, explained_by
    (gates, array, numbers, change, unit_map), equations, equations_needed, unobserved (layers), quantities, padding,
    outputs_alone.
    """
    spec = discrepancy.case.spec
    if written := _wrong_as_written(discrepancy):
        return written
    observed = layer_outputs(discrepancy.observed, discrepancy.case)
    unobserved = [layer for layer in range(spec.num_layers) if layer not in observed]
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        cells = wrong_cells(discrepancy)
        wrong = WrongCell.of(discrepancy, cells[0]) if cells else None
        found = _undriven(discrepancy) if wrong is None else _driven(discrepancy, wrong)
    others = {"other_directions": [d for _, d in cells[1:]]} if cells[1:] else {}
    return {**found, **others, **({"unobserved": unobserved} if unobserved else {})}


def _wrong_as_written(discrepancy: Discrepancy) -> dict[str, Any]:
    """Where y alone is wrong, since a free run gives h_n and c_n."""
    observed, case = discrepancy.observed, discrepancy.case
    if not {"y", "h_n", "c_n"} <= discrepancy.comparable.keys():
        return {}
    own = references(case, {}, discrepancy.profile)
    for name in ("h_n", "c_n"):
        error = difference(observed[name], own[name].value)
        if is_loose(own[name], discrepancy.profile) or is_outside(error, own[name].bound).any():
            return {}
    outside = is_outside(difference(observed["y"], own["y"].value), own["y"].bound)
    outside &= case.valid[:, :, None]
    if not outside.any() or not _are_states_right(outside, discrepancy, own["y"]):
        return {}
    found = _of_outputs(outside, discrepancy, case.spec.num_layers - 1)
    units = np.flatnonzero(direction_half(outside, case.spec, found["direction"]).any(axis=(0, 1)))
    return {**found, "units": units.tolist(), "outputs_alone": True}


def _are_states_right(outside: Array, discrepancy: Discrepancy, own: Reference) -> bool:
    """Whether y contradicts the states of every wrong row.

    The error of a state may fade, so that right final states prove nothing of earlier ones. Where y is wrong to the
    end, h_n contradicts it; else a single wrong step is followed by one that follows from the states, not from y.
    """
    case, (y, driven) = discrepancy.case, discrepancy.comparable["y"]
    by_y, by_states = difference(y, driven.value), difference(y, own.value)
    by_y[by_y <= driven.bound + own.bound] = 0.0
    for direction in range(case.spec.num_directions):
        order = slice(None, None, -1 if case.spec.is_backward(direction) else 1)
        parts = [direction_half(part, case.spec, direction) for part in (outside, by_y, by_states)]
        wrong, from_y, from_states = (np.asarray(part.max(axis=2)) for part in parts)
        for row in np.flatnonzero(wrong.any(axis=1)):
            steps = np.flatnonzero(case.valid[row])[order]
            bad = np.flatnonzero(wrong[row][steps])
            after = steps[bad[0] + 1 :]
            if bad[-1] - bad[0] + 1 == bad.size and bad[-1] == len(steps) - 1:
                continue
            if bad.size > 1 or from_y[row, after[0]] <= _REFUTED * from_states[row, after].max():
                return False
    return True


def _driven(discrepancy: Discrepancy, wrong: WrongCell) -> dict[str, Any]:
    """What can be told of a cell whose inputs and outputs were observed."""
    found: dict[str, Any] = {"layer": wrong.index[0], "direction": wrong.index[1]}
    if not wrong.far.any():  # only padding
        return {**found, "padding": True}
    found |= {"step": wrong.in_time(wrong.first_step), "rows": wrong.rows.tolist()}
    by_state = gates_by_c_n(wrong, discrepancy.profile)
    found |= {"gates_by_c_n": list(by_state)} if by_state else {}
    if not wrong.units.size:
        return found
    found["units"] = sorted(wrong.units.tolist())
    if wrong.driven.cell.projection is not None:  # units are mixed in y
        return found
    return {**found, **_explained(discrepancy, wrong)}


def _explained(discrepancy: Discrepancy, wrong: WrongCell) -> dict[str, Any]:
    """What alone explains the wrong units, or how many outputs that would need."""
    columns, tests = Columns(wrong), Tests(discrepancy, wrong, wrong.units, 1)
    statement = state(tests, columns)
    if statement is None:
        rows = rows_of_c0(wrong)
        if rows:
            return {"explained_by": {"array": "c0", "rows": rows}}
        count = int(wrong.driven.valid.sum()) + (0 if wrong.c_n is None else len(wrong.c_n))
        needed = equations_needed(columns)
        return {"equations": count, "equations_needed": needed} if count < needed else {}
    gates = [GATES[gate] for gate in statement.gates]
    array = {} if statement.array is None else {"array": statement.array}
    return {"explained_by": {"gates": gates, **array, **describe_change(tests, statement, columns)}}


def _undriven(discrepancy: Discrepancy) -> dict[str, Any]:
    """What can be told where the wrong cell was not observed."""
    spec = discrepancy.case.spec
    outside = {
        name: np.abs(array - reference.value) > _limit(discrepancy, name)
        for name, (array, reference) in discrepancy.comparable.items()
    }
    found: dict[str, Any] = {"quantities": sorted(discrepancy.wrong)}
    for layer in range(spec.num_layers):
        name = output_name(spec, layer)
        if name in outside and outside[name].any():
            return {**found, **_of_outputs(outside[name], discrepancy, layer)}
        for direction in range(spec.num_directions):
            row = layer * spec.num_directions + direction
            states = [outside[name][row] for name in ("h_n", "c_n") if name in outside]
            if any(state.any() for state in states):
                rows = np.flatnonzero(np.any([state.any(axis=1) for state in states], axis=0))
                return {**found, "layer": layer, "direction": direction, "rows": rows.tolist()}
    return found


def _limit(discrepancy: Discrepancy, name: str) -> Array:
    """How far from its reference a quantity may be."""
    reference = discrepancy.comparable[name][1]
    return reference.bound if reference.free else np.minimum(reference.bound, SIGMAS * reference.sigma)


def _of_outputs(outside: Array, discrepancy: Discrepancy, layer: int) -> dict[str, Any]:
    """The first wrong step of a layer that ran on computed inputs."""
    spec = discrepancy.case.spec
    directions = [d for d in range(spec.num_directions) if direction_half(outside, spec, d).any()]
    steps = np.flatnonzero(direction_half(outside, spec, directions[0]).any(axis=(0, 2)))
    step = int(steps[-1] if spec.is_backward(directions[0]) else steps[0])
    rows = np.flatnonzero(outside.any(axis=(1, 2))).tolist()
    return {"layer": layer, "direction": directions[0], "step": step, "rows": rows}
