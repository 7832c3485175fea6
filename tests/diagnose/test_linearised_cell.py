"""The slopes of a teacher-forced cell against differences of the oracle, for every option of a spec."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.arrays import Array
from lstm_xcheck.compare.reference import usable_outputs
from lstm_xcheck.diagnose.linearised_cell import DrivenCell, LinearisedCell, in_processing_order, linearise
from lstm_xcheck.model import Case, CellWeights, LSTMSpec, LSTMWeights
from lstm_xcheck.oracle import forward, profile_named, teacher_force

#: A difference of this size leaves errors of 1e-10; slopes are of order 1e-3 to 1.
STEP, CLOSE = 1e-5, 1e-8
SPECS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no-bias": {"bias": "none"},
    "stack": {"num_layers": 2, "bidirectional": True},
    "reverse": {"reverse": True},
    "f=1-i": {"coupling": "f=1-i", "peepholes": True},
    "i=1-f": {"coupling": "i=1-f"},
    "peepholes": {"peepholes": True},
    "projection": {"proj_size": 3, "proj_clip": 0.2, "peepholes": True},
    "clips": {"gate_clip": 0.8, "cell_clip": 0.9, "peepholes": True},
    "other-activations": {
        "gate_activation": "hard_sigmoid:0.2,0.5",
        "cell_activation": "softsign",
        "output_activation": "relu",
    },
}
DATA: dict[str, dict[str, Any]] = {"full": {}, "ragged": {"ragged": True}}


def _case(spec: dict[str, Any], data: dict[str, Any]) -> Case:
    sizes = {"input_size": 3, "hidden_size": 5, **spec}
    return Case.random(LSTMSpec(**sizes), steps=6, batch=3, seed=4, precision="float64", init="normal", **data)


def _changed(case: Case, index: tuple[int, int], name: str, place: tuple[int, ...], by: float) -> Case:
    rows = [list(row) for row in case.weights.layers]
    arrays: dict[str, Any] = {key: np.array(array) for key, array in rows[index[0]][index[1]].items()}
    arrays[name][place] += by
    rows[index[0]][index[1]] = CellWeights(**arrays)
    return replace(case, weights=LSTMWeights(case.spec, tuple(map(tuple, rows)), "float64"))


def assert_slopes(
    cell: LinearisedCell, driven: DrivenCell, case: Case, index: tuple[int, int], x: Array, y: Array
) -> None:
    """The answer to each of some weights is what the oracle gives."""
    layer, direction = index
    width, hidden = case.weights.layers[layer][direction].W.shape[2], case.spec.hidden_size
    weights = [("W", (g, g, 1), 1) for g in range(4)] + [("U", (g, g + 1, 2), width + 2) for g in range(4)]
    weights += [] if case.spec.bias == "none" else [("b", (g, 2), driven.inputs.shape[-1] - 1) for g in range(4)]
    for name, place, column in weights:
        ends = [
            teacher_force(_changed(case, index, name, place, by), layer, direction, x, y, profile_named("float64"))
            for by in (STEP, -STEP)
        ]
        dz = np.zeros((*driven.valid.shape, 4, hidden, 1))
        dz[:, :, place[0], place[1], 0] = driven.inputs[..., column]
        dh, dc = cell.respond(dz)
        expected = in_processing_order((ends[0].y - ends[1].y) / (2 * STEP), driven.backward)
        np.testing.assert_allclose(cell.project(dh)[..., 0], expected, rtol=0, atol=CLOSE)
        np.testing.assert_allclose(dc[-1, ..., 0], (ends[0].c - ends[1].c) / (2 * STEP), rtol=0, atol=CLOSE)


def _cell(spec: dict[str, Any], data: dict[str, Any]) -> tuple[Any, ...]:
    case = _case(spec, data)
    result = forward(case)
    outputs = usable_outputs(result, case)
    index = (case.spec.num_layers - 1, case.spec.num_directions - 1)
    driven = DrivenCell.of(case, outputs, index)
    assert driven is not None
    size = case.spec.output_size
    x = case.x if index[0] == 0 else outputs[index[0] - 1]
    return driven, case, index, x, outputs[index[0]][..., index[1] * size : (index[1] + 1) * size]


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("spec", SPECS)
def test_slopes_are_differences_of_the_oracle(spec: str, data: str) -> None:
    driven, *rest = _cell(SPECS[spec], DATA[data])
    cell = linearise(driven)
    assert_slopes(cell, driven, *rest)
    np.testing.assert_allclose(cell.y, driven.y, rtol=0, atol=1e-12)


def test_the_clips_act_and_do_not_act_in_these_cases() -> None:
    for name, slopes in (("clips", "c_by_i"), ("clips", "carry"), ("projection", "y_by_r")):
        found = getattr(linearise(_cell(SPECS[name], {})[0]), slopes)
        assert (found == 0).any(), name
        assert (found != 0).any(), name


def test_other_pre_activations_run_side_by_side() -> None:
    driven = _cell(SPECS["peepholes"], DATA["ragged"])[0]
    z = np.stack([driven.z, driven.z + 0.1], axis=1)
    both, second = linearise(driven, z), linearise(driven, driven.z + 0.1)
    for name, array in vars(second).items():
        if array is not None:
            np.testing.assert_array_equal(getattr(both, name)[:, 1], array)


def test_what_was_not_observed_is_not_linearised() -> None:
    case = _case(SPECS["stack"], {})
    outputs = usable_outputs(forward(case), case)
    assert DrivenCell.of(case, {1: outputs[1]}, (1, 0)) is None
    partly = np.array(outputs[0])
    partly[0, 0, 0] = np.nan
    assert DrivenCell.of(case, {0: partly}, (0, 0)) is None


@pytest.mark.parametrize("name", ["carry", "c_by_i", "c_by_f", "c_by_g", "h_by_c", "h_by_o", "y_by_r"])
def test_a_wrong_slope_is_seen(name: str) -> None:
    driven, *rest = _cell(SPECS["projection"], {})
    cell = linearise(driven)
    wrong = replace(cell, **{name: getattr(cell, name) * 1.0001 + 1e-5})
    with pytest.raises(AssertionError):
        assert_slopes(wrong, driven, *rest)
