"""Collects other layers from a file's tensors, or gives the reason.

Source of names and orientations: the rows of `lstm_xcheck.layouts.other_layers`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ...layouts.other_layers import transposed
from ..codecs.limits import escape
from ..model import Checkpoint, OtherTensor
from ..tensor_info import TensorInfo
from ..topology import GraphLayer, LayerGroup
from .classify import Classified, Sizes, classify, fits
from .group import GROUPINGS
from .model import Layer, OtherLayers


def collect_layers(checkpoint: Checkpoint, kinds: Mapping[str, str] | None = None) -> OtherLayers:
    """Sorts other tensors into layers, training state and unknown ones.

    Args:
        checkpoint: read with `load_other_tensors`.
        kinds: the kind of layers by name, where somebody knows; decides what names and shapes leave open.
    """
    training = tuple(tensor for tensor in checkpoint.other if tensor.training)
    rest = [tensor for tensor in checkpoint.other if tensor not in training]
    family = checkpoint.family
    if family == "onnx":
        return _layers_of_graph(checkpoint, rest, training)
    if not family:
        return OtherLayers(unknown=tuple(rest), training=training)
    listed = {tensor.stored.name: tensor for tensor in rest if tensor.stored is not None and not tensor.note}
    unknown = [tensor for tensor in rest if tensor.stored is None or tensor.note]
    tensors = [tensor.stored for tensor in listed.values() if tensor.stored is not None]
    groups = GROUPINGS[family](tensors, checkpoint.topology)
    twice = {name for name, times in Counter(group.name for group in groups).items() if times > 1}
    # A name from a file is printed later.
    groups = [replace(g, name=escape(g.place if g.name in twice else g.name, 200)) for g in groups]
    sizes = Sizes.of(checkpoint.lstms, groups, family)
    layers = []
    for group in groups:
        classified = classify(group, family, sizes, (kinds or {}).get(group.name))
        if isinstance(classified, Classified):
            layers.append(_layer(group, family, classified))
        else:
            unknown += [replace(listed[tensor.name], note=classified) for tensor in group.tensors.values()]
    return OtherLayers(tuple(layers), tuple(unknown), training)


def _layers_of_graph(
    checkpoint: Checkpoint, rest: Sequence[OtherTensor], training: tuple[OtherTensor, ...]
) -> OtherLayers:
    """What operators say of the tensors that they take."""
    topology = checkpoint.topology
    # The first of a name is that of the outermost graph.
    stored = {tensor.stored.name: tensor.stored for tensor in reversed(rest) if tensor.stored is not None}
    layers, used = [], set()
    for layer in topology.layers:
        parts = {part: stored[name] for part, name in layer.parts.items() if name in stored}
        if len(parts) == len(layer.parts) and fits(layer.kind, parts, transposed=layer.transposed):
            layers.append(_graph_layer(layer, parts))
            used |= set(layer.parts.values())
    unknown = tuple(
        tensor if tensor.note else replace(tensor, note="of no layer that is known, by what takes it")
        for tensor in rest
        if tensor.stored is None or tensor.stored.name not in used | topology.constants
    )
    return OtherLayers(tuple(layers), unknown, training, unsupported=topology.unsupported)


def _graph_layer(layer: GraphLayer, parts: Mapping[str, TensorInfo]) -> Layer:
    arrays = {part: tensor.load() for part, tensor in parts.items()}
    if layer.transposed:
        arrays["kernel"] = arrays["kernel"].T
    dtype = next(tensor.dtype for tensor in parts.values())
    arrays = {part: np.asarray(array, order="C") for part, array in arrays.items()}
    return Layer(layer.kind, layer.name, arrays, dtype, "onnx", dict(layer.parts), dict(layer.attributes))


def _layer(group: LayerGroup, family: str, classified: Classified) -> Layer:
    arrays, names = {}, {}
    for part, tensor in classified.parts.items():
        arrays[part] = np.asarray(transposed(family, classified.kind, part, tensor.load()), order="C")
        names[part] = tensor.name
    dtype = next(tensor.dtype for part, tensor in classified.parts.items() if part != "count")
    return Layer(classified.kind, group.name, arrays, dtype, family, names, dict(group.attributes))
