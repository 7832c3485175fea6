"""Runs a user's function of canonical weights, in this process or in a worker."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..arrays import Array, to_numpy
from ..errors import AdapterError, SpecError, Unsupported
from ..model import Case, Result
from .case_arrays import explicit_states
from .chunks import run_in_chunks
from .protocol import missing_option
from .without_model import WithoutModel

#: Environment variable that names the function in a worker, as `package.module:function`.
FUNCTION = "LSTM_XCHECK_FUNCTION"


class FunctionAdapter(WithoutModel):
    """Runs `function(weights, x, h0, c0, lengths) -> y, h, c`.

    The function raises `Unsupported` or NotImplementedError for what it lacks.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._function = import_function(os.environ[FUNCTION])

    def environment(self) -> dict[str, str]:
        """The function, and the version of NumPy."""
        return {"function": os.environ[FUNCTION], "numpy": np.__version__}

    def run(self, model: None, case: Case) -> Result:
        """Call the function."""
        try:
            return call_function(self._function, case)
        except NotImplementedError as reason:
            raise unsupported_by(reason) from reason


def import_function(target: str) -> Callable[..., Any]:
    """Import `package.module:function`."""
    module, _, path = target.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module exists, but a module that it imports does not
        raise AdapterError(
            f"there is no module {error.name!r}; write package.module:function, found from the current folder"
        ) from error
    where = getattr(found, "__file__", None) or "built in"
    for part in path.split("."):
        if not hasattr(found, part):
            raise AdapterError(f"module {module} ({where}) has no {path!r}")
        found = getattr(found, part)
    if not callable(found):
        raise AdapterError(
            f"{path} in module {module} is a {type(found).__name__}, "
            "but should be a function (weights, x, h0, c0, lengths) -> y, h, c"
        )
    function: Callable[..., Any] = found
    return function


def unsupported_by(reason: NotImplementedError) -> Unsupported:
    """The error that a function's NotImplementedError stands for."""
    return Unsupported(str(reason) or "the function says that it does not implement this")


def call_function(function: Callable[..., Any], case: Case) -> Result:
    """Call `function(weights, x, h0, c0, lengths)` and convert what it returns.

    The function gets zeros for absent states, and None for lengths when all steps are valid. It may return y, h_n, c_n
    in canonical shapes (h_n and c_n of a single layer and direction may lack the first axis), None for what it does not
    compute, y alone, `y, (h_n, c_n)` as PyTorch does, or a `Result`, the only form with gradients. Tensors may need
    gradients and lie on any device.
    """
    reason = missing_option(case, "a function of the user", ())
    if reason:
        raise Unsupported(reason)
    if case.chunks:
        return run_in_chunks(partial(call_function, function), case)
    answer = function(case.weights, case.x, *explicit_states(case), case.lengths if case.mask is None else case.mask)
    if isinstance(answer, Result) and (answer.gradients or not case.gradients):
        return answer
    if case.gradients:
        raise Unsupported("gradients: the function returns none; return a Result that holds them")
    parts = tuple(answer) if isinstance(answer, (tuple, list)) else (answer,)
    if len(parts) == 2 and isinstance(parts[1], (tuple, list)):
        parts = (parts[0], *parts[1])
    if len(parts) not in (1, 3):
        raise SpecError(f"the function returned {len(parts)} things, but should return y, or y, h_n, c_n")
    y, h_n, c_n = (*parts, None, None)[:3]
    return Result(y=None if y is None else to_numpy(y), h_n=_states(h_n), c_n=_states(c_n))


def _states(states: Any) -> Array | None:
    """States with the first axis, (layers * directions), which a function may leave out."""
    if states is None:
        return None
    array = to_numpy(states)
    return array[None] if array.ndim == 2 else array
