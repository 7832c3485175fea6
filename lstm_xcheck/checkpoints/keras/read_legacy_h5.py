"""Reads the older Keras `.h5`, of Keras 3, tf_keras, Keras 2 and TF 1.

Datasets are named after variables: `model_weights/<layer>/<layer>/lstm_cell/kernel:0`, without `lstm_cell` in TF 1.15
and Keras 2.3, without `:0` in Keras 3. The model's config is a text attribute of the file.
Everything is put where Keras 3 would put it, so that one file judges both kinds.
Source: keras 3.15.1, keras/src/legacy/saving/legacy_h5_format.py; tf_keras 2.21, src/saving/legacy/hdf5_format.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ...errors import CheckpointError
from ..codecs.hdf5 import text_attribute, walk
from ..codecs.lazy_bytes import ByteRange
from ..codecs.limits import escape
from ..tensor_info import TensorInfo
from .cells import Variables
from .config import KerasConfig, LayerConfig, backward_layer, default_gates, layer_config, within

_KINDS = ("kernel", "recurrent_kernel", "bias")
_SIDES = {"forward_": "forward_layer", "backward_": "backward_layer"}
_MAX_CONFIG = 64 << 20
_MAX_DEPTH = 32
_STACK = re.compile("stacked_rnn_cells(_[0-9]+)?")
#: A recurrent matrix of one gate, which neither a GRU nor a SimpleRNN has.
_GATE_OF_KERAS_1 = "_U_f"
_CELL = re.compile("lstm_cell(_[0-9]+)?")


def is_legacy(root: Any) -> bool:
    """Whether an open HDF5 file is of this kind."""
    return "layer_names" in root.attrs or "model_weights" in root


def legacy_content(
    path: Path, file: BinaryIO, root: Any, size: int, byte_range: ByteRange | None, given: Any = None
) -> tuple[list[Variables], list[TensorInfo], KerasConfig]:
    """Groups, other tensors and config, placed as in a `.keras` archive.

    Args:
        path: of the file, for messages.
        file: the same, open.
        root: the same, as h5py sees it.
        size: of the file.
        byte_range: where it lies on disk.
        given: the config that the user gives, where the file has none.
    """
    model = _read_config(path, file, root)
    if model is not None and given is not None:
        raise CheckpointError(f"{path} has a config of its own, so leave --keras-config out")
    version = text_attribute(path, file, root, "keras_version")
    configs = _configs(path, given if model is None else model)
    groups: dict[str, Variables] = {}
    loose: list[TensorInfo] = []
    cells: dict[str, str] = {}
    is_model = "model_weights" in root
    for place, group, datasets in walk(path, file, root, size, byte_range):
        if place == "model_weights" and not version:
            version = text_attribute(path, file, group, "keras_version")
        tensors = {key.partition(":")[0]: tensor for key, tensor in datasets.items()}
        # Adam's moments of a kernel lie in groups like the kernel's own, beside the model's weights.
        aside = is_model and not place.startswith("model_weights/")
        parent = place.rpartition("/")[0]
        if parent in cells and tensors:  # a normalisation within the cell
            cells[place] = f"{cells[parent]}/{place.rpartition('/')[2]}"
            groups[cells[place]] = Variables(cells[place], "", tensors)
        elif not aside and any(name.endswith(_GATE_OF_KERAS_1) for name in tensors):
            there = cells[place] = _place(place.removeprefix("model_weights/").split("/"), configs)
            groups[there] = Variables(there, "", tensors)
        elif aside or not {"kernel", "recurrent_kernel"} <= set(tensors):
            loose.extend(datasets.values())
        else:
            there = cells[place] = _place(place.removeprefix("model_weights/").split("/"), configs)
            if there in groups:
                raise CheckpointError(
                    f"{path} has two recurrent layers at {escape(place)}; rename one and save it again"
                )
            groups[there] = Variables(there, "", _numbered(tensors))
    version = _version(version, given)
    return list(groups.values()), loose, KerasConfig(configs, version, default_gates(version))


def _numbered(tensors: dict[str, TensorInfo]) -> dict[str, TensorInfo]:
    """The tensors of a cell by Keras 3's numbers, peepholes by their names."""
    return {str(_KINDS.index(kind)) if kind in _KINDS else kind: tensor for kind, tensor in tensors.items()}


def _version(version: str, given: Any) -> str:
    """The Keras that the model is of; empty where file and config differ."""
    stated = str(given.get("keras_version") or "") if isinstance(given, dict) else ""
    return version or stated if not (version and stated) or version[:1] == stated[:1] else ""


def _read_config(path: Path, file: BinaryIO, root: Any) -> Any:
    text = text_attribute(path, file, root, "model_config", _MAX_CONFIG)
    if not text:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: model_config is not JSON ({escape(error)}); save the model again") from error


def _configs(path: Path, model: Any) -> dict[str, LayerConfig]:
    """All layers by their places in Keras 3."""
    if model is None:
        return {}
    root = _model(model)
    configs = {"": root or LayerConfig("", "", {})}
    for leaf in _leaves(path, root, 0) if root else ():
        configs.update(_below(path, f"layers/{leaf.name}", leaf, 0))
    return configs


def _model(item: Any) -> LayerConfig | None:
    """A layer or model; before Keras 2.2.3 a Sequential was a list."""
    if isinstance(item, dict) and isinstance(item.get("config"), list):
        item = {**item, "config": {"layers": item["config"]}}
    return layer_config(item)


def _leaves(path: Path, model: LayerConfig, depth: int) -> Iterator[LayerConfig]:
    """The layers of a model and of the models in it."""
    if depth > _MAX_DEPTH:
        raise CheckpointError(f"{path}: model_config nests layers more than {_MAX_DEPTH} deep; it is not a real model")
    listed = model.values.get("layers")
    for item in listed if isinstance(listed, list) else []:
        layer = _model(item)
        layer = within(layer, model) if layer else None
        inner = _model(layer.values.get("layer")) if layer else None
        nested = next((one for one in (layer, inner) if one and isinstance(one.values.get("layers"), list)), None)
        if nested and layer:
            nested = nested if nested is layer else within(nested, layer)
            yield from _leaves(path, nested, depth + 1)
        elif layer:
            yield layer


def _below(path: Path, place: str, layer: LayerConfig, depth: int) -> dict[str, LayerConfig]:
    """A layer, its sides and its cells; a TimeDistributed adds no place."""
    if depth > _MAX_DEPTH:
        raise CheckpointError(f"{path}: model_config nests layers more than {_MAX_DEPTH} deep; it is not a real model")
    configs = {place: layer}
    inner, cell = _child(layer, "layer"), _child(layer, "cell")
    if inner and layer.is_bidirectional:
        backward = _child(layer, "backward_layer") or backward_layer(inner)
        for side, one in (("forward_layer", inner), ("backward_layer", backward)):
            configs.update(_below(path, f"{place}/{side}", one, depth + 1))
    elif inner:
        configs.update(_below(path, place, inner, depth + 1))
    if cell:
        configs[f"{place}/cell"] = cell
        listed = cell.values.get("cells")
        members = [layer_config(item) for item in listed] if isinstance(listed, list) else []
        configs.update({f"{place}/cell/cells/{one.name}": within(one, cell) for one in members if one})
    return configs


def _child(entry: LayerConfig, key: str) -> LayerConfig | None:
    child = layer_config(entry.values.get(key))
    return within(child, entry) if child else None


def _place(parts: list[str], configs: Mapping[str, LayerConfig]) -> str:
    """The place in Keras 3 of a group's cell."""
    name, rest = _layer(parts, configs)
    if rest and _is_scope(rest[0], name):
        rest = rest[1:]
    place = f"layers/{name}"
    inside = rest[:-1] if rest and _CELL.fullmatch(rest[-1]) else rest
    if inside and place in configs and _may_hold_others(configs[place]):
        return "/".join([place, *inside, "cell"])
    if rest and _STACK.fullmatch(rest[0]):
        return f"{place}/cell/cells/{rest[-1]}"
    backward = configs.get(f"{place}/backward_layer")
    if backward:
        # Keras 3 puts the model's name before, and keeps the name of a backward layer that the user makes.
        second = any(part.startswith("backward_") or part == backward.name for part in rest)
        place = f"{place}/{'backward' if second else 'forward'}_layer"
    cell = configs.get(f"{place}/cell")
    if cell and isinstance(cell.values.get("cells"), list) and rest:
        return f"{place}/cell/cells/{rest[-1]}"
    if backward:
        return f"{place}/cell"
    side = next((there for start, there in _SIDES.items() if rest and rest[0].startswith(start)), "")
    return f"{place}/{side}/cell" if side and not configs else f"{place}/cell"


def _may_hold_others(layer: LayerConfig) -> bool:
    """Whether this is the user's layer, of whose inner layers the config says nothing."""
    return not layer.is_own and not {"recurrent_activation", "cell", "layer"} & set(layer.values)


def _layer(parts: list[str], configs: Mapping[str, LayerConfig]) -> tuple[str, list[str]]:
    """The layer of a group, and what follows it.

    The first part is the layer, or a model in the model with its layers behind. TensorFlow 1 gives every layer of a
    graph a scope of its own: the second `lstm` of a graph has its weights in `lstm_1`.
    """
    spans = ((start, end) for end in range(len(parts), 1, -1) for start in range(end - 1))
    for start, end in spans:  # a name of Keras 2 may have slashes
        name = "/".join(parts[start:end])
        layer = configs.get(f"layers/{name}")
        if layer and layer.name == name:
            again = parts[end : 2 * end - start] == parts[start:end]
            return name, parts[2 * end - start if again else end :]
    plain = [re.sub("_[0-9]+$", "", part) for part in parts]
    for names in (parts[:1], parts, plain):
        named = [position for position, part in enumerate(names) if f"layers/{part}" in configs]
        if named:
            return names[named[-1]], parts[named[-1] + 1 :]
    at = len(parts) - 1
    stack = next((position for position, part in enumerate(parts) if position and _STACK.fullmatch(part)), 0)
    if stack:
        at = stack - 1
    else:
        at -= bool(at and _CELL.fullmatch(parts[at]))
        at -= bool(at and parts[at].startswith(tuple(_SIDES)))
    return (parts[0], parts[1:]) if at and _is_scope(parts[1], parts[0]) else (parts[at], parts[at + 1 :])


def _is_scope(part: str, layer: str) -> bool:
    """Whether this is the layer's name once more, perhaps with a number."""
    return part == layer or (part.startswith(f"{layer}_") and part[len(layer) + 1 :].isdecimal())
