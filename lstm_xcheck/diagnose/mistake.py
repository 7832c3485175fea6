"""What a mistake is: a change to the weights, to the case or to the outputs, with its name and its remedy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays import Array
from ..compare.reference import expected_shapes, observed_quantities
from ..errors import SpecError
from ..model import Case, CellWeights, LSTMSpec, LSTMWeights, Result
from ..oracle import forward

#: Quantities by name, as `observed_quantities` gives them: y, h_n, c_n, last, layer0.y ...
Outputs = dict[str, Array]

CellChange = Callable[[CellWeights], CellWeights | None]
WeightsChange = Callable[[LSTMWeights], LSTMWeights | None]
CaseChange = Callable[[Case], Case | None]
OutputChange = Callable[[Outputs, Case], Outputs | None]


@dataclass(frozen=True)
class Mistake:
    """One entry of the catalogue.

    Every change returns None where it makes no sense for the case, such as exchanged directions in a
    unidirectional LSTM.

    Attributes:
        id: lower-case words and dashes.
        family: gates, orientation, bias, activation, state, direction, lengths, axes, layers, variant, precision.
        title: what happened, in a few words.
        explanation: why it happens, in one sentence.
        fix: what to do.
        code: the remedy on a canonical cell's arrays W, U, b (4, hidden, ...), or on the call.
        cell: changes one cell's parameters; what may go wrong in one layer or direction alone.
        weights: changes all parameters.
        case: changes the data or the spec.
        after: changes the outputs. It must be a selection or sum of elements, since it is also applied to bounds.
        permutes: of a mere reordering of gates, the order and the arrays it touches.
        mixes: whether a change of a cell, made after a reordering of gates, may be none that could be made before it:
            it carries numbers from one gate to another, or is for one gate and has no siblings for the others.
        shifts: of a constant added to the bias of one gate, that gate; two on one gate are a third.
        reruns: whether a change of the case runs the LSTM, so that it depends on all weights.
        undo: brings observed outputs back to what the cells fed back to themselves; NaN, or left out, where that
            cannot be known.
    """

    id: str
    family: str
    title: str
    explanation: str
    fix: str
    code: str = ""
    cell: CellChange | None = None
    weights: WeightsChange | None = None
    case: CaseChange | None = None
    after: OutputChange | None = None
    undo: OutputChange | None = None
    permutes: tuple[tuple[int, ...], tuple[str, ...]] | None = None
    mixes: bool = False
    shifts: str = ""
    reruns: bool = False

    def change_cell(self, weights: LSTMWeights, layer: int, direction: int) -> LSTMWeights | None:
        """The weights with this mistake in one cell alone."""
        if self.cell is None:
            return None
        changed = self.cell(weights.layers[layer][direction])
        if changed is None:
            return None
        rows = [list(row) for row in weights.layers]
        rows[layer][direction] = changed
        return _rebuild(weights, rows)

    def change_case(self, case: Case) -> Case | None:
        """The case as the mistaken implementation understands it."""
        weights = self._change_weights(case.weights)
        if weights is None:
            return None
        changed = case if weights is case.weights else _with_weights(case, weights)
        return changed if self.case is None else self.case(changed)

    def _change_weights(self, weights: LSTMWeights) -> LSTMWeights | None:
        if self.cell is not None:
            rows = [[self.cell(cell) for cell in row] for row in weights.layers]
            return None if any(cell is None for row in rows for cell in row) else _rebuild(weights, rows)
        return weights if self.weights is None else self.weights(weights)


def _rebuild(weights: LSTMWeights, rows: Sequence[Sequence[Any]]) -> LSTMWeights | None:
    """Weights from changed cells; None where the change made numbers that are not finite or fit no spec."""
    try:
        return LSTMWeights(weights.spec, tuple(tuple(row) for row in rows), weights.dtype)
    except SpecError:
        return None


def _with_weights(case: Case, weights: LSTMWeights) -> Case:
    """The same data for other weights of the same shapes; the data have been checked before."""
    changed = copy(case)
    object.__setattr__(changed, "weights", weights)
    changed.__dict__.pop("fingerprint", None)
    return changed


def applied(mistakes: Sequence[Mistake], observed: Outputs, case: Case) -> list[tuple[Mistake, Case, Outputs]]:
    """The mistakes that make sense here, with the case as they change it and the outputs brought back."""
    return [
        (mistake, changed, driving)
        for mistake in mistakes
        if (changed := mistake.change_case(case)) is not None
        if (driving := observed if mistake.undo is None else mistake.undo(observed, case)) is not None
        if gives_shapes((mistake,), observed, case)
    ]


def brought_back(mistakes: Sequence[Mistake], observed: Outputs, case: Case) -> tuple[Case, Outputs] | None:
    """The case as mistakes made in this order change it, and the outputs brought back to what its cells gave."""
    changed: Case | None = case
    driving: Outputs | None = observed
    for mistake in mistakes:
        changed = None if changed is None else mistake.change_case(changed)
    for mistake in reversed(mistakes):
        if mistake.undo is not None and driving is not None:
            driving = mistake.undo(driving, case)
    return None if changed is None or driving is None else (changed, driving)


def gives_shapes(mistakes: Sequence[Mistake], observed: Outputs, case: Case) -> bool:
    """Whether these mistakes leave outputs of the names and shapes that were observed."""
    shapes = expected_shapes(case)
    if all(mistake.after is None for mistake in mistakes):
        return all(shapes.get(name) == array.shape for name, array in observed.items())
    outputs: Outputs | None = {name: np.zeros(shape) for name, shape in shapes.items()}
    for mistake in mistakes:
        if mistake.after is not None and outputs is not None:
            outputs = mistake.after(outputs, case)
    if outputs is None:
        return False
    return all(name in outputs and outputs[name].shape == array.shape for name, array in observed.items())


def in_cells(mistake: Mistake, cells: Sequence[tuple[int, int]]) -> Mistake:
    """The same mistake in some cells (layer, direction) alone."""

    def change(weights: LSTMWeights) -> LSTMWeights | None:
        changed: LSTMWeights | None = weights
        for layer, direction in cells:
            changed = None if changed is None else mistake.change_cell(changed, layer, direction)
        return changed

    where = ", ".join(f"layer {layer} {'backward' if direction else 'forward'}" for layer, direction in cells)
    return replace(mistake, title=f"{mistake.title}, in {where} alone", cell=None, weights=change)


def with_spec(weights: LSTMWeights, **changes: Any) -> LSTMWeights | None:
    """The same numbers under another spec; None when nothing would change."""
    spec = replace(weights.spec, **changes)
    return None if spec == weights.spec else reread(weights, spec)


def reread(weights: LSTMWeights, spec: LSTMSpec) -> LSTMWeights:
    """The same numbers under a spec of the same shapes: they have been checked before, and are not copied."""
    changed = copy(weights)
    object.__setattr__(changed, "spec", spec)
    return changed


def edit(cell: CellWeights, **arrays: Any) -> CellWeights:
    """A cell with some arrays replaced."""
    kept = {name: np.asarray(array) for name, array in cell.items()}
    return CellWeights(**{**kept, **arrays})


def run_mistakes(mistakes: Sequence[Mistake], case: Case) -> Outputs | None:
    """What an implementation that makes these mistakes, in this order, answers in float64; None if not applicable."""
    changed: Case | None = case
    for mistake in mistakes:
        changed = None if changed is None else mistake.change_case(changed)
    if changed is None:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        outputs: Outputs | None = observed_quantities(forward(changed))
    for mistake in mistakes:
        if mistake.after is not None and outputs is not None:
            outputs = mistake.after(outputs, case)
    return outputs


def result_from(outputs: Outputs) -> Result:
    """Quantities by name as a result."""
    layers = sorted((name for name in outputs if name.startswith("layer")), key=lambda name: int(name[5:-2]))
    named: dict[str, Any] = {name: outputs.get(name) for name in ("y", "h_n", "c_n", "last")}
    return Result(**named, layer_outputs=tuple(outputs[name] for name in layers))
