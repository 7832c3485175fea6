"""LSTMs of files, held against a framework's own arrays and outputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from lstm_xcheck.arrays import Array
from lstm_xcheck.checkpoints import FoundLSTM, read_checkpoint
from lstm_xcheck.model import CellWeights, LSTMWeights


def lstms_in(path: Path) -> dict[str, FoundLSTM]:
    return {lstm.name: lstm for lstm in read_checkpoint(path).lstms}


def assert_columns(
    cell: CellWeights, kernel: Array, recurrent: Array, bias: Array | None = None, order: str = "ifgo", forget: int = 0
) -> None:
    """Bit for bit: (input, 4 h), gates as blocks of h columns; a constant is added to f's bias."""
    h = recurrent.shape[0]
    assert (cell.b is None) == (bias is None)
    for block, gate in enumerate(order):
        columns = slice(block * h, (block + 1) * h)
        np.testing.assert_array_equal(cell.W[gate], kernel[:, columns].T)
        np.testing.assert_array_equal(cell.U[gate], recurrent[:, columns].T)
        if cell.b is not None and bias is not None:
            np.testing.assert_array_equal(cell.b[gate], bias[columns] + np.float32(forget if gate == "f" else 0))


def exchanged(weights: LSTMWeights) -> LSTMWeights:
    """The same with f and g exchanged in every array, which keeps all shapes."""

    def exchange(array: Array) -> Array:
        return array[[0, 2, 1, 3]].copy() if array.shape[0] == 4 else array

    return replace(weights, layers=tuple(tuple(cell.map(exchange) for cell in row) for row in weights.layers))
