"""A look at whole runs, where what a cell fed back to itself was not observed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arrays import Array
from ..spec import Case
from .mistake import Mistake, Outputs, run_mistakes

#: Rounding that a run on its own states adds up may move outputs by this much, relative to the largest.
_ROUGHLY = 0.02
#: Longer runs are not tried for hundreds of hypotheses.
_MOST_STEPS = 64


def may_explain(mistakes: Sequence[Mistake], observed: Outputs, case: Case) -> bool:
    """Whether the mistaken LSTM, run freely in float64, comes anywhere near what was observed."""
    if case.steps > _MOST_STEPS:
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        outputs = run_mistakes(mistakes, case)
        if outputs is None:
            return False
        return all(
            name in outputs and array.shape == outputs[name].shape and _roughly_equal(array, outputs[name])
            for name, array in observed.items()
        )


def _roughly_equal(a: Array, b: Array) -> bool:
    return bool(np.abs(a - b).max() <= _ROUGHLY * max(1.0, float(np.abs(b).max())))
