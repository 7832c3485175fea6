"""The smallest LSTM there is: one feature, one unit, five steps. Needs NumPy alone."""

from __future__ import annotations

import numpy as np

import lstm_xcheck as lx
from lstm_xcheck.model import GATES


def sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + e^-z)."""
    return 1.0 / (1.0 + np.exp(-z))


def show_parameters(weights: lx.LSTMWeights) -> None:
    """Four gates, each with one input weight, one recurrent weight and one bias: 12 parameters."""
    cell = weights.layers[0][0]
    print(f"{weights.parameter_count} parameters: W {cell.W.size}, U {cell.U.size}, b {cell.b.size}")
    for gate in GATES:
        print(f"  {gate}: W {cell.W[gate].item():+.4f}  U {cell.U[gate].item():+.4f}  b {cell.b[gate].item():+.4f}")
    for name, array in weights.to_layout("keras").items():
        print(f"  Keras keeps {name} {array.shape}")
    print(f"  PyTorch counts {lx.count_parameters(weights.spec, layout='torch').total}: it has a second bias")


def step_by_step(weights: lx.LSTMWeights, x: np.ndarray) -> np.ndarray:
    """The equations written out for a single unit: x (steps,) to h at every step."""
    cell = weights.layers[0][0]
    W, U, b = cell.W[:, 0, 0], cell.U[:, 0, 0], cell.b[:, 0]
    h = c = 0.0
    sequence = []
    for t, value in enumerate(x):
        z = W * value + U * h + b
        i, f, o = sigmoid(z[[0, 1, 3]])
        g = np.tanh(z[2])
        c = f * c + i * g
        h = o * np.tanh(c)
        print(f"  t={t} x={value:g}  i={i:.4f} f={f:.4f} g={g:.4f} o={o:.4f}  c={c:.4f} h={h:.4f}")
        sequence.append(h)
    return np.array(sequence)


def main() -> None:
    """Parameters, five steps, and a verdict on the arithmetic above."""
    spec = lx.LSTMSpec(input_size=1, hidden_size=1, bias="single")
    weights = lx.LSTMWeights.random(spec, seed=0, init="keras", dtype="float64")
    show_parameters(weights)

    # Inputs are (batch, steps, features): one sequence, five steps, one number each.
    x = np.array([1.0, 2.0, 3.0, 4.0, 5.0]).reshape(1, 5, 1)
    print(f"input {x.shape}")
    y = step_by_step(weights, x[0, :, 0]).reshape(1, 5, 1)
    print(f"whole sequence {y.shape}, last output {y[:, -1].shape}: {y[0, -1, 0]:.4f}")

    # y and the last output are judged: any outputs can be, whoever computed them.
    verdict = lx.judge(lx.Result(y=y, last=y[:, -1]), lx.Case(weights=weights, x=x))
    print(f"verdict: {verdict.verdict}")


if __name__ == "__main__":
    main()
