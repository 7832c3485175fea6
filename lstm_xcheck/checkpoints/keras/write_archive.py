"""Writes Keras 3's `.keras` with h5py alone.

Source: keras 3.15.1, keras/src/saving/saving_lib.py.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import h5py

from ...errors import CheckpointError
from ...model import LSTMWeights
from ..codecs.limits import escape, open_archive, read_member
from ..layout_arrays import keras_name
from ..other_layers.model import OtherLayers
from ..template import Template
from .write_config import model_config
from .write_weights_h5 import fill_groups, keras_layers, write_groups

#: The Keras whose format is written; it tells a hard sigmoid of Keras 3 from one of Keras 2.
_VERSION = "3.15.1"
_WEIGHTS = "model.weights.h5"


def write(path: Path, lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers) -> None:
    """Writes a model with one layer per LSTM, a chain per stack.

    Other layers make one model with them where their order is known, else each has its own input and output.
    """
    lstms, other_layers = _named(lstms), _layers_named(other_layers)
    config, order = model_config(lstms, other_layers)
    everything = keras_layers(lstms, other_layers)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as root:
        write_groups(root, {name: everything[name] for name in order if name in everything})
    members = {
        "metadata.json": json.dumps({"keras_version": _VERSION, "date_saved": ""}).encode(),
        "config.json": json.dumps(config).encode(),
        _WEIGHTS: buffer.getvalue(),
    }
    _write(path, members)


def _named(lstms: Mapping[str, LSTMWeights]) -> dict[str, LSTMWeights]:
    named = {keras_name(name): weights for name, weights in lstms.items()}
    if len(named) != len(lstms):
        same = [name for name in lstms if keras_name(name) != name]
        raise CheckpointError(
            f"two LSTMs would have one name in the file, as Keras takes no / and . in names; add --rename "
            f"{escape(same[0])}=NEW"
        )
    return named


def _layers_named(others: OtherLayers) -> OtherLayers:
    """The other layers, and the steps of the chain, by the same names."""
    layers = tuple(replace(layer, name=keras_name(layer.name)) for layer in others.layers)
    chain = []
    for step in others.chain:
        attributes = step.attributes
        if isinstance(attributes.get("config"), dict):
            config = attributes["config"]
            attributes = {**attributes, "config": {**config, "name": keras_name(str(config.get("name", step.name)))}}
        chain.append(replace(step, name=keras_name(step.name), attributes=attributes))
    return replace(others, layers=layers, chain=tuple(chain))


def fill(path: Path, template: Template) -> None:
    """Writes the template's model with its arrays replaced."""
    with open_archive(template.path) as archive:
        members = {name: read_member(template.path, archive, name) for name in archive.namelist()}
    buffer = io.BytesIO(members[_WEIGHTS])
    with h5py.File(buffer, "r+") as root:
        fill_groups(root, template.values)
    _write(path, {**members, _WEIGHTS: buffer.getvalue()})


def _write(path: Path, members: Mapping[str, bytes]) -> None:
    with path.open("xb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
