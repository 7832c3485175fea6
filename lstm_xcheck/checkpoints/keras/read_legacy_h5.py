"""Reads the older Keras `.h5`, of Keras 3, tf_keras, Keras 2 and TF 1.

Datasets are named after variables: `model_weights/<layer>/<layer>/lstm_cell/kernel:0`, without `lstm_cell` in TF 1.15
and Keras 2.3, without `:0` in Keras 3. The model's config is a text attribute of the file.
Everything is put where Keras 3
would put it, so that one file judges both kinds.
Source: keras 3.15.1, keras/src/legacy/saving/legacy_h5_format.py; tf_keras 2.21, src/saving/legacy/hdf5_format.py.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ...errors import CheckpointError
from ..codecs.hdf5 import text_attribute, walk
from ..codecs.lazy_bytes import ByteRange
from ..codecs.limits import escape
from ..tensor_info import TensorInfo
from .config import KerasConfig, LayerConfig, backward_layer, layer_config
from .layers import Variables

_KINDS = ("kernel", "recurrent_kernel", "bias")
_SIDES = {"forward_": "forward_layer", "backward_": "backward_layer"}
_MAX_CONFIG = 64 << 20
_MAX_DEPTH = 32
_STACK = "stacked_rnn_cells"


def is_legacy(root: Any) -> bool:
    """Whether an open HDF5 file is of this kind."""
    return "layer_names" in root.attrs or "model_weights" in root


def legacy_content(
    path: Path, file: BinaryIO, root: Any, size: int, byte_range: ByteRange | None = None
) -> tuple[list[Variables], list[TensorInfo], KerasConfig | None]:
    """Groups, other tensors and config, placed as in a `.keras` archive."""
    known = _read_config(path, file, root)
    groups: dict[str, Variables] = {}
    loose: list[TensorInfo] = []
    configs: dict[str, LayerConfig] = {}
    for place, _, datasets in walk(path, file, root, size, byte_range):
        tensors = {key.partition(":")[0]: tensor for key, tensor in datasets.items()}
        # Adam's moments of a kernel lie in groups like the kernel's own, beside the model's weights.
        aside = "model_weights" in root and not place.startswith("model_weights/")
        if aside or not {"kernel", "recurrent_kernel"} <= set(tensors):
            loose.extend(datasets.values())
            continue
        parts = place.removeprefix("model_weights/").split("/")
        there = _place(parts, known)
        if there in groups:
            raise CheckpointError(f"{path} has two recurrent layers at {escape(place)}; rename one and save it again")
        numbered = {str(_KINDS.index(kind)): tensor for kind, tensor in tensors.items() if kind in _KINDS}
        loose.extend(tensor for kind, tensor in tensors.items() if kind not in _KINDS)
        groups[there] = Variables(there, "", numbered)
    if known is None:
        return list(groups.values()), loose, None
    configs[""] = known.root
    for entry in known.entries:
        configs.update(_configs(entry))
    return list(groups.values()), loose, KerasConfig(configs, known.major)


@dataclass(frozen=True)
class _Known:
    """A config's recurrent layers in order, Keras' version and the model."""

    entries: tuple[LayerConfig, ...]
    major: int
    root: LayerConfig

    @property
    def names(self) -> set[str]:
        return {entry.name for entry in self.entries}


def _read_config(path: Path, file: BinaryIO, root: Any) -> _Known | None:
    text = text_attribute(path, file, root, "model_config", _MAX_CONFIG)
    if not text:
        return None
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: model_config is not JSON ({escape(error)}); save the model again") from error
    entries: list[LayerConfig] = []
    _collect(path, config, entries, 0)
    version = re.match(r"([0-9]{1,3})\.", text_attribute(path, file, root, "keras_version"))
    return _Known(tuple(entries), int(version[1]) if version else 0, _root(config))


def _root(config: Any) -> LayerConfig:
    """The model itself; before Keras 2.2.3 a Sequential was a list."""
    if isinstance(config, dict) and isinstance(config.get("config"), list):
        config = {**config, "config": {"layers": config["config"]}}
    return layer_config(config) or LayerConfig("", "", {})


def _collect(path: Path, entry: Any, entries: list[LayerConfig], depth: int) -> None:
    """Adds every recurrent layer of a config."""
    if depth > _MAX_DEPTH:
        raise CheckpointError(f"{path}: model_config nests layers more than {_MAX_DEPTH} deep; it is not a real model")
    if isinstance(entry, list):
        for item in entry:
            _collect(path, item, entries, depth + 1)
    if not isinstance(entry, dict):
        return
    class_name, values = entry.get("class_name"), entry.get("config")
    if isinstance(values, list):
        _collect(path, values, entries, depth + 1)
    elif isinstance(class_name, str) and isinstance(values, dict):
        if isinstance(values.get("layers"), list):
            _collect(path, values["layers"], entries, depth + 1)
        elif class_name in ("Bidirectional", "RNN") or "LSTM" in class_name:
            entries.append(LayerConfig(class_name, str(values.get("name", "")), values))


def _configs(entry: LayerConfig) -> dict[str, LayerConfig]:
    """A layer and its children, by their places in Keras 3."""
    place = f"layers/{entry.name}"
    configs = {place: entry}
    inner = _child(entry, "layer")
    if entry.class_name == "Bidirectional" and inner:
        backward = _child(entry, "backward_layer") or backward_layer(inner)
        for side, layer in (("forward_layer", inner), ("backward_layer", backward)):
            configs.update(_cells(f"{place}/{side}", layer))
    return {**configs, **_cells(place, entry)}


def _cells(place: str, layer: LayerConfig) -> dict[str, LayerConfig]:
    cell = _child(layer, "cell")
    configs = {place: layer}
    if cell:
        configs[f"{place}/cell"] = cell
        listed = cell.values.get("cells")
        for item in listed if isinstance(listed, list) else []:
            one = layer_config(item)
            if one:
                configs[f"{place}/cell/cells/{one.name}"] = one
    return configs


def _child(entry: LayerConfig, key: str) -> LayerConfig | None:
    return layer_config(entry.values.get(key))


def _place(parts: list[str], known: _Known | None) -> str:
    """The place in Keras 3 of a group's cell."""
    at = _layer_at(parts, known)
    layer, rest = parts[at], parts[at + 1 :]
    if rest[:1] == [_STACK]:
        return f"layers/{layer}/cell/cells/{rest[-1]}"
    side = next((there for start, there in _SIDES.items() if rest and rest[0].startswith(start)), "")
    return f"layers/{layer}/{side}/cell" if side else f"layers/{layer}/cell"


def _layer_at(parts: list[str], known: _Known | None) -> int:
    """Which part of a place is the layer, by config or cell names."""
    if known:
        named = [position for position, part in enumerate(parts) if part in known.names]
        if named:
            return named[-1]
    at = len(parts) - 1
    if _STACK in parts[1:]:
        return parts.index(_STACK, 1) - 1
    if at and re.fullmatch(r"lstm_cell(_[0-9]+)?", parts[at]):
        at -= 1
    return at - 1 if at and parts[at].startswith(tuple(_SIDES)) else at
