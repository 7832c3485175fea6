"""Builds an ONNX graph: nodes and tensors.

Source: ONNX operators LSTM (since 14 and 22), Transpose, Reshape, ReduceSum, ReduceMean, ReduceProd, ReduceMax.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx
from onnx import helper

from ...arrays import Array, stored_values
from ...errors import CheckpointError
from ...layouts.onnx_node import NotInSpecError, node_attributes
from ...model import LSTMWeights
from ..codecs.limits import escape
from ..layout_arrays import layout_arrays

TYPES = {
    "float32": onnx.TensorProto.FLOAT, "float64": onnx.TensorProto.DOUBLE, "float16": onnx.TensorProto.FLOAT16,
    "bfloat16": onnx.TensorProto.BFLOAT16, "int64": onnx.TensorProto.INT64,
}  # fmt: skip
_OUTPUTS = ("Y", "Y_h", "Y_c")
#: Since this operator set all reductions take their axes as an input; before, ReduceSum alone.
_AXES_AS_INPUT = 18


class Graph:
    """What is written so far.

    Attributes:
        opset: the operator set.
        nodes: in the order in which they run.
        inputs: of the graph.
        outputs: of the graph.
        tensors: by name.
    """

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.tensors: dict[str, Any] = {}

    def add(self, operator: str, inputs: Sequence[str], output: str, name: str = "", **attributes: Any) -> str:
        """One more node with one output, whose name is given back."""
        self.nodes.append(helper.make_node(operator, list(inputs), [output], name=name, **attributes))
        return output

    def numbers(self, name: str, numbers: Sequence[int]) -> str:
        """A shape or axes as a tensor."""
        self.tensors[name] = helper.make_tensor(name, onnx.TensorProto.INT64, [len(numbers)], list(numbers))
        return name

    def weights(self, name: str, array: Array, dtype: str) -> str:
        """An array as a tensor."""
        if name in self.tensors:
            raise CheckpointError(f"two layers would be stored as {escape(name)}; rename one with --rename")
        self.tensors[name] = tensor_of(name, array, dtype)
        return name

    def reduce(self, operator: str, source: str, axis: int, output: str) -> str:
        """A reduction over one axis, which is gone then."""
        if operator == "ReduceSum" or self.opset >= _AXES_AS_INPUT:
            return self.add(operator, [source, self.numbers(f"axis_{axis}", [axis])], output, keepdims=0)
        return self.add(operator, [source], output, axes=[axis], keepdims=0)

    def lstm(self, name: str, weights: LSTMWeights, source: str, prefix: str) -> None:
        """One LSTM node, its outputs called `<prefix>Y`, `<prefix>Y_h` and `<prefix>Y_c`."""
        try:
            attributes = node_attributes(weights.spec)
        except NotInSpecError as error:
            raise CheckpointError(f"LSTM {escape(name)} cannot be written: {error}") from error
        arrays = layout_arrays(name, weights, "onnx")
        for kind, array in arrays.items():
            self.weights(f"{name}.{kind}", array, weights.dtype)
        places = [f"{name}.{kind}" if kind in arrays else "" for kind in ("W", "R", "B")]
        inputs = [source, *places, "", "", "", f"{name}.P"] if "P" in arrays else [source, *places]
        while not inputs[-1]:
            inputs.pop()
        outputs = [prefix + output for output in _OUTPUTS]
        self.nodes.append(helper.make_node("LSTM", inputs, outputs, name=name, **attributes))

    def joined(self, name: str) -> str:
        """Joins directions: (steps, batch, directions x hidden)."""
        transposed = self.add("Transpose", [f"{name}.Y"], f"{name}.turned", perm=[0, 2, 1, 3])
        return self.add("Reshape", [transposed, self.numbers("joined", [0, 0, -1])], f"{name}.out")

    def model(self) -> Any:
        """The model, with the IR version of its operator set."""
        graph = helper.make_graph(self.nodes, "lstms", self.inputs, self.outputs, list(self.tensors.values()))
        imports = [helper.make_opsetid("", self.opset)]
        return helper.make_model(
            graph, opset_imports=imports, ir_version=IR_VERSIONS[self.opset], producer_name="lstm-xcheck"
        )


#: Operator set -> version of the file format that came with it, as readers that old expect.
IR_VERSIONS = {14: 7, 22: 10}


def value(name: str, dtype: str, shape: Sequence[Any]) -> Any:
    """An input or output of a graph."""
    return helper.make_tensor_value_info(name, TYPES[dtype], list(shape))


def tensor_of(name: str, array: Array, dtype: str) -> Any:
    """An array as ONNX stores it."""
    return onnx.TensorProto(
        name=name, data_type=TYPES[dtype], dims=array.shape, raw_data=stored_values(array, dtype).tobytes()
    )
