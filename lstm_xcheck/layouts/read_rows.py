"""Rows that were read in a framework's source, not established by running."""

from __future__ import annotations

from .schema import Layout, Tensor

READ_ROWS: tuple[Layout, ...] = (
    Layout(
        name="coreml",
        order="ifog",
        bias="single",
        tensors=(
            Tensor("{layer}weight_ih{direction}", ("W",)),
            Tensor("{layer}weight_hh{direction}", ("U",)),
            Tensor("{layer}bias{direction}", ("b",)),
            Tensor("{layer}peephole{direction}", ("peephole",)),
        ),
        layer_names=("", "lstm_{k}/"),
        directions=("", "", "_back"),
        source="coremltools 9.0, converters/mil/mil/ops/defs/iOS15/recurrent.py (lstm); read, it runs on macOS only",
    ),
    Layout(
        name="ncnn",
        order="ifog",
        bias="single",
        tensors=(
            Tensor("{layer}weight_xc", ("W",)),
            Tensor("{layer}weight_hc", ("U",)),
            Tensor("{layer}bias_c", ("b",)),
        ),
        layer_names=("", "lstm_{k}/"),
        direction_axis=True,
        source="ncnn 20261020, src/layer/lstm.cpp; read",
    ),
    Layout(
        name="caffe2",
        order="ifog",
        bias="split",
        tensors=(
            Tensor("{layer}{direction}i2h_w", ("W",)),
            Tensor("{layer}{direction}gates_t_w", ("U",)),
            Tensor("{layer}{direction}i2h_b", ("b",)),
            Tensor("{layer}{direction}gates_t_b", ("b_r",)),
        ),
        layer_names=("", "layer_{k}/"),
        directions=("", "fw/", "bw/"),
        source="Caffe2 of PyTorch 1.8, caffe2/python/rnn_cell.py (LSTMCell); read",
    ),
    Layout(
        name="thinc",
        order="fiog",
        bias="split",
        tensors=(
            # Stored in one flat vector per layer and direction, in the order Wx, bx, Wh, bh.
            Tensor("{layer}{direction}Wx", ("W",)),
            Tensor("{layer}{direction}bx", ("b",)),
            Tensor("{layer}{direction}Wh", ("U",)),
            Tensor("{layer}{direction}bh", ("b_r",)),
        ),
        layer_names=("0/", "{k}/"),
        directions=("0/", "0/", "1/"),
        source="thinc 9.1.1, thinc/backends/ops.py (lstm_forward_training); read",
    ),
    Layout(
        name="dl4j",
        order="gfoi",
        bias="single",
        tensors=(
            Tensor("{layer}_{direction}W", ("W",), transposed=True),
            Tensor("{layer}_{direction}RW", ("U",), transposed=True),
            Tensor("{layer}_{direction}b", ("b",)),
        ),
        layer_names=("0", "{k}"),
        directions=("", "f", "b"),
        source="Deeplearning4j 1.0.0-M2.1, layers/recurrent/LSTMHelpers.java, where I is the input modulation; read",
    ),
    Layout(
        name="chainer",
        order="gifo",
        bias="single",
        tensors=(
            Tensor("{layer}{direction}upward/W", ("W",)),
            Tensor("{layer}{direction}lateral/W", ("U",)),
            Tensor("{layer}{direction}upward/b", ("b",)),
        ),
        gates="units",
        layer_names=("", "{k}/"),
        directions=("", "forward/", "backward/"),
        state_order="ch",
        source="Chainer 7.8.1, chainer/functions/rnn/lstm.py (_extract_gates); read",
    ),
    Layout(
        name="mxnet",
        order="ifgo",
        bias="split",
        tensors=(
            Tensor("{direction}{layer}_i2h_weight", ("W",)),
            Tensor("{direction}{layer}_h2h_weight", ("U",)),
            Tensor("{direction}{layer}_i2h_bias", ("b",)),
            Tensor("{direction}{layer}_h2h_bias", ("b_r",)),
            Tensor("{direction}{layer}_h2r_weight", ("projection",)),
        ),
        layer_names=("0", "{k}"),
        directions=("l", "l", "r"),
        source="MXNet 1.9.1, python/mxnet/gluon/rnn/rnn_layer.py (LSTM); read",
    ),
    Layout(
        name="axon",
        order="ifgo",
        bias="single",
        tensors=(
            # Since Axon 0.2 they are the tuples input_kernel, hidden_kernel and bias, in the order i, f, g, o.
            Tensor("{layer}{direction}wi{gate}", ("W",), transposed=True),
            Tensor("{layer}{direction}wh{gate}", ("U",), transposed=True),
            Tensor("{layer}{direction}b{gate}", ("b",)),
        ),
        gates="names",
        layer_names=("", "lstm_{k}/"),
        directions=("", "forward/", "backward/"),
        state_order="ch",
        source="Axon 0.6, lib/axon/recurrent.ex (lstm_cell) and lib/axon.ex (lstm); read",
    ),
    Layout(
        name="burn",
        order="ifgo",
        bias="split",
        tensors=(
            Tensor("{layer}{direction}{gate}_gate.input_transform.weight", ("W",), transposed=True),
            Tensor("{layer}{direction}{gate}_gate.hidden_transform.weight", ("U",), transposed=True),
            Tensor("{layer}{direction}{gate}_gate.input_transform.bias", ("b",)),
            Tensor("{layer}{direction}{gate}_gate.hidden_transform.bias", ("b_r",)),
        ),
        gates="names",
        gate_names=("input", "forget", "cell", "output"),
        layer_names=("", "{k}."),
        directions=("", "forward.", "reverse."),
        state_order="ch",
        source="Burn 0.20, crates/burn-nn/src/modules/rnn/lstm.rs (Lstm, BiLstm), gate_controller.rs; read",
    ),
    Layout(
        name="mnn",
        order="ifog",
        bias="single",
        tensors=(
            Tensor("{layer}{direction}weightI", ("W",)),
            Tensor("{layer}{direction}weightH", ("U",)),
            Tensor("{layer}{direction}bias", ("b",)),
        ),
        layer_names=("", "lstm_{k}/"),
        directions=("", "forward/", "backward/"),
        source="MNN 0.2, source/backend/cpu/CPULSTM.cpp; an LSTM from ONNX has ONNX's order there, and one bias; read",
    ),
)
