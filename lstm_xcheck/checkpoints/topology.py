"""Describes a model beyond its tensors: layers and their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .tensor_info import TensorInfo


@dataclass(frozen=True)
class Step:
    """One layer of a chain."""

    kind: str  # `lstm`, `plain`, `input` or a key of `lstm_xcheck.layouts.other_layers.KINDS`; empty while unknown
    name: str
    # in Keras' words, such as `return_sequences`; a plain layer's class and config
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerGroup:
    """Tensors of one layer, before its kind is known."""

    name: str  # the user's name of it
    place: str  # where it lies in the file
    # by the framework's names; by number in a Keras weights file
    tensors: dict[str, TensorInfo] = field(default_factory=dict)
    words: tuple[str, ...] = ()  # what may say the kind: names, or the class that Keras made a name of
    class_name: str = ""  # the class, where a config gives it
    attributes: dict[str, Any] = field(default_factory=dict)  # what the config says of it


@dataclass(frozen=True)
class GraphLayer:
    """Operators of a graph that are one layer."""

    kind: str  # a key of `lstm_xcheck.layouts.other_layers.KINDS`
    name: str  # after its tensors or its node
    parts: Mapping[str, str]  # canonical name of an array -> name of the tensor
    transposed: bool = False  # whether a kernel is stored (output, input)
    attributes: dict[str, Any] = field(default_factory=dict)  # in Keras' words, such as `epsilon`


@dataclass(frozen=True)
class ModelTopology:
    """What a file says of its model, beyond tensors."""

    source: str = ""  # what gives the order of the layers, such as `the graph`; empty where nothing does
    chain: tuple[Step, ...] = ()  # the model as one line of layers, where it is one and every layer is understood
    # layers by the place of their tensors, without the tensors, in the model's order
    groups: Mapping[str, LayerGroup] = field(default_factory=dict)
    layers: tuple[GraphLayer, ...] = ()  # layers that the operators of a graph spell out
    constants: frozenset[str] = frozenset()  # tensors that are shapes, indices and zero states, and no weights
    unsupported: tuple[str, ...] = ()  # operators that belong to no layer, as `name (operator)`
    weightless: tuple[Step, ...] = ()  # layers without weights, which matter where there is no chain
    tensor_order: tuple[str, ...] = ()  # names of all tensors, where their order in the file is that of the layers
