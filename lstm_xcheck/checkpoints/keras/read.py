"""Reads Keras' `.keras` archives and its HDF5 files, without Keras.

An archive holds `config.json`, `metadata.json` and `model.weights.h5`. In the HDF5 file a layer's group holds `vars/0`,
`vars/1`, ...; an LSTM keeps its three in `<layer>/cell/vars`. Group names are class names, the user's layer name is an
attribute of `<layer>/vars`. Without a config nothing is known of activations.
Source: keras 3.15.1, keras/src/saving/saving_lib.py (`_save_model_to_fileobj`, `H5IOStore`, `_save_state`).
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import h5py

from ...errors import CheckpointError
from ..codecs.hdf5 import hdf5_faults, text_attribute, walk
from ..codecs.lazy_bytes import ByteRange, ByteRangeFile, Member
from ..codecs.limits import escape, open_archive, read_member
from ..model import Checkpoint
from ..options import ReadOptions
from ..sniff import HDF5_MAGIC, beginning, is_zip
from ..tensor_info import TensorInfo
from .by_hand import read_architecture
from .cells import Variables
from .config import KerasConfig, described, parse_config
from .layers import detect_keras
from .read_legacy_h5 import is_legacy, legacy_content

_MAX_CONFIG = 256 << 20
#: Smaller weights are compared with their checksum before HDF5 sees them, larger ones before they are used.
_SMALL = 32 << 20


def read_archive(path: Path, options: ReadOptions) -> Checkpoint:
    """Every LSTM in a saved model, its config applied."""
    if not is_zip(path):
        start = escape(ascii(beginning(path, 16))[1:])
        raise CheckpointError(f"{path} is no Keras archive: it begins with {start}, expected a zip archive")
    with open_archive(path) as archive:
        if options.keras.config is not None:
            raise CheckpointError(f"{path} has a config of its own, so leave --keras-config out")
        config = parse_config(
            path,
            read_member(path, archive, "config.json", _MAX_CONFIG),
            read_member(path, archive, "metadata.json", _MAX_CONFIG),
        )
        weights = Member(path, archive, "model.weights.h5")
        if weights.byte_range is None or weights.size < _SMALL:
            data = io.BytesIO(weights.read_all().data)
            return _read_hdf5(path, data, weights.size, config, "keras", options, weights.byte_range)
        with io.BufferedReader(ByteRangeFile(weights.byte_range)) as file:
            return _read_hdf5(path, file, weights.size, config, "keras", options, weights.byte_range)


def read_weights(path: Path, options: ReadOptions) -> Checkpoint:
    """Every LSTM in a weights file or older `.h5`, by structure."""
    if beginning(path, 8) != HDF5_MAGIC:
        start = escape(ascii(beginning(path, 16))[1:])
        raise CheckpointError(f"{path} is no HDF5 file (it begins with {start}); copy or download it again")
    with path.open("rb") as file:
        size = path.stat().st_size
        return _read_hdf5(path, file, size, None, "keras-weights", options, ByteRange(path, 0, size))


def _read_hdf5(
    path: Path,
    file: BinaryIO,
    size: int,
    config: KerasConfig | None,
    format: str,
    options: ReadOptions,
    byte_range: ByteRange | None,
) -> Checkpoint:
    """Every LSTM in an open HDF5 file of `size` bytes.

    With `byte_range`, where the file lies on disk, the weights are read on first use.
    """
    with hdf5_faults(path):
        root = h5py.File(file, "r")
    with root:
        with hdf5_faults(path):
            given = read_architecture(options.keras.config)
            if config is None and is_legacy(root):
                format = "keras-h5"
                groups, loose, config = legacy_content(path, file, root, size, byte_range, given)
            else:
                groups, loose = _variables(path, file, root, size, byte_range)
                config = config or (described(path, given) if given else KerasConfig({}))
        lstms, other = detect_keras(path, groups, loose, config, options)
    checkpoint = Checkpoint(path, format, lstms, other, "keras")
    if not options.load_other_tensors:
        return checkpoint
    from .topology import keras_topology  # only ports and comparisons of models need it

    names = {group.place: group.name for group in groups if group.name}
    tensors = [tensor.stored.name for tensor in other if tensor.stored]
    topology = keras_topology(config, names, lstms, tensors, legacy=format == "keras-h5")
    return replace(checkpoint, topology=topology)


def _variables(
    path: Path, file: BinaryIO, root: Any, size: int, byte_range: ByteRange | None
) -> tuple[list[Variables], list[TensorInfo]]:
    """Every group with variables, and every dataset that lies elsewhere."""
    groups: list[Variables] = []
    loose: list[TensorInfo] = []
    for place, group, tensors in walk(path, file, root, size, byte_range):
        if place.rpartition("/")[2] == "vars":
            groups.append(Variables(place[: -len("/vars")], text_attribute(path, file, group, "name"), tensors))
        else:
            loose.extend(tensors.values())
    return groups, loose
