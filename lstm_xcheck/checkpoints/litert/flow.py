"""What the operators of a LiteRT graph compute, for the search of LSTM steps.

Source: TensorFlow 2.21, models that its converter makes of Keras 3.15 and tf_keras 2.21.
"""

from __future__ import annotations

import numpy as np

from ...model.spec import HARD_SIGMOID_KERAS3
from ..tensor_info import TensorInfo
from ..written.flow import Made, Part
from .graph import Graph, Operator

_FUNCTIONS = {"LOGISTIC": "sigmoid", "TANH": "tanh", "RELU": "relu"}
_PLAIN = {"ADD": "add", "MUL": "mul"}
_RELU6 = 3


def begin(graph: Graph, number: int) -> int | None:
    """The stored tensor that a state begins as, perhaps filled with one number."""
    kind, op, _ = graph.maker(number)
    return graph.constant(op.input(1) if kind == "FILL" and op is not None else number)


class GraphFlow:
    """The data flow of one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def place(self, number: int) -> tuple[Graph, int] | None:
        """The stored tensor behind a tensor, and its graph."""
        found = self.graph.constant(number)
        return None if found is None else (self.graph, found)

    def constant(self, value: int) -> TensorInfo | None:
        """The stored tensor that a value is."""
        found = self.place(value)
        return None if found is None else found[0].stored(found[1])

    def name(self, value: int) -> str:
        """What the file calls a value."""
        graph, number = self.place(value) or (self.graph, value)
        return graph.tensors[number].name

    def width(self, value: int) -> int | None:
        """How long its last axis is."""
        return next(iter(self.graph.tensors[value].shape[-1:]), None)

    def is_state(self, value: int, h: int) -> bool:
        """Nothing but a loop knows."""
        return False

    def computed_by(self, value: int) -> str:
        """The operator that computes a state; none where it is given or constant."""
        return "" if begin(self.graph, value) is not None else self.graph.maker(value)[0]

    def becomes(self, value: int) -> int | None:
        """Nothing but a loop has states."""
        return None

    def scalar(self, number: int) -> float | None:
        """The value of a constant of one number."""
        found = self.place(number)
        if found is None:
            return None
        tensor = found[0].tensors[found[1]]
        if any(n != 1 for n in tensor.shape) or tensor.dtype not in ("float32", "float16", "int32", "int64"):
            return None
        return float(found[0].model.values(tensor).reshape(-1)[0])

    def made(self, value: int) -> Made[int]:
        """What makes a value."""
        kind, op, place = self.graph.maker(value)
        if op is None or not op.inputs:
            return Made("no operator")
        if kind in _FUNCTIONS:
            return Made("function", op.inputs[:1], _FUNCTIONS[kind])
        if kind in _PLAIN and len(op.inputs) == 2:
            inner = self._hard_sigmoid(op) if kind == "MUL" else None
            if inner is not None:
                return Made("function", (inner,), HARD_SIGMOID_KERAS3)
            return Made(kind if op.option(0, "<b") else _PLAIN[kind], op.inputs)
        if kind == "SPLIT" and len(op.inputs) == 2 and self._is_last(op.input(0), op.input(1)):
            return Made("part", op.inputs[1:], part=Part(place, place + 1, len(op.outputs)))
        shapes = [self.graph.tensors[number].shape[-1:] for number in (op.input(0), value)]
        if kind == "RESHAPE" and shapes[0] == shapes[1]:
            return Made("same", op.inputs[:1])
        inputs = tuple(number for number in op.inputs if number >= 0)
        if kind == "FULLY_CONNECTED" and len(inputs) > 1 and not op.option(0, "<b"):
            return Made("product", inputs[:3], transposed=True, name=self.graph.tensors[value].name)
        return Made(kind, inputs)

    def _is_last(self, axis: int, value: int) -> bool:
        """Whether a constant is the number of the last axis."""
        number, rank = self.scalar(axis), len(self.graph.tensors[value].shape)
        return number is not None and number in (-1, rank - 1)

    def _hard_sigmoid(self, op: Operator) -> int | None:
        """The argument of relu6(x + 3) / 6."""
        for scale, other in (op.inputs, op.inputs[::-1]) if len(op.inputs) == 2 else ():
            kind, inner, _ = self.graph.maker(other)
            if kind == "ADD" and inner and inner.option(0, "<b") == _RELU6 and len(inner.inputs) == 2:
                factor = self.scalar(scale)
                if factor is not None and np.float32(factor) == np.float32(1 / 6) and self.scalar(inner.inputs[1]) == 3:
                    return inner.inputs[0]
        return None
