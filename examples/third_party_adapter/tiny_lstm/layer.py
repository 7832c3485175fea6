"""The layer of this small framework; it knows nothing of lstm-xcheck."""

from __future__ import annotations

import numpy as np


class TinyLSTM:
    """One layer in one direction, with one bias and blocks of rows in the order o, f, i, g."""

    def __init__(self, inputs: int, units: int, *, bias: bool = True, backward: bool = False, dtype: str = "float32"):
        shapes = {"kernel": (4 * units, inputs), "recurrent": (4 * units, units), "bias": (4 * units,)}
        self.backward = backward
        self.parameters = {name: np.zeros(shape, dtype) for name, shape in shapes.items() if bias or name != "bias"}

    def __call__(self, x: np.ndarray, h: np.ndarray, c: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, ...]:
        """Outputs (batch, steps, units) and final states; steps that are not valid are left out."""
        weights = self.parameters
        y = np.zeros((*x.shape[:2], h.shape[1]), x.dtype)
        steps = range(x.shape[1])
        for t in reversed(steps) if self.backward else steps:
            z = x[:, t] @ weights["kernel"].T + h @ weights["recurrent"].T + weights.get("bias", x.dtype.type(0))
            o, f, i, g = np.split(z, 4, axis=1)
            new_c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
            here = valid[:, t, None]
            h = np.where(here, _sigmoid(o) * np.tanh(new_c), h)
            c = np.where(here, new_c, c)
            y[:, t] = np.where(here, h, 0)
        return y, h, c


def _sigmoid(z: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # of a large -z, where 1 / infinity is the right 0
        return 1 / (1 + np.exp(-z))
