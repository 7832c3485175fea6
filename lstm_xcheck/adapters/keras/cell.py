"""Keras 3's `LSTMCell` in `keras.layers.RNN`, and stacks of cells."""

from __future__ import annotations

from typing import Any

from ...model import LSTMSpec
from .keras3 import KERAS3, Keras3LSTM
from .stack import Stack, StackOutputs, Tensor


class KerasCell(Keras3LSTM):
    """`RNN(LSTMCell)`, `Bidirectional(RNN(LSTMCell))`, and `RNN(StackedRNNCells)` for a stack of one direction.

    Layout `keras`, read from keras 3.15.1, keras/src/layers/rnn/rnn.py and stacked_rnn_cells.py; there is no fused
    kernel. With `zero_output_for_mask=True`, Keras itself puts zeros at padding. A stack of cells shows the outputs of
    its top alone; the lower cells are therefore also run in an RNN each.

    `RNN([cells])` of float64 cells computes in float32, so the adapter makes the `StackedRNNCells` itself. On JAX,
    Keras 3.15.1 cannot run a stack of cells.
    """

    def build(self, spec: LSTMSpec, precision: str) -> Stack:
        """One RNN for each layer, or one for a stack of cells."""
        return CellStack(KERAS3, spec, precision)


class CellStack(Stack):
    """Layers of cells; a stack of cells is one RNN in `layers`."""

    @property
    def _is_one_rnn(self) -> bool:
        return self.spec.num_layers > 1 and not self.spec.bidirectional

    def _count_layers(self) -> int:
        return 1 if self._is_one_rnn else super()._count_layers()

    def _direction(self, index: int, *, sequence: bool) -> Any:
        layers = self.version.keras.layers
        cells = [
            layers.LSTMCell(**self._cell_options()) for _ in range(self.spec.num_layers if self._is_one_rnn else 1)
        ]
        cell = layers.StackedRNNCells(cells, dtype=self.precision) if self._is_one_rnn else cells[0]
        return layers.RNN(cell, dtype=self.precision, **self._loop_options(index, sequence=sequence))

    def _names(self, index: int) -> list[str]:
        if not self._is_one_rnn:
            return super()._names(index)
        cells = enumerate(self.layers[0].cell.cells)
        return [f"lstm_{k}/{weight.name}" for k, cell in cells for weight in cell.weights]

    def forward(self, x: Tensor, mask: Tensor | None, states: list[Any], want_last: bool) -> StackOutputs:
        """As `Stack.forward`; a stack of cells takes and returns states cell by cell."""
        if not self._is_one_rnn:
            return super().forward(x, mask, states, want_last)
        cells = self.layers[0].cell.cells[:-1]
        rnn, options = self.version.keras.layers.RNN, self._loop_options(0, sequence=True)
        lower, _, _ = self._pass([rnn(cell, dtype=self.precision, **options) for cell in cells], x, mask, states[:-1])
        found = super().forward(x, mask, [None if states[0] is None else states], want_last)
        return found._replace(layers=[*lower, *found.layers], states=[state for cell in found.states for state in cell])
