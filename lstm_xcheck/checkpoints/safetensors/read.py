"""Reads `.safetensors`: a length, a JSON header, then the tensors.

Read with NumPy alone. The header is held to the format's rules before a tensor is touched: every tensor lies within
the file, has exactly the bytes its shape needs, and together they cover the data without gap or overlap.
Source: safetensors 0.8.0, the format's README and `SafeTensors::deserialize`.
"""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

from ...arrays import Array, native_values
from ...errors import CheckpointError
from ...layouts.other_layers import family_of
from ..codecs.lazy_bytes import ByteRange
from ..codecs.limits import escape, refuse_many
from ..detect.layout_names import detect_any_layout
from ..detect.user_layout import detect
from ..model import Checkpoint
from ..options import ReadOptions
from ..tensor_info import TensorInfo, checked

#: Bits and name of each type; those that are no NumPy type are only listed.
_TYPES = {
    "F64": (64, "float64"), "F32": (32, "float32"), "F16": (16, "float16"), "BF16": (16, "bfloat16"),
    "I64": (64, "int64"), "I32": (32, "int32"), "I16": (16, "int16"), "I8": (8, "int8"),
    "U64": (64, "uint64"), "U32": (32, "uint32"), "U16": (16, "uint16"), "U8": (8, "uint8"), "BOOL": (8, "bool"),
    "C64": (64, "complex64"), "F8_E4M3": (8, "float8_e4m3fn"), "F8_E5M2": (8, "float8_e5m2"),
    "F8_E8M0": (8, "float8_e8m0fnu"), "F8_E4M3FNUZ": (8, "float8_e4m3fnuz"), "F8_E5M2FNUZ": (8, "float8_e5m2fnuz"),
    "F6_E2M3": (6, "float6_e2m3fn"), "F6_E3M2": (6, "float6_e3m2fn"), "F4": (4, "float4_e2m1fn"),
}  # fmt: skip

#: The reference implementation's own limit.
_MAX_HEADER = 100_000_000


def read(path: Path, options: ReadOptions) -> Checkpoint:
    """Every LSTM with PyTorch's tensor names in a safetensors file."""
    tensors = stored_tensors(path)
    lstms, other = detect(path, tensors, detect_any_layout, options)
    return Checkpoint(path, "safetensors", lstms, other, family_of((lstm.layout for lstm in lstms), "torch"))


def stored_tensors(path: Path) -> list[TensorInfo]:
    """Describes every tensor; values are read when asked for."""
    header, start = _read_header(path)
    tensors = []
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1][2]):
        dtype, shape, begin, stop = entry
        if begin != end:
            what = "overlaps the tensor before it" if begin < end else "leaves a gap before it"
            raise CheckpointError(f"{path}: tensor {escape(name)} {what} (it begins at {begin}, expected {end})")
        end = stop
        load = partial(_load, ByteRange(path, start + begin, stop - begin), dtype, shape)
        tensors.append(TensorInfo(name, shape, dtype, load, check=checked))
    size = path.stat().st_size - start
    if end != size:
        raise CheckpointError(f"{path} has {size} bytes of data, but its header describes {end}; copy it again")
    return tensors


def _load(byte_range: ByteRange, dtype: str, shape: tuple[int, ...]) -> Array:
    return native_values(byte_range.read_all(), dtype).reshape(shape)


_Entry = tuple[str, tuple[int, ...], int, int]


def _read_header(path: Path) -> tuple[dict[str, _Entry], int]:
    """(type, shape, begin, end) of each tensor, and the data's start."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 10 or length > min(size - 8, _MAX_HEADER):
            raise CheckpointError(
                f"{path} is no complete safetensors file: its header claims {length} bytes, but the file has {size}"
            )
        text = file.read(length)
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=partial(_no_duplicates, path))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: the safetensors header is not JSON ({escape(error)}); copy it again") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{path}: the safetensors header is a {type(header).__name__}, but should be an object")
    header.pop("__metadata__", None)
    refuse_many(path, len(header))
    return {name: _check_entry(path, name, entry, size - 8 - length) for name, entry in header.items()}, 8 + length


def _no_duplicates(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise CheckpointError(f"{path}: the safetensors header names a tensor twice; save the file again")
    return result


def _check_entry(path: Path, name: str, entry: Any, size: int) -> _Entry:
    fields: dict[str, Any] = entry if isinstance(entry, dict) else {}
    code, shape, offsets = (fields.get(key, ()) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(code, str) or code not in _TYPES:
        raise CheckpointError(f"{path}: {escape(name)} has type {escape(code)}, expected one of {', '.join(_TYPES)}")
    if not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2 or len(shape) > 64:
        raise CheckpointError(f"{path}: tensor {escape(name)} has no valid shape and data_offsets; save the file again")
    begin, end = offsets
    bits, dtype = _TYPES[code]
    if not begin <= end <= size:
        raise CheckpointError(
            f"{path}: tensor {escape(name)} lies at {begin}..{end}, but the file has {size} bytes of data; "
            "copy it again"
        )
    if math.prod(shape) * bits != 8 * (end - begin):
        raise CheckpointError(
            f"{path}: tensor {escape(name)} of shape {shape} and type {code} cannot take {end - begin} bytes"
        )
    return dtype, tuple(shape), begin, end


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 1 << 62 for item in value)
