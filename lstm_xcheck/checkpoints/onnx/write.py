"""Writes ONNX models: `X` (steps, batch, input) to `Y`, `Y_h`, `Y_c`.

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
from ..layout_arrays import chain_of
from ..other_layers.model import OtherLayers
from ..template import Template
from .graph_builder import Graph, tensor_of, value
from .read import load_model
from .scopes import scopes_of
from .tensors import constants_of
from .write_layers import add_line, add_single


def write(path: Path, lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers, *, opset: int = 14) -> None:
    """Writes a model of LSTM nodes and the other layers.

    Args:
        path: where to.
        lstms: by name.
        other_layers: one line of layers where their order is known, else each alone.
        opset: 14, which every runtime since 2021 reads, or 22. bfloat16 needs 22 and gets it.
    """
    _save(path, _new_model(lstms, other_layers, opset))


def fill(path: Path, template: Template) -> None:
    """Writes the template's model with its weights replaced."""
    model = load_model(template.path)
    known = constants_of(model.graph, {})
    for scope in scopes_of(template.path, model):
        known.update(scope.tensors)
    for lstm in template.checkpoint.lstms:
        if lstm.name in template.lstms and not lstm.arrays:
            raise CheckpointError(
                f"--like {template.path} computes the weights of {lstm.name} from other tensors; leave --like out"
            )
    topology = template.checkpoint.topology
    transposed = {layer.parts["kernel"] for layer in topology.layers if layer.transposed}
    for place, (array, dtype) in template.values.items():
        tensor = known[place]
        if tensor.data_location == tensor.EXTERNAL:
            raise CheckpointError(
                f"--like {template.path} keeps its weights in another file; save it in one with onnx.save"
            )
        tensor.CopyFrom(tensor_of(tensor.name, array.T if place in transposed else array, dtype))
    _save(path, model)


def _save(path: Path, model: Any) -> None:
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
