"""One array in NumPy's `.npy` form, described and bounded before a value is read; objects are refused, not loaded.

Source: numpy 2.4, numpy/lib/_format_impl.py (the format's versions 1.0 to 3.0).
"""

from __future__ import annotations

import io
import math
import re
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

import numpy as np

from ...arrays import Array
from ...errors import CheckpointError
from ..tensor_info import TensorInfo
from .lazy_bytes import Member
from .limits import escape, float_values

MAGIC = b"\x93NUMPY"

_MAX_HEADER = 1 << 16
#: What NumPy and MLX write for every array without fields and objects. Nothing else is understood or evaluated.
_HEADER = re.compile(
    r"\{'descr': '(?P<descr>[<>|](?:f[248]|[iu][1248]|b1|c8|c16|V2))', 'fortran_order': (?P<fortran>True|False), "
    r"'shape': \((?P<shape>(?:[0-9]{1,18}, ?)*(?:[0-9]{1,18})?)\),? ?\} *\n"
)


def describe_npy(path: Path, name: str, data: memoryview, start: int = 0) -> tuple[TensorInfo, int]:
    """The array whose `.npy` form begins at `start`, and where it ends.

    A void of two bytes is bfloat16, which NumPy has no name for: ml_dtypes writes it so.

    Raises:
        CheckpointError: when it is no plain array, or longer than the data.
    """
    header, dtype = read_header(path, name, bytes(data[start : start + _MAX_HEADER]), len(data) - start)
    begin = start + header.begin
    end = begin + header.size
    load = partial(_load, data[begin:end], header, dtype)
    return TensorInfo(name, header.shape, header.kind, load, check=_is_there), end


def _is_there() -> None:
    """The array has been held against the file already."""


def describe_member(path: Path, archive: ZipFile, name: str) -> TensorInfo:
    """The array in a member of an `.npz`; only its header is read.

    Raises:
        CheckpointError: when it is no plain array, or does not fill its member.
    """
    member = Member(path, archive, name)
    short = name.removesuffix(".npy")
    header, dtype = read_header(path, short, member.beginning(archive, _MAX_HEADER), member.size)
    if header.begin + header.size != member.size:
        raise CheckpointError(
            f"{path}: array {escape(short)} of shape {list(header.shape)[:8]} should take {header.size} bytes, "
            f"but has {member.size - header.begin}; copy or download the file again"
        )
    load = partial(_load_member, member, header, dtype)
    return TensorInfo(short, header.shape, header.kind, load, check=_is_there)


def _load_member(member: Member, header: Header, dtype: np.dtype[Any]) -> Array:
    return _load(member.whole()[header.begin :], header, dtype)


class Header(NamedTuple):
    """What an array's header says: where its numbers begin and how many bytes they take."""

    shape: tuple[int, ...]
    kind: str
    fortran: bool
    begin: int
    size: int


def read_header(path: Path, name: str, head: bytes, size: int) -> tuple[Header, np.dtype[Any]]:
    """The header of an array in `size` bytes, of which `head` are the first; and the type as stored.

    Raises:
        CheckpointError: when it is no plain array, or larger than that.
    """
    width = 2 if head[6:7] == b"\x01" else 4
    begin = 8 + width + int.from_bytes(head[8 : 8 + width], "little")
    match = _HEADER.fullmatch(head[8 + width : begin].decode("latin-1"))
    if head[:6] != MAGIC or head[6:7] not in (b"\1", b"\2", b"\3") or not match or len(head) < begin:
        found = escape(ascii(head[8 + width : 108])[1:])
        raise CheckpointError(f"{path}: array {escape(name)} is no plain array (its header is {found}); write it again")
    dtype, fortran = np.dtype(match["descr"]), match["fortran"] == "True"
    shape = tuple(int(number) for number in match["shape"].replace(",", " ").split())
    needed = math.prod(shape) * dtype.itemsize
    if begin + needed > size or len(shape) > 64:
        raise CheckpointError(
            f"{path}: array {escape(name)} of shape {list(shape)[:8]} needs {needed} bytes, but only "
            f"{size - begin} are left; copy or download the file again"
        )
    kind = "bfloat16" if dtype == np.dtype("V2") else dtype.newbyteorder("=").name
    return Header(shape, kind, fortran, begin, needed), dtype


def npy_bytes(array: Array, dtype: str) -> bytes:
    """The `.npy` form of an array, C-contiguous; bfloat16 as the void that JAX and Equinox write."""
    stored = np.ascontiguousarray(array)
    if dtype == "bfloat16":
        stored = (stored.view(np.uint32) >> np.uint32(16)).astype("<u2").view("V2")
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, stored, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _load(data: memoryview | Array, header: Header, dtype: np.dtype[Any]) -> Array:
    if header.kind == "bfloat16":
        flat = float_values(data, header.kind)
    elif isinstance(data, np.ndarray):
        flat = data.view(dtype).astype(dtype.newbyteorder("="), copy=False)
    else:
        flat = np.frombuffer(data, dtype).astype(dtype.newbyteorder("="))
    return flat.reshape(header.shape, order="F" if header.fortran else "C")
