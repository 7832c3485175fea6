"""Small NumPy helpers that every package may use."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import SpecError

Array = npt.NDArray[Any]

#: Storage type of each precision. bfloat16 has no NumPy type: its values are kept, exactly, in float32.
STORAGE: dict[str, type[np.floating[Any]]] = {
    "float64": np.float64,
    "float32": np.float32,
    "float16": np.float16,
    "bfloat16": np.float32,
}


def round_to(array: npt.ArrayLike, precision: str) -> Array:
    """Round to nearest even in a precision, kept in its storage type.

    >>> round_to([1.00390625], "bfloat16").tolist()
    [1.0]
    """
    if precision not in STORAGE:
        raise SpecError(f"unknown precision {precision!r}; expected one of {', '.join(STORAGE)}")
    with np.errstate(over="ignore"):  # what is too large becomes infinite
        rounded = np.array(array, dtype=STORAGE[precision])  # a copy, independent of its source
    if precision != "bfloat16":
        return rounded
    return _round_bfloat16(rounded)


def native_values(data: bytes | memoryview | Array, dtype: str, *, big_endian: bool = False) -> Array:
    """Stored bytes as a flat native array; bfloat16 widens exactly to float32.

    An array of bytes is viewed and not copied, where its type permits.
    """
    is_array = isinstance(data, np.ndarray)
    stored_type = _stored_type(dtype, big_endian)
    stored: Array = data.view(stored_type) if isinstance(data, np.ndarray) else np.frombuffer(data, stored_type)
    if dtype == "bfloat16":
        return (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return stored.astype(dtype, copy=not is_array)


def stored_values(array: Array, dtype: str, *, big_endian: bool = False) -> Array:
    """The array as files store it, C-contiguous: the inverse of `native_values`.

    >>> stored_values(np.array([1.0], np.float32), "bfloat16").tolist()
    [16256]
    """
    shape = np.shape(array)
    if dtype == "bfloat16":
        array = contiguous(np.asarray(array, np.float32)).view(np.uint32) >> np.uint32(16)
    return contiguous(np.asarray(array, _stored_type(dtype, big_endian))).reshape(shape)


def _stored_type(dtype: str, big_endian: bool) -> np.dtype[Any]:
    native = np.dtype("u2" if dtype == "bfloat16" else dtype)
    return np.dtype((">" if big_endian else "<") + native.str[1:])


def to_numpy(array: Any) -> Array:
    """A framework's array in NumPy; bfloat16 widens exactly to float32."""
    if hasattr(array, "detach") and hasattr(array, "cpu"):  # PyTorch's, on any device and with any gradient
        array = array.detach().cpu()
        array = array.float() if str(array.dtype) == "torch.bfloat16" else array
    plain = np.asarray(array)
    return plain.astype(np.float32) if plain.dtype.name == "bfloat16" else plain


def _round_bfloat16(array: Array) -> Array:
    """Keep the upper 16 bits of each float32, rounding to nearest even."""
    bits = np.ascontiguousarray(array).view(np.uint32)
    rounding = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    rounded = ((bits + rounding) & np.uint32(0xFFFF0000)).view(np.float32)
    return np.where(np.isfinite(array), rounded, array).reshape(np.shape(array))


#: Columns of a transposed matrix that are copied at once; the cache lines they touch stay in a cache.
_BAND = 64
_LARGE = 1 << 16


def contiguous(array: Array) -> Array:
    """`np.ascontiguousarray`, three times as fast for large transposed matrices.

    >>> contiguous(np.zeros((400, 300)).T).flags.c_contiguous
    True
    """
    transposed = array.ndim in (2, 3) and 0 < array.strides[-2] < array.strides[-1]
    if array.size < _LARGE or array.flags.c_contiguous or not transposed:
        return np.ascontiguousarray(array)
    result = np.empty(array.shape, array.dtype)
    for new, old in zip(result, array, strict=True) if array.ndim == 3 else [(result, array)]:
        for start in range(0, array.shape[-1], _BAND):
            new[:, start : start + _BAND] = old[:, start : start + _BAND]
    return result


def own_copy(array: Array) -> Array:
    """A C-contiguous copy."""
    return np.array(array, order="C") if array.flags.c_contiguous else contiguous(array)


def frozen(array: npt.ArrayLike) -> Array:
    """A read-only, C-contiguous view or copy."""
    given = np.asarray(array)
    result = contiguous(given)
    if result is not given and result.base is None:
        result.flags.writeable = False  # a copy, referenced here alone
    result = result.view()
    result.flags.writeable = False
    return result


def sealed(array: Array) -> Array:
    """The array, or a copy if others may reference it, made permanently read-only."""
    result = array if array.base is None and array.flags.c_contiguous else own_copy(array)
    result.flags.writeable = False
    return result


def is_sealed(array: npt.ArrayLike) -> bool:
    """Whether this array and all that it is a view of are read-only.

    >>> is_sealed(sealed(np.zeros(3))[1:]), is_sealed(frozen(np.zeros(3)))
    (True, False)
    """
    base: Any = array
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return False
        base = base.base
    return base is None or isinstance(base, bytes)


def fingerprint(arrays: Mapping[str, npt.ArrayLike]) -> str:
    """The sha256 over names, types, shapes and bytes.

    >>> fingerprint({"a": np.zeros(1)}) == fingerprint({"a": np.zeros(2)})
    False
    """
    return fingerprint_in_order((name, arrays[name]) for name in sorted(arrays))


def fingerprint_in_order(arrays: Iterable[tuple[str, npt.ArrayLike]]) -> str:
    """`fingerprint` of arrays that come one by one, sorted by name."""
    digest = hashlib.sha256()
    for name, given in arrays:
        array = contiguous(np.asarray(given))
        digest.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def all_finite(array: Array) -> bool:
    """Whether no number is NaN or infinite."""
    return all(np.isfinite(piece).all() for piece in _pieces(array))


def has_nan(array: Array) -> bool:
    """Whether there is a NaN, which a maximum propagates.

    >>> has_nan(np.array([1.0, np.nan])), has_nan(np.array([np.inf])), has_nan(np.zeros((0, 2)))
    (True, False, False)
    """
    return bool(array.size and np.isnan(array.max()))


#: Numbers that are processed together: few enough to stay in a cache with their results.
_PIECE = 1 << 17


def same_bits(a: Array, b: Array) -> bool:
    """Same shape, same type, same bits."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.strides == b.strides and a.__array_interface__["data"][0] == b.__array_interface__["data"][0]:
        return True
    return all(bit_equal(ours, theirs).all() for ours, theirs in zip(_pieces(a), _pieces(b), strict=True))


def _pieces(array: Array) -> Iterator[Array]:
    """All numbers of an array, piece by piece."""
    flat = contiguous(array).reshape(-1)
    return (flat[start : start + _PIECE] for start in range(0, flat.size, _PIECE))


def bit_equal(a: Array, b: Array) -> Array:
    """Compares the bits of each element, so that -0.0 differs from 0.0."""
    unsigned = {2: np.uint16, 4: np.uint32, 8: np.uint64}[a.dtype.itemsize]
    same: Array = contiguous(a).view(unsigned) == contiguous(b).view(unsigned)
    return same
