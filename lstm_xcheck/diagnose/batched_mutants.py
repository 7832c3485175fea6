"""Runs many faulty variants of one LSTM as one batched forward pass.

Where the outputs of a lower layer were not observed, or where a mistake depends on a whole run, there is no window to
compare with. All mutants then run in one batch on their own states, one row at a time, for as many steps as the first
outputs of the top layer need.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import Array
from ..model import Case, CellWeights, LSTMWeights
from ..oracle.cell import Cell, activate
from .mistake import Mistake

#: A prefilter may round: half the memory is twice the speed.
_DTYPE = np.float32
#: Mutants run in a batch while they have at most this many weights together, about 50 MB.
_MOST_WEIGHTS = 12_000_000


class _CellBatch(NamedTuple):
    """Stacked mutants of one cell.

    W and U (mutants, 4 * hidden, width), b (mutants, 4, hidden); `cell` is the honest one.
    """

    W: Array
    U: Array
    b: Array
    cell: CellWeights


class BatchedMutants:
    """Mutants of one LSTM, a batch for each cell."""

    def __init__(self, mistakes: Sequence[Mistake], batches: Sequence[Sequence[_CellBatch]]) -> None:
        self.mistakes, self._batches = list(mistakes), batches

    def first_outputs(self, case: Case, row: int, steps: int) -> Array:
        """The top layer's first outputs in its first direction, (mutants, steps, output)."""
        spec, top = case.spec, case.spec.num_layers - 1
        x = _inputs(case, row)
        for layer in range(top):
            last = None if spec.bidirectional else steps
            halves = [self._run(case, layer, d, row, x, last)[0] for d in range(spec.num_directions)]
            x = np.concatenate(halves, axis=-1)
        y = self._run(case, top, 0, row, x, steps)[0]
        return y[:, ::-1] if spec.is_backward(0) else y

    def final_states(self, case: Case, row: int) -> tuple[Array, Array]:
        """The first cell's final h (mutants, output) and c (mutants, hidden)."""
        return self._run(case, 0, 0, row, _inputs(case, row), None)[1:]

    def recurrent_contribution(self, h: Array) -> Array:
        """U h of the first cell, (mutants, 4, hidden)."""
        batch = self._batches[0][0]
        return _multiply(batch.U, h).reshape(batch.b.shape)

    def _run(
        self, case: Case, layer: int, direction: int, row: int, x: Array, steps: int | None
    ) -> tuple[Array, Array, Array]:
        """One direction's outputs in order of time, final h and c.

        It reads the first steps (None: all) of x (mutants or 1, steps, input).
        """
        batch, backward = self._batches[layer][direction], case.spec.is_backward(direction)
        cell = Cell(case.spec, batch.cell)
        x = (x[:, ::-1] if backward else x)[:, :steps]
        states = [case.initial(name, layer, direction)[row].astype(_DTYPE) for name in ("h0", "c0")]
        h, c = (np.repeat(state[None], len(batch.b), axis=0) for state in states)
        inputs = np.matmul(x, batch.W.transpose(0, 2, 1))
        y = np.empty((len(batch.b), x.shape[1], h.shape[-1]), _DTYPE)
        for t in range(x.shape[1]):
            z = (inputs[:, t] + _multiply(batch.U, h)).reshape(batch.b.shape) + batch.b
            now = activate(cell, z, c)
            h, c = now.h.astype(_DTYPE, copy=False), now.c.astype(_DTYPE, copy=False)
            y[:, t] = h
        return (y[:, ::-1] if backward else y), h, c


class MutantBatches:
    """Makes batches of the same mistakes for several weights, of equal cells once."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = list(mistakes)
        self._mutants: dict[bytes, list[CellWeights | None]] = {}
        self._batches: dict[tuple[bytes, tuple[int, ...]], _CellBatch] = {}

    def batch(self, weights: LSTMWeights) -> BatchedMutants | None:
        """The mutants of these weights; None if too large for memory."""
        size = sum(cell.W.size + cell.U.size for _, _, cell in weights.cells())
        if len(self.mistakes) * size > _MOST_WEIGHTS:
            return None
        keys = [[self._key(cell) for cell in row] for row in weights.layers]
        applicable = tuple(
            k for k in range(len(self.mistakes)) if all(self._mutants[key][k] for row in keys for key in row)
        )
        return BatchedMutants(
            [self.mistakes[k] for k in applicable],
            [
                [self._cell_batch(key, applicable, cell) for key, cell in zip(*both, strict=True)]
                for both in zip(keys, weights.layers, strict=True)
            ],
        )

    def _key(self, cell: CellWeights) -> bytes:
        key = b"|".join(name.encode() + array.tobytes() for name, array in cell.items())
        if key not in self._mutants:
            self._mutants[key] = [None if m.cell is None else m.cell(cell) for m in self.mistakes]
        return key

    def _cell_batch(self, key: bytes, applicable: tuple[int, ...], cell: CellWeights) -> _CellBatch:
        if (key, applicable) not in self._batches:
            mutants = [mutant for k in applicable if (mutant := self._mutants[key][k]) is not None]
            w, u = (
                np.array([np.asarray(getattr(m, name)) for m in mutants], _DTYPE).reshape(len(mutants), -1, a.shape[2])
                for name, a in (("W", cell.W), ("U", cell.U))
            )
            bias = np.array([m.total_bias for m in mutants], _DTYPE).reshape(len(mutants), *cell.W.shape[:2])
            self._batches[key, applicable] = _CellBatch(w, u, bias, cell)
        return self._batches[key, applicable]


def _inputs(case: Case, row: int) -> Array:
    """The valid inputs of one row, (1, steps, input)."""
    inputs: Array = np.asarray(case.x, _DTYPE)[row, case.valid[row]][None]
    return inputs


def _multiply(matrices: Array, vectors: Array) -> Array:
    """Each mutant's matrix times its vector."""
    product: Array = np.matmul(matrices, vectors[..., None]).reshape(matrices.shape[:2])
    return product
