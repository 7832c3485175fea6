"""An LSTM of one's own with a common mistake in it, and how it is caught and named. Needs NumPy alone.

The same from the command line, in this folder:

    lstm-xcheck verify --adapter mine=custom_lstm:mistaken --grid "layers=1 steps=7"
    lstm-xcheck fuzz --adapter mine=custom_lstm:mistaken
"""

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
    return lstm(weights, x, h0, c0, lengths, order="ifgo")


def mistaken(
    weights: lx.LSTMWeights, x: Array, h0: Array, c0: Array, lengths: Array | None
) -> tuple[Array, Array, Array]:
    """The same, but it takes the third gate for the output gate and the fourth for the candidate."""
    return lstm(weights, x, h0, c0, lengths, order="ifog")


def lstm(
    weights: lx.LSTMWeights, x: Array, h0: Array, c0: Array, lengths: Array | None, order: str
) -> tuple[Array, Array, Array]:
    """The equations, step by step, for weights whose gates are taken to be in this order.

    NotImplementedError says what it lacks, so that such cases are reported as unsupported.
    """
    spec = weights.spec
    if spec.num_layers > 1 or spec.bidirectional or spec.proj_size or spec.bias != "split" or lengths is not None:
        raise NotImplementedError("one layer, forward, two biases, no projection and no padding")
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
    """Two cases, two implementations, one disagreement and its name."""
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
    case = cases[0]
    assert case.h0 is not None
    assert case.c0 is not None
    y, h_n, c_n = mistaken(case.weights, case.x, case.h0, case.c0, case.lengths)
    why = lx.diagnose(lx.Result(y=y, h_n=h_n, c_n=c_n), case)
    print(f"cause: {why.cause}")
    print(f"fix: {why.fix}")


if __name__ == "__main__":
    main()
