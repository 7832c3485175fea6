"""Keras 3's `.weights.h5`: plain HDF5 groups that mirror the model's attributes, read without Keras.

A layer's group holds `vars/0`, `vars/1`, ...; an LSTM keeps its three in `<layer>/cell/vars`. Group names are class
names, the user's layer name is an attribute of `<layer>/vars`. The file says nothing about activations.
Source: keras 3.15.1, keras/src/saving/saving_lib.py (`H5IOStore`, `_save_state`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from ..arrays import Array
from ..errors import CheckpointError
from .keras_attributes import text_attribute
from .keras_config import KerasConfig
from .keras_layers import Variables, recognise_keras
from .protocol import Checkpoint, StoredTensor
from .signatures import HDF5_MAGIC, beginning
from .untrusted import MAX_EXPANSION, SMALL, float_values, shown

_MAX_DEPTH = 64
#: Hard links can make a small file look like an endless tree.
_MAX_ENTRIES = 100_000

_HDF5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, OverflowError, IndexError)


def read(path: Path) -> Checkpoint:
    """Every LSTM in a weights file, recognised by structure.

    Raises:
        CheckpointError: for a file that is damaged, or of the older Keras `.h5` kind.
    """
    if beginning(path, 8) != HDF5_MAGIC:
        start = shown(ascii(beginning(path, 16))[1:])
        raise CheckpointError(f"{path} is no HDF5 file (it begins with {start}); copy or download it again")
    with path.open("rb") as file:
        return read_weights(path, file, path.stat().st_size, None, "keras-weights")


def read_weights(path: Path, file: BinaryIO, size: int, config: KerasConfig | None, kind: str) -> Checkpoint:
    """Every LSTM in an open HDF5 file of `size` bytes; `config` is the model's, where there is one."""
    with _hdf5_faults(path):
        root = h5py.File(file, "r")
    with root:
        with _hdf5_faults(path):
            _refuse_older(path, root)
            groups, loose = _walk(path, file, root, size)
        lstms, other = recognise_keras(path, groups, loose, config)
    return Checkpoint(path, kind, lstms, other)


@contextmanager
def _hdf5_faults(path: Path) -> Iterator[None]:
    """Tell whatever h5py raises on damaged data as one CheckpointError."""
    try:
        yield
    except _HDF5_ERRORS as error:
        raise CheckpointError(
            f"{path}: the HDF5 data is truncated or damaged ({shown(error)}); copy or download it again"
        ) from error


def _refuse_older(path: Path, root: Any) -> None:
    if "layer_names" in root.attrs or "model_weights" in root:
        raise CheckpointError(
            f"{path} is an HDF5 file of the older Keras kind (with layer_names); load it in Keras and save it as "
            ".keras or .weights.h5"
        )


def _walk(path: Path, file: BinaryIO, root: Any, size: int) -> tuple[list[Variables], list[StoredTensor]]:
    """Every group with variables, and every dataset that lies elsewhere."""
    groups: list[Variables] = []
    loose: list[StoredTensor] = []
    waiting = [("", root, 0)]
    seen = 0
    while waiting:
        place, group, depth = waiting.pop()
        inside = dict(_children(path, place, group))
        seen += len(inside) + 1
        if depth > _MAX_DEPTH or seen > _MAX_ENTRIES:
            raise CheckpointError(f"{path} nests HDF5 groups without end; it is not a real model")
        prefix = f"{place}/" if place else ""
        datasets = {key: item for key, item in inside.items() if isinstance(item, h5py.Dataset)}
        tensors = {key: _describe(path, file, prefix + key, item, size) for key, item in datasets.items()}
        if place.rpartition("/")[2] == "vars":
            groups.append(Variables(place[: -len("/vars")], text_attribute(file, group, "name"), tensors))
        else:
            loose.extend(tensors.values())
        deeper = [(prefix + key, item, depth + 1) for key, item in inside.items() if key not in datasets]
        waiting += reversed(deeper)
    return groups, loose


def _children(path: Path, place: str, group: Any) -> Iterator[tuple[str, Any]]:
    for key in group:
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise CheckpointError(
                f"{path}: {shown(f'{place}/{key}')} is a link to another place or file, which Keras never writes; "
                "it was not followed"
            )
        yield key, group[key]


def _describe(path: Path, file: BinaryIO, name: str, dataset: Any, size: int) -> StoredTensor:
    dtype = str(dataset.dtype)
    # HDF5 has no bfloat16: Keras stores the two bytes as they are and says so in an attribute.
    if dtype == "|V2" and text_attribute(file, dataset, "dtype") == "bfloat16":
        dtype = "bfloat16"
    load = partial(_load, path, name, dataset, dtype, size)
    return StoredTensor(name, tuple(int(n) for n in dataset.shape or ()), dtype, load)


def _load(path: Path, name: str, dataset: Any, dtype: str, size: int) -> Array:
    with _hdf5_faults(path):
        return _values(path, name, dataset, dtype, size)


def _values(path: Path, name: str, dataset: Any, dtype: str, size: int) -> Array:
    if dataset.external or dataset.is_virtual:
        raise CheckpointError(f"{path}: {shown(name)} keeps its values in another file, which was not opened")
    held = dataset.id.get_storage_size()
    if held > size or dataset.nbytes > max(SMALL, held * MAX_EXPANSION):
        raise CheckpointError(
            f"{path}: {shown(name)} claims {dataset.nbytes} bytes, but the file holds {held} for it; it was not read"
        )
    values: Array = dataset[()]
    if dtype == "bfloat16":
        return float_values(np.ascontiguousarray(values).tobytes(), dtype).reshape(values.shape)
    return values.astype(values.dtype.newbyteorder("="))
