"""The columns of the layout table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Tensor:
    """One stored array.

    Attributes:
        name: template of its name with `{layer}`, `{direction}` and `{gate}`.
        parts: the canonical arrays it consists of. Matrices are joined along their input axis, vectors end to end.
        transposed: stored as (input, 4 hidden) instead of (4 hidden, input).
        reshaped: stored as (input, 4 hidden), where each gate's block is (hidden, input) in memory despite its shape
            (input, hidden): cuDNN's buffer under a TensorFlow shape.
        gate_names: values of `{gate}` where they differ from the layout's.
    """

    name: str
    parts: tuple[str, ...]
    transposed: bool = False
    reshaped: bool = False
    gate_names: tuple[str, str, str, str] | None = None


@dataclass(frozen=True)
class Layout:
    """How one framework stores an LSTM.

    Attributes:
        order: the gates in storage order; i, f, g (cell candidate), o.
        bias: `split` for two vectors, `single` for one.
        tensors: the stored arrays, the input weights first.
        gates: `blocks` of hidden rows, `units` for gates interleaved per unit, `names` for an array per gate.
        layer_names: values of `{layer}`: for a single layer, and a template for stacks with `{k}`, or with `{_k}`,
            which is empty for the first layer and `_k` for the others.
        directions: values of `{direction}` for the only, the forward and the backward direction.
        direction_axis: whether directions are stacked on a leading axis of every tensor.
        gate_names: values of `{gate}` in the order i, f, g, o.
        forget_bias: a constant added to f at run time and not stored.
        peephole_order: order of the three diagonals.
        state_order: order in which states are returned, `hc` or `ch`.
        source: framework, version that was run, source file.
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
        """The tensor with this canonical array, or None."""
        return next((tensor for tensor in self.tensors if part in tensor.parts), None)
