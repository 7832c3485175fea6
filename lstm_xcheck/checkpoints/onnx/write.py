"""Writes ONNX models that runtimes load: `X` (steps, batch, input) in, `Y`, `Y_h` and `Y_c` out.

Each LSTM is a node of its name for every layer; the layers of a stack follow one another. Where the file has several
LSTMs, inputs and outputs are called `<lstm>.X` and so on. A whole model takes ids (batch, steps) or `X` (batch, steps,
input) and gives `Y`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import CheckpointError
from ...model import LSTMWeights
from ..detect.training_state import reading_whole
from ..layout_arrays import layout_arrays
from ..other_layers.model import OtherLayers
from ..other_layers.store import template_arrays
from ..write import chain_of
from .graph_builder import Graph, tensor_of, value
from .read import load_model, lstm_nodes, read
from .tensors import constants_of
from .write_layers import add_line, add_single


def write(
    path: Path, lstms: Mapping[str, LSTMWeights], like: Path | None = None, other_layers: OtherLayers | None = None,
    *, opset: int = 14,
) -> None:  # fmt: skip
    """A model of LSTM nodes and the layers beside them; with `like`, that model with the weights of these replaced.

    Args:
        path: where to.
        lstms: by name.
        like: an ONNX model whose graph is kept.
        other_layers: other layers; one line of layers where their order is known, else each alone.
        opset: 14, which every runtime since 2021 reads, or 22. bfloat16 needs 22 and gets it.

    Raises:
        CheckpointError: for what the operators cannot say.
    """
    model = (
        _new_model(lstms, other_layers or OtherLayers(), opset) if like is None else _filled(like, lstms, other_layers)
    )
    with path.open("xb") as file:
        file.write(model.SerializeToString())


def _new_model(lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers, opset: int) -> Any:
    if any(weights.dtype == "bfloat16" for weights in lstms.values()):
        opset = 22
    graph = Graph(opset)
    if other_layers.layers and other_layers.chain:
        add_line(graph, lstms, other_layers)
        return graph.model()
    lines = len(lstms) + len(other_layers.layers)
    for name, weights in lstms.items():
        _add_lstm(graph, name, weights, f"{name}." if lines > 1 else "")
    for layer in other_layers.layers:
        add_single(graph, layer)
    return graph.model()


def _add_lstm(graph: Graph, name: str, weights: LSTMWeights, prefix: str) -> None:
    """A line of one LSTM or stack."""
    source, chain = f"{prefix}X", chain_of({name: weights})
    graph.inputs.append(value(source, weights.dtype, ["steps", "batch", weights.spec.input_size]))
    for label, layer in chain.items():
        last = label == list(chain)[-1]
        graph.lstm(label, layer, source, prefix if last else f"{label}.")
        source = "" if last else graph.joined(label)
    state = [weights.spec.num_directions, "batch", weights.spec.hidden_size]
    for output, shape in (("Y", ["steps", *state]), ("Y_h", state), ("Y_c", state)):
        graph.outputs.append(value(prefix + output, weights.dtype, shape))


def _filled(like: Path, lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers | None) -> Any:
    with reading_whole():
        template = read(like)
    model = load_model(like)
    known = constants_of(model.graph, {})
    for _, constants in lstm_nodes(like, model.graph):
        known.update(constants)
    new = {
        place: (array, weights.dtype)
        for name, weights in chain_of(lstms).items()
        for place, array in zip(
            next(lstm.tensors for lstm in template.lstms if lstm.name == name),
            layout_arrays(name, weights, "onnx").values(), strict=True,
        )
    }  # fmt: skip
    transposed = {one.parts["kernel"] for one in (template.graph.layers if template.graph else ()) if one.transposed}
    for place, (array, dtype) in template_arrays(like, read, other_layers, "onnx").items():
        new[place] = (array.T if place in transposed else array, dtype)
    for place, (array, dtype) in new.items():
        tensor = known[place]
        if tensor.data_location == tensor.EXTERNAL:
            raise CheckpointError(f"--like {like} keeps its weights in another file; save it in one with onnx.save")
        tensor.CopyFrom(tensor_of(tensor.name, array, dtype))
    return model
