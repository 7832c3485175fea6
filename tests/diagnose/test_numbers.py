"""A mistake with a free number is named with that number, or not at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lstm_xcheck.compare.reference import observed_quantities
from lstm_xcheck.diagnose import diagnose, stages
from lstm_xcheck.diagnose.evidence import Evidence
from lstm_xcheck.diagnose.mistake import changed_case, changed_outputs, result_from
from lstm_xcheck.diagnose.numbers import shifted_units
from lstm_xcheck.diagnose.numbers.families import Family
from lstm_xcheck.diagnose.numbers.search import in_digits
from lstm_xcheck.model import Case, LSTMSpec, Result

from .cases import float32_lstm

CASE = Case.random(LSTMSpec(input_size=5, hidden_size=8), init="normal", seed=3, steps=9, batch=3)
PEEPHOLES = Case.random(LSTMSpec(input_size=5, hidden_size=8, peepholes=True), seed=3, steps=9, batch=3)
STACK = Case.random(LSTMSpec(input_size=5, hidden_size=8, num_layers=2), init="normal", seed=3, steps=9, batch=3)


def wrong(case: Case, family: Family, p: float, cells: tuple[tuple[int, int], ...] | None = None) -> Result:
    """Float32 outputs with this number planted."""
    mistake = family.mistake(p, "?", cells, case.spec)
    changed = changed_case((mistake,), case)
    assert changed is not None
    outputs = changed_outputs((mistake,), observed_quantities(float32_lstm.run(changed, "sequential")), case)
    assert outputs is not None
    return result_from({name: np.asarray(array, np.float32) for name, array in outputs.items()})


PLANTED = {
    "a clip": (CASE, Family("cell_clip"), 0.7, "cell state clipped to +/-0.7", 0.7),
    "a clip of gates": (CASE, Family("gate_clip"), 1.3, "pre-activations clipped to +/-1.3", 1.3),
    "a gate's scale": (CASE, Family("z", "f"), 0.02, "pre-activations of gate f times 1.02", 1.02),
    "a constant": (CASE, Family("constant", "f"), 0.37, "0.37 added to the bias of gate f", 0.37),
    "an array twice": (CASE, Family("W"), 1.0, "inputs, or the input kernel W, times 2", 2.0),
    "one gate of an array": (CASE, Family("U", "g"), -0.25, "recurrent kernel U of gate g times 0.75", 0.75),
    "a peephole": (PEEPHOLES, Family("peephole", "o"), 0.4, "peephole of gate o times 1.4", 1.4),
    "a decay": (CASE, Family("c"), -0.03, "cell state c times 0.97 at each step", 0.97),
    "an output": (CASE, Family("h"), 0.05, "output h times 1.05 at each step", 1.05),
    "a stack": (STACK, Family("U"), 0.1, "recurrent kernel U times 1.1", 1.1),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_number_is_named_with_its_value(name: str) -> None:
    case, family, p, cause, value = PLANTED[name]
    found = diagnose(wrong(case, family, p), case)
    assert (found.cause, found.mistakes) == (cause, (family.id,))
    assert abs(found.parameters["value"] - value) <= 4.0 * found.parameters["standard_error"] + 1e-6
    assert 0.0 < found.parameters["standard_error"] < 1e-3
    assert found.to_dict()["parameters"] == found.parameters


def test_a_number_in_one_cell_is_named_with_its_place() -> None:
    found = diagnose(wrong(STACK, Family("U"), 0.1, ((1, 0),)), STACK)
    assert found.cause == "recurrent kernel U times 1.1, in layer 1 forward alone"


def test_one_wrong_weight_is_no_factor() -> None:
    weights = CASE.weights.layers[0][0]
    changed = np.array(weights.U)
    changed[2, 3, 1] *= 1.5
    layers = ((replace(weights, U=changed),),)
    result = float32_lstm.run(replace(CASE, weights=replace(CASE.weights, layers=layers)), "sequential")
    found = diagnose(result, CASE, pairs=False)
    assert (found.cause, found.parameters) == (None, {})


def test_too_few_numbers_leave_several_families_within_reach() -> None:
    case = Case.random(LSTMSpec(input_size=1, hidden_size=1), init="normal", seed=3, steps=1, batch=1)
    found = diagnose(Result(y=wrong(case, Family("W"), 0.02).y), case, pairs=False)
    assert found.cause is None
    assert len(found.within_reach) > 1


def test_without_rivals_the_best_of_several_families_would_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case.random(LSTMSpec(input_size=1, hidden_size=1), init="normal", seed=3, steps=1, batch=1)
    result = Result(y=wrong(case, Family("W"), 0.02).y)
    monkeypatch.setattr(Evidence, "lack_of_number", lambda self, mistakes, found, tried: "")
    assert diagnose(result, case, pairs=False).cause is None
    monkeypatch.setattr(stages, "same_change", lambda a, b, case: True)
    assert diagnose(result, case, pairs=False).cause is not None


@pytest.mark.parametrize("id", ["shifted-u-columns-3", "shifted-w-rows-g-5", "shifted-every-array-rows-1"])
def test_a_cyclic_shift_is_named(id: str) -> None:
    shift = next(mistake for mistake in shifted_units(CASE.spec) if mistake.id == id)
    changed = changed_case((shift,), CASE)
    assert changed is not None
    found = diagnose(float32_lstm.run(changed, "pairwise"), CASE)
    assert found.mistakes == (id,), found.cause


def test_exchanged_units_are_no_shift() -> None:
    weights = CASE.weights.layers[0][0]
    order = [0, 2, 1, 3, 4, 5, 6, 7]
    layers = ((replace(weights, U=np.asarray(weights.U)[:, :, order]),),)
    result = float32_lstm.run(replace(CASE, weights=replace(CASE.weights, layers=layers)), "sequential")
    assert diagnose(result, CASE, pairs=False).cause is None


@pytest.mark.parametrize(("value", "error", "text"), [(2.7000013, 2e-6, "2.7"), (117.358, 0.4, "117"), (1.0, 0.0, "1")])
def test_a_number_has_the_digits_that_are_known(value: float, error: float, text: str) -> None:
    assert in_digits(value, error) == text
