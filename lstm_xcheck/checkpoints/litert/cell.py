"""Reads LiteRT's LSTM operators: the roles of inputs and options.

Source: TensorFlow 2.21, tensorflow/lite/kernels/lstm_shared.h, unidirectional_sequence_lstm.cc and
bidirectional_sequence_lstm.cc; what is read was run by its interpreter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from ..codecs.limits import FLOAT_SIZES, escape
from ..tensor_info import TensorInfo
from .graph import Graph, Operator

#: In the order of the operators' inputs.
GATES = ("input", "forget", "cell", "output")

#: The first input of each group of one direction: W, U, peepholes, biases, projection and its bias; then the states.
_FORWARD = (1, 5, 9, 12, 16, 17)
_BACKWARD = (18, 22, 26, 29, 33, 34)
_STATES = {"BIDIRECTIONAL_SEQUENCE_LSTM": range(35, 39)}
_ONE_DIRECTION_STATES = range(18, 20)
_LAYER_NORM = range(20, 24)
_AUXILIARY = range(39, 48)

#: ActivationFunctionType, by number, where it has a canonical form. With 0, none, the interpreter of TensorFlow 2.21
#: multiplies the output gate by what its scratch memory holds, the candidate, so that no LSTM is left.
_FUNCTIONS = {1: "relu", 2: "hard_tanh", 4: "tanh"}
_BASIC = 1

FUSED = ("UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM", "LSTM")


#: The number of a graph, and that of a tensor in it.
Leaf = tuple[int, int]


class NotReadError(ValueError):
    """Why an LSTM is not read; the message is the reason."""


@dataclass(frozen=True)
class Cell:
    """One direction of one layer."""

    graph: Graph
    name: str
    tensors: dict[str, TensorInfo]  # by the names of the layout `litert`, without a direction
    options: dict[str, Any]  # of a spec, sizes aside
    backward: bool  # whether it reads its sequence from the end
    sequence: tuple[int, int]  # the tensor that it reads, and which axis of it is time
    results: tuple[int, ...]  # the tensors of its outputs
    leaves: frozenset[Leaf]  # the stored tensors that it uses up, each with its graph
    why: str  # what made this an LSTM
    made_up: int = 0  # how many numbers stand for a gate that the file does not have
    notes: tuple[str, ...] = ()
    states: dict[Leaf, str] = field(default_factory=dict)  # stored initial states that are not zero


@dataclass
class _Parts:
    """The weights of one direction as they are gathered."""

    graph: Graph
    op: Operator
    tensors: dict[str, TensorInfo] = field(default_factory=dict)
    leaves: set[Leaf] = field(default_factory=set)

    def group(self, first: int, template: str, gates: tuple[str, ...] = GATES) -> tuple[str, ...]:
        """Take what is there of a group; the gates that are."""
        return tuple(gate for k, gate in enumerate(gates, first) if self.take(k, template.format(gate=gate)))

    def take(self, position: int, key: str) -> bool:
        """Take one input where it is given."""
        number = self.op.input(position)
        if number < 0:
            return False
        constant = self.graph.constant(number)
        if constant is None:
            by = self.graph.maker(number)[0] or "nothing"
            raise NotReadError(f"its {key} is computed by other operators ({escape(by)}); convert the model anew")
        self.leaves.add((self.graph.number, constant))
        self.tensors[key] = read_as_float(self.graph.stored(constant))
        return True


def read_as_float(tensor: TensorInfo) -> TensorInfo:
    """The tensor itself where it is of a float type.

    Raises:
        NotReadError: for quantised and other types.
    """
    if tensor.dtype not in FLOAT_SIZES:
        raise NotReadError(
            f"stored as {tensor.dtype}, expected one of {', '.join(FLOAT_SIZES)}; "
            "convert the model without quantisation"
        )
    return tensor


def fused_cells(graph: Graph, op: Operator, name: str) -> tuple[Cell, ...]:
    """The one direction, or the two, of an LSTM operator.

    Raises:
        NotReadError: for what has no canonical form.
    """
    both = op.kind == "BIDIRECTIONAL_SEQUENCE_LSTM"
    if op.kind == "LSTM" and op.option(3, "<b") == _BASIC:
        raise NotReadError("an LSTM operator of the basic kind, which only the converter of TensorFlow 1 made")
    _refuse_extras(op, both)
    options = _options(op)
    cells = [_cell(graph, op, name, _FORWARD, options)]
    if both:
        cells.append(replace(_cell(graph, op, name, _BACKWARD, options), backward=True))
    return tuple(cells)


def _refuse_extras(op: Operator, both: bool) -> None:
    given = next((k for k in (_AUXILIARY if both else _LAYER_NORM) if op.input(k) >= 0), None)
    if given is not None:
        raise NotReadError("it has an auxiliary input" if both else "it has layer normalisation within its cell")
    if op.kind == "UNIDIRECTIONAL_SEQUENCE_LSTM" and op.option(5, "<b"):
        raise NotReadError("its recurrent weights are diagonals")


def _options(op: Operator) -> dict[str, Any]:
    function = _FUNCTIONS.get(op.option(0, "<b"))
    if function is None:
        raise NotReadError(f"activation number {op.option(0, '<b')} has no canonical form")
    cell_clip, proj_clip = (op.options.real(k) if op.options else 0.0 for k in (1, 2))
    if not all(0 <= clip < float("inf") for clip in (cell_clip, proj_clip)):
        raise NotReadError(f"its clips are {cell_clip} and {proj_clip}")
    return {
        "cell_activation": function,
        "output_activation": function,
        "cell_clip": _number(cell_clip),
        "proj_clip": _number(proj_clip),
    }


def _number(value: float) -> float | None:
    """A float32 option as the decimal that was meant; 0 means none."""
    return float(str(np.float32(value))) if value else None


def _cell(graph: Graph, op: Operator, name: str, at: tuple[int, ...], options: dict[str, Any]) -> Cell:
    parts = _Parts(graph, op)
    w, u, peepholes, bias, projection, projection_bias = at
    groups = [
        parts.group(w, "input_to_{gate}_weights"),
        parts.group(u, "recurrent_to_{gate}_weights"),
        parts.group(bias, "{gate}_gate_bias"),
    ]
    diagonals = parts.group(peepholes, "cell_to_{gate}_weights", ("input", "forget", "output"))
    projected = parts.take(projection, "projection_weights")
    if len(set(groups)) != 1 or groups[0] not in (GATES, GATES[1:]):
        raise NotReadError("its gates do not all have input weights, recurrent weights and a bias")
    coupled = groups[0] == GATES[1:]
    wanted = ("forget", "output") if coupled else ("input", "forget", "output")
    if diagonals not in ((), wanted):
        raise NotReadError("not all of its gates have peepholes")
    _refuse_projection_bias(graph, op, projection_bias)
    made_up = _add_input_gate(parts.tensors) if coupled else 0
    states: dict[Leaf, str] = {}
    for place, position in enumerate(_STATES.get(op.kind, _ONE_DIRECTION_STATES)):
        # Where a model is stored in half precision, so are the zeros that its states begin with.
        constant = graph.constant(op.input(position))
        if constant is not None and is_zero(graph, constant):
            parts.leaves.add((graph.number, constant))
        elif constant is not None:
            states[graph.number, constant] = f"initial {'hc'[place % 2]}"
    options = {**options, "coupling": "i=1-f" if coupled else None, "peepholes": bool(diagonals)}
    if not projected:
        options["proj_clip"] = None  # the kernel clips what it projects, and nothing else
    return Cell(
        graph, name, parts.tensors, options, False, (op.input(0), _time_axis(op)), op.outputs,
        frozenset(parts.leaves), f"it is the operator {op.kind}", made_up, tuple(_notes(op, coupled)),
        states,
    )  # fmt: skip


def is_zero(graph: Graph, constant: int) -> bool:
    """Whether a stored tensor holds nothing but zeros."""
    stored = graph.stored(constant)
    return stored.dtype in FLOAT_SIZES and not np.any(stored.load())


def _time_axis(op: Operator) -> int:
    """The axis of steps; the two operators have different defaults."""
    if op.kind == "BIDIRECTIONAL_SEQUENCE_LSTM":
        return 0 if op.option(4, "<b", 1) else 1
    return 0 if op.option(3, "<b") else 1


def _notes(op: Operator, coupled: bool) -> Iterator[str]:
    if op.kind == "LSTM":
        yield "the operator LSTM of one step, read as a layer of its own"
    else:
        yield "its states last from one call of the interpreter to the next, until reset_all_variables()"
    if coupled:
        yield "coupled: the file has no input gate, and zeros stand for it"


def _refuse_projection_bias(graph: Graph, op: Operator, position: int) -> None:
    number = op.input(position)
    if number < 0:
        return
    constant = graph.constant(number)
    if constant is None or np.any(read_as_float(graph.stored(constant)).load()):
        raise NotReadError("its projection has a bias")


def _add_input_gate(tensors: dict[str, TensorInfo]) -> int:
    """Adds zeros for the coupled input gate; returns how many."""
    count = 0
    for key, like in list(tensors.items()):
        if "forget" in key:
            own = key.replace("forget", "input")
            kind = "float32" if like.dtype == "bfloat16" else like.dtype
            tensors[own] = replace(like, name=own, load=partial(np.zeros, like.shape, kind))
            count += math.prod(like.shape)
    return count
