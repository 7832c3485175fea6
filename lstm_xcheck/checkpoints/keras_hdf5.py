"""Groups and datasets of an HDF5 file, read with every claim held against the file: links, sizes, other files."""

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
from .protocol import StoredTensor
from .untrusted import MAX_EXPANSION, SMALL, float_values, shown

_MAX_DEPTH = 64
#: Hard links can make a small file look like an endless tree.
_MAX_ENTRIES = 100_000

_HDF5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, OverflowError, IndexError)


@contextmanager
def hdf5_faults(path: Path) -> Iterator[None]:
    """Tell whatever h5py raises on damaged data as one CheckpointError."""
    try:
        yield
    except _HDF5_ERRORS as error:
        raise CheckpointError(
            f"{path}: the HDF5 data is truncated or damaged ({shown(error)}); copy or download it again"
        ) from error


def walk(path: Path, file: BinaryIO, root: Any, size: int) -> Iterator[tuple[str, Any, dict[str, StoredTensor]]]:
    """Place, object and datasets of every group, the root's place being empty.

    Raises:
        CheckpointError: for links, and groups without end.
    """
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
        yield place, group, {key: _describe(path, file, prefix + key, item, size) for key, item in datasets.items()}
        deeper = [(prefix + key, item, depth + 1) for key, item in inside.items() if key not in datasets]
        waiting += reversed(deeper)


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
    with hdf5_faults(path):
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
