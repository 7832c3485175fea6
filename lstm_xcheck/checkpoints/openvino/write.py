"""Writes OpenVINO IR without OpenVINO.

`X` (batch, steps, input) goes in; `Y`, `Y_h` and `Y_c` come out, from zero states.

Each LSTM is an LSTMSequence of its name for every layer; the layers of a stack follow one another. `Y` is (batch,
steps, directions x hidden), the states are (batch, directions, hidden). Where the file has several LSTMs, inputs and
outputs are called `<lstm>.X` and so on.
Source: OpenVINO 2026.4.1, LSTMSequence of operation set 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...errors import CheckpointError
from ...model import LSTMSpec, LSTMWeights
from ..codecs.limits import escape
from ..layout_arrays import chain_of, layout_arrays
from ..other_layers.model import OtherLayers
from ..template import Template
from .fill import fill_constants
from .ir_builder import Model, Output

_FUNCTIONS = ("sigmoid", "tanh", "relu")


def write(path: Path, lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers) -> None:
    """Writes the `.xml` and the `.bin` of the same name."""
    _refuse_other_suffix(path)
    model = Model("lstms")
    for name, weights in lstms.items():
        _add(model, name, weights, f"{name}." if len(lstms) > 1 else "")
    with path.with_suffix(".bin").open("xb") as file:
        file.write(model.weights())
    with path.open("xb") as file:
        file.write(model.xml())


def fill(path: Path, template: Template) -> None:
    """Writes the template's model with the weights of its LSTMs replaced."""
    _refuse_other_suffix(path)
    fill_constants(path, template.path, template.lstms)


def _refuse_other_suffix(path: Path) -> None:
    if path.suffix != ".xml":
        raise CheckpointError("OpenVINO loads a model by the suffix .xml; name the file so")


def _add(model: Model, name: str, weights: LSTMWeights, prefix: str) -> None:
    computed = "float64" if weights.dtype == "float64" else "float32"
    x = model.parameter(f"{prefix}X", computed, (-1, -1, weights.spec.input_size))
    sizes = model.add("ShapeOf", "opset3", [x], [("int64", (3,))], output_type="i64")[0]
    batch, steps = (_gathered(model, sizes, axis) for axis in (0, 1))
    lengths = model.add("Broadcast", "opset3", [steps, batch], [("int64", (-1,))], mode="numpy")[0]
    for label, layer in chain_of({name: weights}).items():
        x, h, c = _layer(model, label, layer, (x, batch, lengths), computed)
    for kind, output in (("Y", x), ("Y_h", h), ("Y_c", c)):
        model.result(f"{prefix}{kind}", output)


def _gathered(model: Model, sizes: Output, axis: int) -> Output:
    places = [model.constant([axis]), model.constant(np.array(0))]
    return model.add("Gather", "opset8", [sizes, *places], [("int64", (1,))], batch_dims="0")[0]


def _layer(
    model: Model, name: str, weights: LSTMWeights, given: tuple[Output, Output, Output], computed: str
) -> tuple[Output, Output, Output]:
    """Adds one LSTMSequence from zero states; returns y, h and c."""
    spec = weights.spec
    fields = _fields(name, spec)
    x, batch, lengths = given
    directions, hidden = spec.num_directions, spec.hidden_size
    rest = model.constant([directions, hidden])
    shape = model.add("Concat", "opset1", [batch, rest], [("int64", (3,))], axis="0")[0]
    state = (-1, directions, hidden)
    zero = model.constant(np.zeros((), np.float32), computed)
    states = model.add("Broadcast", "opset3", [zero, shape], [(computed, state)], mode="numpy")[0]
    arrays = layout_arrays(name, weights, "openvino")
    parts = [model.widened(model.constant(a, weights.dtype, f"{name}.{k}"), computed) for k, a in arrays.items()]
    if "B" not in arrays:
        size = model.constant([directions, 4 * hidden])
        parts += model.add("Broadcast", "opset3", [zero, size], [(computed, (directions, 4 * hidden))], mode="numpy")
    y, h, c = model.add(
        "LSTMSequence", "opset5", [x, states, states, lengths, *parts],
        [(computed, (-1, directions, -1, hidden)), (computed, state), (computed, state)], name=name, **fields,
    )  # fmt: skip
    transposed = model.add(
        "Transpose", "opset1", [y, model.constant([0, 2, 1, 3])], [(computed, (-1, -1, directions, hidden))]
    )[0]
    joined = model.add(
        "Reshape", "opset1", [transposed, model.constant([0, 0, directions * hidden])],
        [(computed, (-1, -1, directions * hidden))], special_zero="true",
    )[0]  # fmt: skip
    return joined, h, c


def _fields(name: str, spec: LSTMSpec) -> dict[str, str]:
    for option in ("proj_size", "peepholes", "cell_clip", "proj_clip", "coupling"):
        if getattr(spec, option):
            raise CheckpointError(f"LSTM {escape(name)} cannot be written: OpenVINO's LSTMSequence has no {option}")
    functions = (spec.gate_activation, spec.cell_activation, spec.output_activation)
    unsupported = [function for function in functions if function not in _FUNCTIONS]
    if unsupported:
        raise CheckpointError(
            f"LSTM {escape(name)} cannot be written: OpenVINO's LSTMSequence has no activation {unsupported[0]}"
        )
    direction = "bidirectional" if spec.bidirectional else "reverse" if spec.reverse else "forward"
    return {
        "direction": direction,
        "hidden_size": str(spec.hidden_size),
        "activations": ", ".join(functions),
        "activations_alpha": "",
        "activations_beta": "",
        "clip": repr(spec.gate_clip or 0.0),
    }
