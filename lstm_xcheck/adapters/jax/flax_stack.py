"""What the adapters of Flax share."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from ...model import LSTMSpec
from ..layers import StackTensors
from .stack import Cell, Cells, JaxStack


class FlaxStack(JaxStack):
    """Layers of `RNN` or `Bidirectional`, with `seq_lengths`; each adapter gives `layer`.

    Flax computes on at padding, where outputs are set to zero here. At length 0 it returns the states after all steps.
    """

    library = "flax"
    lengths = True

    def layer(self, cells: list[Cell], x: Any, carries: list[Any], lengths: Any, spec: LSTMSpec) -> tuple[Any, Any]:
        """Run a layer; returns the final carries and y.

        `carries` are (c, h) over directions.
        """
        raise NotImplementedError

    def forward(self, cells: Cells, x: Any, h0: Any, c0: Any, lengths: Any, spec: LSTMSpec) -> StackTensors:
        """Run each layer on the outputs of the one below."""
        found = StackTensors([], [], [])
        for layer, directions in enumerate(cells):
            rows = range(layer * spec.num_directions, (layer + 1) * spec.num_directions)
            carries, y = self.layer(directions, x, [(c0[row], h0[row]) for row in rows], lengths, spec)
            for c, h in carries:
                found.c_n.append(c)
                found.h_n.append(h)
            if lengths is not None:
                y = jnp.where(jnp.arange(x.shape[1])[:, None] < lengths[:, None, None], y, 0)
            found.layers.append(y)
            x = y
        return found
