"""Where an error is that no mistake explains: right values, and nothing where nothing can be told."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.arrays import Array
from lstm_xcheck.compare.reference import observed_quantities
from lstm_xcheck.diagnose import Diagnosis, diagnose
from lstm_xcheck.diagnose.discrepancy import Discrepancy
from lstm_xcheck.diagnose.locate import describe_location, hypothesis, locate
from lstm_xcheck.diagnose.mistake import Outputs, result_from
from lstm_xcheck.model import GATES, Case, CellWeights, LSTMSpec, LSTMWeights, Result
from lstm_xcheck.oracle import forward, profile_named

from .cases import float32_lstm

Change = Callable[[dict[str, Array]], None]


def case_of(
    steps: int = 16, batch: int = 3, init: str = "torch", data: dict[str, Any] | None = None, **spec: Any
) -> Case:
    sizes = {"input_size": 4, "hidden_size": 6, **spec}
    return Case.random(LSTMSpec(**sizes), seed=7, steps=steps, batch=batch, init=init, **(data or {}))


def changed(case: Case, change: Change, layer: int = 0, direction: int = 0) -> Case:
    """The case with other weights in one cell."""
    rows = [list(row) for row in case.weights.layers]
    arrays: dict[str, Any] = {name: np.array(array) for name, array in rows[layer][direction].items()}
    change(arrays)
    rows[layer][direction] = CellWeights(**arrays)
    return replace(case, weights=LSTMWeights(case.spec, tuple(map(tuple, rows)), case.weights.dtype))


def observed(case: Case, *names: str) -> Outputs:
    """What an honest float32 LSTM answers to a wrong case; all of it, or these quantities."""
    outputs = observed_quantities(float32_lstm.run(case, "two-products"))
    return {name: outputs[name] for name in names or outputs}


def location(outputs: Outputs, case: Case) -> dict[str, Any]:
    found = locate(Discrepancy.of(outputs, case, profile_named("float32")))
    json.dumps(found, allow_nan=False)
    assert describe_location(found, case).startswith(" ")
    return found


def add(name: str, place: Any, by: float) -> Change:
    def change(arrays: dict[str, Any]) -> None:
        arrays[name][place] += np.float32(by)

    return change


def times(name: str, place: Any, by: float) -> Change:
    def change(arrays: dict[str, Any]) -> None:
        arrays[name][place] *= np.float32(by)

    return change


def taken(name: str, order: list[int], axis: int) -> Change:
    def change(arrays: dict[str, Any]) -> None:
        arrays[name] = np.take(arrays[name], order, axis)

    return change


def both(*changes: Change) -> Change:
    def change(arrays: dict[str, Any]) -> None:
        for one in changes:
            one(arrays)

    return change


ALL = list(GATES)
ORDER = [1, 2, 0, 3, 5, 4]
#: What is planted, the wrong units, and what explains it.
PLANTED: dict[str, tuple[Change, list[int], dict[str, Any]]] = {
    "one number of U": (
        add("U", (3, 2, 4), 0.1),
        [2],
        {"gates": ["o"], "array": "U", "numbers": [("U", "o", 2, 4, 0.1)]},
    ),
    "one number of W": (
        add("W", (0, 5, 1), -0.02),
        [5],
        {"gates": ["i"], "array": "W", "numbers": [("W", "i", 5, 1, -0.02)]},
    ),
    "one bias": (add("b", (2, 0), 0.3), [0], {"gates": ["g"], "array": "b", "numbers": [("b", "g", 0, None, 0.3)]}),
    "two numbers": (
        both(add("U", (1, 2, 4), 0.1), add("U", (3, 3, 0), -0.2)),
        [2, 3],
        {"gates": ["f", "o"], "array": "U", "numbers": [("U", "o", 3, 0, -0.2), ("U", "f", 2, 4, 0.1)]},
    ),
    "a row of W": (times("W", (1, 4), 1.3), [4], {"gates": ["f"], "array": "W", "factor": 1.3}),
    "U of one gate": (times("U", 2, 0.9), [0, 1, 2, 3, 4, 5], {"gates": ["g"], "array": "U", "factor": 0.9}),
    "all of W": (times("W", ..., 1.1), [0, 1, 2, 3, 4, 5], {"gates": ALL, "array": "W", "factor": 1.1}),
    "a bias added": (add("b", 1, 0.07), [0, 1, 2, 3, 4, 5], {"gates": ["f"], "array": "b", "constant": 0.07}),
    "one gate": (
        both(times("W", 0, 0.8), times("U", 0, 1.2)),
        [0, 1, 2, 3, 4, 5],
        {"gates": ["i"], "array": None},
    ),
    "rows permuted": (
        taken("U", ORDER, 1),
        [0, 1, 2, 4, 5],
        {"gates": ALL, "array": "U", "unit_map": {"0": 1, "1": 2, "2": 0, "4": 5, "5": 4}},
    ),
    "columns permuted": (
        taken("U", ORDER, 2),
        [0, 1, 2, 3, 4, 5],
        {"gates": ALL, "array": "U", "unit_map": {"0": 1, "1": 2, "2": 0, "4": 5, "5": 4}},
    ),
}


def assert_located(found: dict[str, Any], units: list[int], by: dict[str, Any]) -> None:
    """The location is the planted one, with its size within six standard errors."""
    assert found["units"] == units
    explained = found["explained_by"]
    assert (explained["gates"], explained.get("array")) == (by["gates"], by["array"])
    for name in ("factor", "constant"):
        if name in by:
            change = explained["change"]
            assert abs(change[name] - by[name]) <= 6 * change["error"] + 1e-7
            assert change["error"] < 1e-5
    if "unit_map" in by:
        assert explained["unit_map"] == by["unit_map"]
    if "numbers" in by:
        assert explained["numbers_changed"] == len(by["numbers"])
        for number, (array, gate, unit, column, size) in zip(explained["numbers"], by["numbers"], strict=True):
            assert (number["array"], number["gate"], number["unit"], number.get("column")) == (
                array,
                gate,
                unit,
                column,
            )
            assert abs(number["used"] - number["given"] - size) <= 6 * number["error"] + 1e-7
            assert number["error"] < 1e-4


@pytest.mark.parametrize("names", [("y",), ()], ids=["y", "all"])
@pytest.mark.parametrize("planted", PLANTED)
def test_planted_errors_are_located(planted: str, names: tuple[str, ...]) -> None:
    change, units, by = PLANTED[planted]
    case = case_of(data={"ragged": True}, batch=4)
    found = location(observed(changed(case, change), *names), case)
    assert (found["layer"], found["direction"], found["rows"]) == (0, 0, [0, 1, 2, 3])
    assert "unobserved" not in found
    assert_located(found, units, by)


@pytest.mark.parametrize("other", [name for name in PLANTED if name != "one gate"])
def test_the_check_sees_another_location(other: str) -> None:
    case = case_of(batch=4)
    found = location(observed(changed(case, PLANTED["one gate"][0])), case)
    _, units, by = PLANTED[other]
    with pytest.raises(AssertionError):
        assert_located(found, units, by)


def test_a_number_of_another_size_is_seen() -> None:
    case = case_of()
    change, units, by = PLANTED["one number of U"]
    found = location(observed(changed(case, change)), case)
    with pytest.raises(AssertionError):
        assert_located(found, units, {**by, "numbers": [("U", "o", 2, 4, 0.1001)]})


def test_the_wrong_layer_and_direction_are_named_and_the_first_in_its_own_order() -> None:
    case = case_of(num_layers=2, bidirectional=True, steps=12)
    found = location(observed(changed(case, add("U", (1, 2, 4), 0.1), 1, 1)), case)
    assert (found["layer"], found["direction"], found["units"]) == (1, 1, [2])
    assert found["step"] >= 10  # backward in time
    assert_located(found, [2], {"gates": ["f"], "array": "U", "numbers": [("U", "f", 2, 4, 0.1)]})


def test_peepholes_and_coupling_are_part_of_the_cell() -> None:
    for spec in ({"peepholes": True}, {"coupling": "f=1-i"}, {"cell_clip": 0.5, "gate_clip": 2.0}):
        case = case_of(**spec)
        found = location(observed(changed(case, add("U", (2, 2, 4), 0.1))), case)
        assert_located(found, [2], {"gates": ["g"], "array": "U", "numbers": [("U", "g", 2, 4, 0.1)]})


def test_both_directions_wrong() -> None:
    case = case_of(bidirectional=True)
    wrong = changed(changed(case, add("b", (0, 1), 0.2)), add("b", (0, 1), 0.2), 0, 1)
    found = location(observed(wrong), case)
    assert (found["direction"], found["other_directions"]) == (0, [1])
    assert "direction 1 of this layer is wrong too" in describe_location(found, case)


def test_unobserved_layers_are_not_called_right() -> None:
    case = case_of(num_layers=2)
    found = location(observed(changed(case, add("U", (1, 2, 4), 0.1)), "y"), case)
    assert found["unobserved"] == [0]
    assert "units" not in found
    assert "layer 0 were not observed: the error may be there" in describe_location(found, case)


def test_final_states_tell_of_an_unobserved_layer() -> None:
    case = case_of(num_layers=2)
    found = location(observed(changed(case, add("U", (1, 2, 4), 0.1)), "h_n", "c_n"), case)
    assert (found["layer"], found["direction"], found["unobserved"]) == (0, 0, [0, 1])


def test_too_few_outputs_say_how_many_are_needed() -> None:
    case = case_of(steps=4, batch=2)
    found = location(observed(changed(case, times("W", ..., 1.1)), "y"), case)
    assert (found["equations"], found["equations_needed"]) == (8, 4 + 6 + 1 + 5)
    assert "explained_by" not in found
    assert "a unit has 8 outputs (steps times rows); give 16" in describe_location(found, case)
    enough = case_of(steps=12, batch=2)
    assert_located(
        location(observed(changed(enough, times("W", 1, 1.1)), "y"), enough),
        [0, 1, 2, 3, 4, 5],
        {"gates": ["f"], "array": "W", "factor": 1.1},
    )


def test_outputs_that_a_gate_does_not_reach_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without c0, gate f acts on the second step alone: its 10 numbers explain 8 outputs whatever they are."""
    case = case_of(steps=2, batch=8, hidden_size=5, data={"states": False})
    outputs = observed(changed(case, times("W", 1, 2.0)), "y")
    assert "explained_by" not in location(outputs, case)
    monkeypatch.setattr(hypothesis, "SPARE", -99)
    assert "explained_by" in location(outputs, case)


def test_a_weak_unit_is_not_counted_to_the_gate_of_a_strong_one() -> None:
    case = case_of(steps=4, batch=8, hidden_size=12, input_size=8)
    for size in (6e-6, 1.2e-5, 1e-2):
        wrong = changed(case, both(add("b", (0, 5), size), times("U", (2, 1), 1.3), times("W", (2, 1), 0.8)))
        found = location(observed(wrong, "y"), case)
        assert found["units"] == [1, 5]
        by = found["explained_by"]
        assert (by["gates"], by["units"]) in ((["g"], [1]), (["i"], [5]))


@pytest.mark.parametrize("spec", [{}, {"peepholes": True}, {"proj_size": 3}], ids=str)
@pytest.mark.parametrize("gate", GATES)
def test_c_n_tells_gate_o_from_the_others(gate: str, spec: dict[str, Any]) -> None:
    case = case_of(steps=2, batch=2, **spec)
    found = location(observed(changed(case, add("b", GATES.index(gate), 0.2))), case)
    assert found["gates_by_c_n"] == (["o"] if gate == "o" else ["i", "f", "g"])


def test_without_c_n_nothing_is_told_by_it() -> None:
    case = case_of(steps=2, batch=2)
    assert "gates_by_c_n" not in location(observed(changed(case, add("b", 3, 0.2)), "y"), case)


def test_initial_states_of_one_row_are_located() -> None:
    case = case_of(batch=4, init="normal")
    c0 = np.array(case.c0)
    c0[0, 2] *= np.float32(0.9)
    found = location(observed(replace(case, c0=c0)), case)
    assert found["rows"] == [2]
    assert found["explained_by"] == {"array": "c0", "rows": [2]}


def test_wrong_padding_alone_is_located() -> None:
    case = case_of(batch=4, data={"ragged": True})
    outputs = observed(case)
    outputs["y"] = np.where(case.valid[..., None], outputs["y"], np.float32(0.5))
    found = location(outputs, case)
    assert found == {"layer": 0, "direction": 0, "padding": True}


def test_what_no_weights_explain_is_not_blamed_on_them() -> None:
    case = case_of(steps=20, batch=8)
    outputs = observed(case)
    rng = np.random.default_rng(1)
    outputs["y"] = outputs["y"] + (1e-3 * rng.standard_normal(outputs["y"].shape)).astype(np.float32)
    assert "explained_by" not in location(outputs, case)


def _foreign(rng: np.random.Generator, case: Case) -> tuple[Case, str, set[tuple[int, int]]]:
    """A case with one array changed somehow; the array, and the (gate, unit) that changed."""
    arrays = dict(case.weights.cell(0, 0).items())
    name = str(rng.choice(["W", "U", "b"]))
    array = np.array(arrays[name])
    gate, unit, size = int(rng.integers(4)), int(rng.integers(array.shape[1])), np.float32(10.0 ** rng.uniform(-4, 0))
    what = int(rng.integers(5))
    if what == 0:
        array[(gate, unit, *(int(rng.integers(n)) for n in array.shape[2:]))] += size
    elif what == 1:
        array[gate, unit] *= 1 + size
    elif what == 2:
        array[gate] *= 1 + size
    elif what == 3:
        array *= 1 + size
    else:
        array = np.take(array, rng.permutation(array.shape[1]), 1)
    places = {(int(p[0]), int(p[1])) for p in np.argwhere(array != np.asarray(arrays[name]))}
    return changed(case, lambda own: own.update({name: array})), name, places


def test_every_statement_about_random_errors_is_true() -> None:
    stated = 0
    for seed in range(60):
        rng = np.random.default_rng([9, seed])
        hidden, steps, batch = int(rng.integers(1, 13)), int(rng.integers(1, 25)), int(rng.integers(1, 6))
        case = case_of(steps, batch, str(rng.choice(["torch", "probe", "normal"])), hidden_size=hidden)
        wrong, name, places = _foreign(rng, case)
        discrepancy = Discrepancy.of(observed(wrong, "y"), case, profile_named("float32"))
        if not discrepancy.wrong:
            continue
        found = locate(discrepancy)
        assert {*found["units"]} <= {unit for _, unit in places}
        if "explained_by" in found:
            stated += 1
            by = found["explained_by"]
            assert by.get("array", name) == name
            assert {GATES[gate] for gate, unit in places if unit in by["units"]} <= set(by["gates"])
    assert stated >= 15


def test_a_diagnosis_carries_the_location_and_says_it() -> None:
    case = case_of()
    found = diagnose(result_from(observed(changed(case, PLANTED["one number of U"][0]))), case, pairs=False)
    assert found.cause is None
    assert found.location["explained_by"]["numbers_changed"] == 1
    assert "Wrong there: unit 2 (of 6), in every row." in found.explanation
    assert "c_n is right, but the last h is not o tanh(c_n)" in found.explanation
    assert "One number alone explains all that can be seen: U of gate o, unit 2, column 4 is " in found.explanation
    json.dumps(found.to_dict())


def test_nothing_wrong_has_no_location() -> None:
    case = case_of()
    found: Diagnosis = diagnose(result_from(observed(case)), case)
    assert found.location == {}


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("spec", [{}, {"bidirectional": True}, {"num_layers": 2}], ids=str)
def test_wrong_outputs_of_right_states_name_no_gate(spec: dict[str, Any], ragged: bool) -> None:
    case = Case.random(LSTMSpec(3, 4, **spec), steps=6, batch=3, ragged=ragged)
    right = forward(case)
    assert right.y is not None and right.h_n is not None and right.c_n is not None
    wrong = {name: getattr(right, name).astype(np.float32) for name in ("y", "h_n", "c_n")}
    row = int(np.argmax(case.valid.sum(axis=1)))  # of full length
    wrong["y"][row, 4, 1] += 1e-3
    found = diagnose(Result(**wrong), case)
    assert found.cause is None
    place = {"layer": case.spec.num_layers - 1, "direction": 0, "step": 4, "rows": [row], "units": [1]}
    assert found.location == {**place, "outputs_alone": True}
    assert "so every state was right: y alone is wrong, in unit 1 (of 4)" in found.explanation
    assert "gate" not in found.explanation
    wrong["c_n"][0, row, 1] += 1e-3  # now a state is wrong as well
    assert "outputs_alone" not in diagnose(Result(**wrong), case).location


def test_a_state_error_that_fades_is_not_taken_for_right_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """h_n and c_n are right again after 37 steps, yet the state of step 3 was wrong."""
    case = Case.random(LSTMSpec(3, 4), steps=40, batch=2, init="torch")
    start = {"weights": case.weights, "precision": case.precision}
    before = forward(Case(x=case.x[:, :3], h0=case.h0, c0=case.c0, **start))
    assert before.y is not None and before.h_n is not None and before.c_n is not None
    after = forward(Case(x=case.x[:, 3:], h0=before.h_n, c0=before.c_n + 0.01, **start))
    assert after.y is not None and after.h_n is not None and after.c_n is not None
    y = np.concatenate([before.y, after.y], axis=1)
    wrong = {"y": y, "h_n": after.h_n, "c_n": after.c_n}
    result = Result(**{name: array.astype(np.float32) for name, array in wrong.items()})
    found = diagnose(result, case, pairs=False)
    assert "state was right" not in found.explanation
    assert (found.location["step"], found.evidence["first"]["step"]) == (3, 3)
    module = importlib.import_module("lstm_xcheck.diagnose.locate.locate")
    monkeypatch.setattr(module, "_are_states_right", lambda *_: True)
    assert "so every state was right" in diagnose(result, case, pairs=False).explanation


def test_the_first_step_of_a_backward_direction_is_its_last_in_time() -> None:
    case = Case.random(LSTMSpec(3, 4, bidirectional=True), steps=8, batch=2, init="torch", seed=1)
    y = np.array(forward(case).y, np.float32)
    y[1, 5, 6] += 1e-2
    found = diagnose(Result(y=y), case, pairs=False)
    assert found.evidence["first"] == {"layer": 0, "direction": 1, "step": 5, "batch": 1, "unit": 2}
    assert "layer 0, direction 1, step 5" in found.explanation
    assert found.location["step"] == 5


def test_outputs_that_were_not_given_are_not_called_right() -> None:
    case = Case.random(LSTMSpec(3, 4), steps=2, batch=2, init="torch")
    c_n = np.array(forward(case).c_n, np.float32)
    found = diagnose(Result(c_n=c_n + np.float32(0.01)), case, pairs=False)
    assert "Outputs of the steps were not given; wrong: c_n." in found.explanation
