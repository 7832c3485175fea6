"""Groups and datasets of an HDF5 file, their links and sizes checked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import h5py
import numpy as np

from ...arrays import Array, native_values
from ...errors import CheckpointError
from ..tensor_info import TensorInfo
from .hdf5_attributes import text_attribute
from .lazy_bytes import ByteRange
from .limits import FLOAT_SIZES, MAX_EXPANSION, SMALL, escape

_MAX_DEPTH = 64
#: Hard links can make a small file look like an endless tree.
_MAX_ENTRIES = 100_000

_HDF5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, OverflowError, IndexError)


@contextmanager
def hdf5_faults(path: Path) -> Iterator[None]:
    """Re-raise h5py's exceptions on damaged data as CheckpointError."""
    try:
        yield
    except _HDF5_ERRORS as error:
        raise CheckpointError(
            f"{path}: the HDF5 data is truncated or damaged ({escape(error)}); copy or download it again"
        ) from error


def walk(
    path: Path, file: BinaryIO, root: Any, size: int, byte_range: ByteRange | None = None
) -> Iterator[tuple[str, Any, dict[str, TensorInfo]]]:
    """Path, object and datasets of every group, starting at the root.

    Args:
        path: for messages.
        file: the HDF5 file.
        root: the same, opened by h5py.
        size: of the file in bytes.
        byte_range: where the file lies, so that contiguous datasets can be read later without h5py.

    Raises:
        CheckpointError: for links and endless groups.
    """
    source = _Source(path, file, size, byte_range)
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
        yield place, group, {key: _describe(source, prefix + key, item) for key, item in datasets.items()}
        deeper = [(prefix + key, item, depth + 1) for key, item in inside.items() if key not in datasets]
        waiting += reversed(deeper)


def _children(path: Path, place: str, group: Any) -> Iterator[tuple[str, Any]]:
    for key in group:
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise CheckpointError(
                f"{path}: {escape(f'{place}/{key}')} is a link to another place or file, which Keras never writes; "
                "it was not followed"
            )
        yield key, group[key]


class _Source(NamedTuple):
    """The file that datasets lie in."""

    path: Path
    file: BinaryIO
    size: int
    byte_range: ByteRange | None


def _describe(source: _Source, name: str, dataset: Any) -> TensorInfo:
    dtype = str(dataset.dtype)
    # HDF5 has no bfloat16: Keras stores its two bytes and notes the type in an attribute.
    if dtype == "|V2" and text_attribute(source.path, source.file, dataset, "dtype") == "bfloat16":
        dtype = "bfloat16"
    shape = tuple(int(n) for n in dataset.shape or ())
    if source.byte_range is not None and dtype in FLOAT_SIZES and _is_contiguous(dataset):
        start, size = dataset.id.get_offset(), math.prod(shape) * FLOAT_SIZES[dtype]
        load = partial(_load_range, source.byte_range, start, size, shape, dtype)
        return TensorInfo(name, shape, dtype, load, check=partial(source.byte_range.refuse_outside, start, size))
    return TensorInfo(name, shape, dtype, partial(_load, source.path, name, dataset, dtype, source.size))


def _is_contiguous(dataset: Any) -> bool:
    """Whether the values lie in this file, contiguous and little-endian."""
    plain = dataset.dtype.kind == "V" or dataset.dtype.str[0] == "<"
    here = not dataset.external and not dataset.is_virtual and dataset.chunks is None
    return bool(plain and here and dataset.nbytes and dataset.id.get_offset() is not None)


def _load_range(byte_range: ByteRange, start: int, size: int, shape: tuple[int, ...], dtype: str) -> Array:
    return native_values(byte_range.read(start, size), dtype).reshape(shape)


def _load(path: Path, name: str, dataset: Any, dtype: str, size: int) -> Array:
    with hdf5_faults(path):
        if dataset.external or dataset.is_virtual:
            raise CheckpointError(f"{path}: {escape(name)} keeps its values in another file, which was not opened")
        stored = dataset.id.get_storage_size()
        if stored > size or dataset.nbytes > max(SMALL, stored * MAX_EXPANSION):
            raise CheckpointError(
                f"{path}: {escape(name)} claims {dataset.nbytes} bytes, but the file holds {stored} for it; "
                "it was not read"
            )
        values: Array = dataset[()]
        if dtype == "bfloat16":
            return native_values(np.ascontiguousarray(values).tobytes(), dtype).reshape(values.shape)
        return values.astype(values.dtype.newbyteorder("="))
