"""Translates what a Keras file says of its layers into a ModelTopology.

Source: keras 3.15.1, keras/src/models/functional.py (`inbound_nodes`); Keras 2 writes them as lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ...layouts.other_layers import OTHER_LAYERS
from ..model import FoundLSTM
from ..topology import LayerGroup, ModelTopology, Step
from .config import KerasConfig, LayerConfig, layer_config, snake_case

#: What a config says of a layer and no weight does.
_ATTRIBUTES = (
    "activation", "epsilon", "momentum", "mask_zero", "use_bias", "scale", "center", "axis", "rms_scaling",
    "units", "input_dim", "output_dim",
)  # fmt: skip
#: Layers without weights that a chain keeps as they are.
_PLAIN = (
    "Dropout", "SpatialDropout1D", "GaussianNoise", "Masking", "Activation", "ReLU", "Softmax", "Flatten",
    "GlobalAveragePooling1D", "GlobalMaxPooling1D", "ActivityRegularization",
)  # fmt: skip
_RECURRENT = ("LSTM", "CuDNNLSTM", "Bidirectional", "RNN")
#: Lists within lists of a config; Keras writes a handful.
_MAX_DEPTH = 32


def keras_topology(
    config: KerasConfig | None,
    names: Mapping[str, str],
    lstms: Iterable[FoundLSTM],
    tensors: Iterable[str],
    *,
    legacy: bool,
) -> ModelTopology:
    """The layers of a Keras file by place, and their order.

    Args:
        config: of the model, where the file has one.
        names: the user's layer names by place.
        lstms: those that were read.
        tensors: names of all other tensors.
        legacy: whether the file is of the older `.h5` kind, whose places are layer names.
    """
    configs = config.layers if config else {}
    groups = _groups(configs, names, tensors, legacy=legacy)
    root = configs.get("")
    if root is None or not root.values.get("layers"):
        return ModelTopology(groups=groups)
    chain = _chain(root, {lstm.name for lstm in lstms})
    return ModelTopology("the model's config", chain, groups, weightless=tuple(_weightless(root)))


def _groups(
    configs: Mapping[str, LayerConfig], names: Mapping[str, str], tensors: Iterable[str], *, legacy: bool
) -> dict[str, LayerGroup]:
    """The layer at each place of a tensor, in config order."""
    root = configs.get("")
    known = _layer_entries(root) if legacy else {}
    groups = {}
    for path in dict.fromkeys(name.rpartition("/")[0] for name in tensors):
        place = path.removesuffix("/vars")
        groups[place] = _legacy_group(path, known) if legacy else _numbered_group(place, names, configs)
    order = list(known or (config.name for config in configs.values()))
    without_steps = _without_steps(root)
    groups = {p: _with_last_axis(group) if group.name in without_steps else group for p, group in groups.items()}
    rank = {name: position for position, name in reversed(list(enumerate(order)))}
    return dict(sorted(groups.items(), key=lambda item: rank.get(item[1].name, len(order))))


def _without_steps(root: LayerConfig | None) -> set[str]:
    """The layers of a Sequential after its last steps are taken."""
    listed = root.values.get("layers") if root and root.class_name == "Sequential" else None
    found: set[str] = set()
    steps_are_gone = False
    for item in listed if isinstance(listed, list) else []:
        config = layer_config(item)
        if config and steps_are_gone:
            found.add(config.name)
        inner = _inner_layer(config) if config and config.class_name == "Bidirectional" else config
        steps_are_gone = steps_are_gone or bool(inner and inner.values.get("return_sequences") is False)
    return found


def _with_last_axis(group: LayerGroup) -> LayerGroup:
    """Replaces axis 1 by -1: Keras 2 numbers the last axis."""
    last = group.attributes.get("axis") in (1, [1])
    return replace(group, attributes={**group.attributes, "axis": -1}) if last else group


def _numbered_group(place: str, names: Mapping[str, str], configs: Mapping[str, LayerConfig]) -> LayerGroup:
    """A group of Keras 3's weights file.

    A TimeDistributed gives its name, its layer the kind.

    In a model's list of layers the last part of a place is the class in snake case; elsewhere it is an attribute.
    """
    outer = place.removesuffix("/layer")
    timed = outer != place and (
        configs[outer].class_name == "TimeDistributed" if outer in configs else "time_distributed" in outer
    )
    owner = outer if timed else place
    config = configs.get(place)
    name = names.get(owner) or (configs[owner].name if owner in configs else "") or owner.rpartition("/")[2]
    container, _, last = place.rpartition("/")
    listed = container.rpartition("/")[2] == "layers"
    class_name = config.class_name if config else _class_of(last) if listed else ""
    return LayerGroup(name, place, {}, (last, names.get(place, "")), class_name, _attributes(config, timed))


def _class_of(last: str) -> str:
    """The class that Keras made `dense_1` of."""
    snake = re.sub("_[0-9]+$", "", last)
    return {snake_case(row.class_name): row.class_name for row in OTHER_LAYERS["keras"].values()}.get(snake, snake)


def _legacy_group(path: str, known: Mapping[str, LayerConfig]) -> LayerGroup:
    """A group of the older `.h5`, named by its layer."""
    parts = path.removeprefix("model_weights/").split("/")
    name = next((part for part in reversed(parts) if part in known), parts[-1])
    config = known.get(name)
    timed = config is not None and config.class_name == "TimeDistributed"
    if timed and config is not None:
        config = _inner_layer(config)
    return LayerGroup(name, path, {}, (name,), config.class_name if config else "", _attributes(config, timed))


def _attributes(config: LayerConfig | None, timed: bool) -> dict[str, Any]:
    found = {key: config.values[key] for key in _ATTRIBUTES if key in config.values} if config else {}
    return {**found, "time_distributed": True} if timed else found


def _inner_layer(config: LayerConfig) -> LayerConfig | None:
    """The layer in a wrapper."""
    return layer_config(config.values.get("layer"))


def _layer_entries(root: LayerConfig | None) -> dict[str, LayerConfig]:
    """Every layer of a config by name, nested models included."""
    listed = root.values.get("layers") if root else None
    found: dict[str, LayerConfig] = {}
    for item in listed if isinstance(listed, list) else []:
        config = layer_config(item)
        if config:
            found[config.name] = config
            found.update(_layer_entries(config))
    return found


def _chain(model: LayerConfig, lstms: set[str]) -> tuple[Step, ...]:
    """The steps of a sequential model; empty for any other."""
    steps = [_step(entry, lstms) for entry in _line(model)]
    return tuple(step for step in steps if step) if all(steps) else ()


def _weightless(model: LayerConfig) -> Iterator[Step]:
    """Layers that may compute without weights, such as Lambda."""
    for entry in _layer_entries(model).values():
        nested = isinstance(entry.values.get("layers"), list) or entry.class_name in _RECURRENT
        if not nested and entry.class_name != "InputLayer":
            yield Step("", entry.name, {"class_name": entry.class_name})


def _step(entry: LayerConfig, lstms: set[str]) -> Step | None:
    """One layer as a step; None for unsupported outputs."""
    if entry.class_name == "InputLayer":
        shape = entry.values.get("batch_shape", entry.values.get("batch_input_shape"))
        return Step("input", entry.name, {"batch_shape": shape, "dtype": entry.values.get("dtype")})
    if entry.name in lstms and entry.class_name in _RECURRENT:
        inner = (_inner_layer(entry) if entry.class_name == "Bidirectional" else entry) or entry
        attributes = {"return_sequences": bool(inner.values.get("return_sequences", False))}
        if entry.class_name == "Bidirectional":
            attributes["merge_mode"] = entry.values.get("merge_mode", "concat")
        if inner.values.get("return_state") or attributes.get("merge_mode", "") is None:
            return None
        return Step("lstm", entry.name, attributes)
    kind = "plain" if entry.class_name in _PLAIN else ""
    return Step(kind, entry.name, {"class_name": entry.class_name, "config": entry.values})


def _line(model: LayerConfig) -> list[LayerConfig]:
    """The layers in sequence; empty for several inputs or calls."""
    listed = model.values["layers"]
    if not isinstance(listed, list):
        return []
    entries = [entry for item in listed if (entry := layer_config(item))]
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
    """Names of the input layers, in Keras 3's and Keras 2's form."""
    if depth > _MAX_DEPTH:
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
