"""Rows of the layout table against outputs of real frameworks.

A round trip would not detect a wrong row.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from lstm_xcheck.arrays import Array
from lstm_xcheck.layouts import Layout, from_layout, layout_named
from lstm_xcheck.model import CellWeights, LSTMWeights

from ..conftest import needs
from ..helpers import run_python

pytestmark = pytest.mark.framework

X, H, STEPS, BATCH = 5, 4, 7, 3


def run_loop(weights: LSTMWeights, x: Array) -> Array:
    """The textbook LSTM from zero states, independent of the oracle."""
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


def in_order(row: Layout, order: str) -> Layout:
    """The row with another gate order, applied to gate names where it has them."""
    if row.gates != "names":
        return replace(row, order=order)

    def reordered(names: tuple[str, str, str, str]) -> tuple[str, str, str, str]:
        i, f, g, o = (names["ifgo".index(gate)] for gate in order)
        return i, f, g, o

    tensors = tuple(replace(t, gate_names=t.gate_names and reordered(t.gate_names)) for t in row.tensors)
    return replace(row, gate_names=reordered(row.gate_names), tensors=tensors)


def assert_only_the_true_order_fits(name: str, arrays: dict[str, Array], x: Array, y: Array, bound: float) -> None:
    """Only the row's gate order, not the 23 others, reproduces the outputs."""
    row = layout_named(name)
    assert np.abs(run_loop(from_layout(arrays, row), x) - y).max() < bound
    for order in wrong_orders(row.order):
        error = np.abs(run_loop(from_layout(arrays, in_order(row, order)), x) - y).max()
        assert error > 1e-2, f"{name}: gate order {order} is not distinguished from {row.order}"


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

_LINEN = """
import flax.linen as nn, jax
from flax.traverse_util import flatten_dict, unflatten_dict
model = nn.Bidirectional(nn.RNN(nn.CELL(H)), nn.RNN(nn.CELL(H)))
given = flatten_dict(model.init(jax.random.key(0), x)["params"], sep="/")
arrays = {name: rng.normal(size=a.shape).astype(np.float32) for name, a in given.items()}
y = model.apply({"params": unflatten_dict(arrays, sep="/")}, x)
answer({name.replace("_rnn/cell/", "_rnn/"): a for name, a in arrays.items()}, y)
"""

_NNX = """
import jax
from flax import nnx
cell = nnx.CELL(X, H, rngs=nnx.Rngs(0))
flat = {path: rng.normal(size=v.shape).astype(np.float32) for path, v in nnx.to_flat_state(nnx.state(cell, nnx.Param))}
nnx.update(cell, nnx.State.from_flat_path({path: nnx.Param(a) for path, a in flat.items()}))
answer({"/".join(path): a for path, a in flat.items()}, nnx.RNN(cell)(x))
"""

#: Programs that run a framework on random weights and print them by framework name, with the outputs.
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
    "onnx-bidirectional": (
        "onnx",
        ("onnx", "onnxruntime"),
        """
import onnx, onnxruntime
from onnx import helper, numpy_helper
shapes = {"W": (2, 4 * H, X), "R": (2, 4 * H, H), "B": (2, 8 * H)}
arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
node = helper.make_node("LSTM", ["X", "W", "R", "B"], ["Y"], hidden_size=H, direction="bidirectional")
value = lambda name, *shape: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
graph = helper.make_graph([node], "lstm", [value("X", STEPS, BATCH, X)], [value("Y", STEPS, 2, BATCH, H)],
                          [numpy_helper.from_array(a, name) for name, a in arrays.items()])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
y = session.run(None, {"X": x.swapaxes(0, 1)})[0]
answer(arrays, y.transpose(2, 0, 1, 3).reshape(BATCH, STEPS, 2 * H))
""",
    ),
    "flax-linen-bidirectional": ("flax-linen", ("flax",), _LINEN.replace("CELL", "LSTMCell")),
    "flax-linen-optimized-bidirectional": ("flax-linen", ("flax",), _LINEN.replace("CELL", "OptimizedLSTMCell")),
    "flax-nnx": ("flax-nnx", ("flax",), _NNX.replace("CELL", "LSTMCell")),
    "flax-nnx-optimized": ("flax-nnx-optimized", ("flax",), _NNX.replace("CELL", "OptimizedLSTMCell")),
    "equinox": (
        "equinox",
        ("equinox",),
        """
import equinox as eqx, jax
cell = eqx.nn.LSTMCell(X, H, key=jax.random.key(0))
arrays = {name: rng.normal(size=getattr(cell, name).shape).astype(np.float32)
          for name in ("weight_ih", "weight_hh", "bias")}
cell = eqx.tree_at(lambda c: [c.weight_ih, c.weight_hh, c.bias], cell, list(arrays.values()))
def run(steps):
    state, y = (np.zeros(H, np.float32), np.zeros(H, np.float32)), []
    for step in steps:
        state = cell(step, state)
        y.append(state[0])
    return np.stack(y)
answer(arrays, np.stack([run(steps) for steps in x]))
""",
    ),
    "haiku-two-layers": (
        "haiku",
        ("haiku",),
        """
import haiku as hk, jax
def net(x):
    core = hk.DeepRNN([hk.LSTM(H), hk.LSTM(H)])
    return hk.dynamic_unroll(core, x, core.initial_state(BATCH))[0]
net = hk.without_apply_rng(hk.transform(net))
given = net.init(jax.random.key(0), x.swapaxes(0, 1))
params = {m: {n: rng.normal(size=a.shape).astype(np.float32) for n, a in own.items()} for m, own in given.items()}
arrays = {f"{m}/{n}": a for m, own in params.items() for n, a in own.items()}
answer(arrays, np.asarray(net.apply(params, x.swapaxes(0, 1))).swapaxes(0, 1))
""",
    ),
    "mlx": (
        "mlx",
        ("mlx",),
        """
import mlx.core as mx, mlx.nn as nn
from mlx.utils import tree_flatten
mx.set_default_device(mx.cpu)
layer = nn.LSTM(X, H)
arrays = {name: rng.normal(size=a.shape).astype(np.float32) for name, a in tree_flatten(layer.parameters())}
layer.load_weights([(name, mx.array(a)) for name, a in arrays.items()])
answer(arrays, np.array(layer(mx.array(x))[0]))
""",
    ),
    "paddle-two-layers-bidirectional-projected": (
        "paddle",
        ("paddle",),
        """
import paddle
layer = paddle.nn.LSTM(X, H, num_layers=2, direction="bidirect", proj_size=2)
for parameter in layer.parameters():
    parameter.set_value(rng.normal(size=parameter.shape).astype(np.float32))
arrays = {name: a.numpy() for name, a in layer.state_dict().items() if ".cell" in name}
answer(arrays, layer(paddle.to_tensor(x))[0].numpy())
""",
    ),
    "litert-bidirectional-projected": (
        "litert",
        ("tensorflow", "flatbuffers"),
        f"""
sys.path.insert(0, {str(Path(__file__).parents[1] / "checkpoints" / "litert")!r})
import tensorflow as tf
import litert_operators as operators
operators.STEPS, given = STEPS, dict(both=True, time_major=True, projected=True)
content = operators.written("lstm", given)
interpreter = tf.lite.Interpreter(model_content=content)
names = {{d["name"]: d["index"] for d in interpreter.get_tensor_details() if d["name"][:2] in ("0/", "1/")}}
arrays = {{{{"0": "fw_", "1": "bw_"}}[n[0]] + n[2:]: interpreter.get_tensor(k) for n, k in names.items()}}
answer(arrays, operators.answered(content, x, given))
""",
    ),
    "tinygrad": (
        "tinygrad",
        ("tinygrad",),
        """
import os
os.environ["DEV"] = "PYTHON"  # needs neither a compiler nor a driver
from tinygrad import Tensor, nn
cell = nn.LSTMCell(X, H)
arrays = {name: rng.normal(size=a.shape).astype(np.float32) for name, a in nn.state.get_state_dict(cell).items()}
nn.state.load_state_dict(cell, {name: Tensor(a) for name, a in arrays.items()}, verbose=False)
state, y = None, []
for t in range(STEPS):
    state = cell(Tensor(x[:, t]), state)
    y.append(state[0].numpy())
answer(arrays, np.stack(y, axis=1))
""",
    ),
}


@pytest.mark.parametrize(("row", "modules", "program"), PROGRAMS.values(), ids=PROGRAMS)
def test_row(row: str, modules: tuple[str, ...], program: str) -> None:
    """In float32 and in a subprocess, since not all frameworks can share one."""
    needs(*modules)
    printed = run_python(_PREAMBLE + program, KERAS_BACKEND="tensorflow")
    answered = json.loads(printed.partition("ANSWER")[2])
    arrays = {name: np.array(array) for name, array in answered["arrays"].items()}
    assert_only_the_true_order_fits(row, arrays, np.array(answered["x"]), np.array(answered["y"]), 2e-6)
