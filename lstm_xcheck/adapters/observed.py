"""Another adapter, observed inside its worker: which arrays change that should not?"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import AdapterError
from ..model import QUANTITIES, Case, LSTMSpec, Result
from .entry import Entry
from .registry import load_adapter

#: Environment variable with the target of the observed adapter, as `package.module:Class`.
OBSERVED = "LSTM_XCHECK_OBSERVED"

#: Ids of cases, each for one observation.
ALIASING, INPUTS = "aliasing", "inputs"


def observed_entry(entry: Entry) -> Entry:
    """The same adapter, observed."""
    where = "lstm_xcheck.adapters.observed:ObservedAdapter"
    return replace(entry, target=where, variables={**entry.variables, OBSERVED: entry.target})


class ObservedAdapter:
    """Answers as the adapter that it observes; raises for what it sees."""

    def __init__(self, name: str) -> None:
        self._adapter = load_adapter(os.environ[OBSERVED], name)
        self.name, self.layout = name, self._adapter.layout

    def __getattr__(self, name: str) -> Any:
        """Every other method is the adapter's own."""
        return getattr(self._adapter, name)

    def build(self, spec: LSTMSpec, precision: str) -> Any:
        """The adapter's own model; a method here since protocols look for it."""
        return self._adapter.build(spec, precision)

    def run(self, model: Any, case: Case) -> Result:
        """Run the case; look at its inputs, or at its outputs after another run.

        Raises:
            AdapterError: for arrays that changed.
        """
        inputs = _inputs(case)
        before = _copies(inputs)
        first = self._adapter.run(model, case)
        if case.id == INPUTS:
            _require_unchanged(inputs, before, "run wrote to its inputs; let the framework work on copies")
        if case.id == ALIASING:
            outputs = _outputs(first)
            before = _copies(outputs)
            self._adapter.run(model, replace(case, x=-case.x))
            _require_unchanged(outputs, before, "a later run changed an earlier result; return copies of buffers")
        return first


def _inputs(case: Case) -> dict[str, Array]:
    return {**case.weights.arrays(), **case.arrays()}


def _outputs(result: Result) -> dict[str, Array]:
    named = {name: getattr(result, name) for name in QUANTITIES}
    named.update({f"layer{k}.y": array for k, array in enumerate(result.layer_outputs)})
    return {name: array for name, array in named.items() if array is not None}


def _copies(arrays: dict[str, Array]) -> dict[str, bytes]:
    return {name: np.asarray(array).tobytes() for name, array in arrays.items()}


def _require_unchanged(arrays: dict[str, Array], before: dict[str, bytes], fault: str) -> None:
    changed = [name for name, array in arrays.items() if array.tobytes() != before[name]]
    if changed:
        raise AdapterError(f"{', '.join(changed)}: {fault}")
