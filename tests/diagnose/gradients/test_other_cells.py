"""Gradient mistakes of cells that no framework here has: projections, peepholes, coupled gates, clips."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lstm_xcheck.arrays import round_to
from lstm_xcheck.diagnose import diagnose
from lstm_xcheck.diagnose.gradients.candidates import candidate_of
from lstm_xcheck.diagnose.gradients.catalogue import entries
from lstm_xcheck.diagnose.gradients.discrepancy import GradientDiscrepancy
from lstm_xcheck.diagnose.gradients.fitted import case_cells
from lstm_xcheck.model import Case, LSTMSpec, Result
from lstm_xcheck.oracle import forward, gradients, profile_named

SPECS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "projection": ({"proj_size": 2}, {}),
    "peepholes": ({"peepholes": True, "bidirectional": True}, {"ragged": True}),
    "coupled": ({"coupling": "f=1-i"}, {}),
    "clip": ({"cell_clip": 1.5, "num_layers": 2}, {}),
    "reverse": ({"reverse": True, "bias": "none"}, {"ragged": True}),
    "softsign": ({"cell_activation": "softsign"}, {}),
}
PLANTED = ("gradient-detached-c", "gradient-pass-gates-figo", "gradient-slope-one-o", "gradient-h-n-missing")


def result_of(case: Case, found: dict[str, Any], precision: str) -> Result:
    truth = forward(case)
    y, h_n, c_n = (round_to(np.asarray(array), precision) for array in (truth.y, truth.h_n, truth.c_n))
    lower = tuple(round_to(array, precision) for array in truth.layer_outputs)
    rounded = {name: round_to(array, precision) for name, array in found.items() if not name.endswith("b_r")}
    return Result(y=y, h_n=h_n, c_n=c_n, layer_outputs=lower, gradients=rounded)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", SPECS)
def test_mistakes_are_named_and_the_right_pass_is_not(name: str, precision: str) -> None:
    spec, data = SPECS[name]
    case = Case.random(LSTMSpec(3, 4, **spec), steps=5, batch=3, seed=2, gradients=True, precision=precision, **data)
    right = result_of(case, gradients(case).value, precision)
    assert diagnose(right, case).explanation.startswith("Nothing is wrong")
    discrepancy = GradientDiscrepancy.of(right, case, profile_named(precision))
    assert discrepancy is not None
    for mistake in [entry for entry in entries(case) if entry.id in PLANTED]:
        values = candidate_of(mistake, frozenset(case_cells(case)), discrepancy).values
        found = diagnose(result_of(case, values, precision), case)
        assert found.mistakes == (mistake.id,), (mistake.id, found.explanation)
