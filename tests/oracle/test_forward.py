"""The float64 oracle against fifty-digit arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_xcheck.model import Case, LSTMSpec, Result
from lstm_xcheck.oracle import PROFILES, TeacherForced, forward, teacher_force

from .specs import NAMES, case_named

pytest.importorskip("mpmath")

from .exact import exact_forward

#: Gates are at most 1, so the error of one step is a few units of 2^-53; small cases keep |z| below 8 and forget older
#: errors. 2e-15 is 18 units. With relu or without a clip, numbers and units grow.
LIMIT = 2e-15


def assert_within(actual: np.ndarray, expected: np.ndarray, limit: float, what: str) -> None:
    assert actual.shape == expected.shape, f"{what} has shape {actual.shape}, but should be {expected.shape}"
    allowed = limit * max(1.0, float(np.abs(expected).max()))
    error = float(np.abs(actual - expected).max())
    assert error <= allowed, f"{what} is off by {error}, but should be within {allowed}"


@pytest.mark.parametrize("name", NAMES)
def test_forward_is_exact_to_float64(name: str) -> None:
    case = case_named(name)
    exact, computed = exact_forward(case), forward(case)
    for quantity in ("y", "h_n", "c_n"):
        assert_within(getattr(computed, quantity), getattr(exact, quantity), LIMIT, quantity)


@pytest.mark.parametrize("init", ["saturated", "longmem", "tiny", "outliers"])
def test_forward_is_exact_in_extreme_regimes(init: str) -> None:
    case = case_named("bidirectional-lengths", init=init)
    exact, computed = exact_forward(case), forward(case)
    for quantity in ("y", "h_n", "c_n"):
        assert_within(getattr(computed, quantity), getattr(exact, quantity), LIMIT, quantity)


def teacher_force_all(case: Case, result: Result, profile: str = "float32") -> list[tuple[str, TeacherForced]]:
    """Teacher forcing of every layer and direction; all outputs must be observed."""
    assert result.y is not None
    outputs = [*result.layer_outputs, result.y]
    width, forced = case.spec.output_size, []
    for layer, y in enumerate(outputs):
        x = case.x if layer == 0 else outputs[layer - 1]
        for direction in range(case.spec.num_directions):
            half = y[..., direction * width : (direction + 1) * width]
            forced.append(
                (
                    f"layer {layer}, direction {direction}",
                    teacher_force(case, layer, direction, x, half, PROFILES[profile]),
                )
            )
    return forced


@pytest.mark.parametrize("name", NAMES)
def test_teacher_forcing_on_its_outputs_gives_the_same(name: str) -> None:
    case = case_named(name)
    free = forward(case)
    assert free.y is not None
    assert free.h_n is not None
    assert free.c_n is not None
    outputs, width = [*free.layer_outputs, free.y], case.spec.output_size
    for row, (where, forced) in enumerate(teacher_force_all(case, free)):
        layer, direction = divmod(row, case.spec.num_directions)
        half = outputs[layer][..., direction * width : (direction + 1) * width]
        assert_within(forced.y, half, LIMIT, f"y of {where}")
        assert_within(forced.h, free.h_n[row], LIMIT, f"h of {where}")
        assert_within(forced.c, free.c_n[row], LIMIT, f"c of {where}")


@pytest.mark.parametrize(
    "name", ["plain", "bidirectional-lengths", "peepholes-stack-bidirectional-holes", "projection"]
)
def test_without_observed_outputs_teacher_forcing_gives_the_same(name: str) -> None:
    """Each layer reads the oracle's outputs of the layer below."""
    case = case_named(name)
    truth = forward(case)
    assert truth.y is not None
    x = np.asarray(case.x, np.float64)
    for layer in range(case.spec.num_layers):
        halves = [teacher_force(case, layer, d, x, None, PROFILES["float32"]) for d in range(case.spec.num_directions)]
        x = np.concatenate([half.y for half in halves], axis=-1)
    assert_within(x, truth.y, LIMIT, "y")


def test_padding_and_rows_without_a_valid_step() -> None:
    case = case_named("bidirectional-holes")
    result = forward(case)
    assert result.y is not None
    assert result.h_n is not None
    assert case.h0 is not None
    assert (result.y[~case.valid] == 0.0).all()
    assert (result.h_n[:, -1] == case.h0[:, -1]).all()  # its last row has no valid step: states do not change


def test_last_is_the_output_that_each_direction_processed_last() -> None:
    spec = LSTMSpec(input_size=3, hidden_size=4, bidirectional=True)
    result = forward(Case.random(spec, steps=6, batch=2, seed=4))
    assert result.y is not None
    expected = np.concatenate([result.y[:, -1, :4], result.y[:, 0, 4:]], axis=-1)
    np.testing.assert_array_equal(result.last, expected)


def test_the_observer_gets_every_step_in_processing_order() -> None:
    spec = LSTMSpec(input_size=3, hidden_size=4, num_layers=2, bidirectional=True)
    calls: list[tuple[int, int, int]] = []
    forward(Case.random(spec, steps=3, batch=1), lambda layer, direction, t, _: calls.append((layer, direction, t)))
    one_layer = [(0, 0), (0, 1), (0, 2), (1, 2), (1, 1), (1, 0)]
    assert calls == [(layer, *rest) for layer in (0, 1) for rest in one_layer]
