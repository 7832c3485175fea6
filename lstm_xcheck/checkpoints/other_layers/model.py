"""Layers other than LSTMs, in one canonical form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...arrays import Array, fingerprint
from ..model import OtherTensor
from ..topology import Step


@dataclass(frozen=True)
class Layer:
    """One layer other than an LSTM.

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
    """What a file holds other than LSTMs.

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


def by_name(layers: Sequence[Layer]) -> dict[str, Layer]:
    """Layers by their names as every format can spell them."""
    return {plain_name(layer.name): layer for layer in layers}


def plain_name(name: str) -> str:
    """A name in the spelling that all formats share.

    >>> plain_name("decoder/head")
    'decoder.head'
    """
    return name.replace("/", ".").strip(".")
