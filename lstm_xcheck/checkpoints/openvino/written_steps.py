"""Names LSTMs that an OpenVINO graph writes out by operators.

Its converter does so with cells.

Source: OpenVINO 2026.4.1, graphs that openvino.convert_model makes of torch 2.13 modules and of ONNX models.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

from ..codecs.limits import escape
from ..model import UnreadLSTM
from ..tensor_info import TensorInfo
from ..written.flow import Made
from ..written.recurrence import Recurrences
from .constants import Constants
from .graph import Graph, Source, graphs

_WRITTEN = "its steps are written out by operators; port the file that the model was converted from"
#: What is called otherwise than in other graphs.
_KINDS = {
    "Multiply": "mul",
    "Subtract": "sub",
    "Divide": "div",
    "Clamp": "clip",
    "ShapeOf": "shape",
    "Const": "constant",
}
_BODIES = ("TensorIterator", "Loop", "If")


class Value(NamedTuple):
    """An output of a layer."""

    graph: Graph
    source: Source


class _GraphFlow:
    """The data flow of a model."""

    def __init__(self, constants: Constants) -> None:
        self._constants = constants

    def made(self, value: Value) -> Made[Value]:
        """What makes a value; a parameter that never changes is one outside."""
        graph, (name, _) = value
        if name in graph.outer:
            return Made("same", (Value(*graph.outer[name]),))
        layer = graph.layers[name]
        kind = layer.get("type", "")
        inputs = tuple(Value(graph, source) for source in graph.inputs(layer) if source is not None)
        return Made("loop" if kind in _BODIES else _KINDS.get(kind, kind), inputs)

    def constant(self, value: Value) -> TensorInfo | None:
        """The stored tensor that a value is, past what widens it."""
        layer = value.graph.layers[value.source[0]]
        if layer.get("type") == "Const":
            return self._constants.stored(layer)
        made = self.made(value)
        return self.constant(made.inputs[0]) if made.kind in ("same", "Convert") and len(made.inputs) == 1 else None

    def becomes(self, value: Value) -> Value | None:
        """What a state of a loop is after a step; None for all else."""
        source = value.graph.carried.get(value.source[0])
        return None if source is None else Value(value.graph, source)


def written_lstms(path: Path, root: Element, constants: Constants) -> Iterator[UnreadLSTM]:
    """Every LSTM that the graphs write out."""
    layers = [(graph, layer) for graph in graphs(path, root) for layer in graph.layers.values()]
    values = [
        Value(graph, (layer.get("id", ""), k))
        for graph, layer in layers
        for k in range(len(layer.findall("output/port")))
    ]
    for state, _, weights in Recurrences(_GraphFlow(constants)).find(values):
        name = state.graph.layers[state.source[0]].get("name", "").strip("/")
        yield UnreadLSTM(escape(name, 200) or "lstm", f"{_WRITTEN}; its weights are {weights}")
