"""Finds initial states of LSTMs that are constants other than zero."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ..codecs.limits import FLOAT_SIZES, escape
from .folding import Folding
from .scopes import Value

#: What takes a part of a state, or repeats it, as often as exporters do it one after another.
_CUTS = ("Expand", "Slice", "Tile", "Gather", "Unsqueeze", "Squeeze", "Reshape", "Transpose", "Cast", "Split")
_MOST_CUTS = 16


def not_zero(folding: Folding, states: Mapping[str, Value | None]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The states that are stored and not zero, with their tensors."""
    for kind, state in states.items():
        constant = folding.constant(_origin(state))
        if constant is not None and constant.info.dtype in FLOAT_SIZES and np.any(constant.info.load()):
            yield kind, constant.leaves


def note_of(kind: str, leaves: tuple[str, ...]) -> str:
    """What is told of a state that is not zero."""
    return f"its {kind} is not zero and is not read; it is the tensor {', '.join(map(escape, leaves))}"


def _origin(value: Value | None) -> Value | None:
    """What a state is before it is cut and repeated for the batch."""
    for _ in range(_MOST_CUTS):
        node = value.scope.maker(value)[0] if value is not None else None
        if value is not None and value.name in value.scope.begins:  # a state that a loop carries
            value = value.scope.begins[value.name]
        elif value is None or node is None or node.op_type not in _CUTS:
            break
        else:
            value = next(iter(value.scope.inputs(node)), None)
    return value
