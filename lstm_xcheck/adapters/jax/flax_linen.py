"""Flax linen's `nn.RNN` and `nn.Bidirectional` of `OptimizedLSTMCell`."""

from __future__ import annotations

from typing import Any

import jax
from flax import linen as nn

from ...model import LSTMSpec
from .flax_stack import FlaxStack
from .stack import Cell


class FlaxLinen(FlaxStack):
    """`nn.RNN(nn.OptimizedLSTMCell)`, whose parameters are those of `nn.LSTMCell`; layout `flax-linen`.

    Both directions of a layer are one `nn.Bidirectional`. Read from flax 0.12.8, flax/linen/recurrent.py.
    """

    layout = "flax-linen"
    cell = "flax.linen.OptimizedLSTMCell"

    def cell_shapes(self, spec: LSTMSpec, layer: int, dtype: Any) -> Cell:
        """What `init` of the cell would return."""
        cell = nn.OptimizedLSTMCell(spec.hidden_size, param_dtype=dtype)
        state = jax.ShapeDtypeStruct((1, spec.hidden_size), dtype)
        x = jax.ShapeDtypeStruct((1, spec.layer_input_size(layer)), dtype)
        return jax.eval_shape(cell.init, jax.random.key(0), (state, state), x)["params"]

    def layer(self, cells: list[Cell], x: Any, carries: list[Any], lengths: Any, spec: LSTMSpec) -> tuple[Any, Any]:
        """Apply `nn.RNN`, or `nn.Bidirectional` of two."""
        if not spec.bidirectional:
            rnn = _rnn(spec, reverse=spec.reverse)
            variables = {"params": {"cell": cells[0]}}
            carry, y = rnn.apply(variables, x, initial_carry=carries[0], seq_lengths=lengths)
            return [carry], y
        both = nn.Bidirectional(_rnn(spec), _rnn(spec), return_carry=True)
        variables = {"params": {"forward_rnn": {"cell": cells[0]}, "backward_rnn": {"cell": cells[1]}}}
        return both.apply(variables, x, initial_carry=tuple(carries), seq_lengths=lengths)


def _rnn(spec: LSTMSpec, *, reverse: bool = False) -> nn.RNN:
    return nn.RNN(nn.OptimizedLSTMCell(spec.hidden_size), return_carry=True, reverse=reverse, keep_order=True)
