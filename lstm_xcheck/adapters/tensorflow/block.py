"""TensorFlow's fused operator `tf.raw_ops.BlockLSTM`."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from ...model import Case, LSTMSpec
from .directions import EagerDirections, Tensor


class BlockLSTM(EagerDirections):
    """`BlockLSTM`, the kernel of TensorFlow 1's `LSTMBlockFusedCell`, one call for each direction.

    Layout `tf1`: the operator has the kernel, the gate order and the forget bias of the cells. By default it bounds
    the cell state to 3; the adapter passes the spec's bound, or -1 for none. Its gradient takes no
    account of the bound. It knows no padding. Read from TensorFlow 2.21, tensorflow/core/kernels/rnn/lstm_ops.cc.
    """

    layout = "tf1"
    packages = ()

    def unsupported(self, case: Case) -> str | None:
        """Lengths, masks, projections, other activations, and other precisions."""
        spec = case.spec
        if case.lengths is not None or case.mask is not None:
            return "lengths: BlockLSTM has one seq_len_max for all rows"
        if case.precision not in ("float32", "float16"):
            return f"precision: BlockLSTM computes float32 and float16, not {case.precision}"
        if spec.bias == "none":
            return "bias: BlockLSTM always has one"
        if spec.proj_size or spec.gate_clip is not None or spec.coupling:
            return "projection, gate clip or coupled gates: BlockLSTM has none"
        if (spec.gate_activation, spec.cell_activation, spec.output_activation) != ("sigmoid", "tanh", "tanh"):
            return "activations: BlockLSTM computes sigmoid, tanh, tanh alone"
        return None

    def make_cell(self, spec: LSTMSpec, layer: int, precision: str) -> tuple[Any, dict[str, list[Any]]]:
        """The operator's arguments; without peepholes, they are zeros."""
        hidden = spec.hidden_size
        kernel = tf.Variable(tf.zeros([spec.layer_input_size(layer) + hidden, 4 * hidden], precision))
        bias = tf.Variable(tf.zeros([4 * hidden], precision))
        peepholes = [tf.Variable(tf.zeros([hidden], precision)) for _ in "ifo"]
        options = dict(zip(("w", "b", "wci", "wcf", "wco"), (kernel, bias, *peepholes), strict=True))
        options |= {"use_peephole": spec.peepholes, "cell_clip": -1.0 if spec.cell_clip is None else spec.cell_clip}
        return options, {"W": [kernel], "b": [bias], **({"peephole": peepholes} if spec.peepholes else {})}

    def unroll(self, cell: Any, x: Tensor, h0: Tensor, c0: Tensor, lengths: Tensor | None) -> tuple[Tensor, ...]:
        """One call; it returns every gate and state of every step."""
        found = tf.raw_ops.BlockLSTM(
            seq_len_max=tf.constant(x.shape[0], tf.int64), x=x, cs_prev=c0, h_prev=h0, forget_bias=1.0, **cell
        )
        return found.h, found.h[-1], found.cs[-1]
