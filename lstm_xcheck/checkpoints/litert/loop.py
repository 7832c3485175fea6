"""Reads LSTMs that are a WHILE loop over steps, or one step.

The body of a loop is followed from its carried states back to the weights. A step that computes anything else is no
LSTM.
Source: TensorFlow 2.21, models that its converter makes of Keras 3.15 and tf_keras 2.21.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from ...arrays import Array
from ..codecs.limits import escape
from ..tensor_info import TensorInfo
from ..written.cell import Known, WrittenCell, cell_at, refuse_other_states
from ..written.flow import NoCellError
from ..written.recurrence import OTHER_STEP, Recurrences
from ..written.step import Step
from .cell import GATES, Cell, Leaf, NotReadError, is_zero
from .flow import GraphFlow, begin
from .graph import Graph, Operator

#: Tensors that a loop carries, of which an LSTM's are among the first.
_MOST_CARRIED = 16
#: Steps may share weights, but what is made of a file is not endlessly more than the file.
_MAX_GROWTH = 8
_ONE_STEP = "one step that the graph writes out, read as a layer of its own"
_UNROLLED = "its steps are unrolled, so that the graph says them one by one; convert the model with unroll=False"
_NO_STEP = "its loop computes something else than a step of an LSTM: "


class _Loop(GraphFlow):
    """A WHILE: its outer graph and its body."""

    def __init__(self, outer: Graph, op: Operator, body: Graph) -> None:
        super().__init__(body)
        self.outer, self.op, self.body = outer, op, body

    def carried(self, number: int) -> int | None:
        """Which of the carried tensors an input of the body is."""
        return self.body.inputs.index(number) if number in self.body.inputs else None

    def unchanged(self, place: int) -> bool:
        """Whether every step hands on a carried tensor as it is."""
        return self.body.outputs[place] == self.body.inputs[place]

    def place(self, number: int) -> tuple[Graph, int] | None:
        """The stored tensor behind a tensor of the body."""
        kind, op, _ = self.body.maker(number)
        place = self.carried(op.input(0) if kind == "DEQUANTIZE" and op else number)
        if place is not None and self.unchanged(place):
            found = self.outer.constant(self.op.inputs[place])
            return None if found is None else (self.outer, found)
        return super().place(number)

    def becomes(self, value: int) -> int | None:
        """What a carried tensor is after a step."""
        place = self.carried(value)
        return None if place is None or self.unchanged(place) else self.body.outputs[place]

    def is_state(self, value: int, h: int) -> bool:
        """Whether a value is a carried tensor that becomes h."""
        place = self.carried(value)
        return place is not None and self.unmasked(place)[0] == h

    def unmasked(self, place: int) -> tuple[int, bool]:
        """A carried tensor's new value, and whether a mask may keep it."""
        number = self.body.outputs[place]
        kind, op, _ = self.body.maker(number)
        if kind == "SELECT_V2" and op is not None and op.input(2) == self.body.inputs[place]:
            return op.input(1), True
        return number, False


def loop_cell(outer: Graph, op: Operator, name: str) -> Cell | None:
    """The LSTM that a WHILE is; None for any other loop.

    Raises:
        NotReadError: for one whose step is not an LSTM's, or is computed from what the file does not hold.
    """
    graphs, number = outer.model.graphs, op.option(1)
    if not 0 < number < len(graphs):
        return None
    loop = _Loop(outer, op, graphs[number])
    if not len(loop.body.inputs) == len(loop.body.outputs) == len(op.inputs) == len(op.outputs):
        raise NotReadError("its loop does not carry as many tensors as it begins with")
    known = _nothing_known(outer)
    split = bool(loop.body.splits_in_four)
    reason = NotReadError(_NO_STEP + "no carried states are i g + f c and o tanh(c) of one split") if split else None
    for h in range(min(len(op.inputs), _MOST_CARRIED)):
        try:
            found = _read(loop, loop.unmasked(h)[0], lambda step: _state_place(loop, step) is not None, known)
            if found is not None:
                _refuse_others(loop, (found.step.h,))
                return _loop_cell(loop, found, name)
        except NotReadError as error:
            # With a mask the outputs, which are carried too, look like the state; another place may be the state.
            reason = error
    if reason is not None:
        raise reason
    _refuse_others(loop, ())
    return None


def _refuse_others(loop: _Loop, steps: tuple[int, ...]) -> None:
    """Refuse a loop with a step of another formula, or with two LSTMs."""
    for _, _, weights in Recurrences(loop, steps).find(_values(loop.body)):
        raise NotReadError("its loop runs more than one LSTM" if steps else OTHER_STEP + weights)


def _values(graph: Graph) -> list[int]:
    return [number for op in graph.operators for number in op.outputs]


def step_cells(graph: Graph, name: Callable[[Operator], str]) -> Iterator[Cell | tuple[str, NotReadError]]:
    """The steps that a graph writes out, or why one is not read."""
    flow, known = GraphFlow(graph), _nothing_known(graph)
    steps: set[int] = set()
    places: dict[int, list[tuple[Operator, WrittenCell[int]]]] = {}
    for op in graph.operators:
        if op.kind != "MUL" or len(op.outputs) != 1:
            continue
        try:
            found = _read(flow, op.outputs[0], lambda step: step.functions[1] != "linear", known)
        except NotReadError as error:
            steps.add(op.outputs[0])
            yield name(op), error
            continue
        if found is not None:
            steps.add(found.step.h)
            places.setdefault(id(found.weights), []).append((op, found))
    for (op, found), *more in places.values():
        try:
            yield _one_step(flow, found, name(op), is_repeated=bool(more))
        except (NotReadError, NoCellError) as error:
            yield name(op), NotReadError(str(error))
    for state, _, weights in Recurrences(flow, steps).find(_values(graph)):
        yield name(graph.made_by[state][0]), NotReadError(OTHER_STEP + weights)


def _one_step(flow: GraphFlow, found: WrittenCell[int], name: str, *, is_repeated: bool) -> Cell:
    """A step that stands alone, with what the file holds of its states."""
    if is_repeated:
        raise NotReadError(_UNROLLED)
    refuse_other_states(flow, found)
    cell = _cell(flow, found, name, (found.sequence, 0), (found.step.h,), (_ONE_STEP,))
    graph, states = flow.graph, {"h": found.state, "c": found.step.before}
    stored = {state: constant for state, value in states.items() if (constant := begin(graph, value)) is not None}
    zero = {(graph.number, constant) for constant in stored.values() if is_zero(graph, constant)}
    begun = {(graph.number, constant): f"initial {state}" for state, constant in stored.items()}
    given = {leaf: state for leaf, state in begun.items() if leaf not in zero}
    notes = tuple(f"the graph gives it an {state}" for state in given.values())
    return replace(cell, leaves=cell.leaves | zero, states=given, notes=(*cell.notes, *notes))


def _nothing_known(graph: Graph) -> Known:
    return Known(graph.model.path, _MAX_GROWTH * len(graph.model.data))


def _read(flow: GraphFlow, h: int, fits: Callable[[Step[int]], bool], known: Known) -> WrittenCell[int] | None:
    try:
        found = cell_at(flow, h, fits, known)
    except NoCellError as error:
        more = "; convert the model without quantisation" if str(error).startswith("stored as") else ""
        raise NotReadError(f"{error}{more}") from error
    if found is not None and "b_r" in found.weights.arrays:
        raise NotReadError("its pre-activations have two terms for the bias")
    return found


def _state_place(loop: _Loop, step: Step[int]) -> int | None:
    """Which carried tensor is the c of a step."""
    place = loop.carried(step.before)
    return place if place is not None and loop.unmasked(place)[0] == step.c else None


def _loop_cell(loop: _Loop, found: WrittenCell[int], name: str) -> Cell:
    h, c = loop.carried(found.state), _state_place(loop, found.step)
    if h is None or c is None or not loop.is_state(found.state, found.step.h):
        raise NotReadError(_NO_STEP + "it carries no states")
    sequence = _sequence(loop, found.sequence)
    notes = []
    leaves: set[Leaf] = set()
    given = {state: place for state, place in (("h", h), ("c", c)) if not _is_zero(loop, place, leaves)}
    if given:
        notes.append(f"the graph gives it an initial {' and '.join(given)}")
    begins = {state: begin(loop.outer, loop.op.inputs[place]) for state, place in given.items()}
    states = {(loop.outer.number, n): f"initial {state}" for state, n in begins.items() if n is not None}
    if loop.unmasked(h)[1] or loop.unmasked(c)[1]:
        notes.append("the graph masks steps, which keep the states as they are")
    for place in range(len(loop.op.inputs)):
        _is_zero(loop, place, leaves)  # the list of the outputs begins as zeros too
    used = {place for place in range(len(loop.op.inputs)) if loop.unchanged(place)}
    results = tuple(number for place, number in enumerate(loop.op.outputs) if place not in (c, *used))
    cell = _cell(loop, found, name, (loop.op.inputs[sequence], 0), results, tuple(notes))
    return replace(cell, graph=loop.outer, leaves=cell.leaves | leaves, states=states)


def _cell(
    flow: GraphFlow,
    found: WrittenCell[int],
    name: str,
    sequence: tuple[int, int],
    results: tuple[int, ...],
    notes: tuple[str, ...],
) -> Cell:
    """A step as a layer, under the names of the layout `litert`."""
    templates = {"W": "input_to_{}_weights", "U": "recurrent_to_{}_weights", "b": "{}_gate_bias"}
    stored = [place for kernel in found.kernels if (place := flow.place(kernel))]
    label, dtype = escape(stored[0][0].tensors[stored[0][1]].name, 200), found.weights.dtype
    tensors = {
        templates[kind].format(gate): TensorInfo(label, rows.shape[1:], dtype, partial(_row, rows, k))
        for kind, rows in found.weights.arrays.items()
        for k, gate in enumerate(GATES)
    }
    names = ("gate_activation", "cell_activation", "output_activation")
    options: dict[str, Any] = dict(zip(names, found.step.functions, strict=True))
    return Cell(
        flow.graph, name, tensors, options, False, sequence, results,
        frozenset((graph.number, number) for graph, number in stored),
        "its operators compute i g + f c and o tanh(c)", 0, (*found.weights.notes, *notes),
    )  # fmt: skip


def _row(rows: Array, gate: int) -> Array:
    return rows[gate]


def _sequence(loop: _Loop, number: int) -> int:
    """The place of the sequence whose steps the loop takes one by one."""
    kind, op, _ = loop.body.maker(number)
    place = loop.carried(op.input(0)) if kind == "GATHER" and op is not None else None
    if place is None or op is None or not loop.unchanged(place) or op.option(0):
        raise NotReadError(_NO_STEP + "it multiplies weights with neither a step of a sequence nor the state")
    if not _counts(loop, op.input(1)):
        raise NotReadError("its loop does not go through the sequence from step 0 one by one")
    return place


def _counts(loop: _Loop, number: int) -> bool:
    """Whether a carried number begins at 0 and grows by 1."""
    place = loop.carried(number)
    made = loop.made(loop.body.outputs[place]) if place is not None else None
    if place is None or made is None or made.kind != "add" or number not in made.inputs:
        return False
    begin = loop.outer.integers(loop.op.inputs[place])
    return begin == (0,) and loop.scalar(made.inputs[1 - made.inputs.index(number)]) == 1


def _is_zero(loop: _Loop, place: int, leaves: set[Leaf]) -> bool:
    """Whether a state begins as zeros, from graph or file."""
    constant = begin(loop.outer, loop.op.inputs[place])
    if constant is None or not is_zero(loop.outer, constant):
        return False
    leaves.add((loop.outer.number, constant))
    return True
