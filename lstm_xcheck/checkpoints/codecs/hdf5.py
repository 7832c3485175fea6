"""Groups and datasets of an HDF5 file, read with every claim held against the file: links, sizes, other files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import h5py
import numpy as np

from ...arrays import Array
from ...errors import CheckpointError
from ..tensor_info import TensorInfo
from .hdf5_attributes import text_attribute
from .lazy_bytes import ByteRange
from .limits import FLOAT_SIZES, MAX_EXPANSION, SMALL, escape, float_values

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
            f"{path}: the HDF5 data is truncated or damaged ({escape(error)}); copy or download it again"
        ) from error


def walk(
    path: Path, file: BinaryIO, root: Any, size: int, span: ByteRange | None = None
) -> Iterator[tuple[str, Any, dict[str, TensorInfo]]]:
    """Place, object and datasets of every group, the root's place being empty.

    Args:
        path: for messages.
        file: the HDF5 file.
        root: the same, opened by h5py.
        size: of the file in bytes.
        span: where the file lies, so that datasets in one piece can be read later without h5py.

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
        source = _Source(path, file, size, span)
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
    span: ByteRange | None


def _describe(source: _Source, name: str, dataset: Any) -> TensorInfo:
    dtype = str(dataset.dtype)
    # HDF5 has no bfloat16: Keras stores the two bytes as they are and says so in an attribute.
    if dtype == "|V2" and text_attribute(source.file, dataset, "dtype") == "bfloat16":
        dtype = "bfloat16"
    shape = tuple(int(n) for n in dataset.shape or ())
    if source.span is not None and dtype in FLOAT_SIZES and _in_one_piece(dataset):
        start, size = dataset.id.get_offset(), math.prod(shape) * FLOAT_SIZES[dtype]
        load = partial(_load_piece, source.span, start, size, shape, dtype)
        return TensorInfo(name, shape, dtype, load, check=partial(source.span.refuse_outside, start, size))
    return TensorInfo(name, shape, dtype, partial(_load, source.path, name, dataset, dtype, source.size))


def _in_one_piece(dataset: Any) -> bool:
    """Whether the values lie in this file as they are, little-endian and one behind the other."""
    plain = dataset.dtype.kind == "V" or dataset.dtype.str[0] == "<"
    here = not dataset.external and not dataset.is_virtual and dataset.chunks is None
    return bool(plain and here and dataset.nbytes and dataset.id.get_offset() is not None)


def _load_piece(span: ByteRange, start: int, size: int, shape: tuple[int, ...], dtype: str) -> Array:
    return float_values(span.part(start, size), dtype).reshape(shape)


def _load(path: Path, name: str, dataset: Any, dtype: str, size: int) -> Array:
    with hdf5_faults(path):
        return _values(path, name, dataset, dtype, size)


def _values(path: Path, name: str, dataset: Any, dtype: str, size: int) -> Array:
    if dataset.external or dataset.is_virtual:
        raise CheckpointError(f"{path}: {escape(name)} keeps its values in another file, which was not opened")
    held = dataset.id.get_storage_size()
    if held > size or dataset.nbytes > max(SMALL, held * MAX_EXPANSION):
        raise CheckpointError(
            f"{path}: {escape(name)} claims {dataset.nbytes} bytes, but the file holds {held} for it; it was not read"
        )
    values: Array = dataset[()]
    if dtype == "bfloat16":
        return float_values(np.ascontiguousarray(values).tobytes(), dtype).reshape(values.shape)
    return values.astype(values.dtype.newbyteorder("="))
