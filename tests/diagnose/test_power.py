"""The detection power of a case is what is really caught."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lstm_xcheck.compare import judge
from lstm_xcheck.compare.reference import observed_quantities
from lstm_xcheck.diagnose import CATALOGUE, first_effects
from lstm_xcheck.diagnose.catalogue import mistake_named
from lstm_xcheck.diagnose.detection_power import is_small, plants, power
from lstm_xcheck.diagnose.mistake import result_from
from lstm_xcheck.model import Case, LSTMSpec, LSTMWeights

from .cases import CASES, float32_lstm


@pytest.mark.parametrize("name", ["plain", "ragged", "bidirectional", "peepholes", "coupled"])
def test_what_is_predicted_is_caught_in_float32(name: str) -> None:
    case = CASES[name]
    statement = power(case)
    caught = set(statement.caught)
    for k, mistake in enumerate(m for m in CATALOGUE if m.id in caught):
        changed = mistake.change_case(case)
        assert changed is not None
        orders = float32_lstm.ORDERS
        outputs = observed_quantities(float32_lstm.run(changed, orders[k % len(orders)]))
        outputs = outputs if mistake.outputs is None else mistake.outputs(outputs, case)
        assert outputs is not None
        assert judge(result_from(outputs), case).verdict == "mismatch", mistake.id
    assert len(caught) > 150


@pytest.mark.parametrize("name", CASES)
def test_every_entry_is_accounted_for(name: str) -> None:
    statement = power(CASES[name])
    listed = [*statement.caught, *statement.blind, *statement.uncertain]
    assert len(set(listed)) == len(listed)
    assert len(listed) + statement.not_applicable == len(CATALOGUE)
    assert len(statement.caught) > 0.8 * len(listed)
    assert statement.sentence.startswith(f"would have caught {len(statement.caught)} of {len(listed)} mistakes")


def keras_like(**changes: object) -> Case:
    return Case.random(LSTMSpec(input_size=3, hidden_size=6, **changes), init="keras", states=False)  # type: ignore[arg-type]


def test_weights_as_frameworks_draw_them_are_blind_to_much() -> None:
    blind = power(keras_like()).blind
    assert blind["bias-hh-dropped"] == "b_r = 0"
    assert blind["cell-clip-10"] == "nothing is that large here"
    assert "h0-ignored" not in blind, "without initial states there is nothing to ignore"


def test_small_effects_are_blamed_on_rounding_or_counted_in_bounds() -> None:
    statement = power(Case.random(LSTMSpec(input_size=3, hidden_size=4), init="tiny", seed=1))
    assert statement.blind["weights-6-digits"] == "the rounding is lost in that of the computation"


def test_zero_states_are_given_as_the_reason() -> None:
    case = CASES["plain"]
    still = replace(case, h0=np.zeros_like(case.h0), c0=np.zeros_like(case.c0), id="still")
    blind = power(still).blind
    assert {"h0-ignored", "states-ignored", "h0-c0-exchanged"} <= set(blind)
    assert blind["h0-ignored"] in {"the initial states are 0", "it makes no difference here"}
    assert "blind here to" in power(still).sentence


def test_a_statement_is_plain_data() -> None:
    data = power(CASES["plain"]).to_dict()
    assert data["case"] == "plain"
    lists = {"caught", "blind", "uncertain", "observed"}
    assert set(data) == {"case", "precision", "not_applicable", "sentence", *lists}


def test_large_cases_are_known_as_such() -> None:
    assert is_small(CASES["plain"])
    spec = LSTMSpec(input_size=256, hidden_size=256)
    assert not is_small(Case(weights=LSTMWeights.random(spec, init="torch"), x=np.ones((4, 20, 256))))


SQUARE = {"w-transposed", "w-u-exchanged"}


@pytest.mark.parametrize(
    ("sizes", "cells"),
    [
        ({"input_size": 4, "bidirectional": True}, [(0, 0), (0, 1)]),
        ({"input_size": 3}, [(1, 0)]),
        ({"input_size": 4}, []),  # planted in all cells at once
    ],
    ids=["square below", "square above", "square everywhere"],
)
def test_power_speaks_of_the_cells_that_can_have_a_mistake(sizes: dict[str, int], cells: list[tuple[int, int]]) -> None:
    case = Case.random(LSTMSpec(hidden_size=4, num_layers=2, **sizes), steps=4)
    statement = power(case)
    assert set(statement.caught) >= SQUARE
    for id in SQUARE:
        planted = plants(mistake_named(id), case.weights)
        assert [place for mistake in planted for place in mistake.cells] == cells


def test_power_leaves_out_what_no_cell_can_have() -> None:
    statement = power(Case.random(LSTMSpec(input_size=3, hidden_size=4, num_layers=2, bidirectional=True), steps=4))
    assert not SQUARE & {*statement.caught, *statement.blind, *statement.uncertain}


@pytest.fixture
def symmetric_backward() -> Case:
    """The first direction shows a transposed W; the other, whose matrices are symmetric, does not."""
    case = Case.random(LSTMSpec(input_size=4, hidden_size=4, num_layers=2, bidirectional=True), steps=4)
    forward, backward = case.weights.layers[0]
    symmetric = np.asarray(backward.W) + np.swapaxes(np.asarray(backward.W), 1, 2)
    layers = ((forward, replace(backward, W=symmetric)), case.weights.layers[1])
    return replace(case, weights=LSTMWeights(case.spec, layers, "float32"), id="symmetric")


def test_a_mistake_that_one_cell_hides_is_not_claimed(symmetric_backward: Case) -> None:
    statement = power(symmetric_backward)
    assert "w-transposed" not in statement.caught
    assert statement.blind["w-transposed"] == "it makes no difference here"


def test_looking_at_the_first_cell_alone_would_claim_it(
    symmetric_backward: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_effects, "_fits_every_cell", lambda mistake, case: True)
    assert "w-transposed" in power(symmetric_backward).caught
