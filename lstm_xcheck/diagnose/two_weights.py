"""What differs between two sets of weights, and the mistake that makes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays import STORAGE, Array, bit_equal, round_to
from ..compare import judge
from ..errors import NothingComparedError, SpecError
from ..model import GATES, Case, CellWeights, LSTMWeights
from ..oracle import forward
from .catalogue import CATALOGUE
from .mistake import Mistake, in_cells
from .search import diagnose

#: The lowest last.
PRECISIONS = tuple(STORAGE)
_ARRAYS = ("W", "U", "b", "peephole", "projection")


@dataclass(frozen=True)
class Differing:
    """A canonical array that is not the same in both; `wrong` marks its numbers."""

    layer: int
    direction: int
    name: str
    first: Array
    second: Array
    wrong: Array

    def gate_and_index(self, index: tuple[int, ...]) -> tuple[str, list[int]]:
        """The gate of a number, "" in a projection, and its place within."""
        gates = {"peephole": "ifo", "projection": ""}.get(self.name, "".join(GATES))
        return (gates[index[0]], list(index[1:])) if gates else ("", list(index))


def differing_fields(ours: LSTMWeights, theirs: LSTMWeights) -> dict[str, tuple[Any, Any]]:
    """Fields of the spec that no conversion can bridge.

    The bias scheme is no difference.
    """
    mine, other = (replace(weights.spec, bias="none").to_dict() for weights in (ours, theirs))
    return {name: (mine[name], other[name]) for name in mine if mine[name] != other[name]}


def differing_arrays(ours: LSTMWeights, theirs: LSTMWeights) -> Iterator[Differing]:
    """Every array that differs in a bit; both have the same shapes.

    Two biases count as their one rounded sum, a missing bias as zeros.
    """
    rougher = max((ours.dtype, theirs.dtype), key=PRECISIONS.index)
    for (layer, direction, cell), (_, _, twin) in zip(ours.cells(), theirs.cells(), strict=True):
        for name in _ARRAYS:
            a, b = (_comparable(c, name, rougher) for c in (cell, twin))
            if a is None or b is None or (name == "b" and _same_vectors(cell, twin)):
                continue
            wrong = a != b if name == "b" else ~bit_equal(a, b)
            if wrong.any():
                yield Differing(layer, direction, name, a, b, wrong)


def _comparable(cell: CellWeights, name: str, dtype: str) -> Array | None:
    """An array in exact float64; biases as their rounded sum."""
    if name == "b":
        return np.asarray(round_to(cell.total_bias, dtype), np.float64)
    array = getattr(cell, name)
    return None if array is None else np.asarray(array, np.float64)


def _same_vectors(cell: CellWeights, twin: CellWeights) -> bool:
    vectors = ((cell.b, twin.b), (cell.b_r, twin.b_r))
    return all(a is not None and b is not None and np.array_equal(a, b) for a, b in vectors)


def probe_of(ours: LSTMWeights, theirs: LSTMWeights) -> Case:
    """The first's case that both are asked, in the finer precision."""
    finer = min((ours.dtype, theirs.dtype), key=PRECISIONS.index)
    return Case.random(ours.spec, weights=ours, steps=9, batch=3, ragged=True, precision=finer, id="compare")


def function_of(ours: LSTMWeights, theirs: LSTMWeights) -> dict[str, Any]:
    """The second's outputs in float64, judged against the first's function."""
    case = probe_of(ours, theirs)
    rows = judge(forward(replace(case, weights=theirs.astype(case.precision))), case).rows
    worst = max(rows, key=lambda row: (row.verdict != "match", row.score or 0.0))
    kept = ("verdict", "quantity", "max_abs", "score", "reason")
    return {key: value for key, value in worst.to_dict().items() if key in kept}


def certain_cause(ours: LSTMWeights, theirs: LSTMWeights) -> dict[str, Any] | None:
    """What makes exactly the second's weights of the first's, as plain data."""
    if ours.dtype != theirs.dtype and not any(differing_arrays(ours.astype(theirs.dtype), theirs)):
        fix = f"Keep {ours.dtype} when saving, if the numbers are to stay as they are."
        return {"cause": f"rounded from {ours.dtype} to {theirs.dtype}", "fix": fix, "certain": True}
    mistake = _mistake_between(ours, theirs)
    if mistake is None:
        return None
    return {"cause": mistake.title, "fix": mistake.fix, "mistakes": [mistake.id], "certain": True}


def why_different(ours: LSTMWeights, theirs: LSTMWeights, function: str) -> dict[str, Any]:
    """The mistake between LSTMs of the same shapes, by weights or by outputs.

    Args:
        function: the verdict on the second's outputs.

    Returns:
        A diagnosis as plain data; `certain` where it makes exactly the second's weights.
    """
    found = certain_cause(ours, theirs)
    if found is not None:
        return found
    if function == "match":
        explanation = "the numbers differ, but by no more than honest rounding moves the outputs on this input"
        return {"cause": None, "explanation": explanation, "certain": False}
    case = probe_of(ours, theirs)
    try:
        diagnosis = diagnose(forward(replace(case, weights=theirs.astype(case.precision))), case)
    except (SpecError, NothingComparedError) as reason:
        return {"cause": None, "explanation": str(reason), "certain": False}
    return {**diagnosis.to_dict(), "certain": False}


def _mistake_between(ours: LSTMWeights, theirs: LSTMWeights) -> Mistake | None:
    """The first mistake that gives exactly these weights."""
    case = Case.random(ours.spec, weights=ours, steps=1, batch=1, states=False, precision=ours.dtype)
    everywhere = [mistake for mistake in CATALOGUE if mistake.cell is not None or mistake.weights is not None]
    wrong = sorted({(found.layer, found.direction) for found in differing_arrays(ours, theirs)})
    for mistake in (*everywhere, *_alone(everywhere, wrong, ours)):
        changed = mistake.change_case(case)
        if changed is None or mistake.case is not None or mistake.outputs is not None:
            continue
        if not differing_fields(changed.weights, theirs) and not any(differing_arrays(changed.weights, theirs)):
            return mistake
    return None


def _alone(mistakes: Sequence[Mistake], wrong: Sequence[tuple[int, int]], weights: LSTMWeights) -> list[Mistake]:
    """The mistakes in the wrong cells alone, where others are right."""
    partial = 0 < len(wrong) < weights.spec.num_layers * weights.spec.num_directions
    return [in_cells(mistake, wrong) for mistake in mistakes if mistake.cell is not None] if partial else []
