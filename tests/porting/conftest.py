"""Specs and weights that every format is asked to keep."""

from __future__ import annotations

import pytest

from lstm_xcheck import LSTMSpec, LSTMWeights

SPECS = {
    "one": LSTMSpec(input_size=3, hidden_size=4),
    "single-bias": LSTMSpec(input_size=3, hidden_size=4, bias="single"),
    "no-bias": LSTMSpec(input_size=3, hidden_size=4, bias="none"),
    "bidirectional": LSTMSpec(input_size=3, hidden_size=4, bidirectional=True),
    "stack": LSTMSpec(input_size=5, hidden_size=3, num_layers=2, bidirectional=True, bias="single"),
}


@pytest.fixture(params=SPECS.values(), ids=SPECS.keys())
def spec(request: pytest.FixtureRequest) -> LSTMSpec:
    chosen: LSTMSpec = request.param
    return chosen


@pytest.fixture
def weights(spec: LSTMSpec) -> LSTMWeights:
    return LSTMWeights.random(spec, seed=3)
