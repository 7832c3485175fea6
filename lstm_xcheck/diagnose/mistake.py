"""A mistake: a change of weights, case or outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..arrays import Array
from ..compare.reference import expected_shapes, observed_quantities
from ..errors import SpecError
from ..model import Case, CellWeights, LSTMSpec, LSTMWeights, Result
from ..oracle import LayerMap, forward

#: Quantities by name, as `observed_quantities` gives them: y, h_n, c_n, last, layer0.y ...
Outputs = dict[str, Array]

CellChange = Callable[[CellWeights], CellWeights | None]
WeightsChange = Callable[[LSTMWeights], LSTMWeights | None]
CaseChange = Callable[[Case], Case | None]
OutputChange = Callable[[Outputs, Case], Outputs | None]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Mistake:
    """One entry of the catalogue.

    Every change returns None where it does not apply to the case, such as exchanged directions in a unidirectional
    LSTM.

    Attributes:
        id: lower-case words and dashes.
        title: what happened, in a few words.
        explanation: why it happens, in one sentence.
        fix: what to do.
        code: the fix on a canonical cell's arrays W, U, b (4, hidden, ...), on `layers`, rows of cells, or on the call.
        lost: whether numbers are lost: `code` is then what an implementation that does this should be given.
        family: gates, orientation, bias, activation, state, direction, lengths, axes, layers, variant, precision.
        cell: changes the parameters of one cell; such a mistake may affect one layer or direction alone.
        weights: changes all parameters.
        case: changes the data or the spec.
        outputs: changes the outputs. It must select or add elements, since it is also applied to error bounds.
        undo: reverses `outputs`, so that observed outputs can be used for teacher forcing; NaN, or left out, where
            that is impossible.
        between: changes the outputs of each layer before the next layer reads them.
        permutes: for a permutation of gates, the order and the arrays that it affects.
        mixes_gates: whether a change of a cell, made after a permutation of gates, may differ from every change made
            before it: it moves numbers between gates, or affects one gate and has no counterpart for the others.
        shifted_gate: for a constant added to one gate's bias, that gate; two constants on one gate add up to a third.
        reruns: whether the change of the case runs the LSTM, and so depends on all weights.
        reshapes: whether batch and steps of the case or of the outputs change places.
        cells: the (layer, direction) that it affects alone; empty for all.
    """

    id: str
    title: str
    explanation: str
    fix: str
    code: str = ""
    family: str = field(kw_only=True)
    cell: CellChange | None = None
    weights: WeightsChange | None = None
    case: CaseChange | None = None
    outputs: OutputChange | None = None
    undo: OutputChange | None = None
    between: LayerMap | None = None
    permutes: tuple[tuple[int, ...], tuple[str, ...]] | None = None
    mixes_gates: bool = False
    shifted_gate: str = ""
    reruns: bool = False
    reshapes: bool = False
    lost: bool = False
    cells: tuple[tuple[int, int], ...] = ()

    @property
    def changes_weights(self) -> bool:
        """Whether it is a mistake of weights alone, not of data, spec or outputs."""
        return (
            self.case is None and self.outputs is None and (self.cell is not None or self.code.startswith("layers = "))
        )

    @property
    def changes_something(self) -> bool:
        """Whether it changes weights, data or outputs, not the precision alone."""
        changes = (self.cell, self.weights, self.case, self.outputs, self.between)
        return any(change is not None for change in changes)

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
        """The case as the faulty implementation understands it."""
        weights = self._change_weights(case.weights)
        if weights is None:
            return None
        changed = case if weights is case.weights else _with_weights(case, weights)
        return changed if self.case is None else _valid(self.case, changed)

    def _change_weights(self, weights: LSTMWeights) -> LSTMWeights | None:
        if self.cell is not None:
            rows = [[self.cell(cell) for cell in row] for row in weights.layers]
            return None if any(cell is None for row in rows for cell in row) else _rebuild(weights, rows)
        return weights if self.weights is None else _valid(self.weights, weights)


class MutatedCase(NamedTuple):
    """A case as mistakes change it, with outputs for teacher forcing.

    Those are the observed outputs with the changes of `Mistake.outputs` undone.
    """

    case: Case
    outputs: Outputs


def _valid(change: Callable[[_T], _T | None], before: _T) -> _T | None:
    """The changed weights or case; None where a number is too large."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            return change(before)
    except SpecError:
        return None


def _rebuild(weights: LSTMWeights, rows: Sequence[Sequence[Any]]) -> LSTMWeights | None:
    """Weights from changed cells; None if invalid, such as not finite."""
    try:
        return LSTMWeights(weights.spec, tuple(tuple(row) for row in rows), weights.dtype)
    except SpecError:
        return None


def _with_weights(case: Case, weights: LSTMWeights) -> Case:
    """The same data, not validated again, for other weights."""
    changed = copy(case)
    object.__setattr__(changed, "weights", weights)
    changed.__dict__.pop("fingerprint", None)
    return changed


def changed_case(mistakes: Sequence[Mistake], case: Case) -> Case | None:
    """The case after these mistakes; None if inapplicable."""
    changed: Case | None = case
    for mistake in mistakes:
        changed = None if changed is None else mistake.change_case(changed)
    return changed


def changed_outputs(mistakes: Sequence[Mistake], outputs: Outputs, case: Case) -> Outputs | None:
    """The outputs after these mistakes; None if inapplicable."""
    changed: Outputs | None = outputs
    for mistake in mistakes:
        if mistake.outputs is not None and changed is not None:
            changed = mistake.outputs(changed, case)
    return changed


def mutated_case(mistakes: Sequence[Mistake], observed: Outputs, case: Case) -> MutatedCase | None:
    """The case after these mistakes, with outputs for teacher forcing."""
    changed, teacher = changed_case(mistakes, case), observed
    for mistake in reversed(mistakes):
        if mistake.undo is None:
            continue
        undone = mistake.undo(teacher, case) if mistake.reshapes or _has_rows_of(case, teacher) else None
        if undone is None:
            return None
        teacher = undone
    return None if changed is None else MutatedCase(changed, teacher)


def _has_rows_of(case: Case, outputs: Outputs) -> bool:
    """Whether all outputs of steps have the case's batch and steps."""
    return all(array.shape[:2] == case.x.shape[:2] for name, array in outputs.items() if name.endswith("y"))


def applicable_mistakes(
    mistakes: Sequence[Mistake], observed: Outputs, case: Case, *, any_shape: bool = False
) -> list[tuple[Mistake, MutatedCase]]:
    """The mistakes that apply, with the case as they change it.

    `any_shape`: also those that give other shapes than the observed ones.
    """
    mutated = ((mistake, mutated_case((mistake,), observed, case)) for mistake in mistakes)
    return [
        (mistake, found)
        for mistake, found in mutated
        if found is not None and (any_shape or gives_shapes((mistake,), observed, case))
    ]


def gives_shapes(mistakes: Sequence[Mistake], observed: Outputs, case: Case) -> bool:
    """Whether these mistakes give the observed names and shapes."""
    shapes = shapes_after(mistakes, case)
    return shapes is not None and all(shapes.get(name) == array.shape for name, array in observed.items())


def shapes_after(mistakes: Sequence[Mistake], case: Case) -> dict[str, tuple[int, ...]] | None:
    """The shape of every quantity after these mistakes; None if inapplicable."""
    if any(exclude_each_other(a, b) for k, a in enumerate(mistakes) for b in mistakes[:k]):
        return None
    reshaped = changed_case([mistake for mistake in mistakes if mistake.reshapes], case)
    if reshaped is None:
        return None
    shapes = expected_shapes(reshaped)
    if all(mistake.outputs is None for mistake in mistakes):
        return shapes
    outputs = changed_outputs(mistakes, {name: np.zeros(shape) for name, shape in shapes.items()}, case)
    return None if outputs is None else {name: array.shape for name, array in outputs.items()}


def exclude_each_other(first: Mistake, second: Mistake) -> bool:
    """Whether one changes the shape of outputs that the other changes."""
    return any(a.reshapes and (b.reshapes or b.outputs is not None) for a, b in ((first, second), (second, first)))


def in_cells(mistake: Mistake, cells: Sequence[tuple[int, int]]) -> Mistake:
    """The same mistake in these cells (layer, direction) alone."""

    def change(weights: LSTMWeights) -> LSTMWeights | None:
        changed: LSTMWeights | None = weights
        for layer, direction in cells:
            changed = None if changed is None else mistake.change_cell(changed, layer, direction)
        return changed

    where = ", ".join(f"layer {layer} {'backward' if direction else 'forward'}" for layer, direction in cells)
    title = f"{mistake.title}, in {where} alone"
    return replace(mistake, title=title, cell=None, weights=change, cells=tuple(cells))


def with_spec(weights: LSTMWeights, **changes: Any) -> LSTMWeights | None:
    """The same numbers under another spec; None if unchanged."""
    spec = replace(weights.spec, **changes)
    return None if spec == weights.spec else with_unchecked_spec(weights, spec)


def with_unchecked_spec(weights: LSTMWeights, spec: LSTMSpec) -> LSTMWeights:
    """The same arrays, unchecked, under a spec of the same shapes."""
    changed = copy(weights)
    object.__setattr__(changed, "spec", spec)
    return changed


def with_arrays(cell: CellWeights, **arrays: Any) -> CellWeights:
    """A cell with these arrays replaced."""
    return replace(cell, **arrays)


def between_layers(mistakes: Sequence[Mistake]) -> LayerMap | None:
    """What these mistakes do between layers; at most one does anything."""
    return next((mistake.between for mistake in mistakes if mistake.between is not None), None)


def run_mistakes(mistakes: Sequence[Mistake], case: Case) -> Outputs | None:
    """Float64 outputs with these mistakes; None if inapplicable."""
    changed = changed_case(mistakes, case)
    if changed is None:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        outputs = observed_quantities(forward(changed, between=between_layers(mistakes)))
    return changed_outputs(mistakes, outputs, case)


def output_name(spec: LSTMSpec, layer: int) -> str:
    """The name of a layer's outputs, such as layer0.y or y."""
    return "y" if layer == spec.num_layers - 1 else f"layer{layer}.y"


def layer_number(name: str) -> int:
    """The layer of a name such as layer0.y."""
    return int(name[5:-2])


def result_from(outputs: Outputs) -> Result:
    """A `Result` of quantities by name."""
    layers = sorted((name for name in outputs if name.startswith("layer")), key=layer_number)
    named: dict[str, Any] = {name: outputs.get(name) for name in ("y", "h_n", "c_n", "last")}
    return Result(**named, layer_outputs=tuple(outputs[name] for name in layers))
