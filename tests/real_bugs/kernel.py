"""One LSTM with the mistakes of public reports: `kernel:NAME` is a function; `kernel:right` is right."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return partial(lstm, name)


def sigmoid(v: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-v))


def cell(weights: Any, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    """One step of one direction."""
    z = [x @ weights.W[k].T + h @ weights.U[k].T + weights.total_bias[k] for k in range(4)]
    c = sigmoid(z[1]) * c + sigmoid(z[0]) * np.tanh(z[2])
    return sigmoid(z[3]) * np.tanh(c), c


def lstm(bug: str, weights: Any, x: Any, h0: Any, c0: Any, lengths: Any) -> Any:  # noqa: PLR0912 - a switch for each mistake
    """All layers; rows are read one at a time up to their lengths."""
    spec = weights.spec
    if not spec.is_plain or spec.proj_size:
        raise NotImplementedError("a plain LSTM only")
    if lengths is not None and np.ndim(lengths) == 2:
        raise NotImplementedError("lengths only")
    if bug == "batch_first_forgotten":
        if h0.any() or lengths is not None:
            raise NotImplementedError("neither states nor lengths")
        y, _, _ = lstm("right", weights, np.swapaxes(x, 0, 1), h0[:, :1], c0[:, :1], None)
        return np.swapaxes(y, 0, 1)
    if bug == "states_by_direction_first":  # (directions, layers) for (layers, directions)
        shape = (spec.num_layers, spec.num_directions)
        h0, c0 = (s.reshape(*shape, *s.shape[1:]).swapaxes(0, 1).reshape(s.shape) for s in (h0, c0))
    if bug == "layers_mixed_up":
        h0, c0 = h0[::-1], c0[::-1]
    ends = np.full(len(x), x.shape[1]) if lengths is None else np.asarray(lengths)
    h_n = np.broadcast_to(h0, (h0.shape[0], len(x), h0.shape[2])).astype(np.float64)
    c_n = np.broadcast_to(c0, (c0.shape[0], len(x), c0.shape[2])).astype(np.float64)
    late = h_n.copy()
    for layer, cells in enumerate(weights.layers):
        halves = []
        for direction, one in enumerate(cells):
            k, y = layer * len(cells) + direction, np.zeros((*x.shape[:2], spec.hidden_size))
            for row, end in enumerate(ends):
                steps = range(end)
                for t in reversed(steps) if spec.is_backward(direction) else steps:
                    h_n[k, row], c_n[k, row] = cell(one, x[row, t], h_n[k, row], c_n[k, row])
                    y[row, t] = h_n[k, row]
                if end:
                    late[k, row] = y[row, end - 1]
            halves.append(y)
        if bug == "backward_half_not_flipped" and len(halves) == 2:
            for row, end in enumerate(ends):
                halves[1][row, :end] = halves[1][row, :end][::-1].copy()
        x = np.concatenate(halves, axis=2)
    if bug == "final_state_by_position":  # out[-1] for the final state of both directions
        h_n = late
    if bug == "states_by_view":
        h_n, c_n = (s.swapaxes(0, 1).reshape(s.shape) for s in (h_n, c_n))
    if bug == "all_zeros":
        x, h_n, c_n = 0 * x, 0 * h_n, 0 * c_n
    return _as_stored(weights, x, h_n, c_n)


def _as_stored(weights: Any, *arrays: Any) -> tuple[Any, ...]:
    single = np.float32 if weights.dtype == "float32" else np.float64
    return tuple(array.astype(single) for array in arrays)
