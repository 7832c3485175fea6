"""A framework's gradients in canonical form, through the same rows as its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..arrays import Array
from .convert import read_all_parts
from .table import Layout, layout_named


def gradients_from_layout(arrays: Mapping[str, Array], layout: str | Layout) -> dict[str, Array]:
    """Gradients with respect to parameters, by canonical name such as `0.1.W`.

    Each gradient lies where its parameter lies. A constant that a framework adds to the forget bias at run time has
    no gradient, so nothing is added here. A layout with two bias vectors gives both gradients, `b` and `b_r`, as the
    framework computed them. NaN and infinity come through: whether they are right is not for a layout to say.

    Raises:
        SpecError: for missing, left-over or ill-shaped arrays.

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
        for layer, beside in enumerate(cells)
        for direction, cell in enumerate(beside)
        for name, array in cell.items()
    }
