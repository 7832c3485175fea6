"""Finds constants of an ONNX graph, external data included.

Source: onnx 1.23.1, onnx/onnx.proto (TensorProto), docs/ExternalData.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ...arrays import Array, native_values
from ...errors import CheckpointError
from ..codecs.lazy_bytes import ByteRange
from ..codecs.limits import FLOAT_SIZES, SMALL, escape
from ..tensor_info import TensorInfo

#: Types that weights may have.
FLOATS = {
    onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.DOUBLE: "float64", onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.BFLOAT16: "bfloat16",
}  # fmt: skip
#: The field that holds the numbers where there is no raw data.
_FIELDS = {"float32": "float_data", "float64": "double_data", "float16": "int32_data", "bfloat16": "int32_data"}

#: Nobody computes a shape from more numbers.
_MOST = 64

#: A tensor by the name that nodes call it.
Constants = dict[str, Any]


def constants_of(graph: Any, outer: Constants) -> Constants:
    """The tensors that nodes may name, outer graphs included."""
    known = {**outer, **{tensor.name: tensor for tensor in graph.initializer}}
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value" and node.output:
                    known[node.output[0]] = attribute.t
        elif node.op_type == "Identity" and len(node.input) == 1 and node.input[0] in known and node.output:
            known[node.output[0]] = known[node.input[0]]
    return known


def floating(tensor: Any) -> bool:
    """Whether a tensor is of a floating type."""
    return tensor.data_type in FLOATS


def tensors_of(model: Any) -> Iterator[Any]:
    """Every tensor of a model, nested graphs and functions included."""
    inner = [model.graph, *model.functions]
    while inner:
        graph = inner.pop()
        yield from getattr(graph, "initializer", ())
        for sparse in getattr(graph, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
        for attribute in (attribute for node in graph.node for attribute in node.attribute):
            yield from (attribute.t, *attribute.tensors)
            inner += [attribute.g] if attribute.HasField("g") else []
            inner += attribute.graphs


def data_files(path: Path, tensors: Iterable[Any]) -> list[Path]:
    """The external data files of a model; none is opened."""
    found = {}
    for tensor in tensors:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            where = {entry.key: entry.value for entry in tensor.external_data}.get("location", "")
            found[where] = path.parent / where
    folder = path.parent.resolve()
    return [file for where, file in sorted(found.items()) if _is_within(folder, file)]


def _is_within(folder: Path, file: Path) -> bool:
    try:
        return file.is_file() and file.resolve().is_relative_to(folder)
    except (ValueError, OSError, RuntimeError):
        return False


def stored(path: Path, name: str, tensor: Any) -> TensorInfo:
    """Describes a tensor; its values are read when asked for."""
    dtype = FLOATS.get(tensor.data_type) or onnx.TensorProto.DataType.Name(tensor.data_type).lower()
    shape = tuple(int(n) for n in tensor.dims)
    load = partial(_load, path, name, tensor, shape, dtype)
    return TensorInfo(name, shape, dtype, load, check=_check_of(path, name, tensor, shape, dtype))


def _check_of(path: Path, name: str, tensor: Any, shape: tuple[int, ...], dtype: str) -> Callable[[], object] | None:
    """Checks a tensor, an external one without reading it."""
    if dtype not in FLOAT_SIZES:
        return None
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return lambda: _external(path, name, tensor, _size(path, name, shape, dtype))
    # The parsed model is one block of memory: a large tensor would keep all of it.
    return partial(_load, path, name, tensor, shape, dtype) if tensor.ByteSize() <= SMALL else None


def _size(path: Path, name: str, shape: tuple[int, ...], dtype: str) -> int:
    if any(n < 0 for n in shape):
        raise CheckpointError(f"{path}: tensor {escape(name)} has the impossible shape {list(shape)[:8]}")
    return math.prod(shape) * FLOAT_SIZES[dtype]


def _load(path: Path, name: str, tensor: Any, shape: tuple[int, ...], dtype: str) -> Array:
    if dtype == "int64" and shape == () and tensor.data_location != onnx.TensorProto.EXTERNAL:
        return np.asarray(onnx.numpy_helper.to_array(tensor))
    size = _size(path, name, shape, dtype)
    data: bytes | Array
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        data = _external(path, name, tensor, size).read_all()
    elif tensor.HasField("raw_data"):
        data = tensor.raw_data
    else:
        data = _typed(tensor, dtype)
    if len(data) != size:
        raise CheckpointError(
            f"{path}: tensor {escape(name)} of shape {list(shape)[:8]} and type {dtype} should take {size} bytes, "
            f"but has {len(data)}; copy or download the file again"
        )
    return native_values(data, dtype).reshape(shape)


def _typed(tensor: Any, dtype: str) -> bytes:
    numbers = getattr(tensor, _FIELDS[dtype])
    if _FIELDS[dtype] == "int32_data":
        return (np.array(numbers, np.int64) & 0xFFFF).astype("<u2").tobytes()
    return np.array(numbers, np.dtype(dtype).newbyteorder("<")).tobytes()


def _external(path: Path, name: str, tensor: Any, size: int) -> ByteRange:
    """Bytes from another file of the model's folder."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    folder = path.parent.resolve()
    try:
        file = (folder / entries.get("location", "")).resolve()
        offset, length = (int(entries.get(key, default)) for key, default in (("offset", 0), ("length", size)))
    except (ValueError, OSError, RuntimeError) as error:
        raise CheckpointError(f"{path}: tensor {escape(name)} lies in another file in an unknown way") from error
    where = escape(entries.get("location", ""))
    if not file.is_relative_to(folder):
        raise CheckpointError(
            f"{path}: tensor {escape(name)} points to {where}, which leaves the model's folder; it was not opened"
        )
    if not file.is_file():
        raise CheckpointError(
            f"{path}: tensor {escape(name)} lies in {where}, which is not there; copy it beside the model"
        )
    if offset < 0 or length != size or offset + size > file.stat().st_size:
        raise CheckpointError(
            f"{path}: tensor {escape(name)} needs {size} bytes at {offset} of {where}, but that file has "
            f"{file.stat().st_size} and the model claims {length}; copy both again"
        )
    return ByteRange(file, offset, size)


def integers(tensor: Any) -> list[int] | None:
    """The numbers of a small integer tensor, such as a shape."""
    kind = tensor.data_type in (onnx.TensorProto.INT64, onnx.TensorProto.INT32)
    small = all(0 <= n <= _MOST for n in tensor.dims) and math.prod(tensor.dims) <= _MOST and len(tensor.dims) < 2
    if not kind or not small or tensor.data_location == onnx.TensorProto.EXTERNAL:
        return None
    return [int(n) for n in np.asarray(onnx.numpy_helper.to_array(tensor)).reshape(-1)]


def all_zero(tensor: Any) -> bool:
    """Whether a small tensor holds nothing but zeros."""
    if tensor.data_location == onnx.TensorProto.EXTERNAL or math.prod(tensor.dims) > _MOST * _MOST:
        return False
    return not np.asarray(onnx.numpy_helper.to_array(tensor)).any()
