"""Makes one ONNX model of a stack: an LSTM node for each layer.

Inputs are `x` (steps, batch, input), `lengths` if the case has some, and `h0_k`, `c0_k` of layer k if it has states.
Outputs are `y_k` (steps, batch, directions x hidden), `h_k` and `c_k` (directions, batch, hidden) of layer k.
All dimensions are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ...arrays import STORAGE, Array
from ...errors import SpecError
from ...layouts import layout_named
from ...layouts.naming import tensor_names
from ...layouts.onnx_node import node_attributes
from ...model import Case, LSTMSpec
from ..case_arrays import explicit_states

#: Operator set and version of the file format; every runtime here reads both.
OPSET, IR_VERSION = 14, 8

_LAYOUT = layout_named("onnx")
_TYPES = {"float64": TensorProto.DOUBLE, "float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}


@dataclass
class OnnxStack:
    """A spec, and initializers that hold its weights, by the layout's names."""

    spec: LSTMSpec
    precision: str
    initializers: dict[str, TensorProto] = field(default_factory=dict)

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Make the initializers; names and shapes must be those of the spec."""
        expected = _shapes(self.spec)
        given = {name: array.shape for name, array in arrays.items()}
        if given != expected:
            raise SpecError(
                f"the arrays have shapes {given}, but should be {expected}; take them from to_layout('onnx')"
            )
        self.initializers = {name: numpy_helper.from_array(np.array(array), name) for name, array in arrays.items()}

    def arrays(self) -> dict[str, Array]:
        """The weights as the model holds them."""
        return {name: numpy_helper.to_array(tensor) for name, tensor in self.initializers.items()}

    def count(self) -> int:
        """Elements of all initializers, by their own dimensions."""
        return sum(int(np.prod(tensor.dims)) for tensor in self.initializers.values())


def inputs_of(case: Case, *, always_states: bool) -> dict[str, Array]:
    """The model's inputs by name; absent states are zeros or left out."""
    dtype = STORAGE[case.precision]
    inputs = {"x": np.ascontiguousarray(case.x.swapaxes(0, 1), dtype)}
    if case.lengths is not None:
        inputs["lengths"] = case.lengths.astype(np.int32)
    if always_states or case.h0 is not None or case.c0 is not None:
        for name, states in zip(("h0", "c0"), explicit_states(case), strict=True):
            of_layers = states.reshape(case.spec.num_layers, case.spec.num_directions, *states.shape[1:])
            inputs.update({f"{name}_{layer}": np.array(array, dtype) for layer, array in enumerate(of_layers)})
    return inputs


def make_model(stack: OnnxStack, inputs: Mapping[str, Array]) -> onnx.ModelProto:
    """The model that takes these inputs, with their shapes."""
    spec, kind = stack.spec, _TYPES[stack.precision]
    steps, batch, _ = inputs["x"].shape
    states = [spec.num_directions, batch, spec.hidden_size]
    nodes, outputs, source = [], [], "x"
    for layer in range(spec.num_layers):
        nodes += _layer_nodes(stack, layer, source, inputs)
        source = f"y_{layer}"
        shapes = {"y": [steps, batch, spec.num_directions * spec.hidden_size], "h": states, "c": states}
        outputs += [helper.make_tensor_value_info(f"{name}_{layer}", kind, shape) for name, shape in shapes.items()]
    given = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in inputs.items()
    ]
    joined = numpy_helper.from_array(np.array([0, 0, -1]), "joined")
    graph = helper.make_graph(nodes, "stack", given, outputs, [*stack.initializers.values(), joined])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model


def _layer_nodes(stack: OnnxStack, layer: int, source: str, inputs: Mapping[str, Array]) -> list[onnx.NodeProto]:
    """The LSTM, and the nodes that lay its directions side by side."""
    weights = _names(stack.spec, layer)
    order = [weights["W"], weights["R"], weights["B"], "lengths", f"h0_{layer}", f"c0_{layer}", weights["P"]]
    operands = [source, *(name if name in inputs or name in stack.initializers else "" for name in order)]
    while not operands[-1]:
        operands.pop()
    lstm, transposed = [f"{name}_{layer}" for name in ("steps", "h", "c")], f"transposed_{layer}"
    return [
        helper.make_node("LSTM", operands, lstm, **node_attributes(stack.spec)),
        helper.make_node("Transpose", lstm[:1], [transposed], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", [transposed, "joined"], [f"y_{layer}"]),
    ]


def _names(spec: LSTMSpec, layer: int) -> dict[str, str]:
    """Operand of the operator -> the layout's name of it in a layer."""
    return {
        tensor.name.removeprefix("{layer}"): tensor_names(_LAYOUT, tensor, layer, 0, spec.num_layers, 1)[0]
        for tensor in _LAYOUT.tensors
    }


def _shapes(spec: LSTMSpec) -> dict[str, tuple[int, ...]]:
    """Shape of each weight of the operator, by the layout's names."""
    directions, hidden = spec.num_directions, spec.hidden_size
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(spec.num_layers):
        names = _names(spec, layer)
        shapes[names["W"]] = (directions, 4 * hidden, spec.layer_input_size(layer))
        shapes[names["R"]] = (directions, 4 * hidden, hidden)
        if spec.bias != "none":
            shapes[names["B"]] = (directions, 8 * hidden)
        if spec.peepholes:
            shapes[names["P"]] = (directions, 3 * hidden)
    return shapes
