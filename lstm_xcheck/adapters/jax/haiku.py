"""Haiku's `hk.LSTM`."""

from __future__ import annotations

from typing import Any

import haiku as hk
import jax

from ...model import LSTMSpec
from .stack import Cell, JaxStack


class Haiku(JaxStack):
    """`hk.LSTM` in `hk.dynamic_unroll`; layout `haiku`.

    The forget bias is stored less the 1 that is added at run time. Haiku knows no lengths. Read from dm-haiku 0.0.17,
    haiku/_src/recurrent.py.
    """

    layout = "haiku"
    library = "dm-haiku"
    cell = "haiku.LSTM"

    def cell_shapes(self, spec: LSTMSpec, layer: int, dtype: Any) -> Cell:
        """What `init` of the transformed function would return."""
        x = jax.ShapeDtypeStruct((1, 1, spec.layer_input_size(layer)), dtype)
        state = jax.ShapeDtypeStruct((1, spec.hidden_size), dtype)
        return jax.eval_shape(_unrolled(backward=False).init, jax.random.key(0), x, state, state)

    def direction(self, cell: Cell, x: Any, h0: Any, c0: Any, *, backward: bool) -> tuple[Any, Any, Any]:
        """Apply the transformed function."""
        return _unrolled(backward=backward).apply(cell, x, h0, c0)


def _unrolled(*, backward: bool) -> hk.Transformed:
    def unroll(x: Any, h0: Any, c0: Any) -> tuple[Any, Any, Any]:
        core = hk.LSTM(h0.shape[-1])
        y, state = hk.dynamic_unroll(core, x, hk.LSTMState(h0, c0), time_major=False, reverse=backward)
        return y, state.hidden, state.cell

    return hk.without_apply_rng(hk.transform(unroll))
