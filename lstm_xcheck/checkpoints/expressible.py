"""Which formats can say what is not in every LSTM.

The rows are what the writers do; a test writes every row in every format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..model import LSTMSpec
from ..model.spec import HARD_SIGMOID_KERAS2, HARD_SIGMOID_KERAS3, Activation

_ALL = (
    "torch", "safetensors", "keras", "npz", "haiku", "mlx", "flax", "orbax", "onnx", "onnx-22", "openvino", "equinox",
    "paddle", "tensorflow", "keras-h5", "keras-weights",
)  # fmt: skip
_ONNX = ("npz", "onnx", "onnx-22")
_GRAPHS = (*_ONNX, "openvino")
_KERAS = ("keras", "keras-h5")

#: What a spec may have -> the ids of the formats that can say it.
EXPRESSED_BY = {
    "sigmoid": (*_GRAPHS, *_KERAS), "tanh": (*_GRAPHS, *_KERAS), "relu": (*_GRAPHS, *_KERAS),
    "linear": (*_ONNX, *_KERAS), "softsign": _ONNX, "hard_tanh": ("npz",), "tanh_pade": ("npz",),
    "hard_sigmoid": _ONNX, HARD_SIGMOID_KERAS2: (*_ONNX, "keras-h5"), HARD_SIGMOID_KERAS3: (*_ONNX, "keras"),
    "two functions": _GRAPHS, "reverse": (*_GRAPHS, *_KERAS), "reverse stack": ("npz",),
    **dict.fromkeys(("bidirectional", "no bias"), tuple(id for id in _ALL if id != "equinox")),
    "proj_size": ("torch", "safetensors", "npz", "paddle"), "proj_clip": ("npz",), "cell_clip": ("npz",),
    "gate_clip": _GRAPHS, "peepholes": _ONNX, "f=1-i": _ONNX, "i=1-f": ("npz",),
}  # fmt: skip


def formats_that_say(specs: Iterable[LSTMSpec]) -> list[str]:
    """The ids of the formats that can say all of these specs."""
    needed = {feature for spec in specs for feature in _features(spec)}
    return [id for id in _ALL if all(id in EXPRESSED_BY[feature] for feature in needed)]


def _features(spec: LSTMSpec) -> Iterator[str]:
    """The rows that a spec needs."""
    functions = (spec.gate_activation, spec.cell_activation, spec.output_activation)
    if functions != ("sigmoid", "tanh", "tanh"):
        yield from (name if name in EXPRESSED_BY else Activation.parse(name).kind for name in functions)
    if spec.cell_activation != spec.output_activation:
        yield "two functions"
    if spec.reverse:
        yield "reverse stack" if spec.num_layers > 1 else "reverse"
    if spec.bias == "none":
        yield "no bias"
    if spec.coupling:
        yield spec.coupling
    for name in ("bidirectional", "proj_size", "proj_clip", "cell_clip", "gate_clip", "peepholes"):
        if getattr(spec, name):
            yield name
