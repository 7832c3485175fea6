"""Conversion of a framework's gradients to canonical form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..arrays import Array
from .read import read_all_parts
from .table import Layout, layout_named


def gradients_from_layout(arrays: Mapping[str, Array], layout: str | Layout) -> dict[str, Array]:
    """Gradients of the parameters by canonical name such as `0.1.W`.

    Gradients are stored like their parameters. A constant that a framework adds to the forget bias at run time has no
    gradient, so nothing is added here. A layout with two bias vectors has two gradients, `b` and `b_r`, as computed by
    the framework. NaN and infinity are kept for the judge.

    >>> from lstm_xcheck.layouts import to_layout
    >>> from lstm_xcheck.model import LSTMSpec, LSTMWeights
    >>> stored = to_layout(LSTMWeights.random(LSTMSpec(input_size=3, hidden_size=2)), "keras")
    >>> {name: array.shape for name, array in gradients_from_layout(stored, "keras").items()}
    {'0.0.W': (4, 2, 3), '0.0.U': (4, 2, 2), '0.0.b': (4, 2)}
    """
    row = replace(layout if isinstance(layout, Layout) else layout_named(layout), forget_bias=0.0)
    cells = read_all_parts(row, {name: np.asarray(array) for name, array in arrays.items()})
    return {
        f"{layer}.{direction}.{name}": np.asarray(array)
        for layer, directions in enumerate(cells)
        for direction, cell in enumerate(directions)
        for name, array in cell.items()
    }
