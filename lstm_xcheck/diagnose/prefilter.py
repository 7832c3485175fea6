"""A quick look at the first steps of a cell, to leave out what cannot explain them.

Whatever is left out is farther from the observed outputs than rounding could ever put it; whatever passes is tested
in full.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import Array
from ..model import Case, CellWeights
from ..oracle import Profile
from ..oracle.cell import Cell, activate
from .fit import layer_outputs
from .mistake import Outputs

#: Rows and steps that are looked at: as many steps as make this many numbers in a row, at least two.
ROWS, NUMBERS = 3, 24
#: A survivor may be this many times farther than the crudest bound of an honest step: hypotheses differ in theirs.
_SLACK = 8.0
#: The distance of what cannot be looked at: to be tested in full, after everything else.
UNSEEN = 1e300
#: From this many hypotheses on, one row and step are looked at before the rest.
_MANY = 12


class Window(NamedTuple):
    """The first steps of one cell: x, h and y (steps, rows, width), and c before them (rows, hidden)."""

    x: Array
    h: Array
    c: Array
    y: Array

    def cut(self, steps: int, rows: int) -> Window:
        """A smaller window."""
        return Window(self.x[:steps, :rows], self.h[:steps, :rows], self.c[:rows], self.y[:steps, :rows])


def window(case: Case, observed: Outputs, layer: int, direction: int) -> Window | None:
    """Cut the window out; None where the cell's inputs or first outputs were not observed."""
    outputs = layer_outputs(observed, case)
    if layer not in outputs or (layer and layer - 1 not in outputs):
        return None
    width = case.spec.output_size
    half = outputs[layer][..., direction * width : (direction + 1) * width]
    inputs = np.asarray(case.x if layer == 0 else outputs[layer - 1], np.float64)
    rows = looked_rows(case)
    times = _first_steps(case, direction, rows)
    x, y = inputs[rows, times], np.asarray(half[rows, times], np.float64)
    seen = np.asarray(np.isfinite(x).all(axis=(1, 2)) & np.isfinite(y).all(axis=(1, 2)))
    steps = len(seen) if seen.all() else int(np.argmin(seen))
    if not steps:
        return None
    x, y = x[:steps], y[:steps]
    h = np.concatenate([case.initial("h0", layer, direction)[None, rows], y[:-1]])
    return Window(x, h, case.initial("c0", layer, direction)[rows], y)


def unseen_window(case: Case, observed: Outputs, direction: int) -> Window:
    """A window as large as one onto the first layer could be, where its outputs were not observed; for a limit."""
    x = np.moveaxis(np.asarray(case.x, np.float64), 1, 0)
    h, c = (case.initial(name, 0, direction) for name in ("h0", "c0"))
    return Window(x, h, c, np.concatenate([np.asarray(array, np.float64).ravel() for array in observed.values()]))


def looked_rows(case: Case) -> Array:
    """The longest rows."""
    rows: Array = np.argsort(-case.valid.sum(axis=1), kind="stable")[:ROWS]
    return rows


def _first_steps(case: Case, direction: int, rows: Array) -> Array:
    """The times at which some rows' first valid steps are processed, shape (steps, rows)."""
    backward = case.spec.is_backward(direction)
    valid = case.valid[rows, ::-1] if backward else case.valid[rows]
    count = min(max(2, NUMBERS // case.spec.output_size), int(valid.sum(axis=1).min()))
    order = np.argsort(~valid, axis=1, kind="stable")[:, :count].T
    return case.steps - 1 - order if backward else order


def crude_limit(cell: CellWeights, look: Window, profile: Profile) -> float:
    """How far from a hypothesis the window may be for it to be worth a full test.

    A bound on the rounding of any pre-activation, carried to h with every slope at its steepest and every state as
    large as it comes.
    """
    flat = flatten(cell)
    state = max(1.0, float(np.abs(look.h).max()), float(np.abs(look.c).max()), float(np.abs(look.y).max()))
    rows = np.abs(flat.W).sum(axis=1) * float(np.abs(look.x).max()) + np.abs(flat.U).sum(axis=1) * state
    mass = float(rows.max() + np.abs(flat.b).max())
    terms = float((np.count_nonzero(flat.W, axis=1) + np.count_nonzero(flat.U, axis=1)).max()) + 8.0
    state *= max(1.0, len(look.x) / 2.0)  # c adds up what it is off by at each step
    return _SLACK * (terms * profile.u_sum + 2.0 * profile.u_in + 8.0 * profile.u) * max(1.0, mass) * state


class Flat(NamedTuple):
    """A cell's arrays in float64: (4 * hidden, width) and (4, hidden)."""

    W: Array
    U: Array
    b: Array


def flatten(cell: CellWeights) -> Flat:
    """What pre-activations are made of."""
    w, u = np.asarray(cell.W, np.float64), np.asarray(cell.U, np.float64)
    return Flat(w.reshape(-1, w.shape[2]), u.reshape(-1, u.shape[2]), cell.total_bias)


def product(matrix: Array, vectors: Array) -> Array:
    """What a matrix (4, hidden, width) contributes to pre-activations, (steps, rows, 4, hidden)."""
    flat = np.asarray(matrix, np.float64).reshape(-1, matrix.shape[2])
    steps, rows = vectors.shape[:2]
    return (vectors.reshape(steps * rows, -1) @ flat.T).reshape(steps, rows, 4, -1)


def distances(cell: Cell, look: Window, z: Array, limit: float) -> Array:
    """How far each hypothesis z (hypotheses, steps, rows, 4, hidden) is from the window; infinite beyond the limit.

    Peephole, projection, clips and activations are the cell's; c and y of the window may differ by hypothesis.
    """
    count, steps, rows = z.shape[:3]
    c = np.broadcast_to(look.c, (count, *look.c.shape[-2:]))
    y = np.broadcast_to(look.y, (count, *look.y.shape[-3:]))
    if count >= _MANY and rows > 1:
        few = np.isfinite(distances(cell, look._replace(c=c[:, :1], y=y[:, :1, :1]), z[:, :1, :1], limit))
        if 4 * few.sum() < count:
            worst = np.full(count, np.inf)
            worst[few] = distances(cell, look._replace(c=c[few], y=y[few]), z[few], limit)
            return worst
    alive, worst = np.arange(count), np.zeros(count)
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(steps):
            now = activate(cell, z[:, step], c)
            error = np.abs(now.h - y[:, step]).max(axis=(-2, -1))
            worst[alive] = np.where(error <= limit, np.maximum(worst[alive], error), np.inf)  # NaN is beyond it
            close = error <= limit
            alive, z, y, c = alive[close], z[close], y[close], now.c[close]
            if not alive.size:
                break
    return worst


def case_distances(
    questions: Sequence[tuple[Case, Outputs]], limit: float, where: tuple[int, int] = (0, 0)
) -> list[float]:
    """The same of cases that are already changed, with outputs already brought back; `UNSEEN` where nothing is seen.

    Those of one spec and shape are looked at together.
    """
    answers = [UNSEEN] * len(questions)
    groups: dict[tuple[object, ...], list[tuple[int, Window]]] = {}
    looked: dict[tuple[object, ...], Window | None] = {}
    for k, (case, observed) in enumerate(questions):
        same = _what_is_seen(case, observed, where[1])
        if same not in looked:
            looked[same] = window(case, observed, *where)
        look = looked[same]
        if look is not None:
            cell = case.weights.layers[where[0]][where[1]]
            key = (case.spec, look.y.shape, _memory(cell.peephole), _memory(cell.projection))
            groups.setdefault(key, []).append((k, look))
    known: dict[tuple[int, bytes, bytes], Array] = {}
    for members in groups.values():
        cells = [questions[k][0].weights.layers[where[0]][where[1]] for k, _ in members]
        z = np.stack([_pre_activations(cell, look, known) for cell, (_, look) in zip(cells, members, strict=True)])
        looks = [look for _, look in members]
        together = looks[0]._replace(c=np.stack([look.c for look in looks]), y=np.stack([look.y for look in looks]))
        worst = distances(Cell(questions[members[0][0]][0].spec, cells[0]), together, z, limit)
        for (k, _), answer in zip(members, worst, strict=True):
            answers[k] = float(answer)
    return answers


def _what_is_seen(case: Case, observed: Outputs, direction: int) -> tuple[object, ...]:
    """Equal for questions of the same window, while all of them are kept."""
    data = (case.x, case.h0, case.c0, case.lengths, case.mask, observed)
    spec = case.spec
    shape = (spec.num_layers, spec.num_directions, spec.output_size, spec.hidden_size, spec.is_backward(direction))
    return (*map(id, data), *shape)


def _memory(array: Array | None) -> object:
    """Equal for arrays that share their numbers."""
    return None if array is None else array.__array_interface__["data"]


def _pre_activations(cell: CellWeights, look: Window, known: dict[tuple[int, bytes, bytes], Array]) -> Array:
    """Pre-activations of a window; many questions share the weights and the data."""
    key = (id(cell), look.x.tobytes(), look.h.tobytes())
    if key not in known:
        known[key] = product(cell.W, look.x) + product(cell.U, look.h) + cell.total_bias
    return known[key]
