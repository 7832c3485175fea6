"""Reads Flax's `.msgpack` trees of parameters without Flax.

Source: flax 0.12.8, flax/serialization.py (`msgpack_serialize`, `_ndarray_to_bytes`).
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import Array, native_values
from ...errors import CheckpointError
from ..codecs.limits import FLOAT_SIZES, Budget, escape, refuse_many
from ..codecs.msgpack import ARRAY, CHUNKED, Decoder, Extension
from ..detect.layout_names import detect_layout_names
from ..detect.user_layout import detect
from ..model import Checkpoint
from ..options import ReadOptions
from ..tensor_info import TensorInfo, checked

_ROWS = ("flax-linen", "flax-nnx", "flax-nnx-optimized", "haiku")


def read(path: Path, options: ReadOptions) -> Checkpoint:
    """Every LSTM in the tree: cells of linen and NNX."""
    tree = decode_file(path)
    if not isinstance(tree, dict):
        raise CheckpointError(f"{path} holds a {type(tree).__name__}, but should hold a map of parameters by name")
    budget, tensors = Budget(path, path.stat().st_size), []
    for name, leaf in leaves(tree):
        tensors.append(_stored(path, budget.spend_name(name), leaf))
        refuse_many(path, len(tensors))
    names = [tensor.name for tensor in tensors]
    if len(set(names)) != len(names):
        raise CheckpointError(f"{path} has two arrays of one name; rename one and save it again")
    lstms, other = detect(path, tensors, partial(detect_layout_names, rows=_ROWS), options)
    return Checkpoint(path, "flax-msgpack", lstms, other, "flax")


def decode_file(path: Path) -> Any:
    """The tree of a file; its arrays still point into it."""
    with path.open("rb") as file:
        return Decoder(path, memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))).decode()


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Name and value of every array; a chunked array is one leaf."""
    chunked = isinstance(value, dict) and CHUNKED in value
    if chunked or (isinstance(value, Extension) and value.kind == ARRAY):
        yield name, value
    elif isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, f"{name}/{key}" if name else str(key))


def _stored(path: Path, name: str, leaf: Any) -> TensorInfo:
    if isinstance(leaf, Extension):
        shape, dtype, data = _parts(path, name, leaf)
        return TensorInfo(name, shape, dtype, partial(_load, [data], shape, dtype), check=checked)
    whole, chunks = _numbered(leaf.get("shape")), _numbered(leaf.get("chunks"))
    pieces = [_parts(path, name, chunk) for chunk in chunks if isinstance(chunk, Extension)]
    kinds = {dtype for _, dtype, _ in pieces}
    elements = sum(math.prod(own) for own, _, _ in pieces)
    if len(kinds) != 1 or len(pieces) != len(chunks) or not _naturals(whole) or math.prod(whole) != elements:
        raise CheckpointError(f"{path}: the chunks of array {escape(name)} do not fit together; save the file again")
    dtype = kinds.pop()
    load = partial(_load, [data for _, _, data in pieces], tuple(whole), dtype)
    return TensorInfo(name, tuple(whole), dtype, load, check=checked)  # every array lies within the mapped file


def _parts(path: Path, name: str, leaf: Extension) -> tuple[tuple[int, ...], str, memoryview]:
    """Shape, type and bytes of an array, checked against each other."""
    content = Decoder(path, memoryview(leaf.data)).decode()
    three = isinstance(content, list) and len(content) == 3
    shape, dtype, data = content if three else ([], None, None)
    if isinstance(dtype, memoryview):
        dtype = bytes(dtype).decode("ascii", "replace")
    if not _naturals(shape) or not isinstance(dtype, str) or not isinstance(data, memoryview):
        raise CheckpointError(f"{path}: array {escape(name)} is described in an unknown way; save the file again")
    size = FLOAT_SIZES.get(dtype)
    if size is not None and math.prod(shape) * size != len(data):
        raise CheckpointError(
            f"{path}: array {escape(name)} of shape {shape[:8]} and type {dtype} cannot take {len(data)} bytes"
        )
    return tuple(shape), escape(dtype), data


def _numbered(value: Any) -> list[Any]:
    """A list, which Flax stores as a map from "0", "1", ..."""
    if not isinstance(value, dict):
        return []
    return [value[key] for key in map(str, range(len(value))) if key in value]


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= 64 and all(type(n) is int and 0 <= n < 1 << 60 for n in value)


def _load(pieces: list[memoryview], shape: tuple[int, ...], dtype: str) -> Array:
    flat = [native_values(piece, dtype) for piece in pieces]
    return (np.concatenate(flat) if len(flat) > 1 else flat[0]).reshape(shape)
