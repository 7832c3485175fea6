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
    """One layer other than an LSTM."""

    kind: str  # a key of `lstm_xcheck.layouts.other_layers.KINDS`
    name: str  # the user's, with dots between a model and its parts
    arrays: dict[str, Array]  # by canonical name, every bit as stored
    dtype: str  # precision in the file
    family: str  # whose file it was read from: a key of `lstm_xcheck.layouts.other_layers.OTHER_LAYERS`
    tensors: dict[str, str] = field(default_factory=dict)  # canonical name -> the file's own spelling
    attributes: dict[str, Any] = field(default_factory=dict)  # what a Keras config says of it, such as `activation`

    @property
    def fingerprint(self) -> str:
        """A hash of the canonical arrays."""
        return fingerprint(self.arrays)


@dataclass(frozen=True)
class CopiedTensor:
    """A tensor of no known layer, to be written as it is."""

    name: str  # in the destination
    source: str  # in the source
    array: Array
    dtype: str  # precision in the file

    @property
    def fingerprint(self) -> str:
        """A hash of the values."""
        return fingerprint({"": self.array})


@dataclass(frozen=True)
class OtherLayers:
    """What a file holds other than LSTMs."""

    layers: tuple[Layer, ...] = ()  # what can be carried over, in the model's order as far as it is known
    unknown: tuple[OtherTensor, ...] = ()  # tensors of no known layer, each with the reason as its note
    training: tuple[OtherTensor, ...] = ()  # tensors that belong to training alone
    chain: tuple[Step, ...] = ()  # the whole model, layer after layer, where that is certain; else empty
    order_source: str = ""  # how the order of the chain is known
    unsupported: tuple[str, ...] = ()  # operators of a graph that belong to no layer
    copied: tuple[CopiedTensor, ...] = ()  # tensors of no known layer that are copied from state dict to state dict


def by_name(layers: Sequence[Layer]) -> dict[str, Layer]:
    """Layers by their names as every format can spell them."""
    return {plain_name(layer.name): layer for layer in layers}


def plain_name(name: str) -> str:
    """A name in the spelling that all formats share.

    >>> plain_name("decoder/head")
    'decoder.head'
    """
    return name.replace("/", ".").strip(".")
