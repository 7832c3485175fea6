"""Describes the layers of an ONNX graph and their order."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from ..codecs.limits import escape
from ..topology import GraphLayer, ModelTopology, Step
from .layers import find_layers, key_of
from .sequential_chain import NoLineError, line_of
from .tensors import Constants, all_zero, integers

#: Operators that move data or compute shapes, and are part of no layer.
_MOVES = (
    "Shape", "Constant", "ConstantOfShape", "Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Slice",
    "Gather", "Concat", "Cast", "Expand", "Flatten", "Dropout", "LSTM",
)  # fmt: skip


def graph_topology(
    graph: Any, constants: Constants, lstms: Mapping[str, tuple[str, str]], taken: Set[str]
) -> ModelTopology:
    """The layers of a graph, and their order if sequential.

    Tensors and nodes that are `taken` are those of LSTMs.
    """
    layers_of = find_layers(graph, constants)
    found = {key: one for key, one in layers_of.items() if not any(name in taken for name in one.parts.values())}
    layers = list({id(layer): layer for layer in found.values()}.values())
    shapes = frozenset(name for name, tensor in constants.items() if integers(tensor) is not None)
    shapes |= _moved(graph, constants) | _zero_states(graph, constants)
    chain: tuple[Step, ...] = ()
    unsupported: tuple[str, ...] = ()
    try:
        chain = line_of(graph, constants, found, lstms)
    except NoLineError:
        nodes = [node for node in graph.node if key_of(node) not in found and node.op_type not in _MOVES]
        nodes = [node for node in nodes if not {key_of(node), node.name} & taken]
        unsupported = tuple(f"{escape(node.name or key_of(node), 200)} ({escape(node.op_type)})" for node in nodes)
    by_step = {step.name: step.attributes for step in chain}
    described = tuple(
        GraphLayer(one.kind, one.name, one.parts, one.transposed, by_step.get(one.name, one.attributes))
        for one in layers
    )
    return ModelTopology("the graph", chain, layers=described, constants=shapes, unsupported=unsupported)


def _moved(graph: Any, constants: Constants) -> frozenset[str]:
    """Second names of tensors, which are listed under their first."""
    initial = {tensor.name for tensor in graph.initializer}
    same = {node.output[0] for node in graph.node if node.op_type == "Identity" and node.output}
    return frozenset((same & set(constants)) - initial)


def _zero_states(graph: Any, constants: Constants) -> frozenset[str]:
    """Constant zero states that exporters give an LSTM."""
    given = {name for node in graph.node if node.op_type == "LSTM" for name in node.input[5:7]}
    cuts = []
    for node in reversed(graph.node):  # torch.onnx cuts and widens them to one layer and the batch
        if node.op_type in ("Slice", "Expand") and key_of(node) in given:
            cuts.append(key_of(node))
            given.add(node.input[0])
    takers = [node for node in graph.node if node.op_type != "LSTM" and key_of(node) not in cuts]
    others = {name for node in takers for name in node.input}
    return frozenset(name for name in (given - others) & set(constants) if all_zero(constants[name]))
