"""Writes ONNX models that runtimes load: `X` (steps, batch, input) in, `Y`, `Y_h` and `Y_c` out.

Each LSTM is a node of its name for every layer; the layers of a stack follow one another. Where the file has several
LSTMs, inputs and outputs are called `<lstm>.X` and so on.
Source: ONNX operators LSTM (since 14 and 22), Transpose and Reshape.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from ..arrays import Array
from ..errors import CheckpointError
from ..spec import LSTMWeights
from .onnx_attributes import NotInSpecError, node_attributes
from .onnx_file import load_model, lstm_nodes, read
from .onnx_tensors import constants_of
from .tree_names import layout_arrays
from .untrusted import shown
from .writing import chain_of

_TYPES = {
    "float32": onnx.TensorProto.FLOAT, "float64": onnx.TensorProto.DOUBLE, "float16": onnx.TensorProto.FLOAT16,
    "bfloat16": onnx.TensorProto.BFLOAT16,
}  # fmt: skip
#: Operator set -> version of the file format that came with it, as readers that old expect.
IR_VERSIONS = {14: 7, 22: 10}
_OUTPUTS = ("Y", "Y_h", "Y_c")


def write(path: Path, lstms: Mapping[str, LSTMWeights], like: Path | None = None, *, opset: int = 14) -> None:
    """A model of LSTM nodes alone; with `like`, that model with the weights of its LSTMs replaced.

    Args:
        path: where to.
        lstms: by name.
        like: an ONNX model whose graph is kept.
        opset: 14, which every runtime since 2021 reads, or 22. bfloat16 needs 22 and gets it.

    Raises:
        CheckpointError: for what the operator cannot say.
    """
    model = _new_model(lstms, opset) if like is None else _filled(like, lstms)
    with path.open("xb") as file:
        file.write(model.SerializeToString())


def _new_model(lstms: Mapping[str, LSTMWeights], opset: int) -> Any:
    nodes: list[Any] = []
    inputs: list[Any] = []
    outputs: list[Any] = []
    tensors: dict[str, Any] = {}
    for name, weights in lstms.items():
        prefix = f"{name}." if len(lstms) > 1 else ""
        inputs.append(_value(f"{prefix}X", weights, ["steps", "batch", weights.spec.input_size]))
        chain = chain_of({name: weights})
        for label, layer in chain.items():
            last = label == list(chain)[-1]
            source = nodes[-1].output[0] if label != next(iter(chain)) else f"{prefix}X"
            made, named = _layer(label, layer, source, prefix if last else f"{label}.")
            nodes += made if last else [*made, *_joined(label, made[-1].output[0])]
            tensors.update(named)
        outputs += _outputs(prefix, layer)
        if len(chain) > 1:
            tensors["joined"] = helper.make_tensor("joined", onnx.TensorProto.INT64, [3], [0, 0, -1])
    if any(weights.dtype == "bfloat16" for weights in lstms.values()):
        opset = 22
    graph = helper.make_graph(nodes, "lstms", inputs, outputs, list(tensors.values()))
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSIONS[opset], producer_name="lstm-xcheck")


def _layer(name: str, weights: LSTMWeights, source: str, prefix: str) -> tuple[list[Any], dict[str, Any]]:
    """One LSTM node and its tensors by name."""
    try:
        attributes = node_attributes(weights.spec)
    except NotInSpecError as error:
        raise CheckpointError(f"LSTM {shown(name)} cannot be written: {error}") from error
    arrays = layout_arrays(name, weights, "onnx")
    tensors = {f"{name}.{kind}": _tensor(f"{name}.{kind}", array, weights.dtype) for kind, array in arrays.items()}
    places = [f"{name}.{kind}" if kind in arrays else "" for kind in ("W", "R", "B")]
    inputs = [source, *places, "", "", "", f"{name}.P"] if "P" in arrays else [source, *places]
    while not inputs[-1]:
        inputs.pop()
    node = helper.make_node("LSTM", inputs, [prefix + output for output in _OUTPUTS], name=name, **attributes)
    return [node], tensors


def _joined(name: str, output: str) -> list[Any]:
    """(steps, directions, batch, hidden) as the next layer's input (steps, batch, directions x hidden)."""
    return [
        helper.make_node("Transpose", [output], [f"{name}.turned"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", [f"{name}.turned", "joined"], [f"{name}.out"]),
    ]


def _outputs(prefix: str, weights: LSTMWeights) -> list[Any]:
    state = [weights.spec.num_directions, "batch", weights.spec.hidden_size]
    shapes = (["steps", *state], state, state)
    return [_value(prefix + name, weights, shape) for name, shape in zip(_OUTPUTS, shapes, strict=True)]


def _value(name: str, weights: LSTMWeights, shape: list[Any]) -> Any:
    return helper.make_tensor_value_info(name, _TYPES[weights.dtype], shape)


def _tensor(name: str, array: Array, dtype: str) -> Any:
    return onnx.TensorProto(name=name, data_type=_TYPES[dtype], dims=array.shape, raw_data=_bytes(array, dtype))


def _bytes(array: Array, dtype: str) -> bytes:
    if dtype == "bfloat16":
        return (np.ascontiguousarray(array).view(np.uint32) >> np.uint32(16)).astype("<u2").tobytes()
    return np.ascontiguousarray(array, np.dtype(dtype).newbyteorder("<")).tobytes()


def _filled(like: Path, lstms: Mapping[str, LSTMWeights]) -> Any:
    held = {lstm.name: lstm.tensors for lstm in read(like).lstms}
    model = load_model(like)
    known = constants_of(model.graph, {})
    for _, constants in lstm_nodes(like, model.graph):
        known.update(constants)
    for name, weights in chain_of(lstms).items():
        for place, array in zip(held[name], layout_arrays(name, weights, "onnx").values(), strict=True):
            tensor = known[place]
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                raise CheckpointError(f"--like {like} keeps its weights in another file; save it in one with onnx.save")
            own = tensor.name
            tensor.CopyFrom(_tensor(own, array, weights.dtype))
    return model
