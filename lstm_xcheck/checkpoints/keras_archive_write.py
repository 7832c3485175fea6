"""Writes Keras 3's `.keras` with h5py alone: `keras.models.load_model(path)` gives a model with these layers.

The model is Functional: one input and one output, the sequence, for each LSTM; a stack is a chain of layers.
Source: keras 3.15.1, keras/src/saving/saving_lib.py, keras/src/models/functional.py (`get_config`, order of layers).
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py

from ..errors import CheckpointError
from ..spec import LSTMSpec, LSTMWeights
from ..spec.activations import HARD_SIGMOID_KERAS3
from .keras_archive import read
from .keras_weights_write import fill_groups, write_groups
from .untrusted import open_archive, read_member, shown
from .writing import chain_of

#: The Keras whose format is written; it tells a hard sigmoid of Keras 3 from one of Keras 2.
_VERSION = "3.15.1"
_WEIGHTS = "model.weights.h5"


def write(path: Path, lstms: Mapping[str, LSTMWeights], like: Path | None = None) -> None:
    """A model with one layer for each LSTM, a chain for a stack; with `like`, that model with its LSTMs replaced.

    Raises:
        CheckpointError: for what Keras' LSTM cannot say.
    """
    if like is not None:
        members = _filled(like, chain_of(lstms))
    else:
        chains = [chain_of({name: weights}) for name, weights in lstms.items()]
        config, order = _model(chains)
        everything = chain_of(lstms)
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as root:
            write_groups(root, {name: everything[name] for name in order})
        members = {
            "metadata.json": json.dumps({"keras_version": _VERSION, "date_saved": ""}).encode(),
            "config.json": json.dumps(config).encode(),
            _WEIGHTS: buffer.getvalue(),
        }
    with path.open("xb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)


def _filled(like: Path, chain: Mapping[str, LSTMWeights]) -> dict[str, bytes]:
    held = {lstm.name: lstm.tensors for lstm in read(like).lstms}
    with open_archive(like) as archive:
        members = {name: read_member(like, archive, name) for name in archive.namelist()}
    buffer = io.BytesIO(members[_WEIGHTS])
    with h5py.File(buffer, "r+") as root:
        fill_groups(root, chain, held)
    return {**members, _WEIGHTS: buffer.getvalue()}


def _model(chains: list[dict[str, LSTMWeights]]) -> tuple[dict[str, Any], list[str]]:
    """The config of a Functional model, and its LSTM layers in the order that Keras will give them."""
    layers: list[tuple[int, dict[str, Any]]] = []
    inputs, outputs = [], []
    names = {name for chain in chains for name in chain}
    for number, chain in enumerate(chains):
        source = _free(f"input_{number}", names)
        first = next(iter(chain.values()))
        # Keras sorts layers by their distance from the output.
        layers.append((len(chain), _input(source, first)))
        inputs.append([source, 0, 0])
        for depth, (name, weights) in enumerate(chain.items()):
            layers.append((len(chain) - 1 - depth, _layer(name, weights, source)))
            source = name
        outputs.append([source, 0, 0])
    layers.sort(key=lambda item: -item[0])
    ordered = [layer for _, layer in layers]
    # A model of one input takes it as it is, not in a list of one.
    ends = {"input_layers": inputs, "output_layers": outputs}
    config = {"name": "lstms", "trainable": True, "layers": ordered}
    config.update({key: places[0] if len(places) == 1 else places for key, places in ends.items()})
    order = [layer["name"] for layer in ordered if layer["class_name"] != "InputLayer"]
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": config,
        "registered_name": "Functional",
        "build_config": {"input_shape": None},
    }, order


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name = f"{name}_"
    return name


def _input(name: str, weights: LSTMWeights) -> dict[str, Any]:
    config = {"batch_shape": [None, None, weights.spec.input_size], "dtype": weights.dtype, "name": name}
    return {"module": "keras.layers", "class_name": "InputLayer", "config": config, "registered_name": None,
            "name": name, "inbound_nodes": []}  # fmt: skip


def _layer(name: str, weights: LSTMWeights, source: str) -> dict[str, Any]:
    spec = weights.spec
    shape = [None, None, spec.input_size]
    lstm = _described("LSTM", _lstm_config(name, spec, weights.dtype), shape)
    if spec.bidirectional:
        backward = {**lstm["config"], "name": f"backward_{name}", "go_backwards": True}
        config = {
            "name": name,
            "trainable": True,
            "dtype": _policy(weights.dtype),
            "merge_mode": "concat",
            "layer": {**lstm, "config": {**lstm["config"], "name": f"forward_{name}"}},
            "backward_layer": {**lstm, "config": backward},
        }
        lstm = _described("Bidirectional", config, shape)
    tensor = {"shape": shape, "dtype": weights.dtype, "keras_history": [source, 0, 0]}
    node = {"args": [{"class_name": "__keras_tensor__", "config": tensor}], "kwargs": {}}
    return {**lstm, "name": name, "inbound_nodes": [node]}


def _described(class_name: str, config: dict[str, Any], shape: list[int | None]) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": class_name, "config": config, "registered_name": None,
            "build_config": {"input_shape": shape}}  # fmt: skip


def _lstm_config(name: str, spec: LSTMSpec, dtype: str) -> dict[str, Any]:
    """What differs from Keras' defaults, or might one day."""
    activation, recurrent = (_activation(name, f) for f in (spec.cell_activation, spec.gate_activation))
    said = LSTMSpec(
        spec.input_size, spec.hidden_size, spec.num_layers, spec.bidirectional, spec.bias, reverse=spec.reverse,
        gate_activation=spec.gate_activation, cell_activation=spec.cell_activation,
        output_activation=spec.cell_activation,
    )  # fmt: skip
    if said != spec:
        differing = [key for key, value in spec.to_dict().items() if value != said.to_dict()[key]]
        raise CheckpointError(f"LSTM {shown(name)} cannot be written for Keras: no such {', '.join(differing)} there")
    return {
        "name": name, "trainable": True, "dtype": _policy(dtype), "return_sequences": True, "return_state": False,
        "go_backwards": spec.reverse, "stateful": False, "unroll": False, "units": spec.hidden_size,
        "activation": activation, "recurrent_activation": recurrent, "use_bias": spec.bias != "none",
        "unit_forget_bias": True, "dropout": 0.0, "recurrent_dropout": 0.0,
    }  # fmt: skip


def _activation(name: str, function: str) -> str:
    if function == HARD_SIGMOID_KERAS3:
        return "hard_sigmoid"
    if function not in ("tanh", "sigmoid", "relu", "linear"):
        raise CheckpointError(f"LSTM {shown(name)} cannot be written for Keras 3, which has no activation {function}")
    return function


def _policy(dtype: str) -> dict[str, Any]:
    return {"module": "keras", "class_name": "DTypePolicy", "config": {"name": dtype}, "registered_name": None}
