"""Describes a model beyond its tensors: layers and their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .tensor_info import TensorInfo


@dataclass(frozen=True)
class Step:
    """One layer of a chain.

    Attributes:
        kind: `lstm`, `plain`, `input` or a key of `lstm_xcheck.layouts.other_layers.KINDS`; empty while unknown.
        name: the layer's.
        attributes: in Keras' words, such as `return_sequences`; a plain layer's class and config.
    """

    kind: str
    name: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerGroup:
    """Tensors of one layer, before its kind is known.

    Attributes:
        name: the user's name of it.
        place: where it lies in the file.
        tensors: by the framework's names; by number in a Keras weights file.
        words: what may say the kind: names, or the class that Keras made a name of.
        class_name: the class, where a config gives it.
        attributes: what the config says of it.
    """

    name: str
    place: str
    tensors: dict[str, TensorInfo] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    class_name: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GraphLayer:
    """Operators of a graph that are one layer.

    Attributes:
        kind: a key of `lstm_xcheck.layouts.other_layers.KINDS`.
        name: after its tensors or its node.
        parts: canonical name of an array -> name of the tensor.
        transposed: whether a kernel is stored (output, input).
        attributes: in Keras' words, such as `epsilon`.
    """

    kind: str
    name: str
    parts: Mapping[str, str]
    transposed: bool = False
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelTopology:
    """What a file says of its model, beyond tensors.

    Attributes:
        source: what gives the order of the layers, such as `the graph`; empty where nothing does.
        chain: the model as one line of layers, where it is one and every layer is understood.
        groups: layers by the place of their tensors, without the tensors, in the model's order.
        layers: layers that the operators of a graph spell out.
        constants: tensors that are shapes, indices and zero states, and no weights.
        unsupported: operators that belong to no layer, as `name (operator)`.
        weightless: layers without weights, which matter where there is no chain.
        tensor_order: names of all tensors, where their order in the file is that of the layers.
    """

    source: str = ""
    chain: tuple[Step, ...] = ()
    groups: Mapping[str, LayerGroup] = field(default_factory=dict)
    layers: tuple[GraphLayer, ...] = ()
    constants: frozenset[str] = frozenset()
    unsupported: tuple[str, ...] = ()
    weightless: tuple[Step, ...] = ()
    tensor_order: tuple[str, ...] = ()
