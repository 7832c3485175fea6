"""Bring your own implementation: call a function of canonical weights and read what it returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import SpecError
from ..spec import Case, Result


def result_of(function: Callable[..., Any], case: Case) -> Result:
    """Call `function(weights, x, h0, c0, lengths)` and read `y, h, c`.

    States are given as zeros where the case has none, lengths as None where all steps are valid. The function may
    return y, h_n, c_n in canonical shapes (h_n and c_n of a single layer and direction may lack the first axis),
    None for what it does not compute, y alone, or a `Result`.

    Raises:
        SpecError: when it returns something else.
    """
    spec = case.spec
    rows = spec.num_layers * spec.num_directions
    h0 = np.zeros((rows, case.batch, spec.output_size), case.x.dtype) if case.h0 is None else case.h0
    c0 = np.zeros((rows, case.batch, spec.hidden_size), case.x.dtype) if case.c0 is None else case.c0
    answer = function(case.weights, case.x, h0, c0, case.lengths if case.mask is None else case.mask)
    if isinstance(answer, Result):
        return answer
    parts = tuple(answer) if isinstance(answer, (tuple, list)) else (answer,)
    if len(parts) not in (1, 3):
        raise SpecError(f"the function returned {len(parts)} things, but should return y, or y, h_n, c_n")
    y, h_n, c_n = (*parts, None, None)[:3]
    return Result(y=_floats(y), h_n=_states(h_n), c_n=_states(c_n))


def _floats(value: Any) -> Any:
    return None if value is None else np.asarray(value)


def _states(value: Any) -> Any:
    array = _floats(value)
    return array[None] if array is not None and array.ndim == 2 else array
