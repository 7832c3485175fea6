"""Unpacks the weights of quantised PyTorch modules, under the names they had before.

Dynamic quantisation keeps one object per layer and direction; float16 weights are read from it, 8-bit ones are named
with their type, of which no LSTM is made. Source: torch 2.13.0, aten/src/ATen/native/quantized/cpu/qlinear and
native/RNN.cpp (CellParamsBase), torch/ao/nn/quantized/dynamic/modules/rnn.py, torch/ao/nn/quantized/modules/linear.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..codecs.foreign import Placeholder, Symbol
from .tensors import TensorView

_OBJECT = Symbol("torch", "ScriptObject")
#: An LSTM's layer and direction, an LSTMCell's half, and a half of a statically quantised cell.
_CELL = re.compile(r"(?P<prefix>(?:.*\.)?)_all_weight_values\.(?P<index>[0-9]{1,3})\.param", re.DOTALL)
_HALF = re.compile(r"(?P<prefix>(?:.*\.)?)_packed_weight_(?P<half>ih|hh)", re.DOTALL)
_GATES = re.compile(r"(?P<prefix>.*\.(?:igates|hgates)\.)_packed_params\._packed_params", re.DOTALL)

#: Containers of a checkpoint that are looked into.
_MAX_DEPTH = 3

_HALVED = "dynamic quantisation rounded its weights to float16"
_OPEN = (
    "stored as two packed cells of input and hidden size {size}, which may be two layers or two directions; save the "
    "model before it is quantised"
)


def unpacked(value: Any, depth: int = 0) -> Any:
    """A checkpoint whose packed weights are tensors with plain names."""
    if not isinstance(value, dict) or depth > _MAX_DEPTH:
        return value
    state: dict[Any, Any] = {}
    cells: dict[str, dict[int, tuple[str, Any]]] = {}
    for key, item in value.items():
        name = key if isinstance(key, str) else ""
        if match := _CELL.fullmatch(name):
            cells.setdefault(match["prefix"], {})[int(match["index"])] = (name, item)
        elif match := _HALF.fullmatch(name):
            state.update(_named(match["prefix"], match["half"], name, _packed(item)))
        elif (match := _GATES.fullmatch(name)) and isinstance(item, tuple):
            parts = zip((f"{match['prefix']}weight", f"{match['prefix']}bias"), item, strict=False)
            state.update({part: replace(view, source=name) for part, view in parts if isinstance(view, TensorView)})
        else:
            state[key] = unpacked(item, depth + 1)
    for prefix, packed in cells.items():
        state.update(_of_lstm(prefix, packed))
    return state


def _of_lstm(prefix: str, packed: Mapping[int, tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The tensors of an LSTM's cells; what is packed in another way stays."""
    halves = {index: [_packed(half) for half in _halves(item)] for index, (_, item) in sorted(packed.items())}
    shapes = [[_shape(half) for half in pair] for pair in halves.values()]
    if any(len(pair) != 2 or None in pair for pair in shapes) or list(halves) != list(range(len(halves))):
        yield from packed.values()
        return
    inputs, hidden = [pair[0][1] for pair in shapes if pair[0]], shapes[0][1][1] if shapes[0][1] else 0
    both = len(inputs) > 1 and inputs[1 if len(inputs) == 2 else 2] == (inputs[0] if len(inputs) == 2 else 2 * hidden)
    note = _OPEN.format(size=hidden) if len(inputs) == 2 and inputs[0] == inputs[1] == hidden else ""
    for index, pair in halves.items():
        layer, direction = divmod(index, 2) if both else (index, 0)
        place = f"_l{layer}{'_reverse' if direction else ''}"
        for half, views in zip(("ih", "hh"), pair, strict=True):
            for name, view in _named(prefix, half + place, packed[index][0], views):
                yield name, replace(view, unread=note)


def _halves(item: Any) -> list[Any]:
    """The packed input and recurrent weights of a cell."""
    content = item.state[0] if _is_object(item) else ()
    return content[4] if isinstance(content, tuple) and len(content) > 4 and isinstance(content[4], list) else []


def _packed(item: Any) -> tuple[Any, ...]:
    """Weight and bias of a packed linear operation."""
    content = item.state[0] if _is_object(item) else ()
    return content if isinstance(content, tuple) else ()


def _is_object(item: Any) -> bool:
    known = isinstance(item, Placeholder) and item.symbol == _OBJECT
    return known and isinstance(item.state, tuple) and len(item.state) == 2


def _shape(packed: tuple[Any, ...]) -> tuple[int, ...] | None:
    weight = packed[0] if packed else None
    return weight.shape if isinstance(weight, TensorView) and len(weight.shape) == 2 else None


def _named(prefix: str, place: str, source: str, packed: tuple[Any, ...]) -> Iterator[tuple[str, TensorView]]:
    for kind, view in zip(("weight", "bias"), packed, strict=False):
        if isinstance(view, TensorView):
            note = _HALVED if view.dtype == "float32" and kind == "weight" else ""
            yield f"{prefix}{kind}_{place}", replace(view, source=source, note=note)
