"""A live layer or module as an LSTM: weights and a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..model import LSTMWeights, Result

#: x (batch, steps, input), h0 and c0 (layers * directions, batch, width), and the valid steps: None for all,
#: lengths (batch,), or a boolean mask (batch, steps).
Runner = Callable[[Array, Array, Array, Array | None], Result]


@dataclass(frozen=True)
class LiveLSTM:
    """One live object, ready to be compared.

    Attributes:
        parameter_count: trainable parameters as the framework itself reports them.
        run: calls the object itself.
        ragged: whether it takes rows of different lengths.
        sequence: whether it returns its output at every step, so that another layer can read it.
    """

    label: str
    weights: LSTMWeights
    parameter_count: int
    run: Runner
    ragged: bool = True
    sequence: bool = True


def as_mask(lengths: Array | None, steps: int) -> Array | None:
    """Lengths or a mask as a mask (batch, steps); None stays None."""
    if lengths is None or lengths.ndim == 2:
        return lengths
    mask: Array = np.arange(steps) < np.asarray(lengths)[:, None]
    return mask
