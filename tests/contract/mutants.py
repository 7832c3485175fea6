"""Broken adapters, each registered under the name of its fault; a plugin for pytest, `-p mutants`.

All of them derive from the adapter of `examples/third_party_adapter`, whose folder is on the import path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from tiny_lstm.adapter import TinyAdapter

import lstm_xcheck as lx
from lstm_xcheck.arrays import Array
from lstm_xcheck.model import Case, LSTMSpec, Result, gradient_names


class ComputesWithOthers(TinyAdapter):
    """Computes with other weights than those that it holds and shows."""

    def others(self, cell: Any) -> dict[str, Array]:
        raise NotImplementedError

    def run(self, model: Any, case: Case) -> Result:
        shown = {prefix: cell.parameters for prefix, cell in model.items()}
        for cell in model.values():
            cell.parameters = self.others(cell)
        result = super().run(model, case)
        for prefix, cell in model.items():
            cell.parameters = shown[prefix]
        return result


class SwapsGates(ComputesWithOthers):
    """Reads g where o is."""

    def others(self, cell: Any) -> dict[str, Array]:
        blocks = {name: array.reshape(4, -1, *array.shape[1:]) for name, array in cell.parameters.items()}
        return {name: blocks[name][[3, 1, 2, 0]].reshape(array.shape) for name, array in cell.parameters.items()}


class IgnoresLaterWeights(ComputesWithOthers):
    """Computes with the weights that a model was first given."""

    def others(self, cell: Any) -> dict[str, Array]:
        return vars(cell).setdefault("first", {name: array.copy() for name, array in cell.parameters.items()})


class IgnoresLengths(TinyAdapter):
    """Computes on through the padding."""

    def run(self, model: Any, case: Case) -> Result:
        return super().run(model, replace(case, lengths=None, mask=None))


class ReusesABuffer(TinyAdapter):
    """Returns y as a view of one buffer, which the next run overwrites."""

    _buffer = np.zeros(0)

    def run(self, model: Any, case: Case) -> Result:
        result = super().run(model, case)
        if self._buffer.shape != result.y.shape or self._buffer.dtype != result.y.dtype:
            self._buffer = np.empty_like(result.y)
        self._buffer[...] = result.y
        return replace(result, y=self._buffer)


class Miscounts(TinyAdapter):
    """Leaves one parameter out."""

    def count_parameters(self, model: Any) -> int:
        return super().count_parameters(model) - 1


class RefusesAll(TinyAdapter):
    """Supports nothing."""

    def unsupported(self, case: Case) -> str | None:
        return "nothing: this framework has no LSTM"


class GivesNoReason(TinyAdapter):
    """Refuses what it lacks without a word of explanation."""

    def unsupported(self, case: Case) -> str | None:
        return "no" if super().unsupported(case) else None


class KeepsState(TinyAdapter):
    """Begins where the last run ended, unless states are given."""

    _state: Array | None = None

    def run(self, model: Any, case: Case) -> Result:
        free = case.h0 is None and case.c0 is None
        if free and self._state is not None and self._state.shape[1:] == (case.batch, case.spec.hidden_size):
            case = replace(case, h0=self._state)
        result = super().run(model, case)
        self._state = np.asarray(result.h_n) if free else None
        return result


class WritesToInputs(TinyAdapter):
    """Zeroes x after it was read, as a framework does that was handed a pointer."""

    def run(self, model: Any, case: Case) -> Result:
        result = super().run(model, case)
        owner = case.x if case.x.base is None else case.x.base
        if isinstance(owner, np.ndarray):
            owner.flags.writeable = True
            owner[...] = 0
        return result


class LosesTheLastBit(TinyAdapter):
    """Clears the last bit of every weight, which no output betrays."""

    def load(self, model: Any, arrays: Mapping[str, Array]) -> None:
        super().load(model, {name: _without_last_bit(array) for name, array in arrays.items()})


def _without_last_bit(array: Array) -> Array:
    whole = array.view(f"i{array.dtype.itemsize}")
    return (whole & -2).view(array.dtype)


class ShowsNoWeights(TinyAdapter):
    """Reads nothing back."""

    def read_back(self, model: Any) -> dict[str, Array]:
        return {}


class NamesNoVersion(TinyAdapter):
    """Gives a version as numbers."""

    def environment(self) -> Any:
        return {"tiny_lstm": [1, 0]}


class NamesNoLayout(TinyAdapter):
    """Names a layout that lstm-xcheck does not have, for weights that it can read."""

    layout = "tiny"


class BreaksWhenRefusing(TinyAdapter):
    """Changes a setting on the way to a refusal, and leaves it so."""

    _scale = 1.0

    def unsupported(self, case: Case) -> str | None:
        reason = super().unsupported(case)
        self._scale = 0.5 if reason else self._scale
        return reason

    def run(self, model: Any, case: Case) -> Result:
        scaled = replace(case, x=self._scale * case.x)
        self._scale = 1.0
        return super().run(model, scaled)


class RaisesForStacks(TinyAdapter):
    """Fails where it should refuse."""

    def build(self, spec: LSTMSpec, precision: str) -> Any:
        if spec.num_layers > 1:
            raise ValueError("num_layers must be 1")
        return super().build(spec, precision)


class GivesWrongGradients(TinyAdapter):
    """Gives gradients that are all zero."""

    def run_with_gradients(self, model: Any, case: Case) -> Result:
        zeros = {"x": case.x, "h0": case.h0, "c0": case.c0, **case.weights.arrays()}
        names = gradient_names(case.spec)
        return replace(self.run(model, case), gradients={name: np.zeros_like(zeros[name]) for name in names})


class LosesC0(TinyAdapter):
    """Leaves c0 out where h0 is absent."""

    def run(self, model: Any, case: Case) -> Result:
        return super().run(model, replace(case, c0=None) if case.h0 is None else case)


class ReturnsNoLast(TinyAdapter):
    """Leaves the last output out where it is asked for."""

    def run(self, model: Any, case: Case) -> Result:
        return replace(super().run(model, case), last=None)


class ReadsAStepOfEmptyRows(TinyAdapter):
    """Reads one step of rows of length 0."""

    def run(self, model: Any, case: Case) -> Result:
        given = case.lengths
        return super().run(model, case if given is None else replace(case, lengths=np.maximum(given, 1)))


class ClaimsToHold(TinyAdapter):
    """Says that it holds outputs through padding, and gives zeros."""

    options = frozenset({"held"})

    def run(self, model: Any, case: Case) -> Result:
        return super().run(model, replace(case, padding="zero"))


class ClaimsToMerge(TinyAdapter):
    """Says that it merges directions, and gives the forward half."""

    options = frozenset({"merge"})

    def run(self, model: Any, case: Case) -> Result:
        result = super().run(model, replace(case, merge="concat"))
        half = None if case.merge == "concat" else np.array(result.y)[..., : case.spec.hidden_size]
        return replace(result, merged=half)


#: Name -> the broken adapter, and the check that is meant for it.
MUTANTS: dict[str, tuple[type[TinyAdapter], str]] = {
    "swaps-gates": (SwapsGates, "test_case[{}-plain]"),
    "ignores-later-weights": (IgnoresLaterWeights, "test_weights_of_another_seed_are_seen[{}]"),
    "ignores-lengths": (IgnoresLengths, "test_case[{}-lengths]"),
    "loses-c0": (LosesC0, "test_case[{}-c0-only]"),
    "raises-for-stacks": (RaisesForStacks, "test_case[{}-stack]"),
    "gives-wrong-gradients": (GivesWrongGradients, "test_case[{}-gradients]"),
    "returns-no-last": (ReturnsNoLast, "test_case[{}-last-output]"),
    "reads-a-step-of-empty-rows": (ReadsAStepOfEmptyRows, "test_case[{}-length-0]"),
    "claims-to-hold": (ClaimsToHold, "test_case[{}-held-outputs]"),
    "claims-to-merge": (ClaimsToMerge, "test_case[{}-merge-sum]"),
    "gives-no-reason": (GivesNoReason, "test_case[{}-peepholes]"),
    "reuses-a-buffer": (ReusesABuffer, "test_outputs_do_not_alias[{}]"),
    "miscounts": (Miscounts, "test_parameter_count_is_that_of_the_layout[{}]"),
    "refuses-all": (RefusesAll, "test_something_runs[{}]"),
    "keeps-state": (KeepsState, "test_a_case_run_again_gives_the_same_bits[{}]"),
    "writes-to-inputs": (WritesToInputs, "test_inputs_are_not_written_to[{}]"),
    "loses-the-last-bit": (LosesTheLastBit, "test_weights_come_back_bit_for_bit[{}]"),
    "shows-no-weights": (ShowsNoWeights, "test_weights_come_back_bit_for_bit[{}]"),
    "names-no-version": (NamesNoVersion, "test_versions_are_text[{}]"),
    "names-no-layout": (NamesNoLayout, "test_layout_is_that_of_its_row[{}]"),
    "breaks-when-refusing": (BreaksWhenRefusing, "test_a_refused_case_leaves_it_usable[{}]"),
}

for _name, (_adapter, _) in {"honest": (TinyAdapter, ""), **MUTANTS}.items():
    lx.register_adapter(_name, f"{_adapter.__module__}:{_adapter.__name__}", requires=("tiny_lstm",))
lx.register_adapter("absent", "mutants:TinyAdapter", requires=("no_such_module",))
