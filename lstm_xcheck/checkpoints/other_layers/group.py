"""The tensors beside the LSTMs, put together by the layer they belong to. Which kind it is, is settled elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...layouts.other_layers import OTHER_LAYERS
from ..keras.config import LayerConfig, snake_case
from ..model import Checkpoint, TensorInfo

#: What DataParallel and torch.compile put before every name.
_WRAPPERS = ("module.", "_orig_mod.")
#: Flax' collections, and what users call the tree around them.
_CONTAINERS = ("params/", "batch_stats/", "model/")

#: What a Keras config says of a layer and no weight does.
_ATTRIBUTES = (
    "activation", "epsilon", "momentum", "mask_zero", "use_bias", "scale", "center", "axis", "rms_scaling",
    "units", "input_dim", "output_dim",
)  # fmt: skip


@dataclass(frozen=True)
class Group:
    """Tensors of one layer.

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


def torch_groups(checkpoint: Checkpoint, tensors: Sequence[TensorInfo]) -> list[Group]:
    """One group for each module of a state dict."""
    groups: dict[str, Group] = {}
    for tensor in tensors:
        prefix, _, key = re.sub("/", ".", tensor.name).rpartition(".")
        name = prefix[len(tensor.scope) :]
        while name.startswith(_WRAPPERS):
            name = name.partition(".")[2]
        groups.setdefault(prefix, Group(name, prefix, {}, (name.rpartition(".")[2],))).tensors[key] = tensor
    return list(groups.values())


def flax_groups(checkpoint: Checkpoint, tensors: Sequence[TensorInfo]) -> list[Group]:
    """One group for each module, its parameters and its statistics together."""
    places = [tensor.name.removesuffix("/value").removesuffix("/raw_value") for tensor in tensors]
    return _tree_groups(tensors, places)


def haiku_groups(checkpoint: Checkpoint, tensors: Sequence[TensorInfo]) -> list[Group]:
    """One group for each module, whether its tree was saved flat or nested; `~` is a module's own method."""
    return _tree_groups(tensors, [tensor.name.replace(".", "/").replace("~/", "") for tensor in tensors])


def _tree_groups(tensors: Sequence[TensorInfo], places: Sequence[str]) -> list[Group]:
    groups: dict[str, Group] = {}
    for tensor, full in zip(tensors, places, strict=True):
        place = full
        while place.startswith(_CONTAINERS):
            place = place.partition("/")[2]
        name, _, key = place.rpartition("/")
        groups.setdefault(name, Group(name, name, {}, (name.rpartition("/")[2],))).tensors[key] = tensor
    return list(groups.values())


def keras_groups(checkpoint: Checkpoint, tensors: Sequence[TensorInfo]) -> list[Group]:
    """One group for each layer, in the order of the config where there is one."""
    keras = checkpoint.keras
    configs = keras.config.layers if keras and keras.config else {}
    names = keras.names if keras else {}
    legacy = checkpoint.format == "keras-h5"
    groups: dict[str, Group] = {}
    known = layer_entries(configs.get("")) if legacy else {}
    for tensor in tensors:
        path, _, key = tensor.name.rpartition("/")
        if legacy:
            group = _legacy_group(path, known)
        else:
            path = path.removesuffix("/vars")
            group = _numbered_group(path, names, configs)
        groups.setdefault(path, group).tensors[key.partition(":")[0]] = tensor
    order = list(known or (configs[place].name for place in configs))
    flat = _without_steps(configs.get(""))
    found = [_with_last_axis(group) if group.name in flat else group for group in groups.values()]
    return sorted(found, key=lambda group: order.index(group.name) if group.name in order else len(order))


def _without_steps(root: LayerConfig | None) -> set[str]:
    """The layers of a Sequential whose data have no steps any more, only rows and features."""
    listed = root.values.get("layers") if root and root.class_name == "Sequential" else None
    flat: set[str] = set()
    gone = False
    for item in listed if isinstance(listed, list) else []:
        config = config_of(item)
        if config and gone:
            flat.add(config.name)
        inner = inner_layer(config) if config and config.class_name == "Bidirectional" else config
        gone = gone or bool(inner and inner.values.get("return_sequences") is False)
    return flat


def _with_last_axis(group: Group) -> Group:
    """Keras 2 writes the last axis by its number, which is 1 where there are no steps."""
    last = group.attributes.get("axis") in (1, [1])
    return replace(group, attributes={**group.attributes, "axis": -1}) if last else group


def _numbered_group(place: str, names: Mapping[str, str], configs: Mapping[str, LayerConfig]) -> Group:
    """A group of Keras 3's weights file; a TimeDistributed gives its name and its layer the kind.

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
    return Group(name, place, {}, (last, names.get(place, "")), class_name, _attributes(config, timed))


def _class_of(last: str) -> str:
    """The class that Keras made `dense_1` of."""
    snake = re.sub("_[0-9]+$", "", last)
    return {snake_case(row.class_name): row.class_name for row in OTHER_LAYERS["keras"].values()}.get(snake, snake)


def _legacy_group(path: str, known: Mapping[str, LayerConfig]) -> Group:
    """A group of the older `.h5`: under the layer's name, which the config confirms."""
    parts = path.removeprefix("model_weights/").split("/")
    name = next((part for part in reversed(parts) if part in known), parts[-1])
    config = known.get(name)
    timed = config is not None and config.class_name == "TimeDistributed"
    if timed and config is not None:
        config = inner_layer(config)
    return Group(name, path, {}, (name,), config.class_name if config else "", _attributes(config, timed))


def _attributes(config: LayerConfig | None, timed: bool) -> dict[str, Any]:
    found = {key: config.values[key] for key in _ATTRIBUTES if key in config.values} if config else {}
    return {**found, "time_distributed": True} if timed else found


def inner_layer(config: LayerConfig) -> LayerConfig | None:
    """The layer in a wrapper."""
    return config_of(config.values.get("layer"))


def layer_entries(root: LayerConfig | None) -> dict[str, LayerConfig]:
    """Every layer of a model's config by name, those of models within it included."""
    listed = root.values.get("layers") if root else None
    found: dict[str, LayerConfig] = {}
    for item in listed if isinstance(listed, list) else []:
        config = config_of(item)
        if config:
            found[config.name] = config
            found.update(layer_entries(config))
    return found


def config_of(item: Any) -> LayerConfig | None:
    """A layer of a config, if this is one."""
    if isinstance(item, dict) and isinstance(item.get("class_name"), str) and isinstance(item.get("config"), dict):
        return LayerConfig(item["class_name"], str(item["config"].get("name", "")), item["config"])
    return None
