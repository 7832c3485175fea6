"""What the charts of a diagnosis are drawn from: error and bound by step, and what each gate would need."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.compare.reference import observed_quantities
from lstm_xcheck.diagnose import diagnose
from lstm_xcheck.diagnose.discrepancy import Discrepancy
from lstm_xcheck.diagnose.locate import step_profile
from lstm_xcheck.diagnose.observations import finite_part
from lstm_xcheck.model import GATES, Case, LSTMSpec, Result
from lstm_xcheck.oracle import forward, profile_named

from .test_locator import add, changed

SMALL = 1e-4


def case_of(steps: int = 6, **options: Any) -> Case:
    """Without initial states, so that gate f does nothing at the first step."""
    spec = LSTMSpec(input_size=3, hidden_size=4, **options)
    return Case.random(spec, steps=steps, batch=3, seed=1, states=False, precision="float64")


def profile_of(result: Result, case: Case) -> dict[str, Any]:
    observed = finite_part(observed_quantities(result))
    found = step_profile(Discrepancy.of(observed, case, profile_named("float64")))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both ways"])
def test_a_bias_that_is_off_is_found_at_every_step(gate: str, bidirectional: bool) -> None:
    case = case_of(bidirectional=bidirectional)
    direction = int(bidirectional)  # the backward cell, where there is one
    wrong = changed(case, add("b", (GATES.index(gate),), SMALL), 0, direction)
    found = profile_of(forward(wrong), case)["gates"]
    first = 5 if bidirectional else 0
    # c is 0 at the first step: a wrong f does not show there, and explains nothing.
    assert found["f"].pop(first) == (0.0 if gate == "f" else None)
    assert found[gate] == pytest.approx([SMALL] * len(found[gate]), rel=0.01)
    for other in set(GATES) - {gate}:
        sizes = [need for need in found[other] if need]
        assert max(sizes) > 1.5 * min(sizes)


def test_error_and_bound_are_those_of_the_worst_number_of_each_step() -> None:
    case = case_of()
    right = forward(case)
    assert right.y is not None
    y = right.y.copy()
    y[2, 3, 1] += 0.25
    found = profile_of(Result(y=y), case)
    assert (found["quantity"], found["worst"], found["steps"]) == ("y", [2, 3, 1], list(range(6)))
    assert found["error"][3] == pytest.approx(0.25, rel=0.01)
    assert [error > bound for error, bound in zip(found["error"], found["bound"], strict=True)][:4] == [
        *[False] * 3,
        True,
    ]
    assert all(needs[:3] == [0.0] * 3 for needs in found["gates"].values())


def test_a_long_sequence_keeps_its_worst_steps() -> None:
    case = case_of(steps=200)
    right = forward(case)
    assert right.y is not None
    y = right.y.copy()
    y[0, 117] += 0.5
    found = profile_of(Result(y=y), case)
    assert len(found["steps"]) == len(found["error"]) == len(found["bound"]) == len(found["gates"]["o"]) == 64
    assert 117 in found["steps"]
    assert found["steps"] == sorted(found["steps"])


def test_what_is_unknown_is_left_out() -> None:
    projected = case_of(proj_size=2)
    assert profile_of(forward(changed(projected, add("b", (3,), SMALL))), projected)["gates"] == {}
    case = case_of()
    right = forward(case)
    assert right.c_n is not None
    assert profile_of(Result(h_n=right.h_n, c_n=right.c_n + 0.5), case) == {}
    stacked = case_of(num_layers=2)
    wrong = forward(changed(stacked, add("b", (3,), SMALL)))
    assert profile_of(Result(y=wrong.y), stacked)["gates"] == {}
    assert profile_of(wrong, stacked)["quantity"] == "layer0.y"


def test_a_number_that_is_not_finite_is_null() -> None:
    case = case_of()
    right = forward(case)
    assert right.y is not None
    y = np.array(right.y)
    y[1, 2, 0] = np.inf
    y[0, 0, 0] += 0.5
    assert profile_of(Result(y=y), case)["error"][0] == pytest.approx(0.5, rel=0.01)


def test_a_diagnosis_has_the_profile_where_outputs_are_wrong() -> None:
    case = case_of()
    wrong = forward(changed(case, add("b", (1,), 1.0)))
    assert diagnose(wrong, case).profile == profile_of(wrong, case)
    assert diagnose(forward(case), case).profile == {}
