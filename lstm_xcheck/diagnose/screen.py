"""A quick look at the first steps of one cell, to leave out what cannot explain them.

The pre-activations of a step are a sum of what W, U and the biases contribute. Each mistake's contributions are
computed once; hypotheses, and pairs of them, are then sums of known parts and take one batch of gates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import Array
from ..oracle import Profile, drive
from ..oracle.cell import Cell, activate
from ..spec import Case, CellWeights, LSTMSpec
from .fit import layer_outputs
from .mistake import Mistake, Outputs

#: Rows and steps that are looked at.
ROWS, STEPS = 3, 2
#: A survivor may be this many bounds away: another hypothesis has another bound.
SLACK = 16.0


class Window(NamedTuple):
    """The first steps of one cell: x, h and y (steps, rows, width), the first c (rows, hidden), and a distance."""

    x: Array
    h: Array
    c: Array
    y: Array
    limit: float


class Parts(NamedTuple):
    """Contributions to the pre-activations: w and u (..., steps, rows, 4, hidden), b (..., 1, 1, 4, hidden)."""

    w: Array
    u: Array
    b: Array

    @property
    def total(self) -> Array:
        """The pre-activations."""
        return self.w + self.u + self.b


def limit_of(case: Case, observed: Outputs, profile: Profile) -> float:
    """How far a first step may be from a hypothesis worth a full test: a multiple of the honest bound."""
    half = _half(layer_outputs(observed, case), case, 0, 0)
    return SLACK * float(drive(case, 0, 0, case.x, half, profile).y_bound.max())


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


class Flat(NamedTuple):
    """A cell's arrays in float64, (4 * hidden, width) and (4, hidden)."""

    W: Array
    U: Array
    b: Array


def flatten(cell: CellWeights) -> Flat:
    """What `contributions` multiplies with."""
    w, u = np.asarray(cell.W, np.float64), np.asarray(cell.U, np.float64)
    return Flat(w.reshape(-1, w.shape[2]), u.reshape(-1, u.shape[2]), cell.total_bias)


def contributions(cells: Iterable[Flat], look: Window) -> Parts:
    """The contributions of each cell's arrays, stacked on a first axis."""
    steps, rows = look.x.shape[:2]
    x, h = look.x.reshape(steps * rows, -1), look.h.reshape(steps * rows, -1)
    products = [(x @ cell.W.T, h @ cell.U.T, cell.b) for cell in cells]
    hidden = products[0][2].shape[1]
    w, u, b = (np.stack(group) for group in zip(*products, strict=True))
    shape = (len(products), steps, rows, 4, hidden)
    return Parts(w.reshape(shape), u.reshape(shape), b[:, None, None])


def distances(case: Case, layer: int, direction: int, look: Window, z: Array) -> Array:
    """How far each hypothesis z (hypotheses, steps, rows, 4, hidden) is from the observed, in units of the limit.

    The peephole, projection and clips are those of the case; c and y of the window may differ by hypothesis.
    """
    cell = Cell(case.spec, case.weights.layers[layer][direction])
    c, worst = look.c, np.zeros(z.shape[0])
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(z.shape[1]):
            now = activate(cell, z[:, step], c)
            c = now.c
            error = np.abs(now.h - look.y[step]).max(axis=(-2, -1))
            worst = np.maximum(worst, np.where(np.isnan(error), np.inf, error))
    return worst / look.limit


class Wrongs:
    """One cell as each mistake of weights would change it."""

    def __init__(self, mistakes: Sequence[Mistake], honest: CellWeights) -> None:
        self.honest = honest
        changed = [(m, cell) for m in mistakes if m.cell is not None and (cell := m.cell(honest)) is not None]
        self.mistakes = [mistake for mistake, _ in changed]
        self.cells = [cell for _, cell in changed]
        self._flat: list[Flat] | None = None
        # A large cell's copies are made one at a time instead of being kept.
        if len(changed) * honest.W.size <= 2**22:
            self._flat = [flatten(cell) for cell in self.cells]

    def fits(self, cell: CellWeights) -> bool:
        """Whether a cell has the very numbers that these changes were made from."""
        pairs = zip(self.honest.items(), cell.items(), strict=False)
        return all(a == b and np.array_equal(x, y) for (a, x), (b, y) in pairs)

    def contributions(self, look: Window) -> Parts:
        """Of every changed cell."""
        return contributions(self._flat or (flatten(cell) for cell in self.cells), look)

    def near(self, case: Case, layer: int, direction: int, look: Window) -> list[Mistake]:
        """The mistakes that may explain the window."""
        if not self.mistakes or self.honest.peephole is not None or self.honest.projection is not None:
            return self.mistakes  # the window does not vary these arrays and must not leave them out
        close = distances(case, layer, direction, look, self.contributions(look).total) <= 1.0
        return [mistake for mistake, near in zip(self.mistakes, close, strict=True) if near]


    def far(self, case: Case, look: Window, factor: float) -> list[Mistake]:
        """The mistakes that are more than `factor` limits away on the window."""
        if self.honest.peephole is not None or self.honest.projection is not None:
            return []
        away = distances(case, 0, 0, look, self.contributions(look).total) > factor
        return [mistake for mistake, distant in zip(self.mistakes, away, strict=True) if distant]


def near_cases(questions: Sequence[tuple[Case, Outputs]], limit: float) -> list[bool]:
    """The same quick look at cases that are already changed, with outputs already brought back.

    Those of one spec and shape are looked at together.
    """
    answers = [True] * len(questions)
    groups: dict[tuple[LSTMSpec, tuple[int, ...]], list[tuple[int, Window]]] = {}
    for k, (case, observed) in enumerate(questions):
        look = window(case, observed, 0, 0, limit)
        if look is not None:
            groups.setdefault((case.spec, look.x.shape), []).append((k, look))
    for members in groups.values():
        looks = [look for _, look in members]
        cells = [flatten(questions[k][0].weights.layers[0][0]) for k, _ in members]
        z = np.concatenate([contributions([cell], look).total for cell, look in zip(cells, looks, strict=True)])
        together = Window(looks[0].x, looks[0].h, np.stack([l.c for l in looks]), np.stack([l.y for l in looks], 1), limit)
        near = distances(questions[members[0][0]][0], 0, 0, together, z) <= 1.0
        for (k, _), close in zip(members, near, strict=True):
            answers[k] = bool(close)
    return answers
