"""Dropout left on is named where the outputs show it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.compare.reference import observed_quantities
from lstm_xcheck.diagnose import CATALOGUE, Diagnosis, diagnose
from lstm_xcheck.diagnose.catalogue import dropout
from lstm_xcheck.diagnose.catalogue.dropout import MOST_INPUTS
from lstm_xcheck.diagnose.remedy import remedy
from lstm_xcheck.model import Case, LSTMSpec, Result
from lstm_xcheck.oracle import forward

# Keras on PyTorch turns tensors into arrays in a way that NumPy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def case_of(inputs: int = 5, hidden: int = 6, *, seed: int = 3, **data: Any) -> Case:
    spec = LSTMSpec(input_size=inputs, hidden_size=hidden, bias="single")
    return Case.random(spec, init="keras", states=False, **{"steps": 7, "batch": 3, "seed": seed, **data})


@pytest.fixture(scope="module")
def keras() -> Any:
    return pytest.importorskip("keras")


def keras_result(keras: Any, case: Case, layers: list[Any], seed: int = 0) -> Result:
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(layers)
    model.build((None, case.steps, case.spec.input_size))
    layers[0].set_weights(list(case.weights.to_layout("keras").values()))
    y = keras.ops.convert_to_numpy(model(np.array(case.x), training=True))
    return Result(y=np.asarray(y, np.float32))


def assert_named(found: Diagnosis, id: str, rate: float) -> None:
    assert found.mistakes == (id,), found.explanation
    assert f"p = {rate:g}" in (found.cause or "")
    assert "cannot prove" in found.explanation
    assert "training=False" in found.fix and "model.eval()" in found.fix
    assert found.evidence["residual_after"] <= 1.0
    assert remedy(found, "keras") == "y = layer(x, training=False)"
    assert remedy(found, "torch") == "model.eval()"


@pytest.mark.framework
@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.8])
def test_dropout_behind_a_real_keras_layer_is_named(keras: Any, rate: float) -> None:
    case = case_of()
    lstm = keras.layers.LSTM(6, return_sequences=True)
    result = keras_result(keras, case, [lstm, keras.layers.Dropout(rate)])
    assert_named(diagnose(result, case), "dropout-outputs", rate)


@pytest.mark.framework
@pytest.mark.parametrize("rate", [0.2, 0.5])
@pytest.mark.parametrize("inputs", [2, 5, MOST_INPUTS])
def test_dropout_at_the_inputs_of_a_real_keras_layer_is_named(keras: Any, inputs: int, rate: float) -> None:
    case = case_of(inputs, batch=6)
    # By this seed every backend drops something; where nothing is dropped there is nothing to name.
    result = keras_result(keras, case, [keras.layers.LSTM(6, return_sequences=True, dropout=rate)], seed=2)
    assert_named(diagnose(result, case), "dropout-inputs", rate)


@pytest.mark.framework
def test_recurrent_dropout_is_not_guessed(keras: Any) -> None:
    case = case_of()
    result = keras_result(keras, case, [keras.layers.LSTM(6, return_sequences=True, recurrent_dropout=0.5)])
    assert diagnose(result, case, pairs=False).cause is None


@pytest.mark.framework
@pytest.mark.parametrize("rate", [0.3, 0.5])
def test_dropout_behind_a_real_torch_module_is_named(rate: float) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(2)
    case = Case.random(LSTMSpec(4, 6, bidirectional=True), steps=6, batch=3, init="torch", seed=5, ragged=False)
    lstm = torch.nn.LSTM(4, 6, batch_first=True, bidirectional=True)
    lstm.load_state_dict({name: torch.tensor(np.array(a)) for name, a in case.weights.to_layout("torch").items()})
    with torch.no_grad():
        y, (h, c) = lstm(
            *(torch.tensor(np.array(a)) for a in (case.x,)),
            tuple(torch.tensor(np.array(a)) for a in (case.h0, case.c0)),
        )
        y = torch.nn.Dropout(rate).train()(y)
    found = diagnose(Result(y=y.numpy(), h_n=h.numpy(), c_n=c.numpy()), case)
    assert_named(found, "dropout-outputs", rate)


@pytest.mark.framework
def test_dropout_between_layers_is_not_guessed() -> None:
    """The top layer does not show what a lower one dropped."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(2)
    case = Case.random(LSTMSpec(4, 6, num_layers=2), steps=5, batch=2, init="torch", seed=5, states=False)
    lstm = torch.nn.LSTM(4, 6, num_layers=2, batch_first=True, dropout=0.5).train()
    lstm.load_state_dict({name: torch.tensor(np.array(a)) for name, a in case.weights.to_layout("torch").items()})
    with torch.no_grad():
        y = lstm(torch.tensor(np.array(case.x)))[0].numpy()
    assert diagnose(Result(y=y), case, pairs=False).cause is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda y: np.where(np.arange(y.shape[-1]) % 2, y, 0 * y),
        lambda y: np.where(np.arange(y.shape[-1]) % 2, 0.5 * y, 0 * y),
        lambda y: np.where(np.arange(y.shape[-1]) % 2, y * np.linspace(1.5, 1.6, y.shape[-1]), 0 * y),
        lambda y: 2.0 * y,
    ],
    ids=["zeros-alone", "too-small", "several-factors", "factor-alone"],
)
def test_what_only_resembles_dropout_is_not_named_dropout(spoil: Any) -> None:
    case = case_of()
    y = spoil(np.asarray(forward(case).y)).astype(np.float32)
    assert "dropout" not in " ".join(diagnose(Result(y=y), case, pairs=False).mistakes)


def test_a_mistake_of_the_catalogue_comes_first() -> None:
    case = Case.random(LSTMSpec(3, 4, bidirectional=True), steps=4, batch=2, seed=3)
    (missing,) = [mistake for mistake in CATALOGUE if mistake.id == "backward-missing"]
    assert missing.outputs is not None
    outputs = missing.outputs({"y": np.asarray(forward(case).y)}, case)
    assert outputs is not None
    assert diagnose(Result(y=outputs["y"].astype(np.float32)), case).mistakes == ("backward-missing",)


def all_inputs_lost() -> tuple[Case, Result]:
    """Outputs of inputs that are 0, where one feature hardly counts: dropout could have kept it."""
    case = Case.random(LSTMSpec(input_size=3, hidden_size=2), init="normal", seed=6, steps=1, batch=3, states=False)
    x = np.array(case.x)
    x[..., 0] = 1e-12
    zero = replace(case, x=np.zeros_like(x))
    return replace(case, x=x), Result(y=np.asarray(forward(zero).y, np.float32))


def test_inputs_that_are_all_lost_are_no_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    case, result = all_inputs_lost()
    read = next(fitted.fit for fitted in dropout.FITTED if fitted.entry is dropout.INPUT)
    observed = observed_quantities(result)
    assert read(observed, case) is None
    monkeypatch.setattr(dropout, "_explained_by_no_inputs", lambda case, y: False)
    assert read(observed, case) is not None
