"""Finds initial states and lengths of LSTMs that are constants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ..codecs.limits import FLOAT_SIZES, escape
from ..model import UnreadLSTM
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


def short_lengths(folding: Folding, lengths: Value | None, sequence: Value | None) -> tuple[str, ...]:
    """The tensors of constant lengths, unless each surely is the whole sequence."""
    constant, numbers = folding.constant(_origin(lengths)), folding.integers(_origin(lengths))
    if constant is None:
        return ()
    inputs = getattr(sequence.scope.graph, "input", ()) if sequence is not None else ()
    given = next((one for one in inputs if sequence is not None and getattr(one, "name", one) == sequence.name), None)
    axes = list(given.type.tensor_type.shape.dim) if given is not None and not isinstance(given, str) else []
    steps = axes[0].dim_value if axes else 0
    return () if steps and numbers and min(numbers) >= steps else constant.leaves


def unread_lengths(name: str) -> UnreadLSTM:
    """Constant lengths that weights do not hold."""
    return UnreadLSTM(f"sequence_lens of {name}", f"the lengths that {name} is given are constants in the graph")


def note_of(kind: str, leaves: tuple[str, ...]) -> str:
    """What is told of a state that is not zero."""
    return f"its {kind} is not zero and is not read; it is the tensor {', '.join(map(escape, leaves))}"


def is_constant(folding: Folding, value: Value) -> bool:
    """Whether a state is a constant, repeated for the batch."""
    origin = _origin(value)
    node = origin.scope.maker(origin)[0] if origin is not None else None
    return folding.constant(origin) is not None or (node is not None and node.op_type == "ConstantOfShape")


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
