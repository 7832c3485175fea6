"""An LSTM of one's own with a common mistake in it, and how it is caught. Needs NumPy alone."""

from __future__ import annotations

from typing import Any

import numpy as np

import lstm_xcheck as lx

Array = Any


def sigmoid(z: Array) -> Array:
    """1 / (1 + e^-z)."""
    return 1.0 / (1.0 + np.exp(-z))


def right(weights: lx.LSTMWeights, x: Array, h0: Array, c0: Array, lengths: Array | None) -> tuple[Array, Array, Array]:
    """One layer, forward: y (batch, steps, hidden), then the final h and c (1, batch, hidden)."""
    return lstm(weights, x, h0, c0, order="ifgo")


def mistaken(
    weights: lx.LSTMWeights, x: Array, h0: Array, c0: Array, lengths: Array | None
) -> tuple[Array, Array, Array]:
    """The same, but it takes the third gate for the output gate and the fourth for the candidate."""
    return lstm(weights, x, h0, c0, order="ifog")


def lstm(weights: lx.LSTMWeights, x: Array, h0: Array, c0: Array, order: str) -> tuple[Array, Array, Array]:
    """The equations, step by step, for weights whose gates are taken to be in this order."""
    cell = weights.layers[0][0]
    W, U = np.asarray(cell.W), np.asarray(cell.U)
    b = np.asarray(cell.b) + np.asarray(cell.b_r)
    h, c = h0[0], c0[0]
    outputs = []
    for t in range(x.shape[1]):
        gates = np.einsum("ghx,bx->gbh", W, x[:, t]) + np.einsum("ghr,br->gbh", U, h) + b[:, None, :]
        i, f, g, o = (gates[order.index(gate)] for gate in "ifgo")
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, axis=1), h[None], c[None]


def main() -> None:
    """Two cases, two implementations, one disagreement."""
    spec = lx.LSTMSpec(input_size=5, hidden_size=4)
    cases = [lx.Case.random(spec, steps=7, seed=seed) for seed in (0, 1)]
    report = lx.verify(cases, adapters={"right": right, "mistaken": mistaken})
    for outcome in report.outcomes:
        print(f"{outcome.adapter}, case {outcome.case}: {outcome.verdict}")
    print(report.totals)
    try:
        report.raise_if_failed()
    except lx.DisagreementError as error:
        print(error)


if __name__ == "__main__":
    main()
