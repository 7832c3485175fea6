"""Reads LSTMs that are a WHILE loop over steps.

The body is followed from its carried states back to the weights, so that which quarter of the weights is which gate is
read from what the graph computes with it, never from an order or a name. A step that computes anything else is no LSTM.
Source: TensorFlow 2.21, models that its converter makes of Keras 3.15 and tf_keras 2.21.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import permutations
from typing import Any

import numpy as np

from ...arrays import Array
from ...model.spec import HARD_SIGMOID_KERAS3
from ..codecs.limits import escape
from ..tensor_info import TensorInfo
from .cell import GATES, Cell, Leaf, NotReadError, is_zero, read_as_float
from .graph import Graph, Operator

_FUNCTIONS = {"LOGISTIC": "sigmoid", "TANH": "tanh", "RELU": "relu"}
_RELU6 = 3
#: Terms that a sum of pre-activations may have; an LSTM's has three or four.
_MOST_TERMS = 16
#: Tensors that a loop carries, of which an LSTM's are among the first.
_MOST_CARRIED = 16
_NO_STEP = "its loop computes something else than a step of an LSTM: "


@dataclass
class _Loop:
    """A WHILE: its outer graph and its body."""

    outer: Graph
    op: Operator
    body: Graph

    def place(self, number: int) -> int | None:
        """Which of the carried tensors an input of the body is."""
        return self.body.inputs.index(number) if number in self.body.inputs else None

    def unchanged(self, place: int) -> bool:
        """Whether every step hands on a carried tensor as it is."""
        return self.body.outputs[place] == self.body.inputs[place]

    def constant(self, number: int) -> tuple[Graph, int] | None:
        """The stored tensor behind a tensor of the body."""
        kind, op, _ = self.body.maker(number)
        inner = op.input(0) if kind == "DEQUANTIZE" and op else number
        place = self.place(inner)
        if place is not None and self.unchanged(place):
            found = self.outer.constant(self.op.inputs[place])
            return None if found is None else (self.outer, found)
        found = self.body.constant(number)
        return None if found is None else (self.body, found)

    def scalar(self, number: int) -> float | None:
        """The value of a constant of one number."""
        found = self.constant(number)
        if found is None:
            return None
        tensor = found[0].tensors[found[1]]
        if any(n != 1 for n in tensor.shape) or tensor.dtype not in ("float32", "float16", "int32", "int64"):
            return None
        return float(found[0].model.values(tensor).reshape(-1)[0])

    def plain(self, number: int, kind: str) -> tuple[int, int] | None:
        """The two inputs of a plain ADD or MUL."""
        made, op, _ = self.body.maker(number)
        if made != kind or op is None or len(op.inputs) != 2 or op.option(0, "<b"):
            return None
        return op.inputs[0], op.inputs[1]

    def activation(self, number: int) -> tuple[str, int]:
        """The activation that makes a tensor, and its argument."""
        kind, op, _ = self.body.maker(number)
        if kind in _FUNCTIONS and op is not None:
            return _FUNCTIONS[kind], op.input(0)
        pair = self.plain(number, "MUL")
        for scale, other in (pair, pair[::-1]) if pair else ():
            made, inner, _ = self.body.maker(other)
            if made == "ADD" and inner and inner.option(0, "<b") == _RELU6 and len(inner.inputs) == 2:
                factor = self.scalar(scale)
                if factor is not None and np.float32(factor) == np.float32(1 / 6) and self.scalar(inner.inputs[1]) == 3:
                    return HARD_SIGMOID_KERAS3, inner.inputs[0]
        return "linear", number

    def unmasked(self, place: int) -> tuple[int, bool]:
        """A carried tensor's new value, and whether a mask may keep it."""
        number = self.body.outputs[place]
        kind, op, _ = self.body.maker(number)
        if kind == "SELECT_V2" and op is not None and op.input(2) == self.body.inputs[place]:
            return op.input(1), True
        return number, False


@dataclass(frozen=True)
class _Step:
    """The pre-activations by gate, and the activation functions."""

    split: Operator
    quarters: dict[str, int]
    functions: tuple[str, str, str]


def loop_cell(outer: Graph, op: Operator, name: str) -> Cell | None:
    """The LSTM that a WHILE is; None for any other loop.

    Raises:
        NotReadError: for one whose step is not an LSTM's, or is computed from what the file does not hold.
    """
    graphs, number = outer.model.graphs, op.option(1)
    if not 0 < number < len(graphs) or not graphs[number].splits_in_four:
        return None
    loop = _Loop(outer, op, graphs[number])
    if not len(loop.body.inputs) == len(loop.body.outputs) == len(op.inputs) == len(op.outputs):
        raise NotReadError("its loop does not carry as many tensors as it begins with")
    reason = NotReadError(_NO_STEP + "no carried states are i g + f c and o tanh(c) of one split")
    for h, c in permutations(range(min(len(op.inputs), _MOST_CARRIED)), 2):
        try:
            step = _step(loop, h, c)
            if step is not None:
                return _cell(loop, step, h, c, name)
        except NotReadError as error:
            # With a mask the outputs, which are carried too, look like the state; another place may be the state.
            reason = error
    raise reason


def _step(loop: _Loop, h: int, c: int) -> _Step | None:
    """The gates, if these carried tensors are an LSTM's."""
    (new_h, _), (new_c, _) = loop.unmasked(h), loop.unmasked(c)
    factors, terms = loop.plain(new_h, "MUL"), loop.plain(new_c, "ADD")
    if factors is None or terms is None:
        return None
    output = _output(loop, factors, new_c)
    old = loop.body.inputs[c]
    for kept, added in (terms, terms[::-1]):
        forget, pair = loop.plain(kept, "MUL"), loop.plain(added, "MUL")
        if forget and pair and output and old in forget:
            gate = loop.activation(forget[1 - forget.index(old)])
            return _gates(loop, gate, [loop.activation(one) for one in pair], output)
    return None


def _output(loop: _Loop, factors: tuple[int, int], cell: int) -> tuple[tuple[str, int], str] | None:
    """The output gate, and the function of the cell."""
    for gate, other in (factors, factors[::-1]):
        function, inner = loop.activation(other)
        if inner == cell:
            return loop.activation(gate), function
    return None


def _gates(
    loop: _Loop, forget: tuple[str, int], pair: list[tuple[str, int]], output: tuple[tuple[str, int], str]
) -> _Step | None:
    gate, function = output
    makers = [loop.body.maker(number) for _, number in (forget, *pair, gate)]
    split = makers[0][1]
    if split is None or split.kind != "SPLIT" or any(op is not split for _, op, _ in makers):
        return None
    quarters = [quarter for _, _, quarter in makers]
    # Where gate and candidate have one function they are told by their places, as the product does not tell.
    if pair[0][0] != forget[0] or (pair[1][0] == forget[0] and quarters[1] > quarters[2]):
        pair, quarters = pair[::-1], [quarters[0], quarters[2], quarters[1], quarters[3]]
    if pair[0][0] != forget[0] or gate[0] != forget[0] or sorted(quarters) != [0, 1, 2, 3]:
        raise NotReadError("its gates i, f and o do not have one function that is known")
    names = ("forget", "input", "cell", "output")
    return _Step(split, dict(zip(names, quarters, strict=True)), (forget[0], pair[1][0], function))


def _cell(loop: _Loop, step: _Step, h: int, c: int, name: str) -> Cell:
    weights, leaves, sequence = _weights(loop, step, h)
    tensors = dict(_named(weights, step.quarters))
    masked = loop.unmasked(h)[1] or loop.unmasked(c)[1]
    notes = []
    given = {state: place for state, place in (("h", h), ("c", c)) if not _is_zero(loop, place, leaves)}
    if given:
        notes.append(f"the graph gives it an initial {' and '.join(given)}")
    begins = {state: _beginning(loop, place) for state, place in given.items()}
    states = {(loop.outer.number, n): f"initial {state}" for state, n in begins.items() if n is not None}
    if masked:
        notes.append("the graph masks steps, which keep the states as they are")
    for place in range(len(loop.op.inputs)):
        _is_zero(loop, place, leaves)  # the list of the outputs begins as zeros too
    gate, cell, output = step.functions
    options: dict[str, Any] = {"gate_activation": gate, "cell_activation": cell, "output_activation": output}
    used = {place for place in range(len(loop.op.inputs)) if loop.unchanged(place)}
    results = tuple(number for place, number in enumerate(loop.op.outputs) if place not in (c, *used))
    return Cell(
        loop.outer, name, tensors, options, False, (loop.op.inputs[sequence], 0), results, frozenset(leaves),
        "its loop computes i g + f c and o tanh(c) of one split", 0, tuple(notes), states,
    )  # fmt: skip


def _weights(loop: _Loop, step: _Step, h: int) -> tuple[dict[str, TensorInfo], set[Leaf], int]:
    """The weights and bias, and the place of the sequence."""
    found: dict[str, tuple[Graph, int]] = {}
    sequence = -1
    for kind, fed, constant in _terms(loop, step.split.input(1)):
        name, place = ("bias", -1) if kind == "bias" else _fed(loop, fed, h)
        if name in found:
            raise NotReadError(f"its pre-activations have two terms for the {name}")
        found[name] = constant
        sequence = place if name == "input" else sequence
    if not {"input", "recurrent"} <= set(found):
        raise NotReadError(_NO_STEP + "its pre-activations are no W x + U h + b")
    tensors = {name: read_as_float(graph.stored(number)) for name, (graph, number) in found.items()}
    _check_shapes(tensors)
    return tensors, {(graph.number, number) for graph, number in found.values()}, sequence


def _terms(loop: _Loop, number: int) -> Iterator[tuple[str, int, tuple[Graph, int]]]:
    """The terms of a sum: products with weights, and biases."""
    waiting, seen = [number], 0
    while waiting:
        number, seen = waiting.pop(), seen + 1
        kind, op, _ = loop.body.maker(number)
        pair = loop.plain(number, "ADD")
        if seen > _MOST_TERMS:
            raise NotReadError(_NO_STEP + "its pre-activations have too many terms")
        if pair:
            waiting += pair
        elif kind == "RESHAPE" and op is not None:
            waiting.append(op.input(0))
        elif kind == "FULLY_CONNECTED" and op is not None and not op.option(0, "<b"):
            yield "product", op.input(0), _constant(loop, op.input(1))
            if op.input(2) >= 0:
                yield "bias", -1, _constant(loop, op.input(2))
        else:
            yield "bias", -1, _constant(loop, number)


def _constant(loop: _Loop, number: int) -> tuple[Graph, int]:
    found = loop.constant(number)
    if found is None:
        by = loop.body.maker(number)[0] or "nothing in the loop"
        raise NotReadError(f"a term of its pre-activations is made by {escape(by)} and is no constant of the file")
    return found


def _fed(loop: _Loop, number: int, h: int) -> tuple[str, int]:
    """Which sequence a product takes; None for the state."""
    if number == loop.body.inputs[h]:
        return "recurrent", h
    kind, op, _ = loop.body.maker(number)
    place = loop.place(op.input(0)) if kind == "GATHER" and op is not None else None
    if place is None or op is None or not loop.unchanged(place) or op.option(0):
        raise NotReadError(_NO_STEP + "it multiplies weights with neither a step of a sequence nor the state")
    if not _counts(loop, op.input(1)):
        raise NotReadError("its loop does not go through the sequence from step 0 one by one")
    return "input", place


def _counts(loop: _Loop, number: int) -> bool:
    """Whether a carried number begins at 0 and grows by 1."""
    place = loop.place(number)
    pair = loop.plain(loop.body.outputs[place], "ADD") if place is not None else None
    if place is None or pair is None or number not in pair:
        return False
    begin = loop.outer.integers(loop.op.inputs[place])
    return begin == (0,) and loop.scalar(pair[1 - pair.index(number)]) == 1


def _check_shapes(tensors: dict[str, TensorInfo]) -> None:
    w, u = tensors["input"].shape, tensors["recurrent"].shape
    b = tensors["bias"].shape if "bias" in tensors else u[:1]
    hidden = u[-1] if len(u) == 2 else 0
    if not hidden or u != (4 * hidden, hidden) or len(w) != 2 or not w[1] or w[:1] != u[:1] or b != u[:1]:
        raise NotReadError(f"its weights are {list(w)[:8]}, {list(u)[:8]} and {list(b)[:8]}, not those of an LSTM")


def _named(weights: dict[str, TensorInfo], quarters: dict[str, int]) -> Iterator[tuple[str, TensorInfo]]:
    """Each gate's own rows, under the names of the layout `litert`."""
    templates = {"input": "input_to_{}_weights", "recurrent": "recurrent_to_{}_weights", "bias": "{}_gate_bias"}
    for kind, tensor in weights.items():
        rows, whole = tensor.shape[0] // 4, cache(tensor.load)
        for gate in GATES:
            span = slice(quarters[gate] * rows, (quarters[gate] + 1) * rows)
            load = partial(_part, whole, span)
            yield templates[kind].format(gate), TensorInfo(tensor.name, (rows, *tensor.shape[1:]), tensor.dtype, load)


def _part(whole: Callable[[], Array], span: slice) -> Array:
    return whole()[span]


def _beginning(loop: _Loop, place: int) -> int | None:
    """The stored tensor that a carried tensor begins as."""
    kind, op, _ = loop.outer.maker(loop.op.inputs[place])
    return loop.outer.constant(op.input(1) if kind == "FILL" and op is not None else loop.op.inputs[place])


def _is_zero(loop: _Loop, place: int, leaves: set[Leaf]) -> bool:
    """Whether a state begins as zeros, from graph or file."""
    constant = _beginning(loop, place)
    if constant is None or not is_zero(loop.outer, constant):
        return False
    leaves.add((loop.outer.number, constant))
    return True
