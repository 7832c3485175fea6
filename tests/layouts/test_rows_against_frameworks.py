"""Rows of the layout table against numbers of the frameworks themselves; a round trip would let a wrong row pass."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.arrays import Array
from lstm_xcheck.layouts import from_layout, layout_named
from lstm_xcheck.spec import CellWeights, LSTMWeights

X, H, STEPS, BATCH = 5, 4, 7, 3


def run_loop(weights: LSTMWeights, x: Array) -> Array:
    """The textbook LSTM on x (batch, steps, input) from zero states, written without the oracle."""
    for layer in weights.layers:
        halves = [_run_direction(cell, x if index == 0 else x[:, ::-1]) for index, cell in enumerate(layer)]
        x = np.concatenate([half if index == 0 else half[:, ::-1] for index, half in enumerate(halves)], axis=-1)
    return x


def _run_direction(cell: CellWeights, x: Array) -> Array:
    projection = np.eye(cell.W.shape[1]) if cell.projection is None else np.asarray(cell.projection)
    h, c, outputs = np.zeros((len(x), len(projection))), np.zeros((len(x), cell.W.shape[1])), []
    for t in range(x.shape[1]):
        z = {}
        for index, gate in enumerate("ifgo"):
            z[gate] = x[:, t] @ cell.W[gate].T + h @ cell.U[gate].T + cell.total_bias[index]
        i, f, o = (1 / (1 + np.exp(-z[gate])) for gate in "ifo")
        c = f * c + i * np.tanh(z["g"])
        h = (o * np.tanh(c)) @ projection.T
        outputs.append(h)
    return np.stack(outputs, axis=1)


def wrong_orders(order: str) -> list[str]:
    orders = ["".join(gates) for gates in permutations("ifgo") if "".join(gates) != order]
    assert len(orders) == 23
    return orders


def assert_only_the_true_order_fits(name: str, arrays: dict[str, Array], x: Array, y: Array, bound: float) -> None:
    """The row gives the framework's outputs within `bound`; each of the 23 other gate orders is far off."""
    row = layout_named(name)
    assert np.abs(run_loop(from_layout(arrays, row), x) - y).max() < bound
    for order in wrong_orders(row.order):
        error = np.abs(run_loop(from_layout(arrays, replace(row, order=order)), x) - y).max()
        assert error > 1e-2, f"{name}: gate order {order} is not told from {row.order}"


TORCH_STACKS = {
    "one-layer": {},
    "two-layers": {"num_layers": 2},
    "bidirectional": {"bidirectional": True},
    "two-layers-bidirectional-projected": {"num_layers": 2, "bidirectional": True, "proj_size": 2},
    "no-bias": {"bias": False},
}


@pytest.mark.parametrize("options", TORCH_STACKS.values(), ids=TORCH_STACKS)
def test_torch_row(options: dict[str, bool | int]) -> None:
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(7)
    model = torch.nn.LSTM(X, H, batch_first=True, dtype=torch.float64, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        x = torch.randn(BATCH, STEPS, X, generator=generator, dtype=torch.float64)
        y = model(x)[0].numpy()
    arrays = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    assert_only_the_true_order_fits("torch", arrays, x.numpy(), y, 1e-13)


_PREAMBLE = f"""
import json, sys
import numpy as np
rng = np.random.default_rng(7)
X, H, STEPS, BATCH = {X}, {H}, {STEPS}, {BATCH}
x = rng.normal(size=(BATCH, STEPS, X)).astype(np.float32)
def answer(arrays, y):
    print("ANSWER" + json.dumps({{"x": x.tolist(), "y": np.asarray(y).tolist(),
                                 "arrays": {{name: np.asarray(a).tolist() for name, a in arrays.items()}}}}))
"""

#: Each program runs a framework on random weights and answers with these weights as the framework names them.
PROGRAMS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "keras-one-layer": (
        "keras",
        ("keras", "tensorflow"),
        """
import keras
layer = keras.layers.LSTM(H, return_sequences=True)
layer.build(x.shape)
layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
answer({w.name: w.numpy() for w in layer.weights}, layer(x))
""",
    ),
    "keras-bidirectional": (
        "keras",
        ("keras", "tensorflow"),
        """
import keras
layer = keras.layers.Bidirectional(keras.layers.LSTM(H, return_sequences=True))
layer.build(x.shape)
layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
halves = {"forward_layer/": layer.forward_layer, "backward_layer/": layer.backward_layer}
answer({half + w.name: w.numpy() for half, own in halves.items() for w in own.weights}, layer(x))
""",
    ),
    # TensorFlow 1's BasicLSTMCell, LSTMCell and LSTMBlockCell share kernel and bias with this operation.
    "tf1-block-lstm": (
        "tf1",
        ("tensorflow",),
        """
import tensorflow as tf
kernel, bias = rng.normal(size=(X + H, 4 * H)).astype(np.float32), rng.normal(size=4 * H).astype(np.float32)
zeros, none = np.zeros((BATCH, H), np.float32), np.zeros(H, np.float32)
run = tf.raw_ops.BlockLSTM(
    seq_len_max=tf.constant(STEPS, tf.int64), x=x.swapaxes(0, 1), cs_prev=zeros, h_prev=zeros, w=kernel,
    wci=none, wcf=none, wco=none, b=bias, forget_bias=1.0, cell_clip=-1.0, use_peephole=False)
answer({"kernel": kernel, "bias": bias}, run.h.numpy().swapaxes(0, 1))
""",
    ),
    "openvino-bidirectional": (
        "openvino",
        ("openvino",),
        """
import openvino as ov
from openvino import opset5 as op
shapes = {"W": (2, 4 * H, X), "R": (2, 4 * H, H), "B": (2, 4 * H)}
arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
data = op.parameter(x.shape, np.float32)
zeros, lengths = np.zeros((BATCH, 2, H), np.float32), np.full(BATCH, STEPS, np.int64)
node = op.lstm_sequence(data, zeros, zeros, lengths, arrays["W"], arrays["R"], arrays["B"], H, "bidirectional")
hint = {"INFERENCE_PRECISION_HINT": "f32"}
y = ov.Core().compile_model(ov.Model([node.output(0)], [data]), "CPU", hint)([x])[0]
answer(arrays, y.swapaxes(1, 2).reshape(BATCH, STEPS, 2 * H))
""",
    ),
}


@pytest.mark.parametrize(("row", "modules", "program"), PROGRAMS.values(), ids=PROGRAMS)
def test_row(row: str, modules: tuple[str, ...], program: str) -> None:
    """In float32, in a process of its own: these frameworks do not all bear each other's company."""
    if any(importlib.util.find_spec(module) is None for module in modules):
        pytest.skip(f"{', '.join(modules)} not all installed; run: pip install 'lstm-xcheck[{','.join(modules)}]'")
    answered = _run(_PREAMBLE + program)
    arrays = {name: np.array(array) for name, array in answered["arrays"].items()}
    assert_only_the_true_order_fits(row, arrays, np.array(answered["x"]), np.array(answered["y"]), 2e-6)


def _run(program: str) -> dict[str, Any]:
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    answered: dict[str, Any] = json.loads(done.stdout.partition("ANSWER")[2])
    return answered
