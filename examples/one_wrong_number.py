"""A kernel in NumPy that reads one recurrent weight wrong, which no mistake explains: `verify` says where it is."""

from __future__ import annotations

from typing import Any

import numpy as np

import lstm_xcheck as lx


def sigmoid(z: Any) -> Any:
    """1 / (1 + e^-z)."""
    return 1 / (1 + np.exp(-z))


def kernel(weights: lx.LSTMWeights, x: Any, h0: Any, c0: Any, lengths: Any) -> Any:
    """One layer in float32, gates in the order i, f, g, o."""
    cell, (h, c), outputs = weights.layers[0][0], (h0[0], c0[0]), []
    U = np.array(cell.U)
    U[3, 2, 4] += np.float32(0.1)
    for t in range(x.shape[1]):
        i, f, g, o = np.einsum("ghx,bx->gbh", cell.W, x[:, t]) + np.einsum("ghr,br->gbh", U, h) + cell.b[:, None]
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, axis=1), h[None], c[None]


case = lx.Case.random(lx.LSTMSpec(input_size=5, hidden_size=6, bias="single"), steps=8, init="torch")
report = lx.verify(case, {"mine": kernel})
print("\n".join(report.causes))
