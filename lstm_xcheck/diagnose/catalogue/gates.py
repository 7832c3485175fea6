"""Gates in each of the 23 wrong orders."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from ...model import GATES, CellWeights
from ..mistake import Mistake, with_arrays

#: Frameworks that store their gates in these orders, with or without a row in the table of layouts.
KNOWN_ORDERS = {
    "iofg": "ONNX",
    "figo": "OpenVINO",
    "igfo": "TensorFlow 1 and Haiku",
    "ifog": "Core ML, ncnn and Caffe2",
    "fiog": "thinc",
    "gfoi": "Deeplearning4j",
    "gifo": "Chainer",
}

#: Suffix of an id -> the arrays with wrong gates, by name and in words.
_ARRAYS = {
    "": (("W", "U", "b", "b_r"), "W, U and b"),
    "-W": (("W",), "W alone"),
    "-U": (("U",), "U alone"),
    "-b": (("b", "b_r"), "the bias alone"),
    "-WU": (("W", "U"), "W and U, not the bias"),
}


def _reorder(cell: CellWeights, index: list[int], names: tuple[str, ...]) -> CellWeights | None:
    """Take the gates of these arrays in this order."""
    arrays = {name: np.asarray(array)[index] for name, array in cell.items() if name in names}
    return with_arrays(cell, **arrays) if arrays else None


def _origin(order: str) -> str:
    inverse = "".join(GATES[order.index(gate)] for gate in GATES)
    hints = []
    if order in KNOWN_ORDERS:
        hints.append(f"the order of {KNOWN_ORDERS[order]}")
    if inverse in KNOWN_ORDERS and inverse != order:
        hints.append(f"what comes of giving i, f, g, o to {KNOWN_ORDERS[inverse]}, which expects {', '.join(inverse)}")
    return "; ".join(hints) or "they were exchanged while copying"


def _entry(order: str, suffix: str) -> Mistake:
    names, words = _ARRAYS[suffix]
    index = [GATES.index(gate) for gate in order]
    back = [order.index(gate) for gate in GATES]
    moved = [GATES[k] for k in range(4) if index[k] != k]
    title = (
        f"gates {moved[0]} and {moved[1]} exchanged in {words}"
        if len(moved) == 2
        else f"gate order {order} read as ifgo in {words}"
    )
    return Mistake(
        id=f"gates-{order}{suffix.lower()}",
        family="gates",
        title=title,
        explanation=f"The gates of {words} stand as {', '.join(order)}: {_origin(order)}.",
        fix=f"Put the four blocks of {words} into the order i, f, g, o before loading them.",
        code="\n".join(f"{name} = {name}[{back}]  # gates into i, f, g, o" for name in names if name != "b_r"),
        cell=lambda cell: _reorder(cell, index, names),
        permutes=(tuple(index), names),
    )


MISTAKES = tuple(
    _entry("".join(order), suffix) for suffix in _ARRAYS for order in permutations(GATES) if order != GATES
)
