"""NumPy's `.npy` form of one array, checked before a value is read.

Source: numpy 2.4, numpy/lib/_format_impl.py (the format's versions 1.0 to 3.0).
"""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...arrays import Array, native_values, stored_values
from ...errors import CheckpointError
from ..tensor_info import TensorInfo, checked
from .limits import escape

MAGIC = b"\x93NUMPY"
MAX_HEADER = 1 << 16

#: What NumPy and MLX write for arrays without fields and objects. Sizes are few enough to print their product.
_HEADER = re.compile(
    r"\{'descr': '(?P<descr>[<>|](?:f[248]|[iu][1248]|b1|c8|c16|V2))', 'fortran_order': (?P<fortran>True|False), "
    r"'shape': \((?P<shape>(?:[0-9]{1,18}, ?){0,200}(?:[0-9]{1,18})?)\),? ?\} *\n"
)


class Header(NamedTuple):
    """The header of an array, whose numbers take `size` bytes from `start`."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    start: int
    size: int

    @property
    def kind(self) -> str:
        """The native type; ml_dtypes writes bfloat16 as a void of two bytes."""
        return "bfloat16" if self.dtype == np.dtype("V2") else self.dtype.newbyteorder("=").name

    def values(self, data: bytes | memoryview | Array) -> Array:
        """The array from its `size` bytes, uncopied if they are an array."""
        flat = native_values(data, self.kind, big_endian=self.dtype.byteorder == ">")
        return flat.reshape(self.shape, order="F" if self.fortran else "C")


def parse_header(head: bytes) -> Header | None:
    """The header of a plain array at the start of the data, else None."""
    width = 2 if head[6:7] == b"\x01" else 4
    start = 8 + width + int.from_bytes(head[8 : 8 + width], "little")
    match = _HEADER.fullmatch(head[8 + width : start].decode("latin-1"))
    if head[:6] != MAGIC or head[6:7] not in (b"\1", b"\2", b"\3") or not match or len(head) < start:
        return None
    dtype = np.dtype(match["descr"])
    shape = tuple(int(number) for number in match["shape"].replace(",", " ").split())
    return Header(shape, dtype, match["fortran"] == "True", start, math.prod(shape) * dtype.itemsize)


def read_header(path: Path, name: str, head: bytes, size: int) -> Header:
    """The header of an array in `size` bytes that begin with `head`."""
    header = parse_header(head)
    if header is None:
        found = escape(ascii(head[10 if head[6:7] == b"\x01" else 12 : 108])[1:])
        raise CheckpointError(f"{path}: array {escape(name)} is no plain array (its header is {found}); write it again")
    if header.start + header.size > size or len(header.shape) > 64:
        raise CheckpointError(
            f"{path}: array {escape(name)} of shape {list(header.shape)[:8]} needs {escape(header.size)} bytes, but "
            f"only {size - header.start} are left; copy or download the file again"
        )
    return header


def describe(path: Path, name: str, data: memoryview, start: int = 0) -> tuple[TensorInfo, int]:
    """The array whose `.npy` form begins at `start`, and where it ends."""
    header = read_header(path, name, bytes(data[start : start + MAX_HEADER]), len(data) - start)
    begin = start + header.start
    end = begin + header.size
    return TensorInfo(name, header.shape, header.kind, partial(header.values, data[begin:end]), check=checked), end


def encode(array: Array, dtype: str = "") -> bytes:
    """The `.npy` form, version 1.0, C-contiguous, the same bytes with every NumPy.

    Args:
        array: of numbers.
        dtype: the type to store, the array's own by default; bfloat16 becomes the void that JAX and Equinox write.
    """
    stored = stored_values(array, dtype or array.dtype.name)
    kind = "|V2" if dtype == "bfloat16" else stored.dtype.str
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {tuple(map(int, stored.shape))!r}, }}".encode()
    padded = text.ljust(-(-(len(text) + 11) // 64) * 64 - 11) + b"\n"
    return MAGIC + b"\1\0" + len(padded).to_bytes(2, "little") + padded + stored.tobytes()
