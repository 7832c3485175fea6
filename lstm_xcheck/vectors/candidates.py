"""Small cases that may become vectors, drawn from seeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from ..model import Case, CellWeights, LSTMSpec, LSTMWeights

#: Just below the middle of two numbers of six digits: printed so, it loses most.
_SIX_DIGITS = float(np.float32(1.0000045))
#: Biases of the gates i, f and o of the first unit, which make c of it the candidate g, and h nearly tanh(c).
_OPEN = {0: 5.0, 1: -5.0, 3: 3.0}
#: Units: every fourth nearly saturates and shows clips.
_HIDDEN = 4
#: (steps, batch); with as many steps as rows, exchanged axes keep their shapes.
_SHAPES = ((3, 3), (2, 2), (3, 2), (4, 3))
_SHAPES_OF_ONE_ROW = ((1, 1), (2, 1), (5, 1))


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the vectors are for.

    Attributes:
        spec: the kind of LSTM.
        fixed: the sizes to keep, `input_size` and `hidden_size`; others are chosen small.
        states: whether initial states are given.
        lengths: whether some cases have lengths.
        empty_rows: whether one of them may be 0, which ONNX' runtimes do not agree on.
        one_row: whether the batch is always 1.
        uniform: whether one allowed error holds for all numbers of a case.
        allow: the smallest allowed error.
        seeds: how many weights to try for each shape; 0 for fewer the more cells there are.
    """

    spec: LSTMSpec
    fixed: frozenset[str] = frozenset()
    states: bool = True
    lengths: bool = True
    empty_rows: bool = True
    one_row: bool = False
    uniform: bool = False
    allow: float = 0.0
    seeds: int = 0

    @property
    def tries(self) -> int:
        """How many weights to try for each shape."""
        return self.seeds or max(8, 12 // (self.spec.num_layers * self.spec.num_directions))


def candidates(wanted: Wanted) -> Iterator[Case]:
    """Cases of every shape, the most promising ones first."""
    shapes = _SHAPES_OF_ONE_ROW if wanted.one_row else _SHAPES
    padded: Any = "zero" if wanted.empty_rows and not wanted.uniform else True
    for seed, ragged in product(range(wanted.tries), (False, padded) if wanted.lengths else (False,)):
        for spec, (steps, batch) in product(_specs(wanted), shapes):
            if not (ragged and (steps == 1 or batch == 1)):
                yield _case(spec, steps, batch, seed, wanted.states, ragged)
    if wanted.uniform and "hidden_size" not in wanted.fixed and not wanted.spec.proj_size:
        width = wanted.spec.input_size if "input_size" in wanted.fixed else 2
        small = replace(wanted.spec, hidden_size=1, input_size=width)
        for seed in range(wanted.tries):
            yield _case(small, 1, 1, seed, False, False)


def _specs(wanted: Wanted) -> list[LSTMSpec]:
    """Square matrices in the first layer, then layers of one shape."""
    spec = wanted.spec
    if "hidden_size" not in wanted.fixed:
        spec = replace(spec, hidden_size=max(_HIDDEN, spec.proj_size + 1))
    if "input_size" in wanted.fixed:
        return [spec]
    widths = dict.fromkeys([spec.hidden_size, *([spec.layer_input_size(1)] if spec.num_layers > 1 else [])])
    return [replace(spec, input_size=width) for width in widths]


def _case(spec: LSTMSpec, steps: int, batch: int, seed: int, states: bool, ragged: Any) -> Case:
    drawn = Case.random(spec, steps=steps, batch=batch, seed=seed, states=states, ragged=ragged)
    layers = tuple(
        tuple(_with_digits(cell, inputs=not (layer and states)) for cell in row)
        for layer, row in enumerate(drawn.weights.layers)
    )
    return replace(drawn, weights=LSTMWeights(spec, layers, drawn.weights.dtype), id=f"{drawn.id[:-9]}-seed{seed}")


def _with_digits(cell: CellWeights, *, inputs: bool) -> CellWeights:
    """The cell with a first unit that shows weights printed with six digits.

    `inputs`: whether its candidate reads them; those of an upper layer are rounded already, initial states are not.
    """
    arrays: dict[str, Any] = {name: np.array(array, np.float64) for name, array in cell.items()}
    for name in ("W", "U"):
        sign = 1.0 if arrays[name][2, 0, 0] >= 0.0 else -1.0
        arrays[name][2, 0] = 0.0
        arrays[name][2, 0, 0] = sign * _SIX_DIGITS if inputs or name == "U" else 0.0
    for gate, bias in _OPEN.items():
        if "b" in arrays:
            arrays["b"][gate, 0] = bias
        else:  # a step with a positive first feature opens them as well
            arrays["W"][gate, 0, 0] = bias
    return CellWeights(**arrays)
