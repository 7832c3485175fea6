"""Infers layer order from topology, tensor order or sizes.

A state dict is written in the order in which its modules were defined. It is taken for the model's order only where
every layer takes what the one before it gives; else the sizes must fit in one order and no other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from ..codecs.limits import escape
from ..model import Checkpoint, FoundLSTM
from ..topology import ModelTopology, Step
from .model import Layer, OtherLayers

#: Beyond this many layers the possible orders are not counted.
_MAX_LAYERS = 8

_Node = FoundLSTM | Layer


def infer_layer_order(checkpoint: Checkpoint, other_layers: OtherLayers) -> OtherLayers:
    """The layers in order, with the chain if it is certain."""
    topology = checkpoint.topology
    if topology.source:
        chain = _resolved(topology.chain, checkpoint.lstms, other_layers.layers)
        unsupported = () if chain else (*other_layers.unsupported, *_unplaced(topology, checkpoint, other_layers))
        return replace(other_layers, chain=chain, order_source=topology.source, unsupported=unsupported)
    if not other_layers.layers:
        return other_layers  # LSTMs alone may be anything to each other
    nodes: list[_Node] = [*checkpoint.lstms, *other_layers.layers]
    if topology.tensor_order:
        place = {name: position for position, name in enumerate(topology.tensor_order)}
        nodes.sort(key=lambda n: min(place[t] for t in (n.tensors.values() if isinstance(n, Layer) else n.tensors)))
        if _follows(nodes):
            return _ordered(other_layers, nodes, "the state dict")
    orders = _orders(nodes) if len(nodes) <= _MAX_LAYERS else iter(())
    found = [order for order, _ in zip(orders, range(2), strict=False)]
    if len(found) == 1:
        return _ordered(other_layers, found[0], "their sizes, which fit in one order alone")
    return replace(other_layers, layers=tuple(node for node in nodes if isinstance(node, Layer)))


def _ordered(other_layers: OtherLayers, nodes: Sequence[_Node], order_source: str) -> OtherLayers:
    layers = tuple(node for node in nodes if isinstance(node, Layer))
    chain = tuple(Step(node.kind if isinstance(node, Layer) else "lstm", node.name) for node in nodes)
    return replace(other_layers, layers=layers, chain=chain, order_source=order_source)


def _ends(node: _Node) -> tuple[int, int]:
    """Width of input (0 for ids) and of output."""
    if isinstance(node, FoundLSTM):
        spec = node.weights.spec
        return spec.input_size, spec.output_size * spec.num_directions
    if node.kind == "embedding":
        return 0, node.arrays["table"].shape[1]
    if node.kind == "dense":
        return node.arrays["kernel"].shape[0], node.arrays["kernel"].shape[1]
    width = next(array.shape[0] for array in node.arrays.values() if array.shape)
    return width, width


def _follows(nodes: Sequence[_Node]) -> bool:
    """Whether each layer's input fits the output before it."""
    ends = [_ends(node) for node in nodes]
    return all(one[1] == other[0] for one, other in pairwise(ends))


def _orders(left: list[_Node], before: tuple[_Node, ...] = ()) -> Iterator[tuple[_Node, ...]]:
    """Every order in which the layers fit."""
    if not left:
        yield before
    for position, node in enumerate(left):
        if not before or _follows((before[-1], node)):
            yield from _orders([*left[:position], *left[position + 1 :]], (*before, node))


def _resolved(chain: Sequence[Step], lstms: Sequence[FoundLSTM], layers: Sequence[Layer]) -> tuple[Step, ...]:
    """The chain with kinds filled in; empty if anything is left over."""
    by_name = {layer.name: layer for layer in layers}
    steps = []
    for step in chain:
        layer = by_name.get(step.name) if step.kind not in ("lstm", "input") else None
        steps.append(Step(layer.kind, layer.name, layer.attributes) if layer else step)
    complete = {step.name for step in steps} >= {*by_name, *(lstm.name for lstm in lstms)}
    return tuple(steps) if complete and all(step.kind for step in steps) else ()


def _unplaced(topology: ModelTopology, checkpoint: Checkpoint, other_layers: OtherLayers) -> Iterator[str]:
    """Weightless layers outside a chain, such as Lambda, which compute too."""
    names = {lstm.name.partition("/")[0] for lstm in checkpoint.lstms} | {layer.name for layer in other_layers.layers}
    for step in topology.weightless:
        if step.name not in names:
            yield f"{escape(step.name, 200)} ({escape(step.attributes['class_name'])})"
