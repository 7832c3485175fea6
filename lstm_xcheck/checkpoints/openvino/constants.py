"""Reads constants of an OpenVINO graph, checked against its `.bin`.

A weight is a Const layer, or what Convert, Split, Concat and Add make of such: `openvino.save_model` stores float16
behind a Convert, and a model read from ONNX puts its gates in order with Split and Concat.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from ...arrays import Array, native_values
from ...errors import CheckpointError
from ..codecs.limits import FLOAT_SIZES, Budget, escape
from ..tensor_info import TensorInfo
from .graph import Graph, Source, count, data, numbers

TYPES = {"f64": "float64", "f32": "float32", "f16": "float16", "bf16": "bfloat16"}
_SIZES = {"i64": 8, "u64": 8, "i32": 4, "u32": 4, "i16": 2, "u16": 2, "i8": 1, "u8": 1, "boolean": 1}

#: Layers between a Const and an LSTM; and Consts of one weight. Both are far beyond what exporters make.
_MAX_STEPS = 16
_MAX_PARTS = 256
#: One Const may stand for both directions, but what is made of a file is not endlessly more than the file.
_MAX_GROWTH = 8


@dataclass(frozen=True)
class Constant:
    """A tensor that the file determines."""

    shape: tuple[int, ...]
    dtype: str
    computed: str  # as the graph uses it, which is never less precise
    load: Callable[[], Array]
    leaves: tuple[Element, ...]  # the Const layers behind it


class Constants:
    """Constants of one model and its `.bin` file."""

    def __init__(self, path: Path) -> None:
        self.path, self.bin = path, path.with_suffix(".bin")
        self._size = self.bin.stat().st_size if self.bin.is_file() else None
        self._budget = Budget(path, self._size or 0)
        # The graph is kept beside the answer, so that no other gets its id.
        self._known: dict[tuple[int, Source], tuple[Graph, Constant | None]] = {}

    def at(self, graph: Graph, source: Source | None, steps: int = 0) -> Constant | None:
        """The constant that an output is; None if computed."""
        if source is None or steps > _MAX_STEPS:
            return None
        key = id(graph), source
        if key not in self._known:
            self._known[key] = graph, self._made(graph, source, steps)
        return self._known[key][1]

    def _made(self, graph: Graph, source: Source, steps: int) -> Constant | None:
        if source[0] in graph.outer:
            outer, there = graph.outer[source[0]]
            return self.at(outer, there, steps + 1)
        layer = graph.layers[source[0]]
        if layer.get("type") == "Const":
            return self._leaf(layer)
        make = {"Convert": _converted, "Split": _split, "Concat": _joined, "Add": _sum}.get(layer.get("type", ""))
        inputs = graph.inputs(layer)
        if make is None or not 0 < len(inputs) <= _MAX_PARTS:
            return None
        parts: list[Constant] = []
        for feed in inputs:
            part = self.at(graph, feed, steps + 1)
            if part is None or sum(len(known.leaves) for known in parts) > _MAX_PARTS:
                return None
            parts.append(part)
        made = make(layer, source[1], parts)
        return made if made is None or count(made.shape) <= _MAX_GROWTH * (self._size or 0) else None

    def stored(self, layer: Element) -> TensorInfo:
        """A Const layer as a tensor of the file."""
        leaf = self._leaf(layer)
        return TensorInfo(escape(layer.get("name", ""), 200), leaf.shape, leaf.dtype, leaf.load)

    def _leaf(self, layer: Element) -> Constant:
        fields = data(layer)
        kind, name = fields.get("element_type", ""), escape(layer.get("name", ""))
        shape = numbers(fields.get("shape", ""))
        place = numbers(f"{fields.get('offset', '?')},{fields.get('size', '?')}")
        if shape is None or place is None or len(place) != 2:
            raise CheckpointError(f"{self.path}: constant {name} has no valid shape, offset and size; export it again")
        if self._size is None:
            raise CheckpointError(
                f"{self.path} keeps its weights in {self.bin.name}, which is not there; copy it beside the model"
            )
        offset, size = place
        if offset + size > self._size:
            raise CheckpointError(
                f"{self.path}: constant {name} lies at {offset}..{offset + size} of {self.bin.name}, "
                f"but that has {self._size} bytes; copy both again"
            )
        dtype = TYPES.get(kind, escape(kind))
        width = FLOAT_SIZES.get(dtype) or _SIZES.get(kind)
        if width is not None and count(shape) * width != size:
            raise CheckpointError(
                f"{self.path}: constant {name} of shape {list(shape)} and type {dtype} cannot take {size} bytes"
            )
        return Constant(shape, dtype, dtype, partial(self._read, offset, size, dtype, kind, shape), (layer,))

    def _read(self, offset: int, size: int, dtype: str, kind: str, shape: tuple[int, ...]) -> Array:
        self._budget.spend(size, "its constants, used again and again,")
        with self.bin.open("rb") as file:
            file.seek(offset)
            content = file.read(size)
        if len(content) != size:
            raise CheckpointError(f"{self.bin} ended while it was read; was it replaced meanwhile?")
        if dtype in FLOAT_SIZES:
            return native_values(content, dtype).reshape(shape)
        return np.frombuffer(content, {"i32": "<i4", "i64": "<i8"}[kind]).reshape(shape)


def _integer(constant: Constant) -> int | None:
    """The value of a constant that is one whole number."""
    return int(constant.load().item()) if constant.dtype in ("i32", "i64") and count(constant.shape) == 1 else None


def _converted(layer: Element, _: int, parts: list[Constant]) -> Constant | None:
    (part,) = parts[:1]
    to = TYPES.get(data(layer).get("destination_type", ""), "")
    exact = to in (part.computed, "float64") or (to == "float32" and part.computed in ("float16", "bfloat16"))
    if len(parts) != 1 or part.dtype not in FLOAT_SIZES or not exact:
        return None
    return Constant(part.shape, part.dtype, to, part.load, part.leaves)


def _split(layer: Element, output: int, parts: list[Constant]) -> Constant | None:
    pieces = numbers(data(layer).get("num_splits", ""))
    axis = _integer(parts[1]) if len(parts) == 2 else None
    if axis is None or not pieces or not pieces[0] or not -len(parts[0].shape) <= axis < len(parts[0].shape):
        return None
    whole = parts[0]
    axis %= len(whole.shape)
    length, left = divmod(whole.shape[axis], pieces[0])
    if left or output >= pieces[0]:
        return None
    shape = (*whole.shape[:axis], length, *whole.shape[axis + 1 :])
    span = (*(slice(None),) * axis, slice(output * length, (output + 1) * length))
    return Constant(shape, whole.dtype, whole.computed, lambda: whole.load()[span], whole.leaves)


def _joined(layer: Element, _: int, parts: list[Constant]) -> Constant | None:
    text = data(layer).get("axis", "")
    axis = int(text) if text.lstrip("-").isdecimal() and len(text) < 4 else None
    first = parts[0]
    if axis is None or not -len(first.shape) <= axis < len(first.shape):
        return None
    axis %= len(first.shape)
    around = {(len(p.shape), p.shape[:axis], p.shape[axis + 1 :], p.dtype, p.computed) for p in parts}
    if len(around) != 1:
        return None
    shape = (*first.shape[:axis], sum(part.shape[axis] for part in parts), *first.shape[axis + 1 :])
    leaves = tuple(leaf for part in parts for leaf in part.leaves)
    return Constant(shape, first.dtype, first.computed, lambda: np.concatenate([p.load() for p in parts], axis), leaves)


def _sum(_: Element, __: int, parts: list[Constant]) -> Constant | None:
    """One rounded addition, as OpenVINO folds two biases."""
    if len(parts) != 2 or parts[0].shape != parts[1].shape:
        return None
    if any(part.dtype != part.computed or part.dtype not in ("float32", "float64") for part in parts):
        return None
    if parts[0].dtype != parts[1].dtype:
        return None
    first, second = parts
    return Constant(
        first.shape, first.dtype, first.computed, lambda: first.load() + second.load(),
        (*first.leaves, *second.leaves),
    )  # fmt: skip
