"""The code of a remedy restores the weights of a real framework."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_xcheck.diagnose import Diagnosis
from lstm_xcheck.diagnose.catalogue import CATALOGUE
from lstm_xcheck.diagnose.mistake import Mistake
from lstm_xcheck.diagnose.remedy import remedy
from lstm_xcheck.model import LSTMSpec, LSTMWeights

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.framework

SPEC = LSTMSpec(5, 5)
WEIGHTS = LSTMWeights.random(SPEC, seed=4)
REPAIRABLE = [m for m in CATALOGUE if remedy(Diagnosis(m.title, (m.id,)), "torch")]


def test_most_mistakes_of_weights_have_code() -> None:
    assert len(REPAIRABLE) >= 140


@pytest.mark.parametrize("mistake", REPAIRABLE, ids=lambda mistake: mistake.id)
def test_code_repairs_a_real_module(mistake: Mistake) -> None:
    wrong = mistake.change_cell(WEIGHTS, 0, 0)
    if wrong is None:
        assert mistake.family in ("variant",)  # peepholes and projections, which this spec has not
        return
    lstm = torch.nn.LSTM(5, 5)
    lstm.load_state_dict({name: torch.tensor(array) for name, array in wrong.to_layout("torch").items()})
    exec(remedy(Diagnosis(mistake.title, (mistake.id,)), "torch"), {"torch": torch, "lstm": lstm})
    repaired = {name: tensor.numpy() for name, tensor in lstm.state_dict().items()}
    for name, array in WEIGHTS.to_layout("torch").items():
        # Adding and taking off a constant rounds once each way.
        np.testing.assert_allclose(repaired[name], array, rtol=0, atol=2 * 2.0**-24 * 4, err_msg=name)


def test_no_code_where_numbers_are_lost() -> None:
    assert remedy(Diagnosis("bias dropped", ("bias-dropped",)), "torch") == ""
