"""One LSTM as each of many mistakes of cells makes it, run together on their own states.

Where the outputs of a lower layer were not observed, or where a mistake depends on a whole run, no window onto known
states is there to look through. All wrong versions then run side by side, one row at a time, for as many steps as the
first outputs of the top layer need.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import Array
from ..model import Case, CellWeights, LSTMWeights
from ..oracle.cell import Cell, activate
from .mistake import Mistake

#: A look is rough: half the memory is twice the speed.
_ROUGH = np.float32
#: Versions are stacked while they have at most this many numbers together, about 50 MB.
_KEPT = 12_000_000


class _Stack(NamedTuple):
    """The versions of one cell: (versions, 4 * hidden, width) and (versions, 4, hidden); the rest they share."""

    W: Array
    U: Array
    b: Array
    cell: CellWeights


class BatchedMutants:
    """The versions of one LSTM, a stack for each layer and direction."""

    def __init__(self, mistakes: Sequence[Mistake], stacks: Sequence[Sequence[_Stack]]) -> None:
        self.mistakes, self._stacks = list(mistakes), stacks

    def first_outputs(self, case: Case, row: int, steps: int) -> Array:
        """The top layer's first outputs in its first direction, in order of processing: (versions, steps, output)."""
        spec, top = case.spec, case.spec.num_layers - 1
        x = _inputs(case, row)
        for layer in range(top):
            last = None if spec.bidirectional else steps
            halves = [self._run(case, layer, d, row, x, last)[0] for d in range(spec.num_directions)]
            x = np.concatenate(halves, axis=-1)
        y = self._run(case, top, 0, row, x, steps)[0]
        return y[:, ::-1] if spec.is_backward(0) else y

    def final_states(self, case: Case, row: int) -> tuple[Array, Array]:
        """h and c in which the first direction of the first layer ends: (versions, output) and (versions, hidden)."""
        return self._run(case, 0, 0, row, _inputs(case, row), None)[1:]

    def carry(self, h: Array) -> Array:
        """What U of the first cell contributes for states h (versions, output): (versions, 4, hidden)."""
        stack = self._stacks[0][0]
        return _times(stack.U, h).reshape(stack.b.shape)

    def _run(
        self, case: Case, layer: int, direction: int, row: int, x: Array, steps: int | None
    ) -> tuple[Array, Array, Array]:
        """The first steps (all, if None) of one direction over x (versions or 1, steps, input), aligned in time."""
        stack, backward = self._stacks[layer][direction], case.spec.is_backward(direction)
        cell = Cell(case.spec, stack.cell)
        x = (x[:, ::-1] if backward else x)[:, :steps]
        states = [case.initial(name, layer, direction)[row].astype(_ROUGH) for name in ("h0", "c0")]
        h, c = (np.repeat(state[None], len(stack.b), axis=0) for state in states)
        inputs = np.matmul(x, stack.W.transpose(0, 2, 1))
        y = np.empty((len(stack.b), x.shape[1], h.shape[-1]), _ROUGH)
        for t in range(x.shape[1]):
            z = (inputs[:, t] + _times(stack.U, h)).reshape(stack.b.shape) + stack.b
            now = activate(cell, z, c)
            h, c = now.h.astype(_ROUGH, copy=False), now.c.astype(_ROUGH, copy=False)
            y[:, t] = h
        return (y[:, ::-1] if backward else y), h, c


class MutantBatches:
    """Makes crowds of the same mistakes; what they share is made once.

    Args:
        mistakes: of W, U and biases; one that changes a peephole or projection as well is none of these.
    """

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = list(mistakes)
        self._versions: dict[bytes, list[CellWeights | None]] = {}
        self._stacks: dict[tuple[bytes, tuple[int, ...]], _Stack] = {}

    def of(self, weights: LSTMWeights) -> BatchedMutants | None:
        """The wrong versions of these weights; None where they would not fit in memory."""
        if len(self.mistakes) * sum(cell.W.size + cell.U.size for _, _, cell in weights.cells()) > _KEPT:
            return None
        keys = [[self._key(cell) for cell in row] for row in weights.layers]
        kept = tuple(k for k in range(len(self.mistakes)) if all(self._versions[key][k] for row in keys for key in row))
        return BatchedMutants(
            [self.mistakes[k] for k in kept],
            [
                [self._stack(key, kept, cell) for key, cell in zip(*both, strict=True)]
                for both in zip(keys, weights.layers, strict=True)
            ],
        )

    def _key(self, cell: CellWeights) -> bytes:
        key = b"|".join(name.encode() + array.tobytes() for name, array in cell.items())
        if key not in self._versions:
            self._versions[key] = [None if m.cell is None else m.cell(cell) for m in self.mistakes]
        return key

    def _stack(self, key: bytes, kept: tuple[int, ...], cell: CellWeights) -> _Stack:
        if (key, kept) not in self._stacks:
            versions = [found for k in kept if (found := self._versions[key][k]) is not None]
            self._stacks[key, kept] = _stacked(versions, cell)
        return self._stacks[key, kept]


def _inputs(case: Case, row: int) -> Array:
    """The valid inputs of one row, (1, steps, input)."""
    inputs: Array = np.asarray(case.x, _ROUGH)[row, case.valid[row]][None]
    return inputs


def _stacked(versions: Sequence[CellWeights], cell: CellWeights) -> _Stack:
    arrays = [
        np.array([np.asarray(getattr(v, n)) for v in versions], _ROUGH).reshape(len(versions), -1, a.shape[2])
        for n, a in (("W", cell.W), ("U", cell.U))
    ]
    bias = np.array([v.total_bias for v in versions], _ROUGH).reshape(len(versions), *cell.W.shape[:2])
    return _Stack(arrays[0], arrays[1], bias, cell)


def _times(matrices: Array, vectors: Array) -> Array:
    """A matrix times a vector, for each version."""
    product: Array = np.matmul(matrices, vectors[..., None]).reshape(matrices.shape[:2])
    return product
