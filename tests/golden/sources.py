"""Layout rows of the sources of the golden corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lstm_xcheck.arrays import Array
from lstm_xcheck.layouts import Layout, from_layout, layout_named
from lstm_xcheck.layouts.table import Tensor
from lstm_xcheck.model import LSTMWeights

Arrays = dict[str, Array]

_ND4J = Layout(
    name="nd4j",
    order="ifgo",
    bias="single",
    tensors=(
        Tensor("l{layer}.{direction}.kernel", ("W",), transposed=True),
        Tensor("l{layer}.{direction}.recurrent_kernel", ("U",), transposed=True),
        Tensor("l{layer}.{direction}.bias", ("b",)),
        Tensor("l{layer}.{direction}.peephole", ("peephole",)),
        Tensor("l{layer}.{direction}.projection", ("projection",), transposed=True),
    ),
    layer_names=("0", "{k}"),
    directions=("fw", "fw", "bw"),
    source="deeplearning4j, libnd4j lstmLayer and lstmCell",
)
_TFLITE = Layout(
    name="tflite",
    order="ifgo",
    bias="single",
    gates="names",
    gate_names=("input", "forget", "cell", "output"),
    tensors=(
        Tensor("{layer}{direction}.input_to_{gate}_weights", ("W",)),
        Tensor("{layer}{direction}.recurrent_to_{gate}_weights", ("U",)),
        Tensor("{layer}{direction}.{gate}_gate_bias", ("b",)),
        Tensor("{layer}{direction}.peephole", ("peephole",)),
        Tensor("{layer}{direction}.projection_weights", ("projection",)),
    ),
    layer_names=("", "l{k}."),
    directions=("fw", "fw", "bw"),
    source="LiteRT, LSTM and sequence kernels",
)
_NGRAPH = replace(
    layout_named("onnx"),
    name="ngraph",
    bias="single",
    direction_axis=False,
    directions=("", "fw.", "bw."),
    tensors=(
        Tensor("{layer}{direction}W", ("W",)),
        Tensor("{layer}{direction}R", ("U",)),
        Tensor("{layer}{direction}B", ("b",)),
        Tensor("{layer}{direction}P", ("peephole",)),
    ),
)

#: Row of each layout of the corpus; those of the table are tested here with other projects' numbers.
ROWS: dict[str, Layout] = {
    "torch-ifgo": layout_named("torch"),
    "gluon-ifgo": layout_named("torch"),  # the corpus names gluon's tensors as PyTorch does
    "keras-ifco": layout_named("keras"),
    "onnx-iofc": layout_named("onnx"),
    "webnn-iofg": layout_named("onnx"),
    "tf1-ijfo": layout_named("tf1"),
    "tf1-cifg-jfo": layout_named("tf1"),
    "nd4j-ifco": _ND4J,
    "tflite-separate": _TFLITE,
    "ngraph-iofc": _NGRAPH,
}


def row_for(layout: str, arrays: Mapping[str, Array], forget_bias: float | None) -> Layout:
    """The row of these arrays; `forget_bias` is added by the source at run time."""
    row = ROWS[layout]
    if layout == "keras-ifco" and any(name.endswith("peephole") for name in arrays):
        row = _ND4J  # TensorFlow Addons' peephole cell; Keras itself has no peepholes
    return replace(row, forget_bias=forget_bias or 0.0)


def read_weights(
    row: Layout, layout: str, arrays: Mapping[str, Array], stacked: bool, bidirectional: bool
) -> LSTMWeights:
    """The arrays in canonical form, with the spec of their shapes."""
    given = dict(arrays)
    if row.name == "keras":
        given = {_keras_name(name, stacked, bidirectional): array for name, array in given.items()}
    if row.name == "tf1":
        given = {_tf1_name(name, stacked): array for name, array in given.items()}
    if layout == "tf1-cifg-jfo":
        given = {name: _with_unused_input_gate(array) for name, array in given.items()}
    if layout == "tflite-separate":
        given = _join_tflite(given)
    return from_layout(given, row)


def _keras_name(name: str, stacked: bool, bidirectional: bool) -> str:
    """`l0.fw.kernel` by its name in the Keras row."""
    layer, direction, tensor = name.split(".")
    half = {"fw": "forward_layer/", "bw": "backward_layer/"}[direction] if bidirectional else ""
    return (f"lstm_{layer[1:]}/" if stacked else "") + half + tensor


def _tf1_name(name: str, stacked: bool) -> str:
    """`l0.kernel` by its name in the TF1 row."""
    layer, _, tensor = name.rpartition(".")
    return (f"cell_{layer[1:]}/" if stacked else "") + tensor


def _with_unused_input_gate(array: Array) -> Array:
    """Zeros for gate i, unused in coupled gates, before j, f, o."""
    return np.concatenate([np.zeros((*array.shape[:-1], array.shape[-1] // 3)), array], axis=-1)


def _join_tflite(arrays: Arrays) -> Arrays:
    """One peephole vector per direction, with zeros for missing input gates."""
    joined: Arrays = {name: array for name, array in arrays.items() if ".cell_to_" not in name}
    for half in {name.partition(".")[0] for name in arrays}:
        for of_input, of_forget in (
            ("input_to_input_weights", "input_to_forget_weights"),
            ("recurrent_to_input_weights", "recurrent_to_forget_weights"),
            ("input_gate_bias", "forget_gate_bias"),
        ):
            joined.setdefault(f"{half}.{of_input}", np.zeros_like(arrays[f"{half}.{of_forget}"]))
        if f"{half}.cell_to_forget_weights" in arrays:
            f, o = (arrays[f"{half}.cell_to_{gate}_weights"] for gate in ("forget", "output"))
            i = arrays.get(f"{half}.cell_to_input_weights", np.zeros_like(f))
            joined[f"{half}.peephole"] = np.concatenate([i, f, o])
    return joined
