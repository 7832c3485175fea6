"""Finds the order of steps around an LSTM of an ONNX graph.

Source: ONNX operators ReverseSequence, Scan and Slice, since 16.
"""

from __future__ import annotations

from typing import NamedTuple

from ..codecs.limits import escape
from .flow import SAME
from .folding import Folding
from .scopes import Scope, Value

_MOST_STEPS = 8
#: Values that outputs may be handed on as.
_MOST_VALUES = 64
#: No sequence is as long; an end before it, from the end on, is its beginning.
_FAR = 1 << 30
#: What hands on a sequence of outputs.
_HANDS_ON = (*SAME, "Transpose", "Concat", "ConcatFromSequence", "SequenceInsert", "Add", "Mul")


class Reversal(NamedTuple):
    """Whether a sequence is reversed along its steps, and why that is not sure."""

    backward: bool
    problem: str = ""


def reversal(folding: Folding, value: Value | None) -> Reversal:
    """What a graph does with a sequence whose first axis is that of steps."""
    backward, axis = False, 0
    for _ in range(_MOST_STEPS):
        node = value.scope.maker(value)[0] if value is not None else None
        if value is None or node is None or node.op_type not in (*SAME, "Transpose", "ReverseSequence", "Slice"):
            break
        inputs, attributes = value.scope.inputs(node), value.scope.attributes(node)
        if node.op_type == "Transpose":
            perm = list(attributes.get("perm", ()))
            if axis >= len(perm):
                return Reversal(backward, "its sequence is transposed, with axes that are not known")
            axis = perm[axis]
        elif node.op_type == "ReverseSequence":
            if attributes.get("time_axis", 0) != axis:
                return Reversal(backward, "its sequence is reversed along another axis than that of the steps")
            backward = not backward
        elif node.op_type == "Slice":
            steps = _of_slice(folding, inputs, axis)
            if steps.problem:
                return steps
            backward = backward != steps.backward
        elif node.op_type not in ("Identity", "Dropout", "Cast"):
            mixed = f"its sequence is made by {escape(node.op_type)}, which may mix steps"
            return Reversal(backward, mixed if axis == 0 else "")
        value = inputs[0]
    return Reversal(backward)


def _of_slice(folding: Folding, inputs: list[Value | None], axis: int) -> Reversal:
    """Whether a slice takes all of an axis from the end."""
    starts, ends, axes, by = (folding.integers(one) for one in (*inputs[1:5], None, None, None, None)[:4])
    if len(inputs) < 5 or (by is not None and all(step > 0 for step in by)):
        return Reversal(False)
    if (
        by != [-1]
        or axes != [axis]
        or starts is None
        or starts[0] not in (-1, (1 << 63) - 1, (1 << 31) - 1)
        or not ends
        or ends[0] > -_FAR
    ):
        return Reversal(False, "its sequence is cut or reversed in another way than all of its steps")
    return Reversal(True)


def is_reversed_back(folding: Folding, loop: Scope) -> bool:
    """Whether the outputs of a loop, or some of them, are reversed after it."""
    around = loop.around
    nodes = [node for node in around.graph.node if node.op_type == loop.kind] if around is not None else []
    node = next((one for one in nodes if (one.name or next(iter(one.output), "")) == loop.label), None)
    if around is None or node is None:
        return False
    if any(around.attributes(node).get("scan_output_directions", ())):
        return True
    reached = set(node.output)
    for one in around.graph.node:  # which are in the order in which they run
        if reached.isdisjoint(one.input):
            continue
        by = folding.integers(around.value(one.input[4])) if one.op_type == "Slice" and len(one.input) > 4 else None
        if one.op_type == "ReverseSequence" or (by is not None and min(by, default=0) < 0):
            return True
        if one.op_type in _HANDS_ON and len(reached) < _MOST_VALUES:
            reached |= set(one.output)
    return False
