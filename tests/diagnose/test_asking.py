"""Diagnoses that run the implementation again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lstm_xcheck import api
from lstm_xcheck.adapters.function import call_function
from lstm_xcheck.arrays import Array
from lstm_xcheck.diagnose import diagnose
from lstm_xcheck.errors import DisagreementError, Unsupported
from lstm_xcheck.live.equivalence import assert_equivalent
from lstm_xcheck.model import Case, LSTMSpec, LSTMWeights, Result

from .cases import CASES, answer, named

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.framework


def torch_with(id: str) -> Any:
    """A real nn.LSTM, loaded through code that makes one mistake."""
    (mistake,) = named(id)

    def run(weights: LSTMWeights, x: Array, h0: Array, c0: Array, lengths: Array | None) -> tuple[Array, Array, Array]:
        assert lengths is None
        spec = weights.spec
        case = mistake.change_case(Case(weights=weights, x=x, h0=h0, c0=c0))
        assert case is not None
        lstm = torch.nn.LSTM(spec.input_size, spec.hidden_size, spec.num_layers, batch_first=True)
        arrays = case.weights.to_layout("torch")
        lstm.load_state_dict({name: torch.tensor(np.array(array)) for name, array in arrays.items()})
        with torch.no_grad():
            y, states = lstm(
                *(torch.tensor(np.array(a)) for a in (case.x,)),
                tuple(torch.tensor(np.array(a)) for a in (case.h0, case.c0)),
            )
        return y.numpy(), states[0].numpy(), states[1].numpy()

    return run


def recording(function: Any, cases: list[Case]) -> Any:
    """Runs cases in a function and records them."""

    def ask(case: Case) -> Result:
        cases.append(case)
        return call_function(function, case)

    return ask


def test_a_large_model_is_explained_by_a_small_probe() -> None:
    case = Case.random(LSTMSpec(input_size=300, hidden_size=256), steps=4, batch=2, init="torch", seed=3)
    cases: list[Case] = []
    ask = recording(torch_with("gates-iofg"), cases)
    found = diagnose(ask(case), case, ask=ask)
    assert found.mistakes == ("gates-iofg",)
    assert found.evidence["residual_after"] <= 1.0
    assert [probe.spec.hidden_size for probe in cases] == [256, 8]


@pytest.mark.parametrize("id", ["bias-dropped", "bias-ih-dropped", "bias-hh-twice", "bias-ih-twice", "bias-doubled"])
def test_a_probe_settles_between_rivals(id: str) -> None:
    """Keras draws a second bias of zero, which hides mistakes."""
    case = Case.random(LSTMSpec(input_size=4, hidden_size=5), steps=3, seed=5, states=False, init="keras")
    ask = recording(torch_with(id), [])
    result = ask(case)
    rivals = diagnose(result, case, pairs=False)
    assert [id] in [list(rivals.mistakes), *(other["mistakes"] for other in rivals.alternatives)]
    assert rivals.alternatives, "nothing to settle"
    found = diagnose(result, case, pairs=False, ask=ask)
    assert (found.mistakes, found.alternatives) == ((id,), ())


def test_no_probe_is_run_where_one_mistake_explains_all() -> None:
    case = CASES["plain"]
    result = answer(named("bias-hh-dropped"), case)
    cases: list[Case] = []
    assert not diagnose(result, case).alternatives
    assert diagnose(result, case, ask=recording(torch_with("gates-iofg"), cases)).mistakes == ("bias-hh-dropped",)
    assert cases == []


def test_an_implementation_that_refuses_probes_is_diagnosed() -> None:
    case = CASES["square"]

    def ask(case: Case) -> Result:
        raise Unsupported("no such LSTM")

    result = answer(named("u-transposed"), case)
    assert diagnose(result, case, ask=ask) == diagnose(result, case)


def with_dropout(weights: LSTMWeights, x: Array, h0: Array, c0: Array, lengths: Array | None) -> Any:
    spec = weights.spec
    lstm = torch.nn.LSTM(spec.input_size, spec.hidden_size, spec.num_layers, batch_first=True, dropout=0.4).train()
    arrays = weights.to_layout("torch")
    lstm.load_state_dict({name: torch.tensor(np.array(array)) for name, array in arrays.items()})
    with torch.no_grad():
        y, states = lstm(torch.tensor(np.array(x)), tuple(torch.tensor(np.array(a)) for a in (h0, c0)))
    return y.numpy(), states[0].numpy(), states[1].numpy()


def test_dropout_left_on_is_detected_by_a_second_run_and_never_misnamed() -> None:
    case = Case.random(LSTMSpec(input_size=5, hidden_size=6, num_layers=2), steps=6, batch=3, seed=8)
    report = api.verify([case], {"mine": with_dropout})
    (found,) = report.diagnoses
    assert found["cause"] is None
    assert "the answer is not deterministic; is dropout left on?" in found["explanation"]


def test_a_deterministic_error_is_not_called_nondeterministic() -> None:
    case = Case.random(LSTMSpec(input_size=5, hidden_size=6, num_layers=2), steps=3, batch=3, seed=8)

    def scaled(weights: LSTMWeights, *data: Any) -> Any:
        y, h, c = torch_with("gates-iofg")(weights, *data)
        return y * np.float32(1.25), h, c

    (found,) = api.verify([case], {"mine": scaled}).diagnoses
    assert found["cause"] is None
    assert "deterministic" not in found["explanation"]


def test_the_assertion_names_the_mistake_of_a_function() -> None:
    case = CASES["plain"]
    with pytest.raises(
        DisagreementError, match="best explanation of the outputs of the second: gate order iofg read as ifgo"
    ):
        assert_equivalent(case.weights, torch_with("gates-iofg"), case=case)


def test_verify_states_the_power_of_matches_and_orders_its_diagnoses() -> None:
    cases = [replace(CASES["plain"], id=name) for name in ("z", "a")]
    wrong = torch_with("gates-iofg")
    report = api.verify(cases, {"second": wrong, "first": wrong})
    assert [(d["case"], d["adapter"]) for d in report.diagnoses] == [
        ("z", "second"), ("z", "first"), ("a", "second"), ("a", "first"),
    ]  # fmt: skip
    matching = api.verify([CASES["plain"]], ["torch"])
    assert matching.ok
    assert [statement["case"] for statement in matching.power] == ["plain"]
    assert matching.power[0]["caught"]
