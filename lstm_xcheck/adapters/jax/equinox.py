"""Equinox's `eqx.nn.LSTMCell`."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax

from ...model import LSTMSpec
from .stack import Cell, JaxStack


class Equinox(JaxStack):
    """`eqx.nn.LSTMCell` in `jax.lax.scan` under `jax.vmap`, as its docstring shows; layout `equinox`.

    The module is its own pytree. Lengths would be the loop's, not Equinox's, so they are refused. Read from equinox
    0.13.8, equinox/nn/_rnn.py.
    """

    layout = "equinox"
    library = "equinox"
    cell = "equinox.nn.LSTMCell"
    always_has_bias = False

    def cell_shapes(self, spec: LSTMSpec, layer: int, dtype: Any) -> Cell:
        """The module with shapes instead of arrays."""
        return eqx.filter_eval_shape(
            eqx.nn.LSTMCell,
            spec.layer_input_size(layer),
            spec.hidden_size,
            use_bias=spec.bias != "none",
            dtype=dtype,
            key=jax.random.key(0),
        )

    def direction(self, cell: Cell, x: Any, h0: Any, c0: Any, *, backward: bool) -> tuple[Any, Any, Any]:
        """Scan each row of the batch."""

        def step(state: Any, x: Any) -> tuple[Any, Any]:
            state = cell(x, state)
            return state, state[0]

        def row(x: Any, h0: Any, c0: Any) -> tuple[Any, Any, Any]:
            (h, c), y = jax.lax.scan(step, (h0, c0), x, reverse=backward)
            return y, h, c

        return jax.vmap(row)(x, h0, c0)
