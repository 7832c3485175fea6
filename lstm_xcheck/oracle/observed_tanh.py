"""The tanh(c) that a backend computed, read off its outputs."""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..model import Case
from .backward import Direction
from .monte_carlo import Roundings
from .precision_profiles import PROFILES


def observed_tanh(case: Case, layer: int, direction: int, x: Array, observed: Array) -> tuple[Array, Array]:
    """h / o and tanh(c) of every valid step, flat.

    The cell has no projection. o and c are the oracle's, along the observed outputs.

    Args:
        x: inputs of this layer, (batch, steps, input), as the backend read them.
        observed: the backend's outputs of this direction, (batch, steps, output).
    """
    cell = Direction.of(case, layer, direction, x, observed)
    order = slice(None, None, -1 if case.spec.is_backward(direction) else 1)
    steps = cell.forward(Roundings(PROFILES["float64"]))
    o, tau = (np.stack([getattr(step, name)[0] for step in steps], axis=1) for name in ("o", "tau"))
    h = np.asarray(observed, np.float64)[:, order]
    known = cell.valid[..., None] & (o > 0.0) & np.ones(h.shape, bool)
    return h[known] / o[known], tau[known]
