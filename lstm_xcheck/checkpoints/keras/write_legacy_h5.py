"""Writes the older Keras `.h5` for Keras 2 and 3.

The groups are layers in the model's order; layers without weights may stand between them in the model. LSTMs that are
not as Keras makes them by default have a config, as Keras 2 writes it, which says what they compute.
Source: keras 3.15.1, keras/src/legacy/saving/legacy_h5_format.py (`save_weights_to_hdf5_group`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py

from ...arrays import Array
from ...errors import CheckpointError
from ...model import LSTMWeights
from ..codecs.limits import escape
from ..other_layers.model import Layer, OtherLayers
from ..other_layers.store import to_framework
from ..template import Template
from .keras2_config import file_name, keras2_config, plain_spec
from .write_weights_h5 import fill_groups, keras_arrays, keras_layers

_SIDES = {"forward_layer": "forward", "backward_layer": "backward"}


def write(path: Path, lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers) -> None:
    """Writes one layer for each LSTM, a chain for a stack."""
    layers = keras_layers(lstms, other_layers)
    _refuse_bfloat16({name: layer.dtype for name, layer in layers.items()})
    plain = all(weights.spec == plain_spec(weights.spec) for weights in lstms.values())
    with path.open("xb") as file, h5py.File(file, "w") as root:
        root.attrs["backend"], root.attrs["keras_version"] = b"tensorflow", b"2.15.0"
        names = _layer_names(layers)
        if not plain:
            root.attrs["model_config"] = json.dumps(keras2_config(lstms, other_layers))
        _write_layers(root if plain else root.create_group("model_weights"), layers, names)


def fill(path: Path, template: Template) -> None:
    """Writes the template's file with its arrays replaced."""
    _refuse_bfloat16({name: weights.dtype for name, weights in template.lstms.items()})
    path.write_bytes(template.path.read_bytes())
    with h5py.File(path, "r+") as root:
        fill_groups(root, template.values)


def _refuse_bfloat16(dtypes: Mapping[str, str]) -> None:
    for name, dtype in dtypes.items():
        if dtype == "bfloat16":
            raise CheckpointError(f"{escape(name)} is bfloat16, which a Keras .h5 cannot say; write a .keras file")


def _layer_names(chain: Mapping[str, LSTMWeights | Layer]) -> dict[str, str]:
    """What the layers are called in the file."""
    names = {name: file_name(name) for name in chain}
    if "" in names:
        raise CheckpointError("a layer of a Keras .h5 needs a name; give it one with --rename")
    if len(set(names.values())) != len(names):
        raise CheckpointError("two layers would have one name in the file; rename one with --rename")
    return names


def _write_layers(root: Any, chain: Mapping[str, LSTMWeights | Layer], names: Mapping[str, str]) -> None:
    root.attrs["layer_names"] = [name.encode() for name in names.values()]
    for name, weights in chain.items():
        layer = names[name]
        group = root.create_group(layer)
        variables = {f"{variable}:0": array for variable, array in _variables(layer, name, weights).items()}
        group.attrs["weight_names"] = [variable.encode() for variable in variables]
        for variable, array in variables.items():
            group.create_dataset(variable, data=array)


def _variables(layer: str, name: str, owner: LSTMWeights | Layer) -> dict[str, Array]:
    if isinstance(owner, Layer):
        return {f"{layer}/{key}": array for key, (array, _) in to_framework(owner, "keras").arrays.items()}
    return {_variable(layer, key): array for key, array in keras_arrays(name, owner).items()}


def _variable(layer: str, key: str) -> str:
    """`lstm/lstm_cell/kernel`, or `both/forward_both/lstm_cell/kernel` for `forward_layer/kernel`."""
    side, _, kind = key.rpartition("/")
    return f"{layer}/{_SIDES[side]}_{layer}/lstm_cell/{kind}" if side else f"{layer}/lstm_cell/{kind}"
