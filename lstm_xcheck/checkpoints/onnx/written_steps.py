"""Reads LSTMs that an ONNX graph writes out by operators.

Exporters write a cell so, and a layer with a mask. The same weights in a graph again are steps that are unrolled, or
what a loop does before it begins.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import CheckpointError, SpecError
from ...model import CellWeights, LSTMSpec, LSTMWeights
from ...model.weights import GateArray
from ..codecs.limits import escape, shortlist
from ..detect.assemble import unread_state
from ..model import FoundLSTM, Reason, UnreadLSTM
from ..written.cell import IN_ORDER_READ, Known, WrittenCell, cell_at, refuse_other_states
from ..written.flow import NoCellError
from ..written.recurrence import OTHER_STEP, Recurrences
from ..written.step import Step
from .flow import GraphFlow, after, past
from .folding import Folding
from .layers import key_of
from .order_of_steps import is_reversed_back, reversal
from .scopes import Scope, Value
from .shapes import Shapes
from .states import not_zero, note_of
from .tensors import FLOATS

_LOOPS = ("Loop", "Scan")
_ONE_STEP = "one step that the graph writes out, read as a layer of its own"
_UNROLLED = (
    "its steps are unrolled, so that the graph says them one by one; export the model with a loop or an LSTM node"
)
#: Types that hold every number of another.
_WIDER = {
    "float16": ("float16", "float32", "float64"), "bfloat16": ("bfloat16", "float32", "float64"),
    "float32": ("float32", "float64"), "float64": ("float64",),
}  # fmt: skip
#: Names that exporters make up of an operator.
_MADE_UP = re.compile(r"(node_)?(Mul|Loop|Scan)?(_?\d+)?", re.IGNORECASE)
#: What TensorFlow calls the function that it runs a layer in.
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
#: Nodes of one step; exporters write up to some fifty.
_MOST_NODES = 200


@dataclass(frozen=True)
class _Place:
    """One place where a step is written out."""

    scope: Scope
    name: str
    cell: WrittenCell[Value]

    @property
    def loop(self) -> Scope | None:
        """The body of the loop that runs it, if one does."""
        own = self.cell.state.scope
        looped = self.cell.state.name in own.carried
        return own if looped else self.scope if self.scope.kind in _LOOPS else None


@dataclass(frozen=True)
class WrittenLSTM:
    """An LSTM that is written out, and states that are not zero."""

    found: FoundLSTM
    states: dict[str, Reason]
    nodes: frozenset[str]  # that compute it, by their first outputs; a loop by its label


def written_lstms(
    path: Path, scopes: list[Scope], folding: Folding, known: Known, inside: set[str]
) -> Iterator[WrittenLSTM | UnreadLSTM]:
    """Every LSTM that the graphs write out, and those that are not read.

    The functions that one lies in are added to `inside`.
    """
    flow = GraphFlow(folding)
    places: dict[int, list[_Place]] = {}
    refused: dict[str, UnreadLSTM] = {}
    steps: set[Value] = set()
    for scope in scopes:
        for node in scope.graph.node:
            if not flow.may_end_step(scope, node):
                continue
            h = Value(scope, node.output[0])
            try:
                cell = cell_at(flow, h, _fits, known)
            except NoCellError as error:
                steps.add(h)
                inside.add(scope.path)
                refused.setdefault(str(error), UnreadLSTM(_name(scope, node, []), escape(error, 400)))
                continue
            if cell is not None:
                steps.add(h)
                inside.add(scope.path)
                leaves = _leaves(folding, cell.kernels)
                places.setdefault(id(cell.weights), []).append(_Place(scope, _name(scope, node, leaves), cell))
    values = [scope.value(name) for scope in scopes for node in scope.graph.node for name in node.output if name]
    for state, kernels, weights in Recurrences(flow, steps).find(values):
        inside.add(state.scope.path)
        name = _name(state.scope, state.scope.maker(state)[0], _leaves(folding, kernels))
        refused.setdefault(weights, UnreadLSTM(name, escape(OTHER_STEP + weights, 400)))
    yield from refused.values()
    for same in places.values():
        yield _lstm(path, flow, folding, same)


def _fits(step: Step[Value]) -> bool:
    return step.functions[1] != "linear"


def _leaves(folding: Folding, kernels: Iterable[Value]) -> list[str]:
    """The stored tensors of a step."""
    constants = [constant for kernel in kernels if (constant := folding.constant(kernel))]
    return list(dict.fromkeys(leaf for constant in constants for leaf in constant.leaves))


def _name(scope: Scope, node: Any, leaves: list[str]) -> str:
    """The layer's name, after its tensors or its node."""
    layers = {leaf.rpartition(".")[0] for leaf in leaves}
    if len(layers) == 1 and "" not in layers:
        return escape(layers.pop(), 200)
    own = (scope.label if scope.kind in _LOOPS else node.name or node.output[0]).strip("/")
    if _MADE_UP.fullmatch(own):
        return f"{scope.path}lstm"
    parts = own.split("/")
    while len(parts) > 1 and (parts[-1] in _CALLS or parts[-1] == own.rpartition("/")[2]):
        parts.pop()
    return scope.path + escape("/".join(parts), 200)


def _lstm(path: Path, flow: GraphFlow, folding: Folding, same: list[_Place]) -> WrittenLSTM | UnreadLSTM:
    """The LSTM of all steps that have the same weights."""
    looped = [place for place in same if place.loop is not None]
    place = (looped or same)[0]
    branches = Counter(id(one.scope) for one in same if one.scope.kind == "If")
    alone = sum(one.scope.kind != "If" for one in same) + max(branches.values(), default=0)
    try:
        if len(looped) > 1 or (not looped and alone > 1):
            raise NoCellError(f"{_UNROLLED}; its weights are {shortlist(_leaves(folding, place.cell.kernels))}")
        _refuse_roundings(folding, place.cell)
        for one in same if not looped else ():
            refuse_other_states(flow, one.cell)
        backward, notes = _order(folding, place, place.loop) if place.loop else (False, [_ONE_STEP])
        return _found(path, folding, place, backward, notes)
    except (NoCellError, SpecError) as error:
        return UnreadLSTM(place.name, escape(error, 400))


def _found(path: Path, folding: Folding, place: _Place, backward: bool, notes: list[str]) -> WrittenLSTM:
    cell, arrays = place.cell, place.cell.weights.arrays
    gate, candidate, output = cell.step.functions
    spec = LSTMSpec(
        input_size=arrays["W"].shape[2],
        hidden_size=arrays["W"].shape[1],
        bias="split" if "b_r" in arrays else "single" if "b" in arrays else "none",
        reverse=backward,
        gate_activation=gate,
        cell_activation=candidate,
        output_activation=output,
    )
    try:
        gates = {name: array.view(GateArray) for name, array in arrays.items()}
        weights = LSTMWeights(spec, ((CellWeights(**gates),),), cell.weights.dtype)
    except SpecError as error:
        raise CheckpointError(f"{path}: LSTM {place.name} cannot be read: {escape(error, 300)}") from error
    states: dict[str, Reason] = {}
    for kind, leaves in not_zero(folding, _states(cell)):
        notes = [*notes, note_of(kind, leaves)]
        states.update(dict.fromkeys(leaves, unread_state(kind, place.name)))
    found = FoundLSTM(
        name=place.name,
        weights=weights,
        layout="onnx",
        why="its operators compute i g + f c and o tanh(c), and its weights are constants",
        native_count=weights.parameter_count,
        source_dtype=weights.dtype,
        tensors=tuple(_leaves(folding, cell.kernels)),
        notes=(*cell.weights.notes, *notes),
    )
    nodes = {key_of(value.scope.maker(value)[0]) for value in _made_by(cell)}
    return WrittenLSTM(found, states, frozenset(nodes | ({place.loop.label} if place.loop else set())))


def _made_by(cell: WrittenCell[Value]) -> Iterator[Value]:
    """What a step computes, and the states that a loop makes."""
    taken = {cell.sequence, cell.state, cell.step.before}
    after = [one.scope.value(one.scope.carried[one.name]) for one in taken if one.name in one.scope.carried]
    seen, waiting = set[Value](), [cell.step.h, *after]
    while waiting and len(seen) < _MOST_NODES:
        value = waiting.pop()
        node, _ = value.scope.maker(value)
        if node is not None and value not in seen | taken:
            seen.add(value)
            yield value
            waiting += [one for one in value.scope.inputs(node) if one is not None]


def _refuse_roundings(folding: Folding, cell: WrittenCell[Value]) -> None:
    """Refuse a step that rounds what it computes to less than its weights have.

    Raises:
        NoCellError: naming the type.
    """
    for value in _made_by(cell):
        node = value.scope.maker(value)[0]
        to = FLOATS.get(value.scope.attributes(node).get("to", 0)) if node.op_type == "Cast" else None
        if to is not None and to not in _WIDER[cell.weights.dtype] and folding.constant(value) is None:
            raise NoCellError(f"it rounds what it computes to {to}, but its weights are {cell.weights.dtype}")


def _states(cell: WrittenCell[Value]) -> dict[str, Value]:
    return {"initial_h": cell.state, "initial_c": cell.step.before}


def _order(folding: Folding, place: _Place, loop: Scope) -> tuple[bool, list[str]]:
    """Whether a loop reads its sequence backward, and notes.

    Raises:
        NoCellError: for a loop that is no plain LSTM over a sequence.
    """
    cell = place.cell
    becomes = [after(state) for state in _states(cell).values()]
    if [known[0] if known else None for known in becomes] != [cell.step.h, cell.step.c]:
        raise NoCellError("its loop does something else with its states than a step of an LSTM")
    masks = {known[1] for known in becomes if known}
    if masks != {None} and (len(masks) != 1 or not all(mask and _is_mask(folding, cell, mask.value) for mask in masks)):
        raise NoCellError("its loop keeps parts of its states by what is no mask of whole steps")
    notes = ["the graph masks steps, which keep the states as they are"] if masks != {None} else []
    taken = past(cell.taken)
    if taken.name in taken.scope.steps:
        outer, backward = taken.scope.steps[taken.name]
        return _placed(folding, loop, backward, outer, notes)
    node = taken.scope.maker(taken)[0]
    inputs = taken.scope.inputs(node) if node is not None and node.op_type == "Gather" else []
    sequence, number = inputs if len(inputs) == 2 else (None, None)
    outside = sequence is not None and sequence.scope is not loop
    if outside and number is not None and _counts(folding, loop, past(number)):
        return _placed(folding, loop, False, sequence, notes)
    raise NoCellError("its loop does not go through the sequence from step 0 one by one")


def _placed(
    folding: Folding, loop: Scope, backward: bool, sequence: Value | None, notes: list[str]
) -> tuple[bool, list[str]]:
    """Whether a loop over a sequence is backward, with notes."""
    before, problem = reversal(folding, sequence)
    if problem:
        raise NoCellError(problem)
    in_order_read = backward != before and not is_reversed_back(folding, loop)
    return backward != before, [*notes, IN_ORDER_READ] if in_order_read else notes


def _is_mask(folding: Folding, cell: WrittenCell[Value], mask: Value) -> bool:
    """Whether a truth value is one per step, whatever the step computes."""
    loop = cell.state.scope
    if folding.constant(mask) is not None or Shapes(folding).of(mask).last != 1:
        return False
    taken = past(cell.taken)
    own = {taken, cell.taken, cell.sequence, cell.step.h, cell.step.c, *_sources(taken)}
    seen: set[Value] = set()
    waiting = [mask]
    while waiting and len(seen) < _MOST_NODES:
        value = waiting.pop()
        node, _ = value.scope.maker(value)
        states = value.scope is loop and value.name in loop.carried and not _counts(folding, loop, value)
        if states or value in own or own & set(_sources(value)):
            return False
        if value not in seen and value.scope is loop and node is not None:
            seen.add(value)
            waiting += [one for one in value.scope.inputs(node) if one is not None]
    return not waiting


def _sources(value: Value) -> list[Value]:
    """The sequence that a value is one step of."""
    node, _ = value.scope.maker(value)
    if node is not None and node.op_type == "Gather":
        return [value.scope.value(node.input[0])]
    return [value.scope.steps[value.name][0]] if value.name in value.scope.steps else []


def _counts(folding: Folding, scope: Scope, number: Value) -> bool:
    """Whether a number is that of the step: 0, 1, 2 and so on."""
    if number.scope is not scope:
        return False
    if scope.kind == "Loop" and scope.graph.input and number.name == scope.graph.input[0].name:
        return True
    becomes, begin = after(number), scope.begins.get(number.name)
    node = scope.maker(becomes[0])[0] if becomes else None
    if begin is None or node is None or node.op_type != "Add" or _number(folding, begin) != 0:
        return False
    inputs = scope.inputs(node)
    return number in inputs and any(_number(folding, one) == 1 for one in inputs if one != number)


def _number(folding: Folding, value: Value | None) -> int | None:
    found = folding.integers(value)
    return found[0] if found is not None and len(found) == 1 else None
