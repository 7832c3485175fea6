"""An implementation of one's own: any function of canonical weights, here or in a worker."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import AdapterError, SpecError, Unsupported
from ..model import Case, LSTMSpec, Result

#: Environment variable that tells a worker which function, as `package.module:function`.
FUNCTION = "LSTM_XCHECK_FUNCTION"


class FunctionAdapter:
    """`function(weights, x, h0, c0, lengths) -> y, h, c`, imported in the worker.

    It takes canonical weights, so there is no layout, nothing is loaded or read back, and no parameters are counted.
    """

    layout = ""

    def __init__(self, name: str) -> None:
        self.name = name
        self._function = function_at(os.environ[FUNCTION])

    def environment(self) -> dict[str, str]:
        """What is called."""
        return {"function": os.environ[FUNCTION], "numpy": np.__version__}

    def unsupported(self, case: Case) -> str | None:
        """Nothing is known before: the function raises `Unsupported` or NotImplementedError for what it lacks."""
        return None

    def computes_in(self, case: Case) -> tuple[str, str]:
        """The precision asked for."""
        return case.precision, ""

    def build(self, spec: LSTMSpec, precision: str) -> None:
        """Nothing to build."""

    def load(self, model: None, arrays: Mapping[str, Array]) -> None:
        """Nothing to load: the weights come with each call."""

    def read_back(self, model: None) -> dict[str, Array]:
        """Nothing is held."""
        return {}

    def count_parameters(self, model: None) -> int:
        """Nothing is held."""
        return 0

    def run(self, model: None, case: Case) -> Result:
        """Call it.

        Raises:
            Unsupported: when the function raises that or NotImplementedError.
        """
        try:
            return result_of(self._function, case)
        except NotImplementedError as reason:
            raise unsupported_by(reason) from reason


def function_at(target: str) -> Callable[..., Any]:
    """Import `package.module:function`.

    Raises:
        AdapterError: when there is no such module or attribute, or it cannot be called.
    """
    module, _, path = target.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there, but something that it imports is not
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
    """What a function means by NotImplementedError."""
    return Unsupported(str(reason) or "the function says that it does not implement this")


def result_of(function: Callable[..., Any], case: Case) -> Result:
    """Call `function(weights, x, h0, c0, lengths)` and read `y, h, c`.

    States are given as zeros where the case has none, lengths as None where all steps are valid. The function may
    return y, h_n, c_n in canonical shapes (h_n and c_n of a single layer and direction may lack the first axis),
    None for what it does not compute, y alone, or a `Result`, which alone can hold gradients.

    Raises:
        SpecError: when it returns something else.
        Unsupported: when the case asks for gradients and it returns none.
    """
    spec = case.spec
    rows = spec.num_layers * spec.num_directions
    h0 = np.zeros((rows, case.batch, spec.output_size), case.x.dtype) if case.h0 is None else case.h0
    c0 = np.zeros((rows, case.batch, spec.hidden_size), case.x.dtype) if case.c0 is None else case.c0
    answer = function(case.weights, case.x, h0, c0, case.lengths if case.mask is None else case.mask)
    if isinstance(answer, Result) and (answer.gradients or not case.gradients):
        return answer
    if case.gradients:
        raise Unsupported("gradients: the function returns none; return a Result that holds them")
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
