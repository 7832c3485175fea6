"""The globals that a pickle of arrays may name; none is imported.

Source: numpy 2.4 (`ndarray.__reduce__` up to protocol 4, `_frombuffer` from 5; before 2.0 the modules are called
`numpy.core`), jax 0.10.2, jax/_src/array.py (`ArrayImpl.__reduce__`), dm-haiku 0.0.17, haiku/_src/data_structures.py
(`FlatMap.__reduce__`), flax 0.12.8, flax/core/frozen_dict.py (`FrozenDict.__reduce__`), PaddlePaddle 3.3.1,
python/paddle/framework/io.py (`_pickle_save`).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import Array, native_values
from ...errors import CheckpointError
from .limits import FLOAT_SIZES, escape
from .restricted_pickle import Symbol, Unpickler

_RECONSTRUCT = frozenset(Symbol(f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core"))
_FROM_BUFFER = frozenset(Symbol(f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core"))
_SCALAR = frozenset(Symbol(f"numpy.{core}.multiarray", "scalar") for core in ("core", "_core"))
_NDARRAY = Symbol("numpy", "ndarray")
_DTYPE = Symbol("numpy", "dtype")
_BFLOAT16 = Symbol("ml_dtypes", "bfloat16")
#: How protocol 2 spells bytes: text, to be encoded.
_ENCODE = Symbol("_codecs", "encode")
_JAX = Symbol("jax._src.array", "_reconstruct_array")
_MAPPINGS = frozenset({
    Symbol("haiku._src.data_structures", "FlatMapping"), Symbol("flax.core.frozen_dict", "FrozenDict"),
})  # fmt: skip
#: Paddle pickles a tensor as `tuple((name, array))`.
_TUPLES = frozenset(Symbol(module, "tuple") for module in ("builtins", "__builtin__"))

_ALLOWED = frozenset({_NDARRAY, _DTYPE, _BFLOAT16, _ENCODE, _JAX})
_ALLOWED |= _MAPPINGS | _RECONSTRUCT | _FROM_BUFFER | _SCALAR | _TUPLES

_NUMBERS = re.compile(r"f[248]|[iu][1248]|b1|c8|c16")


@dataclass
class PickledType:
    """The type of an array's elements, such as `f4`, and its byte order."""

    code: str
    order: str = "="

    @property
    def name(self) -> str:
        """The name in NumPy, such as `float32`; no number keeps its code."""
        return np.dtype(self.code).name if _NUMBERS.fullmatch(self.code) else self.code


@dataclass
class PickledArray:
    """An array as pickled; `data` is None until its state is set."""

    shape: tuple[int, ...] = ()
    dtype: str = "unknown"
    big_endian: bool = False
    fortran: bool = False
    data: bytes | bytearray | None = None

    def load(self) -> Array:
        """The values, C-contiguous."""
        flat = native_values(memoryview(self.data or b""), self.dtype, big_endian=self.big_endian)
        return np.ascontiguousarray(flat.reshape(self.shape, order="F" if self.fortran else "C"))


class NumpyUnpickler(Unpickler):
    """Reads pickled arrays of NumPy or JAX in dicts, lists and tuples."""

    advice = "save the parameters alone, as a dict of arrays (or with numpy.savez)"

    def allows(self, symbol: Symbol) -> bool:
        """Whether a pickle may name this global."""
        return symbol in _ALLOWED or super().allows(symbol)

    def answer(self, symbol: Symbol, arguments: tuple[Any, ...]) -> Any:
        """The result of calling a permitted global."""
        if symbol in _RECONSTRUCT:
            return _reconstructed(*arguments)
        if symbol in _FROM_BUFFER:
            data, dtype, shape, order = arguments
            return self._filled(PickledArray(), shape, dtype, order == "F", data)
        if symbol == _JAX:
            function, inner, state, _ = arguments
            return self._state(_reconstructed(*inner) if function in _RECONSTRUCT else None, state)
        if symbol == _DTYPE:
            return _described(arguments[0])
        if symbol == _ENCODE:
            return _encoded(*arguments)
        if symbol in _MAPPINGS and len(arguments) == 1 and isinstance(arguments[0], dict):
            return arguments[0]
        if symbol in _SCALAR:
            return None
        return _paddle_tensor(*arguments) if symbol in _TUPLES else super().answer(symbol, arguments)

    def build(self, target: Any, state: Any) -> None:
        """Set the state of an array or a type."""
        if isinstance(target, PickledArray):
            self._state(target, state)
        elif isinstance(target, PickledType):
            order = state[1]
            if order not in ("<", ">", "=", "|"):
                raise ValueError("a type without byte order")
            target.order = order
        else:
            super().build(target, state)

    def _state(self, target: PickledArray | None, state: Any) -> PickledArray:
        _, shape, dtype, fortran, data = state
        if target is None:
            raise ValueError("an array made in an unknown way")
        return self._filled(target, shape, dtype, bool(fortran), data)

    def _filled(self, array: PickledArray, shape: Any, dtype: Any, fortran: bool, data: Any) -> PickledArray:
        """Put the values into an array whose shape must fit them."""
        if isinstance(shape, int):
            shape = (shape,)
        if not isinstance(shape, tuple) or not isinstance(dtype, PickledType) or array.data is not None:
            raise ValueError("an array described in an unknown way")
        if len(shape) > 64 or any(type(n) is not int or not 0 <= n < 1 << 60 for n in shape):
            raise ValueError("an array of an impossible shape")
        array.shape, array.dtype, array.fortran = shape, dtype.name, fortran
        array.big_endian = dtype.order == ">"
        array.data = data if isinstance(data, (bytes, bytearray)) else b""
        size = FLOAT_SIZES.get(array.dtype)
        if size is not None and math.prod(shape) * size != len(array.data):
            raise CheckpointError(
                f"{self.path}: an array of shape {list(shape)[:8]} and type {array.dtype} cannot take "
                f"{len(array.data)} bytes; copy or download the file again"
            )
        return array


def checked(path: Path, name: str, array: PickledArray) -> PickledArray:
    """The array, when the pickle has set its state."""
    if array.data is None:
        raise CheckpointError(f"{path}: array {escape(name)} has no values; save the file again")
    return array


def _reconstructed(kind: Any, *_: Any) -> PickledArray:
    if kind != _NDARRAY:
        raise ValueError("an array of an unknown class")
    return PickledArray()


def _described(code: Any) -> PickledType:
    if code == _BFLOAT16:
        return PickledType("bfloat16")
    if not isinstance(code, str):
        raise ValueError("a type described in an unknown way")
    return PickledType(code)


def _encoded(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("text encoded in an unknown way")
    return text.encode("latin-1")


def _paddle_tensor(content: Any) -> Any:
    """The array of Paddle's `tuple((name, array))`; else a tuple."""
    pair = isinstance(content, tuple) and len(content) == 2 and isinstance(content[1], PickledArray)
    if not pair:
        return tuple(content)
    return as_paddle(content[1])


def as_paddle(array: PickledArray) -> PickledArray:
    """An array of a Paddle file: uint16, no type of a tensor, means bfloat16."""
    return replace(array, dtype="bfloat16") if array.dtype == "uint16" else array
