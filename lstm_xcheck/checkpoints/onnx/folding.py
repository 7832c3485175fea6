"""Computes the constants that an ONNX graph makes of constants.

Exporters cut weights, put their gates in order and give them axes. Operators that only move numbers, widen or narrow
them, or add two biases are followed; what they make is bounded by the size of the model.
Source: ONNX operators since 13; their older forms, with attributes for what are inputs now.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ...arrays import Array
from ...errors import CheckpointError
from ..codecs.limits import FLOAT_SIZES, SMALL
from ..tensor_info import TensorInfo
from .scopes import Value
from .tensors import floating, integers, stored

#: What is made of constants, as a multiple of the model.
_MOST_GROWTH = 8
_MOST_STEPS = 64
_ADDED = ("float32", "float64")
_CASTS = {1: "float32", 10: "float16", 11: "float64"}


class _UnknownError(ValueError):
    """Something that is not folded."""


@dataclass(frozen=True)
class Constant:
    """A tensor that the file determines."""

    info: TensorInfo
    leaves: tuple[str, ...]  # the stored tensors that it is made of
    key: tuple[Any, ...]  # equal for one tensor under several names
    stored: bool = True  # whether it is a tensor of the file as it is


@dataclass(frozen=True)
class _Operands:
    """What an operator takes."""

    arrays: Sequence[Array | None]
    attributes: dict[str, Any]
    output: int
    outputs: int

    def array(self, place: int = 0) -> Array:
        found = self.arrays[place] if place < len(self.arrays) else None
        if found is None:
            raise _UnknownError
        return found

    def numbers(self, name: str, place: int) -> list[int] | None:
        """Numbers that are an attribute or, later, an input."""
        if name in self.attributes:
            return [int(n) for n in np.atleast_1d(self.attributes[name])]
        if place >= len(self.arrays) or self.arrays[place] is None:
            return None
        return [int(n) for n in np.atleast_1d(self.array(place))]


class Folding:
    """The constants of one model, computed when they are asked for."""

    def __init__(self, path: Path, size: int) -> None:
        """Starts with the work that a model of `size` bytes may take."""
        self._path = path
        self._most = self._left = SMALL + _MOST_GROWTH * size
        self._known: dict[Value, Constant | None] = {}

    def constant(self, value: Value | None, steps: int = 0) -> Constant | None:
        """The constant that a value is; None if it depends on an input."""
        if value is None or steps > _MOST_STEPS:
            return None
        tensor = value.scope.tensors.get(value.name)
        if tensor is not None:
            return Constant(stored(self._path, value.name, tensor), (value.name,), (id(tensor),))
        if value not in self._known:
            self._known[value] = None  # which a value that is made of itself stays
            self._known[value] = self._made(value, steps)
        return self._known[value]

    def integers(self, value: Value | None) -> list[int] | None:
        """The values of a short integer constant, such as an axis; else None."""
        constant = self.constant(value)
        if constant is None or constant.info.dtype not in ("int32", "int64"):
            return None
        tensor = value.scope.tensors.get(value.name) if value else None
        if tensor is not None:
            return integers(tensor)
        return [int(n) for n in np.atleast_1d(constant.info.load())]

    def _made(self, value: Value, steps: int) -> Constant | None:
        node, output = value.scope.maker(value)
        fold = _FOLDS.get(node.op_type) if node is not None and node.domain in ("", "ai.onnx") else None
        if fold is None:
            return None
        inputs = value.scope.inputs(node)
        parts = [self.constant(one, steps + 1) for one in inputs]
        if any(one is not None and part is None for one, part in zip(inputs, parts, strict=True)):
            return None
        attributes = value.scope.attributes(node)
        kinds = {part.info.dtype for part in parts[: None if node.op_type in ("Concat", "Add") else 1] if part}
        if len(kinds) > 1:
            return None
        dtype = next(iter(kinds), "int64")
        try:
            if node.op_type == "Cast":
                dtype = _cast(dtype, attributes.get("to", 0))
            if node.op_type == "Add" and dtype not in _ADDED:
                return None
            arrays = [self._load(one, part) for one, part in zip(inputs, parts, strict=True)]
            made = fold(_Operands(arrays, attributes, output, len(node.output)))
        except _UnknownError:
            return None
        if node.op_type == "ConstantOfShape" or dtype not in FLOAT_SIZES:
            dtype = str(made.dtype)
        elif dtype != "bfloat16":
            with np.errstate(over="ignore"):  # an infinity is refused with the weights
                made = made.astype(dtype, copy=False)
        self._spend(made.nbytes)
        floats = [leaf for part in parts if part and part.info.dtype in FLOAT_SIZES for leaf in part.leaves]
        info = TensorInfo(value.name, made.shape, dtype, lambda: made)
        return Constant(info, tuple(dict.fromkeys(floats)), (id(value.scope), value.name), False)

    def _load(self, value: Value | None, part: Constant | None) -> Array | None:
        if value is None or part is None:
            return None
        tensor = value.scope.tensors.get(value.name)
        if tensor is None or floating(tensor):
            self._spend(math.prod(part.info.shape) * FLOAT_SIZES.get(part.info.dtype, 8))
            return part.info.load()
        if part.info.dtype not in ("int32", "int64") or tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise _UnknownError
        self._spend(math.prod(part.info.shape) * 8)
        return np.asarray(onnx.numpy_helper.to_array(tensor))

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise CheckpointError(
                f"{self._path} computes weights of weights in so many ways that they take more than {self._most} "
                f"bytes, {_MOST_GROWTH} times what the model has; it was not read"
            )


def _cast(dtype: str, to: int) -> str:
    """The type after a cast between floating types, which rounds at most once."""
    if dtype not in FLOAT_SIZES or to not in _CASTS:
        raise _UnknownError
    return _CASTS[to]


def _transposed(given: _Operands) -> Array:
    return np.transpose(given.array(), given.attributes.get("perm"))


def _reshaped(given: _Operands) -> Array:
    shape, array = given.numbers("shape", 1), given.array()
    if shape is None:
        raise _UnknownError
    if not given.attributes.get("allowzero", 0):
        shape = [array.shape[k] if n == 0 else n for k, n in enumerate(shape)]
    return array.reshape(shape)


def _flattened(given: _Operands) -> Array:
    array, axis = given.array(), given.attributes.get("axis", 1)
    return array.reshape(math.prod(array.shape[:axis]), -1)


def _squeezed(given: _Operands) -> Array:
    axes = given.numbers("axes", 1)
    return np.squeeze(given.array(), None if axes is None else tuple(axes))


def _unsqueezed(given: _Operands) -> Array:
    axes = given.numbers("axes", 1)
    if axes is None:
        raise _UnknownError
    return np.expand_dims(given.array(), tuple(axes))


def _sliced(given: _Operands) -> Array:
    array = given.array()
    starts, ends, axes, by = (given.numbers(name, k) for k, name in enumerate(("starts", "ends", "axes", "steps"), 1))
    if starts is None or ends is None:
        raise _UnknownError
    spans = [slice(None)] * array.ndim
    for axis, start, end, step in zip(axes or range(len(starts)), starts, ends, by or [1] * len(starts), strict=True):
        # To the very end against the order, which Python says with None.
        spans[axis] = slice(start, None if step < 0 and end < -array.shape[axis] else end, step)
    return array[tuple(spans)]


def _split(given: _Operands) -> Array:
    array, axis, sizes = given.array(), given.attributes.get("axis", 0), given.numbers("split", 1)
    if sizes is None:
        each = -(-array.shape[axis] // given.outputs)
        sizes = [each] * (given.outputs - 1) + [array.shape[axis] - each * (given.outputs - 1)]
    if len(sizes) != given.outputs or sum(sizes) != array.shape[axis] or min(sizes) < 0:
        raise ValueError("a Split whose parts are not the whole")
    return np.split(array, np.cumsum(sizes)[:-1], axis)[given.output]


def _joined(given: _Operands) -> Array:
    return np.concatenate([given.array(k) for k in range(len(given.arrays))], given.attributes["axis"])


def _gathered(given: _Operands) -> Array:
    array, places, axis = given.array(), given.array(1), given.attributes.get("axis", 0)
    if places.dtype.kind != "i" or places.size > array.shape[axis]:
        raise _UnknownError
    return np.take(array, places, axis)


def _sum(given: _Operands) -> Array:
    """One rounded addition, of two biases as a rule."""
    first, second = given.array(0), given.array(1)
    if first.shape != second.shape:
        raise _UnknownError
    return first + second


def _filled(given: _Operands) -> Array:
    shape = given.array()
    value = np.asarray(onnx.numpy_helper.to_array(given.attributes["value"])) if given.attributes else np.zeros(1, "f4")
    if value.size != 1 or str(value.dtype) not in FLOAT_SIZES or shape.ndim != 1:
        raise _UnknownError
    # A view of one number: what takes it copies it, within the bound of all.
    return np.broadcast_to(value.reshape(()), tuple(int(n) for n in shape))


def _listed(given: _Operands) -> Array:
    """A Constant that lists its numbers."""
    for name in ("value_int", "value_ints"):
        if name in given.attributes:
            return np.asarray(given.attributes[name], np.int64)
    raise _UnknownError


_FOLDS: dict[str, Callable[[_Operands], Array]] = {
    "Identity": lambda given: given.array(),
    "Cast": lambda given: given.array(),
    "Constant": _listed,
    "Transpose": _transposed,
    "Reshape": _reshaped,
    "Flatten": _flattened,
    "Squeeze": _squeezed,
    "Unsqueeze": _unsqueezed,
    "Slice": _sliced,
    "Split": _split,
    "Concat": _joined,
    "Gather": _gathered,
    "Add": _sum,
    "ConstantOfShape": _filled,
}
