"""LiteRT's fused operator UNIDIRECTIONAL_SEQUENCE_LSTM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from ...arrays import Array
from ...errors import SpecError
from ...layouts import layout_named
from ...layouts.naming import tensor_names
from ...model import Case, LSTMSpec, Result
from ..case_arrays import explicit_states
from ..layers import StackTensors, stack_result
from ..protocol import plain_function_only

OPERATOR = "UNIDIRECTIONAL_SEQUENCE_LSTM"

#: The bound that the converter puts on cell states.
CELL_CLIP = 10.0

#: Inputs of the operator by canonical array, in the order of the layout's gates, and its states h and c.
_INPUTS = {"W": (1, 2, 3, 4), "U": (5, 6, 7, 8), "b": (12, 13, 14, 15)}
_STATES = (18, 19)

#: Attributes by which the converter knows the function that Keras 2 calls; it puts the operator in its place.
_IMPLEMENTS = {"api_implements": "lstm_", "api_preferred_device": "CPU", "time_major": False, "go_backwards": False}


@dataclass
class Converted:
    """A stack in LiteRT; `operators` are over layers and directions, each as (inputs, output)."""

    spec: LSTMSpec
    interpreter: Any = None
    operators: tuple[tuple[list[int], int], ...] = ()


class LiteRT:
    """One operator for each direction, as `tf.lite.TFLiteConverter` makes it, in ai_edge_litert's interpreter.

    Layout `litert`. Read from tensorflow 2.21, tensorflow/compiler/mlir/lite/utils/lstm_utils.cc, and
    tensorflow/lite/kernels/unidirectional_sequence_lstm.cc. It knows no padding. The converter bounds every cell state
    to 10, whatever the model says, and weights are constants: each load converts anew. States are variables that
    outlive a run, so all are reset before each.
    """

    layout = "litert"

    def __init__(self, name: str) -> None:
        self.name = name

    def environment(self) -> dict[str, str]:
        """Versions of the interpreter and of the converter."""
        return {"ai-edge-litert": version("ai-edge-litert"), "tensorflow": tf.__version__}

    def unsupported(self, case: Case) -> str | None:
        """Padding, projections, peepholes, other precisions and functions; a clip of 10 is there."""
        spec = case.spec
        if case.lengths is not None or case.mask is not None:
            return f"lengths: {OPERATOR} reads every step of every row"
        if case.precision != "float32":
            return f"precision: {OPERATOR} computes float32, not {case.precision}"
        if spec.bias == "none":
            return f"bias: {OPERATOR} always has one"
        if spec.proj_size:
            return "projection: the converter knows no LSTM with one"
        if spec.cell_clip == CELL_CLIP:
            spec = replace(spec, cell_clip=None)
        return plain_function_only(spec, OPERATOR)

    def computes_in(self, case: Case) -> tuple[str, str]:
        """The precision of the case, float32."""
        return case.precision, ""

    def build(self, spec: LSTMSpec, precision: str) -> Converted:
        """A place for the stack; it is converted with its weights."""
        return Converted(spec)

    def load(self, model: Converted, arrays: Mapping[str, Array]) -> None:
        """Convert the stack with these weights as constants."""
        found = _converted(model.spec, [_cell(arrays, names) for names in _stored_names(model.spec)])
        model.interpreter = Interpreter(model_content=found, num_threads=1)
        by_output = {op["outputs"][0]: list(op["inputs"]) for op in _operators(model.interpreter)}
        outputs = model.interpreter.get_signature_runner().get_output_details()
        indices = [outputs[name]["index"] for name in sorted(outputs)]
        if sorted(by_output) != sorted(indices):
            names = [op["op_name"] for op in model.interpreter._get_ops_details()]
            raise SpecError(f"the converter made {names}, but should make one {OPERATOR} for each direction")
        model.operators = tuple((by_output[index], index) for index in indices)

    def read_back(self, model: Converted) -> dict[str, Array]:
        """Read the constants in the interpreter."""
        return {
            name: model.interpreter.get_tensor(inputs[position])
            for names, (inputs, _) in zip(_stored_names(model.spec), model.operators, strict=True)
            for part, positions in _INPUTS.items()
            for name, position in zip(names[part], positions, strict=True)
        }

    def count_parameters(self, model: Converted) -> int:
        """Sum of the sizes of the operators' constants."""
        return sum(array.size for array in self.read_back(model).values())

    def run(self, model: Converted, case: Case) -> Result:
        """Give the states to the operators' variables, invoke once, and read them."""
        interpreter = model.interpreter
        states = list(zip(*explicit_states(case), strict=True))
        (x,) = interpreter.get_input_details()
        interpreter.resize_tensor_input(x["index"], case.x.shape)
        for (inputs, _), pair in zip(model.operators, states, strict=True):
            for position, state in zip(_STATES, pair, strict=True):
                interpreter.resize_tensor_input(inputs[position], state.shape)
        interpreter.allocate_tensors()
        interpreter.reset_all_variables()
        interpreter.set_tensor(x["index"], case.x)
        for (inputs, _), pair in zip(model.operators, states, strict=True):
            for position, state in zip(_STATES, pair, strict=True):
                interpreter.set_tensor(inputs[position], state)
        interpreter.invoke()
        width = case.spec.num_directions
        outputs = [interpreter.get_tensor(output) for _, output in model.operators]
        outputs = [y[:, ::-1] if case.spec.is_backward(row % width) else y for row, y in enumerate(outputs)]
        layers = [np.concatenate(outputs[row : row + width], axis=-1) for row in range(0, len(outputs), width)]
        h_n, c_n = ([interpreter.get_tensor(inputs[k]) for inputs, _ in model.operators] for k in _STATES)
        return stack_result(StackTensors(layers, h_n, c_n), case, np.asarray)


def _stored_names(spec: LSTMSpec) -> list[dict[str, list[str]]]:
    """The layout's names over layers and directions, by canonical array."""
    row = layout_named("litert")
    return [
        {
            tensor.parts[0]: tensor_names(row, tensor, layer, direction, spec.num_layers, spec.num_directions)
            for tensor in row.tensors
        }
        for layer in range(spec.num_layers)
        for direction in range(spec.num_directions)
    ]


def _cell(arrays: Mapping[str, Array], names: dict[str, list[str]]) -> list[Array]:
    """Kernel, recurrent kernel and bias as Keras 2 has them."""
    kernel, recurrent = (np.concatenate([arrays[name].T for name in names[part]], axis=1) for part in ("W", "U"))
    return [kernel, recurrent, np.concatenate([arrays[name] for name in names["b"]])]


def _operators(interpreter: Any) -> list[dict[str, Any]]:
    return [op for op in interpreter._get_ops_details() if op["op_name"] == OPERATOR]


def _converted(spec: LSTMSpec, cells: list[list[Array]]) -> bytes:
    """A model for one row of one step, whose tensors the interpreter resizes.

    It returns what each operator returns, backward directions in their own order of steps.
    """

    def standard_lstm(x: Any, h0: Any, c0: Any, kernel: Any, recurrent: Any, bias: Any) -> tuple[Any, ...]:
        y = tf.zeros([1, 1, spec.hidden_size]) + x[..., :1]  # only its shape counts: the converter replaces the body
        return y[:, -1], y, h0, c0, tf.constant(0.0)

    def run(x: Any) -> dict[str, Any]:
        outputs = {}
        zeros = tf.zeros([1, spec.hidden_size])
        for layer in range(spec.num_layers):
            both = []
            for direction in range(spec.num_directions):
                row = layer * spec.num_directions + direction
                given = tf.reverse(x, [1]) if spec.is_backward(direction) else x
                attributes = {**_IMPLEMENTS, "api_implements": f"lstm_{row}"}
                lstm = tf.function(standard_lstm, autograph=False, experimental_attributes=attributes)
                y = lstm(given, zeros, zeros, *map(tf.constant, cells[row]))[1]
                outputs[f"y{row:06d}"] = y
                both.append(tf.reverse(y, [1]) if spec.is_backward(direction) else y)
            x = tf.concat(both, axis=-1) if len(both) > 1 else both[0]
        return outputs

    module = tf.Module()
    module.run = tf.function(run, input_signature=[tf.TensorSpec([1, 1, spec.input_size])], autograph=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.run.get_concrete_function()], module)
    content: bytes = converter.convert()
    return content
