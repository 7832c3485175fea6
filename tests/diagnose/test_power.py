"""The detection power of a case is what is really caught."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lstm_xcheck.compare import judge
from lstm_xcheck.compare.reference import observed_quantities
from lstm_xcheck.diagnose import CATALOGUE
from lstm_xcheck.diagnose.detection_power import is_small, power
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
