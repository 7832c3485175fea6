"""Keras 3's `.weights.h5`: plain HDF5 groups that mirror the model's attributes, read without Keras.

A layer's group holds `vars/0`, `vars/1`, ...; an LSTM keeps its three in `<layer>/cell/vars`. Group names are class
names, the user's layer name is an attribute of `<layer>/vars`. The file says nothing about activations.
Source: keras 3.15.1, keras/src/saving/saving_lib.py (`H5IOStore`, `_save_state`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import h5py

from ...errors import CheckpointError
from ..codecs.hdf5 import hdf5_faults, walk
from ..codecs.hdf5_attributes import text_attribute
from ..codecs.lazy_bytes import ByteRange
from ..codecs.limits import escape
from ..model import Checkpoint, KerasModel, TensorInfo
from ..sniff import HDF5_MAGIC, beginning
from .config import KerasConfig
from .layers import Variables, detect_keras
from .read_legacy_h5 import is_legacy, legacy_content


def read(path: Path) -> Checkpoint:
    """Every LSTM in a weights file, recognised by structure; the older Keras `.h5` kind included.

    Raises:
        CheckpointError: for a file that is damaged.
    """
    if beginning(path, 8) != HDF5_MAGIC:
        start = escape(ascii(beginning(path, 16))[1:])
        raise CheckpointError(f"{path} is no HDF5 file (it begins with {start}); copy or download it again")
    with path.open("rb") as file:
        size = path.stat().st_size
        return read_weights(path, file, size, None, "keras-weights", ByteRange(path, 0, size))


def read_weights(
    path: Path, file: BinaryIO, size: int, config: KerasConfig | None, kind: str, span: ByteRange | None = None
) -> Checkpoint:
    """Every LSTM in an open HDF5 file of `size` bytes; `config` is the model's, where there is one.

    With `span`, where the file lies on disk, the weights are read on first use.
    """
    with hdf5_faults(path):
        root = h5py.File(file, "r")
    with root:
        with hdf5_faults(path):
            if config is None and is_legacy(root):
                kind = "keras-h5"
                groups, loose, config = legacy_content(path, file, root, size, span)
            else:
                groups, loose = _variables(path, file, root, size, span)
        lstms, other = detect_keras(path, groups, loose, config)
        names = {group.place: group.name for group in groups if group.name}
    return Checkpoint(path, kind, lstms, other, keras=KerasModel(names, config))


def _variables(
    path: Path, file: BinaryIO, root: Any, size: int, span: ByteRange | None
) -> tuple[list[Variables], list[TensorInfo]]:
    """Every group with variables, and every dataset that lies elsewhere."""
    groups: list[Variables] = []
    loose: list[TensorInfo] = []
    for place, group, tensors in walk(path, file, root, size, span):
        if place.rpartition("/")[2] == "vars":
            groups.append(Variables(place[: -len("/vars")], text_attribute(file, group, "name"), tensors))
        else:
            loose.extend(tensors.values())
    return groups, loose
