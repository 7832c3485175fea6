"""The loss of gradient comparisons: sum(y G_y) + sum(h_n G_h) + sum(c_n G_c).

The cotangents G depend on the shapes alone. They are eighths between 1/2 and 11/8 with random signs: exact in every
precision down to bfloat16, and never near zero, so that every output and every final state affects every parameter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..arrays import STORAGE, Array
from .case import Case
from .initializers import generator
from .spec import LSTMSpec

#: Data with gradients; absent states are zeros and have gradients too.
DATA = ("x", "h0", "c0")
#: Arrays of each cell with gradients.
PARAMETERS = ("W", "U", "b", "b_r", "peephole", "projection")


class Cotangents(NamedTuple):
    """Factors of the outputs in the loss, in the case's storage type.

    Attributes:
        y: shape (batch, steps, directions * output).
        h_n: shape (layers * directions, batch, output).
        c_n: shape (layers * directions, batch, hidden).
    """

    y: Array
    h_n: Array
    c_n: Array


def cotangents(case: Case) -> Cotangents:
    """The cotangents of a case, equal for all cases of the same shape.

    >>> from lstm_xcheck.model import Case, LSTMSpec
    >>> cotangents(Case.random(LSTMSpec(input_size=1, hidden_size=2), steps=5)).y.shape
    (3, 5, 2)
    """
    spec = case.spec
    rows = spec.num_layers * spec.num_directions
    shapes = {
        "y": (case.batch, case.steps, spec.num_directions * spec.output_size),
        "h_n": (rows, case.batch, spec.output_size),
        "c_n": (rows, case.batch, spec.hidden_size),
    }
    return Cotangents(**{name: _eighths(name, shape, case.precision) for name, shape in shapes.items()})


def gradient_names(spec: LSTMSpec) -> tuple[str, ...]:
    """Names in `Result.gradients` of a case with gradients: `0.0.W`, ..., `x`, `h0`, `c0`.

    `b` is the gradient of the bias; an implementation with two bias vectors also gives `b_r`, with the same numbers
    since the vectors are only added.
    """
    present = {"W": True, "U": True, "b": spec.bias != "none", "peephole": spec.peepholes, "projection": spec.proj_size}
    cells = [f"{layer}.{direction}" for layer in range(spec.num_layers) for direction in range(spec.num_directions)]
    return (*(f"{cell}.{name}" for cell in cells for name, there in present.items() if there), *DATA)


def _eighths(name: str, shape: tuple[int, ...], precision: str) -> Array:
    drawn = generator(0, "cotangent", name).random((2, *shape))
    magnitude = (4.0 + np.floor(8.0 * drawn[0])) / 8.0
    signs = np.where(drawn[1] < 0.5, -1.0, 1.0)
    return np.asarray(signs * magnitude, STORAGE[precision])
