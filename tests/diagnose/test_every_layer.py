"""The same mistake in every layer of a stack is named, with and without the lower layers' outputs."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_xcheck.compare import judge
from lstm_xcheck.compare.reference import references
from lstm_xcheck.diagnose import Mistake, diagnose
from lstm_xcheck.diagnose.catalogue import BETWEEN
from lstm_xcheck.diagnose.mistake import Outputs, changed_case, result_from, run_mistakes
from lstm_xcheck.model import Case, LSTMSpec
from lstm_xcheck.oracle import forward, profile_named

CASES = {
    "stack": Case.random(LSTMSpec(input_size=4, hidden_size=5, num_layers=2), steps=4, batch=4, seed=2),
    "bidirectional": Case.random(
        LSTMSpec(input_size=4, hidden_size=5, num_layers=3, bidirectional=True), steps=5, batch=3, seed=2
    ),
    "ragged": Case.random(
        LSTMSpec(input_size=4, hidden_size=3, num_layers=2, bidirectional=True), steps=6, batch=3, seed=2, ragged=True
    ),
}
PLANTED = [
    pytest.param(name, mistake, id=f"{mistake.id}-{name}")
    for name, case in CASES.items()
    for mistake in BETWEEN
    if changed_case((mistake,), case) is not None
]


def planted(mistake: Mistake, case: Case) -> Outputs:
    """Float32 outputs of a stack that does this between its layers."""
    outputs = run_mistakes((mistake,), case)
    assert outputs is not None
    return {name: array.astype(np.float32) for name, array in outputs.items() if name != "last"}


@pytest.mark.parametrize(("name", "mistake"), PLANTED)
@pytest.mark.parametrize("lower", [True, False], ids=["lower-observed", "top-only"])
def test_it_is_named(name: str, mistake: Mistake, lower: bool) -> None:
    case, outputs = CASES[name], planted(mistake, CASES[name])
    if not lower:
        outputs = {key: array for key, array in outputs.items() if not key.startswith("layer")}
    assert judge(result_from(outputs), case).verdict == "mismatch"
    found = diagnose(result_from(outputs), case)
    same = [tuple(other["mistakes"]) for other in found.alternatives if other["same_on_this_case"]]
    assert (mistake.id,) in [found.mistakes, *same], found.explanation


def test_every_row_applies_somewhere() -> None:
    assert {mistake.id for mistake in BETWEEN} == {param.values[1].id for param in PLANTED}


def test_a_map_drives_cells_by_what_was_there_before_it() -> None:
    mistake, case = BETWEEN[0], CASES["bidirectional"]
    outputs = run_mistakes((mistake,), case)
    assert outputs is not None
    layers = {0: outputs["layer0.y"], 1: outputs["layer1.y"], 2: outputs["y"]}
    right = references(case, layers, profile_named("float64"), mistake.between)
    wrong = references(case, layers, profile_named("float64"))
    for name in ("layer0.y", "layer1.y", "y", "h_n"):
        assert (np.abs(outputs[name] - right[name].value) <= right[name].bound).all()
        assert (np.abs(outputs[name] - wrong[name].value) > wrong[name].bound).any()


def test_the_honest_stack_has_nothing_between_its_layers() -> None:
    case = CASES["bidirectional"]
    assert diagnose(forward(case), case).explanation.startswith("Nothing is wrong")
