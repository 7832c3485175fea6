"""Groups tensors by layer; `classify` tells the kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from ..tensor_info import TensorInfo
from ..topology import LayerGroup, ModelTopology

#: What DataParallel and torch.compile put before every name.
_WRAPPERS = ("module.", "_orig_mod.")
#: Flax' collections, and what users call the tree around them.
_CONTAINERS = ("params/", "batch_stats/", "model/")

Grouping = Callable[[Sequence[TensorInfo], ModelTopology], list[LayerGroup]]


def _by_module(tensors: Sequence[TensorInfo], topology: ModelTopology) -> list[LayerGroup]:
    """One group for each module of a state dict."""
    groups: dict[str, LayerGroup] = {}
    for tensor in tensors:
        prefix, _, key = re.sub("/", ".", tensor.name).rpartition(".")
        name = module_name(prefix[len(tensor.scope) :])
        groups.setdefault(prefix, LayerGroup(name, prefix, {}, (name.rpartition(".")[2],))).tensors[key] = tensor
    return list(groups.values())


def module_name(name: str) -> str:
    """A name without what wraps the model."""
    while name.startswith(_WRAPPERS):
        name = name.partition(".")[2]
    return name


def _by_flax_module(tensors: Sequence[TensorInfo], topology: ModelTopology) -> list[LayerGroup]:
    """One group for each module, its parameters and its statistics together."""
    return _by_tree(tensors, [tensor.name.removesuffix("/value").removesuffix("/raw_value") for tensor in tensors])


def _by_haiku_module(tensors: Sequence[TensorInfo], topology: ModelTopology) -> list[LayerGroup]:
    """One group per module of a flat or nested tree."""
    return _by_tree(tensors, [tensor.name.replace(".", "/").replace("~/", "") for tensor in tensors])


def _by_tree(tensors: Sequence[TensorInfo], places: Sequence[str]) -> list[LayerGroup]:
    groups: dict[str, LayerGroup] = {}
    for tensor, full in zip(tensors, places, strict=True):
        place = full
        while place.startswith(_CONTAINERS):
            place = place.partition("/")[2]
        name, _, key = place.rpartition("/")
        groups.setdefault(name, LayerGroup(name, name, {}, (name.rpartition("/")[2],))).tensors[key] = tensor
    return list(groups.values())


def _by_topology(tensors: Sequence[TensorInfo], topology: ModelTopology) -> list[LayerGroup]:
    """The groups that the file's config describes, in its order."""
    by_place: dict[str, dict[str, TensorInfo]] = {}
    for tensor in tensors:
        path, _, key = tensor.name.rpartition("/")
        by_place.setdefault(path.removesuffix("/vars"), {})[key.partition(":")[0]] = tensor
    described = ((group, by_place.get(place)) for place, group in topology.groups.items())
    return [
        LayerGroup(group.name, group.place, own, group.words, group.class_name, group.attributes)
        for group, own in described
        if own
    ]


#: Framework whose names a file's other layers have -> how their tensors are grouped.
GROUPINGS: Mapping[str, Grouping] = {
    "torch": _by_module, "paddle": _by_module, "mlx": _by_module, "keras": _by_topology, "flax": _by_flax_module,
    "haiku": _by_haiku_module,
}  # fmt: skip
