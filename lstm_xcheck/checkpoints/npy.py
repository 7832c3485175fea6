"""One array in NumPy's `.npy` form, described and bounded before a value is read; objects are refused, not loaded.

Source: numpy 2.4, numpy/lib/_format_impl.py (the format's versions 1.0 to 3.0).
"""

from __future__ import annotations

import io
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import CheckpointError
from .protocol import StoredTensor
from .untrusted import float_values, shown

MAGIC = b"\x93NUMPY"

_MAX_HEADER = 1 << 16
_ERRORS = (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, OverflowError, EOFError, KeyError)


def describe_npy(path: Path, name: str, data: memoryview, start: int = 0) -> tuple[StoredTensor, int]:
    """The array whose `.npy` form begins at `start`, and where it ends.

    A void of two bytes is bfloat16, which NumPy has no name for: ml_dtypes writes it so.

    Raises:
        CheckpointError: when it is no plain array, or longer than the data.
    """
    stream = io.BytesIO(bytes(data[start : start + _MAX_HEADER]))
    try:
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = header(stream)
        if dtype.hasobject or dtype.kind not in "fuibcV" or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError(f"type {dtype}, shape {shape}")
    except _ERRORS as error:
        raise CheckpointError(
            f"{path}: array {shown(name)} is no plain array ({shown(error)}); write it again"
        ) from error
    begin = start + stream.tell()
    end = begin + math.prod(shape) * dtype.itemsize
    if end > len(data) or len(shape) > 64:
        raise CheckpointError(
            f"{path}: array {shown(name)} of shape {list(shape)[:8]} needs {end - begin} bytes, but {len(data) - begin} "
            "are left; copy or download the file again"
        )
    kind = "bfloat16" if dtype == np.dtype("V2") else dtype.newbyteorder("=").name
    load = partial(_load, data[begin:end], shape, dtype, kind, fortran)
    return StoredTensor(name, tuple(shape), kind, load), end


def npy_bytes(array: Array, dtype: str) -> bytes:
    """The `.npy` form of an array, little-endian and C-contiguous; bfloat16 as the void that JAX and Equinox write."""
    stored = np.ascontiguousarray(array)
    if dtype == "bfloat16":
        stored = (stored.view(np.uint32) >> np.uint32(16)).astype("<u2").view("V2")
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, stored, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _load(data: memoryview, shape: tuple[int, ...], dtype: np.dtype[Any], kind: str, fortran: bool) -> Array:
    if kind == "bfloat16":
        flat = float_values(data, kind)
    else:
        flat = np.frombuffer(data, dtype).astype(dtype.newbyteorder("="))
    return flat.reshape(shape, order="F" if fortran else "C")
