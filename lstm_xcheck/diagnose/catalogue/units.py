"""Dead units, read from the outputs."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np

from ...arrays import Array
from ...compare.reference import expected_shapes
from ...model import Case, CellWeights, LSTMWeights
from ..mistake import Mistake, OutputChange, Outputs, output_name, with_arrays
from .dropout import FittedMistake

#: Closes a gate that saturates at 0.
_CLOSED = -1000.0


def constant_units(y: Array, case: Case) -> dict[int, float]:
    """The units of a layer that never change, with their value."""
    valid = np.asarray(y)[case.valid]
    if len(valid) < 2:
        return {}
    constant = np.flatnonzero((valid == valid[0]).all(axis=0))
    return {int(unit): float(valid[0, unit]) for unit in constant}


def _dead_units(observed: Outputs, case: Case) -> dict[tuple[int, int], list[int]]:
    """The units that are always 0, by (layer, direction)."""
    spec, shapes = case.spec, expected_shapes(case)
    found: dict[tuple[int, int], list[int]] = {}
    for layer in range(spec.num_layers):
        y = observed.get(output_name(spec, layer))
        if y is not None and y.shape == shapes[output_name(spec, layer)]:
            for unit, value in constant_units(y, case).items():
                if value == 0.0:
                    direction, own = divmod(unit, spec.output_size)
                    found.setdefault((layer, direction), []).append(own)
    return found


def _dead(observed: Outputs, case: Case) -> Mistake | None:
    """Units that are 0 and are read as 0 by the others."""
    dead = _dead_units(observed, case)
    if not _are_some(dead, case):
        return None

    def weights_change(weights: LSTMWeights) -> LSTMWeights:
        rows = [list(row) for row in weights.layers]
        for (layer, direction), units in dead.items():
            rows[layer][direction] = _silenced(rows[layer][direction], units)
        return LSTMWeights(weights.spec, tuple(tuple(row) for row in rows), weights.dtype)

    own = _zeros(dead, observed, case)
    return replace(ENTRY, title=f"{ENTRY.title}: {_words(dead, case)}", weights=weights_change, outputs=own)


def _not_written(observed: Outputs, case: Case) -> Mistake | None:
    """Units that are 0 in the outputs alone."""
    dead = _dead_units(observed, case)
    if not _are_some(dead, case):
        return None
    title = f"{OUTPUT.title}: {_words(dead, case)}"
    own, unknown = _zeros(dead, observed, case), _zeros(dead, observed, case, np.nan)
    return replace(OUTPUT, title=title, outputs=own, undo=unknown)


def _are_some(dead: dict[tuple[int, int], list[int]], case: Case) -> bool:
    """Whether a few units are dead; with a projection, outputs are no units."""
    return not case.spec.proj_size and 0 < sum(map(len, dead.values())) < case.spec.hidden_size * len(dead)


def _zeros(dead: dict[tuple[int, int], list[int]], observed: Outputs, case: Case, value: float = 0.0) -> OutputChange:
    """Put a value in dead units; in final states only where they are 0."""
    spec, top = case.spec, case.spec.num_layers - 1

    def output_change(outputs: Outputs, case: Case) -> Outputs:
        changed = {name: np.array(array, np.float64) for name, array in outputs.items()}
        for (layer, direction), units in dead.items():
            row, columns = layer * spec.num_directions + direction, direction * spec.output_size + np.array(units)
            for name in (output_name(spec, layer), *(["last"] if layer == top else [])):
                if name in changed:
                    changed[name][..., columns] = value
            for name in ("h_n", "c_n"):
                if name in changed and not (name in observed and observed[name][row][:, units].any()):
                    changed[name][row][:, units] = value
        return changed

    return output_change


def _words(dead: dict[tuple[int, int], list[int]], case: Case) -> str:
    """Such as "units 4, 5 of layer 0 forward"."""
    return "; ".join(
        f"unit{'s' if len(units) > 1 else ''} {', '.join(map(str, units))} of layer {layer}"
        + (f" {('forward', 'backward')[direction]}" if case.spec.bidirectional else "")
        for (layer, direction), units in dead.items()
    )


def _silenced(cell: CellWeights, units: list[int]) -> CellWeights:
    """These units closed by the output gate or, without a bias, by the candidate."""
    gate = 2 if cell.b is None else 3
    arrays = {name: np.array(array) for name, array in cell.items() if name in ("W", "U", "b", "b_r")}
    for name, array in arrays.items():
        array[gate, units] = _CLOSED if name == "b" else 0.0
    return with_arrays(cell, **arrays)


_entry = partial(Mistake, family="variant")

ENTRY = _entry(
    "units-dead", "units whose output is always 0",
    "These units are 0 at every step, and the other units read them so.",
    "Check that the kernel computes all units, such as those behind the last full tile.",
)  # fmt: skip
OUTPUT = _entry(
    "units-not-written", "units that were not written",
    "These units are 0 in the outputs, although the other units read their true values.",
    "Write all units to the outputs.",
)  # fmt: skip


def _subsets(case: Case) -> float:
    return case.spec.num_layers * case.spec.num_directions * case.spec.hidden_size * math.log(2.0)


FITTED = (FittedMistake(ENTRY, _dead, _subsets), FittedMistake(OUTPUT, _not_written, _subsets))
