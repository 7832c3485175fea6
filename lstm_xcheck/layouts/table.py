"""The layout table: how each framework stores an LSTM, one row per framework.

Each row was established by running the framework and comparing numbers; a round trip alone would not detect a wrong
row. A row that was only read says `read` in `source`, which names the version and the file; most stand in `read_rows`.
"""

from __future__ import annotations

from ..errors import SpecError, unknown
from .read_rows import READ_ROWS
from .schema import Layout as Layout
from .schema import Tensor as Tensor

_TORCH_TENSORS = (
    Tensor("weight_ih_l{layer}{direction}", ("W",)),
    Tensor("weight_hh_l{layer}{direction}", ("U",)),
    Tensor("bias_ih_l{layer}{direction}", ("b",)),
    Tensor("bias_hh_l{layer}{direction}", ("b_r",)),
    Tensor("weight_hr_l{layer}{direction}", ("projection",)),
)

TABLE: tuple[Layout, ...] = (
    Layout(
        name="torch",
        order="ifgo",
        bias="split",
        tensors=_TORCH_TENSORS,
        layer_names=("0", "{k}"),
        directions=("", "", "_reverse"),
        source="torch 2.13.0, torch/nn/modules/rnn.py (LSTM)",
    ),
    Layout(
        name="keras",
        order="ifgo",
        bias="single",
        tensors=(
            Tensor("{layer}{direction}kernel", ("W",), transposed=True),
            Tensor("{layer}{direction}recurrent_kernel", ("U",), transposed=True),
            Tensor("{layer}{direction}bias", ("b",)),
        ),
        layer_names=("", "lstm_{k}/"),
        directions=("", "forward_layer/", "backward_layer/"),
        source="keras 3.15.1, keras/src/layers/rnn/lstm.py (LSTMCell.build)",
    ),
    Layout(
        name="jax",
        order="ifgo",
        bias="single",
        tensors=(
            Tensor("{layer}{direction}W", ("W",), transposed=True),
            Tensor("{layer}{direction}U", ("U",), transposed=True),
            Tensor("{layer}{direction}b", ("b",)),
            Tensor("{layer}{direction}P", ("projection",), transposed=True),
            Tensor("{layer}{direction}peephole", ("peephole",)),
        ),
        layer_names=("0/", "{k}/"),
        directions=("0/", "0/", "1/"),
        source="lstm_xcheck/adapters/jax/scan.py",
    ),
    Layout(
        name="onnx",
        order="iofg",
        bias="split",
        tensors=(
            Tensor("{layer}W", ("W",)),
            Tensor("{layer}R", ("U",)),
            Tensor("{layer}B", ("b", "b_r")),
            Tensor("{layer}P", ("peephole",)),
        ),
        layer_names=("", "lstm_{k}/"),
        direction_axis=True,
        peephole_order="iof",
        source="ONNX operator LSTM, since 22; onnxruntime 1.32 run, onnx/defs/rnn/defs.cc",
    ),
    Layout(
        name="openvino",
        order="figo",
        bias="single",
        tensors=(Tensor("{layer}W", ("W",)), Tensor("{layer}R", ("U",)), Tensor("{layer}B", ("b",))),
        layer_names=("", "lstm_{k}/"),
        direction_axis=True,
        source="OpenVINO 2026.4.1, LSTMSequence of opset 5",
    ),
    Layout(
        name="tf1",
        order="igfo",
        bias="single",
        tensors=(
            Tensor("{layer}{direction}kernel", ("W", "U"), transposed=True),
            Tensor("{layer}{direction}bias", ("b",)),
            Tensor("{layer}{direction}projection/kernel", ("projection",), transposed=True),
            Tensor("{layer}{direction}w_{gate}_diag", ("peephole",)),
        ),
        layer_names=("", "cell_{k}/"),
        directions=("", "fw/", "bw/"),
        forget_bias=1.0,
        state_order="ch",
        source="TensorFlow 1.15 BasicLSTMCell and LSTMCell, tensorflow/python/ops/rnn_cell_impl.py",
    ),
    Layout(
        name="flax-linen",
        order="ifgo",
        bias="single",
        tensors=(
            Tensor("{direction}{layer}i{gate}/kernel", ("W",), transposed=True),
            Tensor("{direction}{layer}h{gate}/kernel", ("U",), transposed=True),
            Tensor("{direction}{layer}h{gate}/bias", ("b",)),
        ),
        gates="names",
        layer_names=("", "OptimizedLSTMCell_{k}/"),
        directions=("", "forward_rnn/", "backward_rnn/"),
        state_order="ch",
        source="flax 0.12.8, flax/linen/recurrent.py (LSTMCell and OptimizedLSTMCell, which share their parameters)",
    ),
    Layout(
        name="flax-nnx",
        order="ifgo",
        bias="single",
        tensors=(
            # The attribute is `if_` since `if` is a keyword.
            Tensor("{direction}{layer}{gate}/kernel", ("W",), transposed=True, gate_names=("ii", "if_", "ig", "io")),
            Tensor("{direction}{layer}h{gate}/kernel", ("U",), transposed=True),
            Tensor("{direction}{layer}h{gate}/bias", ("b",)),
        ),
        gates="names",
        layer_names=("", "layers/{k}/"),
        directions=("", "forward_rnn/", "backward_rnn/"),
        state_order="ch",
        source="flax 0.12.8, flax/nnx/nn/recurrent.py (LSTMCell)",
    ),
    Layout(
        name="flax-nnx-optimized",
        order="ifgo",
        bias="single",
        tensors=(
            Tensor("{direction}{layer}dense_i/kernel", ("W",), transposed=True),
            Tensor("{direction}{layer}dense_h/kernel", ("U",), transposed=True),
            Tensor("{direction}{layer}dense_h/bias", ("b",)),
        ),
        layer_names=("", "layers/{k}/"),
        directions=("", "forward_rnn/", "backward_rnn/"),
        state_order="ch",
        source="flax 0.12.8, flax/nnx/nn/recurrent.py (OptimizedLSTMCell)",
    ),
    Layout(
        name="equinox",
        order="ifgo",
        bias="single",
        tensors=(
            Tensor("{layer}{direction}weight_ih", ("W",)),
            Tensor("{layer}{direction}weight_hh", ("U",)),
            Tensor("{layer}{direction}bias", ("b",)),
        ),
        layer_names=("", "layers.{k}."),
        directions=("", "forward.", "backward."),
        source="equinox 0.13.8, equinox/nn/_rnn.py (LSTMCell)",
    ),
    Layout(
        name="haiku",
        order="igfo",
        bias="single",
        tensors=(
            Tensor("{direction}{layer}/linear/w", ("W", "U"), transposed=True),
            Tensor("{direction}{layer}/linear/b", ("b",)),
        ),
        layer_names=("lstm", "lstm{_k}"),
        directions=("", "forward/", "backward/"),
        forget_bias=1.0,
        source="dm-haiku 0.0.17, haiku/_src/recurrent.py (LSTM)",
    ),
    Layout(
        name="mlx",
        order="ifgo",
        bias="single",
        tensors=(
            Tensor("{layer}{direction}Wx", ("W",)),
            Tensor("{layer}{direction}Wh", ("U",)),
            Tensor("{layer}{direction}bias", ("b",)),
        ),
        layer_names=("", "layers.{k}."),
        directions=("", "forward.", "backward."),
        source="mlx 0.32.4, mlx/nn/layers/recurrent.py (LSTM)",
    ),
    Layout(
        name="paddle",
        order="ifgo",
        bias="split",
        tensors=(
            Tensor("{layer}.{direction}.weight_ih", ("W",)),
            Tensor("{layer}.{direction}.weight_hh", ("U",)),
            Tensor("{layer}.{direction}.bias_ih", ("b",)),
            Tensor("{layer}.{direction}.bias_hh", ("b_r",)),
            Tensor("{layer}.{direction}.weight_ho", ("projection",), transposed=True),
        ),
        layer_names=("0", "{k}"),
        directions=("cell", "cell_fw", "cell_bw"),
        source="PaddlePaddle 3.3.1, python/paddle/nn/layer/rnn.py (LSTM); the names as in PyTorch are aliases",
    ),
    Layout(
        name="sonnet",
        order="ifgo",
        bias="single",
        tensors=(
            Tensor("{layer}{direction}w_i", ("W",), transposed=True),
            Tensor("{layer}{direction}w_h", ("U",), transposed=True),
            Tensor("{layer}{direction}b", ("b",)),
            Tensor("{layer}{direction}projection", ("projection",), transposed=True),
        ),
        layer_names=("", "lstm_{k}/"),
        directions=("", "forward/", "backward/"),
        source="dm-sonnet 2.0.2, sonnet/src/recurrent.py (LSTM); read",
    ),
    Layout(
        name="tinygrad",
        order="ifgo",
        bias="split",
        tensors=(
            Tensor("{layer}{direction}weight_ih", ("W",)),
            Tensor("{layer}{direction}weight_hh", ("U",)),
            Tensor("{layer}{direction}bias_ih", ("b",)),
            Tensor("{layer}{direction}bias_hh", ("b_r",)),
        ),
        layer_names=("", "layers.{k}."),
        directions=("", "forward.", "backward."),
        source="tinygrad 0.14.0, tinygrad/nn/__init__.py (LSTMCell)",
    ),
    Layout(
        name="cudnn-keras",
        order="ifgo",
        bias="split",
        tensors=(
            Tensor("{layer}{direction}kernel", ("W",), reshaped=True),
            Tensor("{layer}{direction}recurrent_kernel", ("U",), reshaped=True),
            Tensor("{layer}{direction}bias", ("b", "b_r")),
        ),
        layer_names=("", "cu_dnnlstm_{k}/"),
        directions=("", "forward_layer/", "backward_layer/"),
        source="tf_keras 2.21, tf_keras/src/saving/legacy/hdf5_format.py (CuDNNLSTM to LSTM); it has no CPU kernel",
    ),
    *READ_ROWS,
    Layout(
        name="litert",
        order="ifgo",
        bias="single",
        tensors=(
            Tensor("{layer}{direction}input_to_{gate}_weights", ("W",)),
            Tensor("{layer}{direction}recurrent_to_{gate}_weights", ("U",)),
            Tensor("{layer}{direction}{gate}_gate_bias", ("b",)),
            Tensor("{layer}{direction}projection_weights", ("projection",)),
            Tensor("{layer}{direction}cell_to_{gate}_weights", ("peephole",)),
        ),
        gates="names",
        gate_names=("input", "forget", "cell", "output"),
        layer_names=("", "lstm_{k}/"),
        directions=("", "fw_", "bw_"),
        source="TensorFlow 2.21 tf.lite.Interpreter, tensorflow/lite/kernels/lstm_shared.h (tensors 1 to 16)",
    ),
)


def layout_named(name: str) -> Layout:
    """The row of that name; the error for an unknown one lists all."""
    for row in TABLE:
        if row.name == name:
            return row
    raise SpecError(unknown("layout", name, (row.name for row in TABLE)))
