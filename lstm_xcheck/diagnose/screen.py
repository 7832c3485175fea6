"""A quick look at the first steps of one cell, to leave out what cannot explain them.

The pre-activations of a step are a sum of what W, U and the biases contribute. Each mistake's contributions are
computed once; hypotheses, and pairs of them, are then sums of known parts and take one batch of gates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import Array
from ..oracle import Profile, drive
from ..oracle.cell import Cell, activate
from ..spec import Case, CellWeights
from .fit import layer_outputs
from .mistake import Mistake, Outputs

#: Rows and steps that are looked at.
ROWS, STEPS = 3, 2
#: A survivor may be this many bounds away: another hypothesis has another bound.
SLACK = 16.0


class Window(NamedTuple):
    """The first steps of one cell: inputs (steps, rows, width), previous h and c, and the observed outputs."""

    x: Array
    h: Array
    c: Array
    y: Array
    limit: float


def limit_of(case: Case, observed: Outputs, profile: Profile) -> float:
    """How far a first step may be from a hypothesis worth a full test: a multiple of the honest bound."""
    outputs = layer_outputs(observed, case)
    bounds = [r.y_bound.max() for r in (drive(case, 0, 0, case.x, _half(outputs, case, 0, 0), profile),)]
    return SLACK * float(max(bounds))


def _half(outputs: dict[int, Array], case: Case, layer: int, direction: int) -> Array | None:
    """The observed outputs of one direction, or None."""
    width = case.spec.output_size
    return outputs[layer][..., direction * width : (direction + 1) * width] if layer in outputs else None


def window(case: Case, observed: Outputs, layer: int, direction: int, limit: float) -> Window | None:
    """Cut the window out; None where the cell's inputs or outputs were not observed or cannot be looked at."""
    outputs = layer_outputs(observed, case)
    if (layer and layer - 1 not in outputs) or case.mask is not None:
        return None
    half = _half(outputs, case, layer, direction)
    if half is None:
        return None
    inputs = np.asarray(case.x if layer == 0 else outputs[layer - 1], np.float64)
    rows, steps = np.arange(min(ROWS, case.batch)), _first_steps(case, direction)
    x, y = inputs[rows, steps[:, rows]], np.asarray(half[rows, steps[:, rows]], np.float64)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    h = np.concatenate([case.initial("h0", layer, direction)[None, rows], y[:-1]])
    return Window(x, h, case.initial("c0", layer, direction)[rows], y, limit)


def _first_steps(case: Case, direction: int) -> Array:
    """The times at which each row's first steps are processed, shape (steps, batch)."""
    lengths = case.valid.sum(axis=1)
    order = np.arange(min(STEPS, int(lengths.min())))[:, None]
    return lengths - 1 - order if case.spec.is_backward(direction) else order + 0 * lengths


class Parts(NamedTuple):
    """What each array contributes to the pre-activations: W and U (steps, rows, 4, hidden), bias (4, hidden)."""

    w: Array
    u: Array
    b: Array


def parts_of(cell: CellWeights, look: Window) -> Parts:
    """The contributions of one cell's arrays."""
    hidden = cell.W.shape[1]
    w = (look.x @ np.asarray(cell.W, np.float64).reshape(4 * hidden, -1).T).reshape(*look.x.shape[:2], 4, hidden)
    u = (look.h @ np.asarray(cell.U, np.float64).reshape(4 * hidden, -1).T).reshape(*look.h.shape[:2], 4, hidden)
    return Parts(w, u, cell.total_bias)


def distances(case: Case, layer: int, direction: int, look: Window, w: Array, u: Array, b: Array) -> Array:
    """How far each hypothesis is from the observed outputs, in units of the limit.

    w, u: (hypotheses, steps, rows, 4, hidden); b: (hypotheses, 4, hidden); broadcast against each other.
    """
    cell = Cell(case.spec, case.weights.layers[layer][direction])
    z = w + u + b[:, None, None]
    c, worst = look.c, np.zeros(z.shape[0])
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(z.shape[1]):
            now = activate(cell, z[:, step], c)
            c = now.c
            error = np.nan_to_num(np.abs(now.h - look.y[step]), nan=np.inf).max(axis=(-2, -1))
            worst = np.maximum(worst, error)
    return worst / look.limit


def screen_cells(
    mistakes: Sequence[Mistake], case: Case, layer: int, direction: int, look: Window
) -> tuple[list[Mistake], dict[str, Parts]]:
    """The mistakes of one cell that may explain its first steps, and everybody's contributions."""
    honest = case.weights.layers[layer][direction]
    passed: list[Mistake] = []
    changed: dict[str, CellWeights] = {}
    for mistake in mistakes:
        cell = mistake.cell(honest) if mistake.cell is not None else None
        if cell is None:
            continue
        if honest.peephole is not None or honest.projection is not None:
            passed.append(mistake)  # what the window does not vary must not be left out by it
        changed[mistake.id] = cell
    parts = {id: parts_of(cell, look) for id, cell in changed.items()}
    if not parts or passed:
        return passed, parts
    stacked = [np.stack([getattr(p, name) for p in parts.values()]) for name in ("w", "u", "b")]
    near = distances(case, layer, direction, look, *stacked) <= 1.0
    kept = {id for id, close in zip(parts, near, strict=True) if close}
    return [mistake for mistake in mistakes if mistake.id in kept], parts


def may_explain(mistake: Mistake, observed: Outputs, case: Case, limit: float) -> bool:
    """The same quick look for a mistake of the case, the spec or the outputs."""
    changed = mistake.change_case(case)
    driving = observed if mistake.undo is None else mistake.undo(observed, case)
    if changed is None or driving is None:
        return False
    look = window(changed, driving, 0, 0, limit)
    if look is None:
        return True
    own = parts_of(changed.weights.layers[0][0], look)
    return bool(distances(changed, 0, 0, look, own.w[None], own.u[None], own.b[None])[0] <= 1.0)
