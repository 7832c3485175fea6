"""Sweeps in a project's own tests. Run it with: pytest examples/sweep_in_pytest."""

from __future__ import annotations

import numpy as np
import pytest

import lstm_xcheck as lx


def my_lstm(weights, x, h0, c0, lengths=None):
    """The implementation under test: one layer, forward, gates i, f, g, o."""
    cell = weights.layers[0][0]
    h, c = h0[0], c0[0]
    outputs = []
    for t in range(x.shape[1]):
        z = np.einsum("ghx,bx->gbh", cell.W, x[:, t]) + np.einsum("ghr,br->gbh", cell.U, h)
        z = z + cell.total_bias[:, None, :]
        i, f, o = 1 / (1 + np.exp(-z[[0, 1, 3]]))
        c = f * c + i * np.tanh(z[2])
        h = o * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, axis=1), h, c


@pytest.mark.parametrize("case", lx.sweep(hidden=[1, 8], steps=[1, 5], bias=["split", "single", "none"]))
def test_my_lstm_is_an_lstm(case):
    """Every combination of two widths, two lengths and three bias schemes."""
    lx.verify([case], adapters={"mine": my_lstm}).raise_if_failed()


def my_kernel(arrays, x, h0, c0):
    """The same on the arrays of PyTorch's nn.LSTM: rows of gates, two biases or none."""
    W, U = arrays["weight_ih_l0"], arrays["weight_hh_l0"]
    b = arrays.get("bias_ih_l0", 0) + arrays.get("bias_hh_l0", 0)  # neither is there where bias is none
    h, c = h0[0], c0[0]
    outputs = []
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ W.T + h @ U.T + b, 4, axis=1)
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        outputs.append(h)
    return np.stack(outputs, axis=1), h[None], c[None]


@pytest.mark.parametrize("case", lx.sweep(hidden=[1, 8], steps=[1, 5], bias=["split", "single", "none"]))
def test_my_kernel(case):
    """A kernel that knows nothing of lstm-xcheck: it is run here, and its outputs are judged."""
    y, h_n, c_n = my_kernel(case.weights.to_layout("torch"), case.x, case.h0, case.c0)
    verdict = lx.judge(lx.Result(y=y, h_n=h_n, c_n=c_n), case)
    assert verdict.verdict == "match", verdict


@pytest.mark.parametrize("case", lx.sweep(hidden=[1, 8], bias="single", directions=[1, 2]))
def test_every_framework_agrees(case, xcheck_adapter, lstm_xcheck):
    """Every framework, one test each."""
    lstm_xcheck.assert_agrees(case, [xcheck_adapter])
