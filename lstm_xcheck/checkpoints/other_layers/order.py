"""In which order a file's layers follow one another: from a Keras config, the file's own order, or the sizes.

A state dict is written in the order in which its modules were defined. It is taken for the model's order only where
every layer takes what the one before it gives; else the sizes must fit in one order and no other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from ..codecs.limits import escape
from ..keras.config import LayerConfig
from ..model import Checkpoint, FoundLSTM
from .group import config_of, inner_layer, layer_entries
from .model import Layer, OtherLayers, Step

#: Keras layers without weights that a chain keeps as they are.
_PLAIN = (
    "Dropout", "SpatialDropout1D", "GaussianNoise", "Masking", "Activation", "ReLU", "Softmax", "Flatten",
    "GlobalAveragePooling1D", "GlobalMaxPooling1D", "ActivityRegularization",
)  # fmt: skip
_RECURRENT = ("LSTM", "CuDNNLSTM", "Bidirectional", "RNN")
#: The number of orders grows beyond all measure.
_MOST = 8
#: Lists within lists of a config; Keras writes a handful.
_DEEPEST = 32

_Node = FoundLSTM | Layer


def with_chain(checkpoint: Checkpoint, other_layers: OtherLayers) -> OtherLayers:
    """The same with its layers in order, and the chain where there is no doubt of it."""
    if checkpoint.graph is not None:
        whole = {step.name for step in checkpoint.graph.chain} >= {layer.name for layer in other_layers.layers}
        return replace(other_layers, chain=checkpoint.graph.chain if whole else (), order_source="the graph")
    config = checkpoint.keras.config.layers.get("") if checkpoint.keras and checkpoint.keras.config else None
    if config is not None and config.values.get("layers"):
        chain = _from_config(config, checkpoint, other_layers)
        unsupported = () if chain else tuple(_unplaced(config, checkpoint, other_layers))
        return replace(other_layers, chain=chain, order_source="the model's config", unsupported=unsupported)
    if not other_layers.layers:
        return other_layers  # LSTMs alone may be anything to each other
    nodes: list[_Node] = [*checkpoint.lstms, *other_layers.layers]
    if checkpoint.order:
        place = {name: position for position, name in enumerate(checkpoint.order)}
        nodes.sort(key=lambda node: min(place[name] for name in _tensors(node)))
        if _follows(nodes):
            return _ordered(other_layers, nodes, "the state dict")
    orders = _orders(nodes) if len(nodes) <= _MOST else iter(())
    found = [order for order, _ in zip(orders, range(2), strict=False)]
    if len(found) == 1:
        return _ordered(other_layers, found[0], "their sizes, which fit in one order alone")
    return replace(other_layers, layers=tuple(node for node in nodes if isinstance(node, Layer)))


def _tensors(node: _Node) -> Sequence[str]:
    return list(node.tensors.values()) if isinstance(node, Layer) else list(node.tensors)


def _ordered(other_layers: OtherLayers, nodes: Sequence[_Node], order_source: str) -> OtherLayers:
    layers = tuple(node for node in nodes if isinstance(node, Layer))
    chain = tuple(Step(node.kind if isinstance(node, Layer) else "lstm", node.name) for node in nodes)
    return replace(other_layers, layers=layers, chain=chain, order_source=order_source)


def _ends(node: _Node) -> tuple[int, int]:
    """Width that a layer takes, 0 for ids, and width that it gives."""
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
    """Whether each takes what the one before it gives; ids can only come first."""
    ends = [_ends(node) for node in nodes]
    return all(one[1] == other[0] for one, other in pairwise(ends))


def _orders(left: list[_Node], before: tuple[_Node, ...] = ()) -> Iterator[tuple[_Node, ...]]:
    """Every order in which the layers fit."""
    if not left:
        yield before
    for position, node in enumerate(left):
        if not before or _follows((before[-1], node)):
            yield from _orders([*left[:position], *left[position + 1 :]], (*before, node))


def _from_config(model: LayerConfig, checkpoint: Checkpoint, other_layers: OtherLayers) -> tuple[Step, ...]:
    """The steps of a model that is one line of layers, all of them known; else nothing."""
    line = _line(model)
    lstms = {lstm.name for lstm in checkpoint.lstms}
    layers = {layer.name: layer for layer in other_layers.layers}
    steps = []
    for entry in line:
        step = _step(entry, lstms, layers)
        if step is None:
            return ()
        steps.append(step)
    named = {step.name for step in steps}
    return tuple(steps) if lstms | set(layers) <= named else ()


def _unplaced(model: LayerConfig, checkpoint: Checkpoint, other_layers: OtherLayers) -> Iterator[str]:
    """Layers without weights of a model that is no line of known layers, such as Lambda: they compute something too."""
    names = {lstm.name.partition("/")[0] for lstm in checkpoint.lstms} | {layer.name for layer in other_layers.layers}
    for entry in layer_entries(model).values():
        nested = isinstance(entry.values.get("layers"), list) or entry.class_name in _RECURRENT
        if not nested and entry.class_name != "InputLayer" and entry.name not in names:
            yield f"{escape(entry.name, 200)} ({escape(entry.class_name)})"


def _step(entry: LayerConfig, lstms: set[str], layers: dict[str, Layer]) -> Step | None:
    if entry.class_name == "InputLayer":
        shape = entry.values.get("batch_shape", entry.values.get("batch_input_shape"))
        return Step("input", entry.name, {"batch_shape": shape, "dtype": entry.values.get("dtype")})
    if entry.name in lstms and entry.class_name in _RECURRENT:
        inner = (inner_layer(entry) if entry.class_name == "Bidirectional" else entry) or entry
        attributes = {"return_sequences": bool(inner.values.get("return_sequences", False))}
        if entry.class_name == "Bidirectional":
            attributes["merge_mode"] = entry.values.get("merge_mode", "concat")
        if inner.values.get("return_state") or attributes.get("merge_mode", "") is None:
            return None
        return Step("lstm", entry.name, attributes)
    if entry.name in layers:
        return Step(layers[entry.name].kind, entry.name, layers[entry.name].attributes)
    if entry.class_name in _PLAIN:
        return Step("plain", entry.name, {"class_name": entry.class_name, "config": entry.values})
    return None


def _line(model: LayerConfig) -> list[LayerConfig]:
    """The layers one after another; empty where one has several inputs or is called twice."""
    listed = model.values["layers"]
    if not isinstance(listed, list):
        return []
    entries = [entry for item in listed if (entry := config_of(item))]
    if len(entries) != len(listed):
        return []
    if model.class_name == "Sequential":
        return entries
    before = [_inbound(item.get("inbound_nodes")) for item in listed]
    by_source = {names[0] if names else "": entry for names, entry in zip(before, entries, strict=True)}
    if any(len(names) > 1 for names in before) or len(by_source) != len(entries):
        return []
    line: list[LayerConfig] = []
    name = ""
    while name in by_source and len(line) < len(entries):
        line.append(by_source[name])
        name = line[-1].name
    return line if len(line) == len(entries) else []


def _inbound(nodes: Any, depth: int = 0) -> list[str]:
    """Names of the layers whose outputs go into this one, in the form of Keras 3 and of Keras 2."""
    if depth > _DEEPEST:
        return ["", ""]  # two inputs make no line
    if isinstance(nodes, dict):
        history = nodes.get("keras_history")
        if isinstance(history, list) and history:
            return [str(history[0])]
        return [name for value in nodes.values() for name in _inbound(value, depth + 1)]
    if isinstance(nodes, list):
        if len(nodes) in (3, 4) and isinstance(nodes[0], str) and isinstance(nodes[1], int):
            return [nodes[0], *_inbound(nodes[3:], depth + 1)]
        return [name for value in nodes for name in _inbound(value, depth + 1)]
    return []
