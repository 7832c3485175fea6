"""How each framework stores an LSTM: one row of data per framework, no code.

Every row was established by running the framework and comparing numbers, never by a round trip alone, which a
wrong row survives. `source` names the version that was run and the file to read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import SpecError


@dataclass(frozen=True)
class Tensor:
    """One stored array.

    Attributes:
        name: template of its name; `{layer}`, `{direction}` and `{gate}` are filled in.
        parts: the canonical arrays it holds. Matrices are joined along their input axis, vectors end to end.
        transposed: stored as (input, 4 hidden) instead of (4 hidden, input).
    """

    name: str
    parts: tuple[str, ...]
    transposed: bool = False


@dataclass(frozen=True)
class Layout:
    """The conventions of one framework.

    Attributes:
        name: short name, as `--layout` takes it.
        order: the gates in storage order; i, f, g (cell candidate), o.
        bias: `split` for two vectors, `single` for one.
        tensors: what is stored, the input weights first.
        gates: `blocks` of h rows, `units` for gates interleaved per unit, `names` for an array per gate.
        layer_names: what `{layer}` becomes: for the only layer of a stack, and a template with `{k}` for many.
        directions: what `{direction}` becomes for the only, the forward and the backward direction.
        direction_axis: both directions are stacked on a leading axis of every tensor.
        gate_names: what `{gate}` becomes, in the order i, f, g, o.
        forget_bias: a constant added to f at run time and not stored.
        peephole_order: of the three diagonals.
        state_order: how states are returned, `hc` or `ch`.
        source: framework, version that was run, file to read.
    """

    name: str
    order: str
    bias: Literal["split", "single"]
    tensors: tuple[Tensor, ...]
    source: str
    gates: Literal["blocks", "units", "names"] = "blocks"
    layer_names: tuple[str, str] = ("", "")
    directions: tuple[str, str, str] = ("", "", "")
    direction_axis: bool = False
    gate_names: tuple[str, str, str, str] = ("i", "f", "g", "o")
    forget_bias: float = 0.0
    peephole_order: str = "ifo"
    state_order: Literal["hc", "ch"] = "hc"

    def tensor_for(self, part: str) -> Tensor | None:
        """The tensor that holds a canonical array, or None where the framework has none."""
        return next((tensor for tensor in self.tensors if part in tensor.parts), None)


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
        source="lstm_xcheck/adapters/jax_scan.py",
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
        ),
        layer_names=("", "cell_{k}/"),
        directions=("", "fw/", "bw/"),
        forget_bias=1.0,
        state_order="ch",
        source="TensorFlow 1.15 BasicLSTMCell and LSTMCell, tensorflow/python/ops/rnn_cell_impl.py",
    ),
)


def layout_named(name: str) -> Layout:
    """The row of that name.

    Raises:
        SpecError: when there is none; the message lists the names.
    """
    for row in TABLE:
        if row.name == name:
            return row
    raise SpecError(f"unknown layout {name!r}; expected one of {', '.join(row.name for row in TABLE)}")
