"""Parses the graphs of a LiteRT model: tensors, operators, constants.

Read without LiteRT and never run.
Source: TensorFlow 2.21, tensorflow/lite/python/schema_py_generated.py; schema version 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ...arrays import Array, native_values
from ...errors import CheckpointError
from ..codecs.flatbuffer import Source, Table
from ..codecs.limits import FLOAT_SIZES, MAX_LSTMS, escape, refuse_many
from ..tensor_info import TensorInfo

#: TensorType, by number; those that an LSTM may be stored in, and those that are named when they are met.
TYPES = {
    0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 5: "string", 6: "bool", 7: "int16", 9: "int8",
    10: "float64", 17: "int4", 18: "bfloat16", 19: "int2",
}  # fmt: skip
#: BuiltinOperator, by number; all others are no part of what tells an LSTM.
KINDS = {
    0: "ADD", 2: "CONCATENATION", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 6: "DEQUANTIZE", 9: "FULLY_CONNECTED",
    14: "LOGISTIC", 16: "LSTM", 18: "MUL", 19: "RELU", 20: "RELU_N1_TO_1", 21: "RELU6", 22: "RESHAPE",
    25: "SOFTMAX", 28: "TANH", 32: "CUSTOM", 36: "GATHER", 39: "TRANSPOSE", 40: "MEAN", 41: "SUB", 42: "DIV",
    44: "UNIDIRECTIONAL_SEQUENCE_LSTM", 45: "STRIDED_SLICE", 47: "EXP", 49: "SPLIT",
    52: "BIDIRECTIONAL_SEQUENCE_LSTM", 53: "CAST", 55: "MAXIMUM", 57: "MINIMUM", 65: "SLICE", 74: "SUM",
    77: "SHAPE", 94: "FILL", 98: "LEAKY_RELU", 105: "REVERSE_V2", 111: "ELU", 117: "HARD_SWISH", 118: "IF",
    119: "WHILE", 123: "SELECT_V2", 126: "BATCH_MATMUL", 150: "GELU",
}  # fmt: skip
_INT_CODES = {"int32": "<i4", "int64": "<i8"}
#: Tensors of more axes than this are no weights.
_MOST_AXES = 32
#: Operators may share weights, but what is read of a file is not endlessly more than the file.
_MAX_GROWTH = 8
_FREE = 1 << 20


@dataclass(frozen=True)
class Tensor:
    """A tensor of a graph; `span` locates the bytes of constants."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    span: tuple[int, int] | None
    variable: bool
    sparse: bool


@dataclass(frozen=True)
class Operator:
    """An operator: kind, tensor numbers (-1 for none) and options."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None

    def input(self, position: int) -> int:
        """The number of an input, -1 where it is left out."""
        return self.inputs[position] if position < len(self.inputs) else -1

    def option(self, number: int, code: str = "<i", default: int = 0) -> int:
        """A whole number among its options."""
        return self.options.integer(number, code, default) if self.options else default


@dataclass
class Graph:
    """One subgraph, its operators in the order in which they run."""

    model: Model
    number: int
    name: str
    tensors: list[Tensor]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: list[Operator]

    @cached_property
    def made_by(self) -> dict[int, tuple[Operator, int]]:
        """The operator that makes a tensor, and at which output."""
        return {made: (op, place) for op in self.operators for place, made in enumerate(op.outputs)}

    @cached_property
    def used_by(self) -> dict[int, list[Operator]]:
        """The operators that a tensor feeds."""
        users: dict[int, list[Operator]] = {}
        for op in self.operators:
            for number in set(op.inputs):
                users.setdefault(number, []).append(op)
        return users

    @cached_property
    def _given(self) -> frozenset[int]:
        return frozenset(self.inputs)

    @cached_property
    def splits_in_four(self) -> list[Operator]:
        """The operators that split pre-activations into four gates."""
        return [op for op in self.operators if op.kind == "SPLIT" and len(op.outputs) == 4]

    def maker(self, number: int) -> tuple[str, Operator | None, int]:
        """Kind, operator and output that make a tensor; no kind for inputs."""
        op, place = self.made_by.get(number, (None, 0))
        return (op.kind if op else ""), op, place

    def constant(self, number: int) -> int | None:
        """The stored tensor of a constant, past a DEQUANTIZE; else None."""
        kind, op, _ = self.maker(number)
        if kind == "DEQUANTIZE" and op:
            inner = op.input(0)
            return inner if self.is_stored(inner) and self.tensors[inner].dtype in FLOAT_SIZES else None
        return number if self.is_stored(number) else None

    def is_stored(self, number: int) -> bool:
        """Whether the file alone gives a tensor's numbers."""
        if not 0 <= number < len(self.tensors) or number in self.made_by or number in self._given:
            return False
        tensor = self.tensors[number]
        return tensor.span is not None and not tensor.variable

    def stored(self, number: int) -> TensorInfo:
        """A constant as a tensor of the file."""
        return self.model.stored(self.tensors[number])

    def integers(self, number: int) -> tuple[int, ...] | None:
        """The values of a short integer constant, such as an axis; else None."""
        if not self.is_stored(number):
            return None
        tensor = self.tensors[number]
        if tensor.dtype not in _INT_CODES or math.prod(tensor.shape) > _MOST_AXES:
            return None
        return tuple(int(n) for n in self.model.values(tensor).reshape(-1))


class Model:
    """A parsed model, and the bytes of its file."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path, self.data = path, data
        self._left = _MAX_GROWTH * len(data) + _FREE
        self._tensors = self._operators = self._lstms = 0
        if data[4:8] != b"TFL3":
            raise ValueError(f"its identifier is {data[4:8]!r} instead of b'TFL3'")
        root = Source(data).root()
        buffers = [self._span(table) for table in root.tables(4)]
        kinds = [_kind(table) for table in root.tables(1)]
        self.graphs = [self._graph(k, table, buffers, kinds) for k, table in enumerate(root.tables(2))]

    def _span(self, table: Table) -> tuple[int, int] | None:
        """Where a buffer's bytes are: in the table or behind it."""
        inner = table.vector(0)
        if inner is not None and inner[1]:
            return inner
        start, size = table.integer(1, "<Q"), table.integer(2, "<Q")
        if start <= 1 or not size:
            return None
        if start + size > len(self.data):
            raise ValueError(f"a buffer lies at {start}..{start + size}, but the file has {len(self.data)} bytes")
        return start, size

    def _graph(self, number: int, table: Table, buffers: list[tuple[int, int] | None], kinds: list[str]) -> Graph:
        listed, run = table.tables(0), table.tables(3)
        self._tensors += len(listed)
        self._operators += len(run)
        refuse_many(self.path, self._tensors)
        refuse_many(self.path, self._operators, "operators")
        tensors = [self._tensor(one, buffers) for one in listed]
        operators = [_operator(one, kinds, len(tensors)) for one in run]
        self._lstms += sum("LSTM" in op.kind for op in operators)
        refuse_many(self.path, self._lstms, "LSTMs", MAX_LSTMS)
        inputs, outputs = (_numbers(table.integers(k), len(tensors)) for k in (1, 2))
        return Graph(self, number, table.text(4), tensors, inputs, outputs, operators)

    def _tensor(self, table: Table, buffers: list[tuple[int, int] | None]) -> Tensor:
        shape, number = table.integers(0), table.integer(2, "<I")
        if number >= len(buffers) or len(shape) > _MOST_AXES:
            raise ValueError(f"tensor {escape(table.text(3))} has no valid shape and buffer")
        kind = table.integer(1, "<b")
        dtype = TYPES.get(kind, f"type {kind}")
        variable, sparse = bool(table.integer(5, "<b")), table.table(6) is not None
        return Tensor(table.text(3), shape, dtype, buffers[number], variable, sparse)

    def stored(self, tensor: Tensor) -> TensorInfo:
        """A constant tensor, its size held against its bytes."""
        size, width = (tensor.span or (0, 0))[1], FLOAT_SIZES.get(tensor.dtype)
        fits = width is None or math.prod(tensor.shape) * width == size
        if not tensor.sparse and (min(tensor.shape, default=1) < 0 or not fits):
            raise CheckpointError(
                f"{self.path}: tensor {escape(tensor.name)} of shape {list(tensor.shape)[:8]} and type {tensor.dtype} "
                f"cannot take {size} bytes; copy or download it again"
            )
        dtype = f"sparse {tensor.dtype}" if tensor.sparse else tensor.dtype
        return TensorInfo(escape(tensor.name, 200), tensor.shape, dtype, lambda: self.values(tensor))

    def values(self, tensor: Tensor) -> Array:
        """The values of a float or integer constant.

        Raises:
            ValueError: when they do not fit its shape.
            CheckpointError: when the bytes of the file are read again and again.
        """
        start, size = tensor.span or (0, 0)
        self._left -= size
        if self._left < 0:
            raise CheckpointError(f"{self.path} uses its weights again and again; it is not a real model")
        content = memoryview(self.data)[start : start + size]
        if tensor.dtype in FLOAT_SIZES:
            return native_values(content, tensor.dtype).reshape(tensor.shape)
        return np.frombuffer(content, _INT_CODES[tensor.dtype]).reshape(tensor.shape)


def parse(path: Path) -> Model:
    """The model in a file."""
    try:
        return Model(path, path.read_bytes())
    except ValueError as error:
        raise CheckpointError(
            f"{path}: the LiteRT model is damaged ({escape(error)}); copy or download it again"
        ) from error


def _kind(table: Table) -> str:
    """The kind of an operator; older files number it in one byte."""
    number = max(table.integer(0, "<b"), table.integer(3))
    custom = table.text(1)
    return f"CUSTOM {custom}" if KINDS.get(number) == "CUSTOM" else KINDS.get(number, f"operator {number}")


def _operator(table: Table, kinds: list[str], count: int) -> Operator:
    code = table.integer(0, "<I")
    if code >= len(kinds):
        raise ValueError("an operator has no kind")
    inputs, outputs = (_numbers(table.integers(k), count) for k in (1, 2))
    return Operator(kinds[code], inputs, outputs, table.table(4) if table.integer(3, "<B") else None)


def _numbers(numbers: tuple[int, ...], count: int) -> tuple[int, ...]:
    if not all(-1 <= number < count for number in numbers):
        raise ValueError("an operator names a tensor that is not there")
    return numbers
