"""The layers that stand beside LSTMs in one canonical form, whatever the file: recognised, or refused with the reason.

Source of names and orientations: the rows of `lstm_xcheck.layouts.other_layers`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...arrays import Array, fingerprint
from ...layouts.other_layers import transposed
from ..codecs.limits import escape
from ..detect.training_state import is_training_state
from ..model import Checkpoint, OtherTensor, TensorInfo
from ..topology import GraphLayer
from ..topology import Step as Step
from .classify import Classified, Sizes, classify, fits
from .group import Group, flax_groups, haiku_groups, keras_groups, torch_groups

#: `Checkpoint.format` -> whose names the file uses.
_FAMILIES = {
    "torch": "torch", "torch-legacy": "torch", "torchscript": "torch", "safetensors": "torch",
    "safetensors-sharded": "torch", "keras": "keras", "keras-weights": "keras",
    "keras-h5": "keras", "flax-msgpack": "flax", "orbax": "flax", "paddle": "paddle",
}  # fmt: skip
#: Formats that are no framework's own, and the frameworks whose names for LSTMs then say whose file it is.
_ANYBODYS = ("npz", "pickle", "safetensors")
_BY_LAYOUT = {
    "haiku": "haiku", "mlx": "mlx", "torch": "torch", "flax-linen": "flax", "flax-nnx": "flax",
    "flax-nnx-optimized": "flax",
}  # fmt: skip
_GROUPS = {
    "torch": torch_groups, "keras": keras_groups, "flax": flax_groups, "paddle": torch_groups, "haiku": haiku_groups,
    "mlx": torch_groups,
}  # fmt: skip


@dataclass(frozen=True)
class Layer:
    """One layer beside the LSTMs.

    Attributes:
        kind: a key of `lstm_xcheck.layouts.other_layers.KINDS`.
        name: the user's, with dots between a model and its parts.
        arrays: by canonical name, every bit as stored.
        dtype: precision in the file.
        family: whose file it was read from: a key of `lstm_xcheck.layouts.other_layers.OTHER_LAYERS`.
        tensors: canonical name -> the file's own spelling.
        attributes: what a Keras config says of it, such as `activation`.
    """

    kind: str
    name: str
    arrays: dict[str, Array]
    dtype: str
    family: str
    tensors: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """A hash of the canonical arrays."""
        return fingerprint(self.arrays)


@dataclass(frozen=True)
class OtherLayers:
    """What a file holds beside its LSTMs.

    Attributes:
        layers: what can be carried over, in the model's order as far as it is known.
        unknown: tensors of no known layer, each with the reason as its note.
        training: tensors that belong to training alone.
        chain: the whole model, layer after layer, where that is certain; else empty.
        order_source: how the order of the chain is known.
        unsupported: operators of a graph that belong to no layer.
    """

    layers: tuple[Layer, ...] = ()
    unknown: tuple[OtherTensor, ...] = ()
    training: tuple[OtherTensor, ...] = ()
    chain: tuple[Step, ...] = ()
    order_source: str = ""
    unsupported: tuple[str, ...] = ()


def collect_layers(checkpoint: Checkpoint, kinds: Mapping[str, str] | None = None) -> OtherLayers:
    """Sort the tensors of a file that was read whole into layers, remains of training, and the unknown.

    Args:
        checkpoint: read within `reading_whole()`.
        kinds: the kind of layers by name, where somebody knows; decides what names and shapes leave open.
    """
    training = tuple(tensor for tensor in checkpoint.other if tensor.stored and is_training_state(tensor.stored))
    rest = [tensor for tensor in checkpoint.other if tensor not in training]
    if checkpoint.graph is not None:
        return _layers_of_graph(checkpoint, rest, training)
    family = _family(checkpoint)
    if family is None:
        return OtherLayers(unknown=tuple(rest), training=training)
    listed = {tensor.stored.name: tensor for tensor in rest if tensor.stored is not None and not tensor.note}
    unknown = [tensor for tensor in rest if tensor.stored is None or tensor.note]
    groups = _GROUPS[family](checkpoint, [tensor.stored for tensor in listed.values() if tensor.stored is not None])
    twice = {name for name, times in Counter(group.name for group in groups).items() if times > 1}
    # A name from a file is printed later.
    groups = [replace(g, name=escape(g.place if g.name in twice else g.name, 200)) for g in groups]
    sizes = Sizes.of(checkpoint.lstms, groups, family)
    layers = []
    for group in groups:
        settled = classify(group, family, sizes, (kinds or {}).get(group.name))
        if isinstance(settled, Classified):
            layers.append(_layer(group, family, settled))
        else:
            unknown += [replace(listed[tensor.name], note=settled) for tensor in group.tensors.values()]
    return OtherLayers(tuple(layers), tuple(unknown), training)


def _family(checkpoint: Checkpoint) -> str | None:
    """Whose names the layers of a file have."""
    layouts = {lstm.layout for lstm in checkpoint.lstms}
    if checkpoint.format in _ANYBODYS and len(layouts) == 1:
        return _BY_LAYOUT.get(layouts.pop())
    return _FAMILIES.get(checkpoint.format)


def _layers_of_graph(
    checkpoint: Checkpoint, rest: Sequence[OtherTensor], training: tuple[OtherTensor, ...]
) -> OtherLayers:
    """What operators say of the tensors that they take."""
    graph = checkpoint.graph
    # The first of a name is that of the outermost graph.
    stored = {tensor.stored.name: tensor.stored for tensor in reversed(rest) if tensor.stored is not None}
    layers, used = [], set()
    for layer in graph.layers if graph else ():
        parts = {part: stored[name] for part, name in layer.parts.items() if name in stored}
        if len(parts) == len(layer.parts) and fits(layer.kind, parts, transposed=layer.transposed):
            layers.append(_graph_layer(layer, parts))
            used |= set(layer.parts.values())
    shapes = graph.shapes if graph else frozenset()
    unknown = tuple(
        tensor if tensor.note else replace(tensor, note="of no layer that is known, by what takes it")
        for tensor in rest
        if tensor.stored is None or tensor.stored.name not in used | shapes
    )
    return OtherLayers(tuple(layers), unknown, training, unsupported=graph.unsupported if graph else ())


def _graph_layer(layer: GraphLayer, parts: Mapping[str, TensorInfo]) -> Layer:
    arrays = {part: tensor.load() for part, tensor in parts.items()}
    if layer.transposed:
        arrays["kernel"] = arrays["kernel"].T
    dtype = next(tensor.dtype for tensor in parts.values())
    arrays = {part: np.asarray(array, order="C") for part, array in arrays.items()}
    return Layer(layer.kind, layer.name, arrays, dtype, "onnx", dict(layer.parts), dict(layer.attributes))


def _layer(group: Group, family: str, settled: Classified) -> Layer:
    arrays, names = {}, {}
    for part, tensor in settled.parts.items():
        arrays[part] = np.asarray(transposed(family, settled.kind, part, tensor.load()), order="C")
        names[part] = tensor.name
    dtype = next(tensor.dtype for part, tensor in settled.parts.items() if part != "count")
    return Layer(settled.kind, group.name, arrays, dtype, family, names, dict(group.attributes))


def by_name(layers: Sequence[Layer]) -> dict[str, Layer]:
    """Layers by their names as every format can spell them."""
    return {plain_name(layer.name): layer for layer in layers}


def plain_name(name: str) -> str:
    """A name in the spelling that all formats share.

    >>> plain_name("decoder/head")
    'decoder.head'
    """
    return name.replace("/", ".").strip(".")
