"""Errors that return to the cell state through a peephole are correlated."""

from __future__ import annotations

import pytest

from lstm_xcheck.compare import judge
from lstm_xcheck.model import Case, LSTMSpec

from .emulate import emulate


@pytest.mark.parametrize("order", ["sequential", "tanh-sigmoid"])
@pytest.mark.parametrize(
    ("init", "coupling", "seed"),
    [("normal", None, 0), ("normal", "i=1-f", 2), ("longmem", "f=1-i", 1), ("chaotic", "f=1-i", 0)],
    ids=["plain", "coupled-i", "coupled-f-long-memory", "coupled-f-chaotic"],
)
def test_an_honest_peephole_lstm_is_not_suspect(init: str, coupling: str | None, seed: int, order: str) -> None:
    spec = LSTMSpec(input_size=6, hidden_size=8, peepholes=True, coupling=coupling, bias="single")  # type: ignore[arg-type]
    case = Case.random(spec, steps=60, batch=4, seed=seed, init=init)
    assert judge(emulate(case, order), case).verdict == "match"
