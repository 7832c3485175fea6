"""Outputs that were printed with few decimals: named as with all digits, and right where they are right."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_xcheck.compare.reference import observed_quantities
from lstm_xcheck.diagnose import diagnose, search
from lstm_xcheck.diagnose import printed as digits
from lstm_xcheck.diagnose.catalogue import mistake_named
from lstm_xcheck.diagnose.mistake import Outputs, changed_case
from lstm_xcheck.diagnose.printed import printed_decimals
from lstm_xcheck.model import Case, LSTMSpec, Result
from lstm_xcheck.oracle import forward

from .cases import float32_lstm

SPECS = {
    "one-layer": LSTMSpec(input_size=3, hidden_size=4),
    "stack": LSTMSpec(input_size=3, hidden_size=4, num_layers=2, bidirectional=True),
    "peepholes": LSTMSpec(input_size=3, hidden_size=4, peepholes=True),
}
CASES = {name: Case.random(spec, init="torch", seed=4, steps=6, batch=2, id=name) for name, spec in SPECS.items()}
DECIMALS = (3, 4, 5, 6)


def printed(case: Case, decimals: int, mistake: str = "") -> Result:
    """Float32 outputs, printed, of the LSTM with this mistake."""
    changed = changed_case((mistake_named(mistake),) if mistake else (), case)
    assert changed is not None
    outputs = observed_quantities(float32_lstm.run(changed, "two-products"))
    rounded: Outputs = {name: np.round(np.asarray(array, np.float64), decimals) for name, array in outputs.items()}
    layers = tuple(rounded[f"layer{k}.y"] for k in range(case.spec.num_layers - 1))
    return Result(y=rounded["y"], h_n=rounded["h_n"], c_n=rounded["c_n"], layer_outputs=layers)


@pytest.mark.parametrize("decimals", DECIMALS)
@pytest.mark.parametrize("name", CASES)
def test_right_numbers_are_right_beyond_the_digits(name: str, decimals: int) -> None:
    found = diagnose(printed(CASES[name], decimals), CASES[name])
    assert found.nothing_wrong
    assert found.explanation.startswith(f"Nothing is wrong beyond the {decimals} decimals given")


@pytest.mark.parametrize("decimals", DECIMALS)
@pytest.mark.parametrize("mistake", ["gates-ifog", "bias-plus-1-f", "u-transposed", "gates-tanh"])
@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_named_from_printed_numbers(name: str, mistake: str, decimals: int) -> None:
    found = diagnose(printed(CASES[name], decimals, mistake), CASES[name])
    same = [tuple(other["mistakes"]) for other in found.alternatives if other["same_on_this_case"]]
    assert (mistake,) in [found.mistakes, *same], found.explanation
    assert f"printed with {decimals} decimals" in found.explanation


def test_without_the_digits_right_numbers_would_be_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "printed_decimals", lambda observed: None)
    found = diagnose(printed(CASES["one-layer"], 4), CASES["one-layer"])
    assert not found.nothing_wrong


def test_an_error_beyond_the_digits_is_seen() -> None:
    case = CASES["one-layer"]
    result = printed(case, 4)
    assert result.y is not None
    y = np.array(result.y)
    y[1, 3, 2] += 2e-3
    found = diagnose(Result(y=y), case)
    assert (found.cause, found.nothing_wrong) == (None, False)


def test_decimals_are_recognised_only_where_chance_gives_none() -> None:
    numbers = np.random.default_rng(0).uniform(-1.0, 1.0, 40).astype(np.float32)
    assert printed_decimals({"y": numbers}) is None
    assert printed_decimals({"y": np.round(numbers.astype(np.float64), 5)}) == 5
    assert printed_decimals({"y": np.round(numbers, 3), "c_n": numbers}) == 3
    assert printed_decimals({"y": np.array([0.5])}) is None
    assert printed_decimals({"y": np.zeros(9)}) is None


def test_significant_digits_are_not_called_decimals(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest number has seven decimals; the others would end with zeros."""
    case = Case.random(LSTMSpec(4, 8), steps=6, batch=2, init="torch", seed=2)
    y = np.array([f"{number:.3g}" for number in np.asarray(forward(case).y).ravel()], np.float32)
    result = Result(y=y.reshape(case.batch, case.steps, 8))
    assert "decimals" not in diagnose(result, case, pairs=False).explanation
    monkeypatch.setattr(digits, "_too_many_zeros", lambda whole: False)
    assert "decimals" in diagnose(result, case, pairs=False).explanation
