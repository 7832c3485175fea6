"""Finds the renames that a template needs, by shapes and order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from typing import NamedTuple

from ..model import Checkpoint
from .collect import collect_layers
from .model import Layer, OtherLayers, by_name, plain_name
from .store import kinds_of


class Rename(NamedTuple):
    """A new name, and the kind of layer that gets it."""

    kind: str
    new: str


def renames_by_shape(kind: str, ours: Mapping[str, Hashable], theirs: Mapping[str, Hashable]) -> dict[str, Rename]:
    """New names of layers that fit no layer of their name.

    Layers of one shape are matched in order; it is empty where several ways fit, or none.

    >>> renames_by_shape("LSTM", {"a": 3, "b": 4}, {"x": 3, "a": 4})
    {'a': Rename(kind='LSTM', new='x'), 'b': Rename(kind='LSTM', new='a')}
    """
    left = {name: shape for name, shape in ours.items() if theirs.get(name) != shape}
    free = {name: shape for name, shape in theirs.items() if ours.get(name) != shape}
    wanted, offered = Counter(left.values()), Counter(free.values())
    if any(offered[shape] != count for shape, count in wanted.items()):
        return {}
    queues = {shape: [name for name, own in free.items() if own == shape] for shape in wanted}
    return {name: Rename(kind, queues[shape].pop(0)) for name, shape in left.items()}


def layer_renames(template: Checkpoint, others: OtherLayers) -> dict[str, Rename]:
    """The renames that other layers need to fill a template."""
    available = by_name(collect_layers(template, kinds_of(others.layers)).layers) if others.layers else {}
    renames: dict[str, Rename] = {}
    for kind in dict.fromkeys(layer.kind for layer in others.layers):
        ours = {plain_name(layer.name): _shape(layer) for layer in others.layers if layer.kind == kind}
        theirs = {name: _shape(layer) for name, layer in available.items() if layer.kind == kind}
        renames.update(renames_by_shape(kind, ours, theirs))
    return renames


def _shape(layer: Layer) -> Hashable:
    shapes = ((part, array.shape) for part, array in layer.arrays.items() if part != "count")
    return layer.dtype, tuple(sorted(shapes))
