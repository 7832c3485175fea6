"""Layout rows of the sources of the golden corpus."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lstm_xcheck.arrays import Array
from lstm_xcheck.errors import SpecError
from lstm_xcheck.layouts import Layout, from_layout, layout_named
from lstm_xcheck.layouts.naming import tensor_names
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
_MNN = Layout(
    name="mnn-tests",
    order="ifgo",
    bias="split",
    gates="names",
    gate_names=("i", "f", "n", "o"),
    tensors=(
        Tensor("{layer}{direction}w_{gate}", ("W",), transposed=True),
        Tensor("{layer}{direction}u_{gate}", ("U",), transposed=True),
        Tensor("{layer}{direction}b_{gate}", ("b",)),
        Tensor("{layer}{direction}b_r_{gate}", ("b_r",)),
    ),
    layer_names=("", "lstm_{k}/"),
    directions=("", "forward/", "backward/"),
    source="MNN, whose tests hold an array for each gate; n is the candidate",
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
#: Rows of layouts with an array for each gate, by the first word of the layout's name. Their arrays are recognised by
#: what a name says of layer, direction, gate and kind, since sources spell it in many ways.
PER_GATE: dict[str, Layout] = {"axon": layout_named("axon"), "burn": layout_named("burn"), "mnn": _MNN}

_PREFIX = re.compile(r"^(?:(?:l|layers?[._]?|lstm_?)(?P<layer>\d+)|(?P<direction>fw|bw|forward|backward|reverse))[./_]")
_GATES = {
    **dict.fromkeys(("i", "input"), "i"), **dict.fromkeys(("f", "forget"), "f"), **dict.fromkeys(("o", "output"), "o"),
    **dict.fromkeys(("g", "c", "n", "cell", "candidate", "new"), "g"),
}  # fmt: skip
_RECURRENT = ("h", "hh", "r", "u", "hidden", "recurrent")
_GATE, _SIDE = "|".join(sorted(_GATES, key=len, reverse=True)), "input|hidden|recurrent|ih|hh|i|h|x|r"
_KIND = "weights?|kernel|bias|w|u|r|b"
#: Such as `input_gate.hidden_transform.weight`, `whi` and `w_i`, `i.recurrent_kernel`, `hidden_kernel/whi`.
_NAMES = (
    re.compile(rf"^(?P<gate>{_GATE})(?:_gate)?[._/](?P<side>{_SIDE})_transform[._/](?P<kind>{_KIND})$"),
    re.compile(rf"^(?P<kind>{_KIND})_?(?P<side>{_SIDE})??_?(?P<gate>{_GATE})$"),
    re.compile(rf"^(?P<gate>{_GATE})(?:_gate)?[._/](?:(?P<side>{_SIDE})_?)?(?P<kind>{_KIND})$"),
    re.compile(rf"^(?:(?P<side>{_SIDE})_)?(?P<kind>{_KIND})[._/](?:[wb][ih]?)?(?P<gate>{_GATE})$"),
)


def row_for(layout: str, arrays: Mapping[str, Array], forget_bias: float | None) -> Layout | None:
    """The row of these arrays, if any; `forget_bias` is added by the source at run time."""
    row = ROWS.get(layout) or PER_GATE.get(layout.partition("-")[0])
    if row is None:
        return None
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
    if layout not in ROWS:
        named = {name: _per_gate_name(name, row, stacked, bidirectional) for name in given}
        given = {named[name][0]: array for name, array in given.items()}
        row = row if any(part == "b_r" for _, part in named.values()) else _with_one_bias(row)
    return from_layout(given, row)


def _per_gate_name(name: str, row: Layout, stacked: bool, bidirectional: bool) -> tuple[str, str]:
    """The name in the row of an array that holds one gate, and the part that it is of."""
    rest, layer, direction = name.lower(), "0", "fw"
    while found := _PREFIX.match(rest):
        rest, layer, direction = rest[found.end() :], found["layer"] or layer, found["direction"] or direction
    match = next(filter(None, (pattern.match(rest) for pattern in _NAMES)), None)
    if match is None:
        raise SpecError(f"layout {row.name}: no array of a gate is named {name}")
    side, kind = match["side"] or "", match["kind"]
    recurrent = side in _RECURRENT or kind in _RECURRENT
    part = ("b_r" if recurrent else "b") if kind.startswith("b") else "U" if recurrent else "W"
    tensor = row.tensor_for(part)
    if tensor is None:
        raise SpecError(f"layout {row.name} has no {part}, which {name} seems to be")
    backward = direction in ("bw", "backward", "reverse")
    index = "ifgo".index(_GATES[match["gate"]])
    return tensor_names(row, tensor, int(layer), int(backward), 2 if stacked else 1, 1 + bidirectional)[index], part


def _with_one_bias(row: Layout) -> Layout:
    return replace(row, bias="single", tensors=tuple(t for t in row.tensors if t.parts != ("b_r",)))


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
            if f"{half}.{of_forget}" in arrays:
                joined.setdefault(f"{half}.{of_input}", np.zeros_like(arrays[f"{half}.{of_forget}"]))
        if f"{half}.cell_to_forget_weights" in arrays:
            f, o = (arrays[f"{half}.cell_to_{gate}_weights"] for gate in ("forget", "output"))
            i = arrays.get(f"{half}.cell_to_input_weights", np.zeros_like(f))
            joined[f"{half}.peephole"] = np.concatenate([i, f, o])
    return joined
