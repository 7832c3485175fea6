"""An LSTM in NumPy, and copies with one mistake each; workers run them."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

Array = Any
Answer = tuple[Array, Array, Array]


def _sigmoid(z: Array) -> Array:
    return 0.5 * (1.0 + np.tanh(0.5 * z))


def _direction(cell: Any, x: Array, h: Array, c: Array, lengths: Array | None, backward: bool, order: str) -> Answer:
    """One direction of one layer; outputs are aligned in time and zero at padding."""
    W, U = np.asarray(cell.W), np.asarray(cell.U)
    b = sum((np.asarray(part) for part in (cell.b, cell.b_r) if part is not None), np.zeros(W.shape[:2], x.dtype))
    y = np.zeros((*x.shape[:2], U.shape[2]), x.dtype)
    for t in sorted(range(x.shape[1]), reverse=backward):
        z = np.einsum("ghx,bx->gbh", W, x[:, t]) + np.einsum("ghr,br->gbh", U, h) + b[:, None]
        i, f, g, o = (z[order.index(gate)] for gate in "ifgo")
        new_c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        new_h = _sigmoid(o) * np.tanh(new_c)
        if cell.projection is not None:
            new_h = new_h @ np.asarray(cell.projection).T
        keep = np.ones((len(x), 1), bool) if lengths is None else (t < lengths)[:, None]
        h, c, y[:, t] = np.where(keep, new_h, h), np.where(keep, new_c, c), np.where(keep, new_h, 0)
    return y, h, c


def right(weights: Any, x: Array, h0: Array, c0: Array, lengths: Array | None, order: str = "ifgo") -> Answer:
    finals = []
    for layer, row in enumerate(weights.layers):
        outputs = []
        for direction, cell in enumerate(row):
            k = layer * len(row) + direction
            y, h, c = _direction(cell, x, h0[k], c0[k], lengths, direction == 1, order)
            outputs.append(y)
            finals.append((h, c))
        x = np.concatenate(outputs, axis=-1)
    return x, np.stack([h for h, _ in finals]), np.stack([c for _, c in finals])


def wrong_gates(weights: Any, x: Array, h0: Array, c0: Array, lengths: Array | None) -> Answer:
    """The order of ONNX taken for granted."""
    return right(weights, x, h0, c0, lengths, order="iofg")


def lengths_ignored(weights: Any, x: Array, h0: Array, c0: Array, lengths: Array | None) -> Answer:
    return right(weights, x, h0, c0, None)


def h0_ignored(weights: Any, x: Array, h0: Array, c0: Array, lengths: Array | None) -> Answer:
    return right(weights, x, np.zeros_like(h0), c0, lengths)


def halves_exchanged(weights: Any, x: Array, h0: Array, c0: Array, lengths: Array | None) -> Answer:
    """The backward direction's outputs come first."""
    y, h_n, c_n = right(weights, x, h0, c0, lengths)
    return (np.concatenate(np.split(y, 2, axis=-1)[::-1], axis=-1) if len(weights.layers[0]) == 2 else y), h_n, c_n


def wrong_in_second_layer(weights: Any, x: Array, h0: Array, c0: Array, lengths: Array | None) -> Answer:
    """Wrong with two layers and five steps only, by an unnamed mistake."""
    y, h_n, c_n = right(weights, x, h0, c0, lengths)
    return (y + y.dtype.type(0.25) if len(weights.layers) >= 2 and x.shape[1] >= 5 else y), h_n, c_n


def always_zero(weights: Any, x: Array, h0: Array, c0: Array, lengths: Array | None) -> Answer:
    y, h_n, c_n = right(weights, x, h0, c0, lengths)
    return 0 * y, 0 * h_n, 0 * c_n


def zero_if_small(weights: Any, x: Array, h0: Array, c0: Array, lengths: Array | None) -> Answer:
    """Zeros for one unit, else right but for one unit."""
    if weights.spec.hidden_size == 1:
        return always_zero(weights, x, h0, c0, lengths)
    y, h_n, c_n = right(weights, x, h0, c0, lengths)
    changed = np.array(y)
    changed[..., 0] += np.float32(0.01)
    return changed, h_n, c_n


def only_outputs(weights: Any, x: Array, h0: Array, c0: Array, lengths: Array | None) -> Array:
    return right(weights, x, h0, c0, lengths)[0]


def raising(weights: Any, x: Array, h0: Array, c0: Array, lengths: Array | None) -> Answer:
    if x.shape[1] >= 3:
        raise ValueError("three steps are too many")
    return right(weights, x, h0, c0, lengths)


def hanging(weights: Any, x: Array, h0: Array, c0: Array, lengths: Array | None) -> Answer:
    time.sleep(600)
    return right(weights, x, h0, c0, lengths)


def choosy(weights: Any, x: Array, h0: Array, c0: Array, lengths: Array | None) -> Answer:
    if len(weights.layers) > 1:
        raise NotImplementedError("one layer only")
    return right(weights, x, h0, c0, lengths)


def unwilling(weights: Any, x: Array, h0: Array, c0: Array, lengths: Array | None) -> Answer:
    raise NotImplementedError


_calls = 0


def forgetful(weights: Any, x: Array, h0: Array, c0: Array, lengths: Array | None) -> Answer:
    """Right when called for the first time in a process."""
    global _calls  # noqa: PLW0603 - what is tested is a state carried over from call to call
    _calls += 1
    return right(weights, x, h0, c0, lengths, order="ifgo" if _calls == 1 else "iofg")


not_a_function = 3
