"""What a row of the table can say about how a framework stores an LSTM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Tensor:
    """One stored array.

    Attributes:
        name: template of its name; `{layer}`, `{direction}` and `{gate}` are filled in.
        parts: the canonical arrays it holds. Matrices are joined along their input axis, vectors end to end.
        transposed: stored as (input, 4 hidden) instead of (4 hidden, input).
        reshaped: stored as (input, 4 hidden), where each gate's block is (hidden, input) in memory, only called
            (input, hidden): cuDNN's buffer under a TensorFlow shape.
        gate_names: what `{gate}` becomes here, where it differs from the layout's.
    """

    name: str
    parts: tuple[str, ...]
    transposed: bool = False
    reshaped: bool = False
    gate_names: tuple[str, str, str, str] | None = None


@dataclass(frozen=True)
class Layout:
    """The conventions of one framework.

    Attributes:
        name: short name, as `--layout` takes it.
        order: the gates in storage order; i, f, g (cell candidate), o.
        bias: `split` for two vectors, `single` for one.
        tensors: what is stored, the input weights first.
        gates: `blocks` of h rows, `units` for gates interleaved per unit, `names` for an array per gate.
        layer_names: what `{layer}` becomes: for the only layer of a stack, and a template for many with `{k}`, or with
            `{_k}` that is empty for the first and `_k` for the others.
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
