"""Describes tensors of a PyTorch pickle, checked against the file's bytes.

The pickle may name a few globals, of which none is imported.
Source: torch 2.13.0, torch/serialization.py and torch/_utils.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import Array, native_values
from ...errors import CheckpointError
from ..codecs.limits import FLOAT_SIZES, SMALL, escape
from ..codecs.restricted_pickle import Stream, Symbol, Unpickler, named_leaves
from ..tensor_info import TensorInfo

_SIZES = {
    **FLOAT_SIZES, "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "bool": 1, "complex64": 8,
    "complex128": 16, "uint16": 2, "uint32": 4, "uint64": 8, "complex32": 4, "qint8": 1, "quint8": 1, "qint32": 4,
}  # fmt: skip


def element_size(dtype: str) -> int:
    """Bytes of one number."""
    return _SIZES[dtype]


@dataclass(frozen=True)
class Storage:
    """A block of bytes, as the pickle claims it."""

    key: str
    dtype: str
    elements: int

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.elements * _SIZES[self.dtype]


@dataclass(frozen=True)
class TensorView:
    """A view of a storage; offset and strides count elements."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    source: str = ""  # the key that it is packed under, where that is not its own
    note: str = ""  # what was done to it
    unread: str = ""  # why no LSTM can be made of it


def storage_of(path: Path, seen: dict[str, Storage], saved_id: Any) -> Storage:
    """The storage of a persistent id, also put into `seen`."""
    if not isinstance(saved_id, tuple) or len(saved_id) < 5 or saved_id[0] != "storage":
        raise CheckpointError(f"{path}: the pickle refers to an object outside it that is no tensor storage")
    _, kind, key, _, elements, *view = saved_id
    natural = type(elements) is int and 0 <= elements < 1 << 60
    if not isinstance(kind, Symbol) or kind.name not in STORAGES or not isinstance(key, str) or not natural:
        raise CheckpointError(f"{path}: the pickle describes a tensor storage in an unknown way")
    if any(item is not None for item in view):
        raise CheckpointError(f"{path} was saved by a PyTorch before 0.4; load it there and save it again")
    storage = Storage(key, STORAGES[kind.name], elements)
    if seen.setdefault(key, storage) != storage:
        raise CheckpointError(f"{path}: storage {escape(key)} is described in two ways; save the file again")
    return storage


def tensor_of(path: Path, symbol: Symbol, arguments: tuple[Any, ...]) -> TensorView:
    """The tensor that `_rebuild_tensor*` would make."""
    if symbol.name not in REBUILD or len(arguments) < 4 or not isinstance(arguments[0], Storage):
        raise CheckpointError(f"{path}: the pickle describes a tensor in an unknown way")
    storage, offset, shape, strides = arguments[:4]
    dtype = storage.dtype
    if symbol.name == "_rebuild_tensor_v3":
        if len(arguments) < 7 or not isinstance(arguments[6], Symbol):
            raise CheckpointError(f"{path}: the pickle describes a tensor without its type")
        dtype = arguments[6].name
    return checked_view(path, storage, dtype, offset, shape, strides)


def checked_view(path: Path, storage: Storage, dtype: str, offset: Any, shape: Any, strides: Any) -> TensorView:
    """A view that lies within its storage."""
    numbers = (offset, *_tuple(shape), *_tuple(strides))
    if any(type(n) is not int or not 0 <= n < 1 << 60 for n in numbers) or len(_tuple(shape)) != len(_tuple(strides)):
        raise CheckpointError(f"{path}: the pickle gives a tensor an impossible shape, stride or offset")
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    size = _SIZES.get(dtype, 1)
    if 0 not in shape and (last + 1) * size > storage.nbytes:
        raise CheckpointError(
            f"{path}: a tensor of shape {list(shape)[:8]} reaches {(last + 1) * size} bytes into a storage of "
            f"{storage.nbytes}; copy or download the file again"
        )
    return TensorView(storage, dtype, offset, tuple(shape), tuple(strides))


#: Gives a part of a storage's bytes by start and size, and whether they are big-endian.
Fetch = Callable[[Storage, int, int], tuple[Array, bool]]


def check_view(path: Path, view: TensorView, look: Callable[[Storage], object]) -> None:
    """Checks a view against its storage, and the storage by `look`."""
    size = int(np.prod(view.shape, dtype=object)) * _SIZES[view.dtype]
    if size > max(view.storage.nbytes, SMALL):
        raise CheckpointError(
            f"{path}: a tensor of shape {list(view.shape)[:8]} repeats a storage of {view.storage.nbytes} bytes; "
            "call .contiguous() on it before saving"
        )
    look(view.storage)


def load_view(path: Path, view: TensorView, fetch: Fetch) -> Array:
    """The values of a view, contiguous."""
    check_view(path, view, lambda storage: None)
    width = _SIZES[view.dtype]
    last = sum((n - 1) * step for n, step in zip(view.shape, view.strides, strict=True))
    size = 0 if 0 in view.shape else (last + 1) * width
    data, big_endian = fetch(view.storage, view.offset * width, size)
    if len(data) != size:
        raise CheckpointError(f"{path}: storage {escape(view.storage.key)} does not have {view.storage.nbytes} bytes")
    flat = native_values(data, view.dtype, big_endian=big_endian)
    strides = tuple(step * flat.itemsize for step in view.strides)
    seen = np.lib.stride_tricks.as_strided(flat, view.shape, strides, writeable=False)
    return flat.reshape(view.shape) if seen.flags.c_contiguous and seen.size == flat.size else seen.copy()


def named_tensors(
    path: Path, value: Any, fetch: Fetch, look: Callable[[Storage], object] | None = None
) -> list[TensorInfo]:
    """Every tensor in nested containers, named by joined keys.

    With `look`, which refuses a storage that the file cannot hold, tensors may be loaded after the file is closed.
    """
    tensors = []
    for one in named_leaves(path, value, TensorView):
        view = one.leaf
        check = partial(check_view, path, view, look) if look else None
        load = partial(load_view, path, view, fetch)
        sources = (one.scope + view.source,) if view.source else ()
        tensors.append(
            TensorInfo(
                one.name, view.shape, view.dtype, load, one.scope, check, sources, view.note, one.owner, view.unread
            )
        )
    return tensors


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (None,)


#: Storage class -> element type. torch 2.13.0, torch/storage.py `_dtype_to_storage_type_map`.
STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool", "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128", "UntypedStorage": "uint8", "QInt8Storage": "qint8",
    "QUInt8Storage": "quint8", "QInt32Storage": "qint32",
}  # fmt: skip

_DTYPES = frozenset(STORAGES.values()) | {
    "uint16", "uint32", "uint64", "complex32", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz",
    "float8_e8m0fnu",
}  # fmt: skip

REBUILD = frozenset({"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_qtensor"})
#: Makes a tensor of a class of somebody's own by another of these (torch/_tensor.py).
_OF_CLASS = Symbol("torch._tensor", "_rebuild_from_type_v2")

_BUILTINS = ("builtins", "__builtin__")


class TorchUnpickler(Unpickler):
    """Reads one pickle of `torch.save`.

    Args:
        path: for messages.
        stream: positioned at the pickle; left just behind it.
        storage: makes the description of a storage from its persistent id.
        tensor: makes the description of a tensor from the arguments of `_rebuild_tensor*`.
    """

    advice = "save model.state_dict() alone (or safetensors)"

    def __init__(
        self,
        path: Path,
        stream: Stream,
        storage: Callable[[Any], Any],
        tensor: Callable[[Symbol, tuple[Any, ...]], Any],
    ) -> None:
        super().__init__(path, stream)
        self._storage, self._tensor = storage, tensor

    def allows(self, symbol: Symbol) -> bool:
        """Whether a pickle may name this global."""
        module, name = symbol.module, symbol.name
        if module == "torch._utils":
            return name in REBUILD or name in ("_rebuild_parameter", "_rebuild_parameter_with_state")
        if symbol == _OF_CLASS:
            return True
        if module in ("torch", "torch.storage"):
            return name in STORAGES or (module == "torch" and (name in ("Size", "device") or name in _DTYPES))
        return (module in _BUILTINS and name == "set") or super().allows(symbol)

    def answer(self, symbol: Symbol, arguments: tuple[Any, ...]) -> Any:
        """What the call of a permitted global stands for."""
        if symbol.name in REBUILD:
            return self._tensor(symbol, arguments)
        if symbol.name.startswith("_rebuild_parameter"):
            return arguments[0]
        if symbol == _OF_CLASS and len(arguments) == 4 and isinstance(arguments[0], Symbol):
            function, _, inner, _ = arguments
            return self.answer(function, inner) if self.allows(function) and isinstance(inner, tuple) else None
        if symbol.name in ("Size", "set") and len(arguments) == 1 and isinstance(arguments[0], (tuple, list)):
            return tuple(arguments[0])
        if symbol.name == "device":
            return None
        return super().answer(symbol, arguments)

    def persistent(self, saved_id: Any) -> Any:
        """The storage that an id means, or the class that the old form names."""
        if isinstance(saved_id, tuple) and len(saved_id) > 1 and saved_id[0] == "module":
            return saved_id[1]
        return self._storage(saved_id)
