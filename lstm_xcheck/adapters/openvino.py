"""OpenVINO's own operator LSTMSequence, and its CPU device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import openvino
import openvino.opset13 as operators

from ..arrays import STORAGE, Array
from ..errors import SpecError
from ..layouts import layout_named
from ..layouts.naming import tensor_names
from ..model import Case, LSTMSpec, Result
from ..model.spec import Activation
from .case_arrays import explicit_states
from .layers import StackTensors, stack_result
from .refusals import refusals_of

#: What errors say for which OpenVINO refuses a model.
REFUSALS = ("Unknown activation function", "Unsupported activation function")

_LAYOUT = layout_named("openvino")
#: Names of element types, as the hint says them.
_HINTS = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}


class Cpu:
    """OpenVINO's CPU device, one thread, with a hint about its precision.

    Without a hint, newer processors compute in bfloat16. A hint may be overruled: there, `f16` is bfloat16, too.

    Args:
        hint: INFERENCE_PRECISION_HINT, by default `bf16` for bfloat16 and `f32` for all else; "" leaves it out.
    """

    def __init__(self, hint: str | None = None) -> None:
        self.core = openvino.Core()
        self._hint = hint
        self._reported: dict[str, str] = {}

    def environment(self) -> dict[str, str]:
        """Version, device, and what models compiled for float32 report."""
        return {
            "openvino": openvino.__version__,
            "device": f"CPU: {self.core.get_property('CPU', 'FULL_DEVICE_NAME')}",
            "INFERENCE_PRECISION_HINT": self.reported("float32"),
        }

    def reported(self, precision: str) -> str:
        """What compiled models report that were made for a precision."""
        hint = self._settings(precision).get("INFERENCE_PRECISION_HINT", "")
        if hint not in self._reported:
            number = operators.parameter([1], np.float32)
            compiled = self.compile(openvino.Model([operators.relu(number)], [number]), precision)
            self._reported[hint] = precision_of(compiled)
        return self._reported[hint]

    def computes_in(self, precision: str) -> tuple[str, str]:
        """The reported precision; float32 with operands in float16 is float16."""
        reported = self.reported(precision)
        if reported == precision or (reported, precision) == ("float32", "float16"):
            return precision, ""
        return reported, f"OpenVINO's compiled model reports INFERENCE_PRECISION_HINT {reported}"

    def compile(self, model: Any, precision: str) -> Any:
        """The compiled model."""
        return self.core.compile_model(model, "CPU", self._settings(precision))

    def run(self, model: Any, inputs: Mapping[str, Array], precision: str) -> list[Array]:
        """Compile the model and run it once; the inputs are in its order."""
        compiled = self.compile(model, precision)
        found = compiled(list(inputs.values()))
        return [np.array(found[output]) for output in compiled.outputs]

    def _settings(self, precision: str) -> dict[str, Any]:
        hint = self._hint
        if hint is None:
            hint = "bf16" if precision == "bfloat16" else "f32"
        return {"INFERENCE_NUM_THREADS": 1, **({"INFERENCE_PRECISION_HINT": hint} if hint else {})}


def precision_of(compiled: Any) -> str:
    """The precision that a compiled model reports."""
    return _HINTS[compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()]


@dataclass
class OpenvinoStack:
    """A spec, and constants that hold its weights, by the layout's names."""

    spec: LSTMSpec
    precision: str
    constants: dict[str, Any] = field(default_factory=dict)


class Openvino:
    """`opset13.lstm_sequence`, batch first (OpenVINO 2026.4.1, src/core/src/op/lstm_sequence.cpp).

    The layout is `openvino`. All dimensions are known: lengths are ignored where the batch or the number of steps is
    not. At padding y is 0 and states stay.
    """

    layout = "openvino"

    def __init__(self, name: str) -> None:
        self.name = name
        self.cpu = Cpu()

    def environment(self) -> dict[str, str]:
        """Version, device and settings."""
        return self.cpu.environment()

    def unsupported(self, case: Case) -> str | None:
        """Masks with holes, projections, peepholes, coupled gates, clips but of the gates."""
        spec = case.spec
        if case.mask is not None:
            return "mask: LSTMSequence knows lengths but no mask with holes"
        if case.precision == "bfloat16" and self.cpu.reported("bfloat16") != "bfloat16":
            return "bfloat16: OpenVINO does not compute in it on this processor"
        lacking = {
            "projection": spec.proj_size,
            "peepholes": spec.peepholes,
            "cell clip": spec.cell_clip,
            "coupled gates": spec.coupling,
        }
        missing = next((name for name, value in lacking.items() if value), None)
        return f"{missing}: LSTMSequence has none" if missing else None

    def computes_in(self, case: Case) -> tuple[str, str]:
        """What compiled models report."""
        return self.cpu.computes_in(case.precision)

    def build(self, spec: LSTMSpec, precision: str) -> OpenvinoStack:
        """Zeros of the spec's shapes; each case makes a graph of its own."""
        directions, hidden = spec.num_directions, spec.hidden_size
        stack = OpenvinoStack(spec, precision)
        for layer in range(spec.num_layers):
            shapes = ((4 * hidden, spec.layer_input_size(layer)), (4 * hidden, hidden), (4 * hidden,))
            for name, shape in zip(_names(spec, layer), shapes, strict=True):
                stack.constants[name] = operators.constant(np.zeros((directions, *shape), STORAGE[precision]))
        return stack

    def load(self, model: OpenvinoStack, arrays: Mapping[str, Array]) -> None:
        """Replace the constants; without a bias it stays zero."""
        expected = {name: tuple(constant.shape) for name, constant in model.constants.items()}
        if model.spec.bias == "none":
            expected = {name: shape for name, shape in expected.items() if len(shape) == 3}
        given = {name: array.shape for name, array in arrays.items()}
        if given != expected:
            raise SpecError(
                f"the arrays have shapes {given}, but should be {expected}; take them from to_layout('openvino')"
            )
        model.constants.update({name: operators.constant(np.array(array)) for name, array in arrays.items()})

    def read_back(self, model: OpenvinoStack) -> dict[str, Array]:
        """Read from the constants, without the zeros of an absent bias."""
        return {name: np.array(constant.data) for name, constant in _weights(model).items()}

    def count_parameters(self, model: OpenvinoStack) -> int:
        """Elements of the constants, by their own shapes."""
        return sum(int(np.prod(tuple(constant.shape))) for constant in _weights(model).values())

    def run(self, model: OpenvinoStack, case: Case) -> Result:
        """Compile the graph of all layers and run it once."""
        inputs = _inputs(case)
        with refusals_of("openvino", REFUSALS):
            outputs = self.cpu.run(_graph(model, inputs), inputs, model.precision)
        found = StackTensors(
            layers=outputs[0::3],
            h_n=[state for states in outputs[1::3] for state in states.swapaxes(0, 1)],
            c_n=[state for states in outputs[2::3] for state in states.swapaxes(0, 1)],
        )
        return stack_result(found, case, np.asarray)


def _weights(model: OpenvinoStack) -> dict[str, Any]:
    """The constants that are parameters."""
    has_bias = model.spec.bias != "none"
    return {name: constant for name, constant in model.constants.items() if has_bias or len(constant.shape) == 3}


def _names(spec: LSTMSpec, layer: int) -> list[str]:
    """The layout's names of W, R and B in a layer."""
    return [tensor_names(_LAYOUT, tensor, layer, 0, spec.num_layers, 1)[0] for tensor in _LAYOUT.tensors]


def _inputs(case: Case) -> dict[str, Array]:
    """The graph's inputs; the operator needs lengths and states always."""
    dtype = STORAGE[case.precision]
    lengths = np.full(case.batch, case.steps) if case.lengths is None else case.lengths
    inputs = {"x": np.array(case.x, dtype), "lengths": lengths.astype(np.int32)}
    for name, states in zip(("h0", "c0"), explicit_states(case), strict=True):
        of_layers = states.reshape(case.spec.num_layers, case.spec.num_directions, *states.shape[1:])
        for layer, array in enumerate(of_layers):
            inputs[f"{name}_{layer}"] = np.ascontiguousarray(array.swapaxes(0, 1), dtype)
    return inputs


def _graph(model: OpenvinoStack, inputs: Mapping[str, Array]) -> Any:
    """The layers, each with y (batch, steps, width), h and c (batch, directions, hidden)."""
    spec = model.spec
    given = {name: operators.parameter(list(array.shape), array.dtype) for name, array in inputs.items()}
    y, outputs = given["x"], []
    for layer in range(spec.num_layers):
        states = [given[f"{name}_{layer}"] for name in ("h0", "c0")]
        weights = [model.constants[name] for name in _names(spec, layer)]
        sequence = operators.lstm_sequence(y, *states, given["lengths"], *weights, **_attributes(spec))
        transposed = operators.transpose(sequence.output(0), operators.constant([0, 2, 1, 3]))
        y = operators.reshape(transposed, operators.constant([0, 0, -1]), special_zero=True)
        outputs += [y.output(0), sequence.output(1), sequence.output(2)]
    return openvino.Model(outputs, list(given.values()))


def _attributes(spec: LSTMSpec) -> dict[str, Any]:
    """The operator's attributes; a function that it does not know is refused by OpenVINO."""
    functions = [Activation.parse(f) for f in (spec.gate_activation, spec.cell_activation, spec.output_activation)]
    with_numbers = [function for function in functions if function.kind == "hard_sigmoid"]
    return {
        "hidden_size": spec.hidden_size,
        "direction": "bidirectional" if spec.bidirectional else "reverse" if spec.reverse else "forward",
        "activations": [function.kind.replace("_", "") for function in functions],
        "activations_alpha": [function.alpha for function in with_numbers],
        "activations_beta": [function.beta for function in with_numbers],
        "clip": spec.gate_clip or 0.0,
    }
