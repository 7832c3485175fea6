"""Flax NNX's `nnx.RNN` and `nnx.Bidirectional` of its LSTM cells."""

from __future__ import annotations

from typing import Any

from flax import nnx

from ...model import LSTMSpec
from .flax_stack import FlaxStack
from .stack import Cell


class FlaxNnx(FlaxStack):
    """`nnx.RNN(nnx.LSTMCell)`; layout `flax-nnx`.

    Both directions of a layer are one `nnx.Bidirectional`. Read from flax 0.12.8, flax/nnx/nn/recurrent.py.
    """

    layout = "flax-nnx"
    cell = "flax.nnx.LSTMCell"
    module: Any = nnx.LSTMCell

    def cell_shapes(self, spec: LSTMSpec, layer: int, dtype: Any) -> Cell:
        """The state of the cell, as a dictionary."""
        return nnx.to_pure_dict(nnx.state(self._cell(spec.layer_input_size(layer), spec, dtype), nnx.Param))

    def layer(self, cells: list[Cell], x: Any, carries: list[Any], lengths: Any, spec: LSTMSpec) -> tuple[Any, Any]:
        """Call `nnx.RNN`, or `nnx.Bidirectional` of two."""
        rnns = [self._rnn(cell, x, spec) for cell in cells]
        if not spec.bidirectional:
            carry, y = rnns[0](x, initial_carry=carries[0], seq_lengths=lengths)
            return [carry], y
        both = nnx.Bidirectional(*rnns, return_carry=True, rngs=False)
        return both(x, initial_carry=tuple(carries), seq_lengths=lengths)

    def _cell(self, input_size: int, spec: LSTMSpec, dtype: Any) -> Any:
        """The cell with shapes instead of arrays.

        Initial values would take a second to compile.
        """
        make = self.module
        return nnx.eval_shape(lambda: make(input_size, spec.hidden_size, param_dtype=dtype, rngs=nnx.Rngs(0)))

    def _rnn(self, parameters: Cell, x: Any, spec: LSTMSpec) -> nnx.RNN:
        cell = self._cell(x.shape[-1], spec, x.dtype)
        nnx.update(cell, parameters)
        return nnx.RNN(cell, return_carry=True, reverse=spec.reverse, keep_order=True, rngs=False)


class FlaxNnxOptimized(FlaxNnx):
    """`nnx.RNN(nnx.OptimizedLSTMCell)`, which has one matrix for all gates; layout `flax-nnx-optimized`."""

    layout = "flax-nnx-optimized"
    cell = "flax.nnx.OptimizedLSTMCell"
    module = nnx.OptimizedLSTMCell
