"""What a file that holds a graph of operators says of the layers beside its LSTMs, and in which order they run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Step:
    """One layer of a chain: an LSTM (kind `lstm`), a layer with weights, or a layer without them (kind `plain`).

    Attributes:
        kind: `lstm`, `plain`, `input` or a key of `lstm_xcheck.layouts.other_layers.KINDS`.
        name: the layer's.
        attributes: in Keras' words, such as `return_sequences`; a plain layer's class and config.
    """

    kind: str
    name: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GraphLayer:
    """Operators that are one layer.

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
class GraphModel:
    """The layers of a graph.

    Attributes:
        layers: in the order in which they run.
        chain: the whole model, where it is one line of layers and every operator is understood; else empty.
        shapes: tensors that are shapes, indices and zero states, and no weights.
        unsupported: operators that belong to no layer, as `name (operator)`.
    """

    layers: tuple[GraphLayer, ...] = ()
    chain: tuple[Step, ...] = ()
    shapes: frozenset[str] = frozenset()
    unsupported: tuple[str, ...] = ()
