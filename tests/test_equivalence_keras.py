"""assert_equivalent on live Keras layers and PyTorch modules, in another process.

Run as a script, this file is that process: it prints what became of each scenario.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx

pytestmark = pytest.mark.framework

Scenario = Callable[[], None]
HONEST: dict[str, Scenario] = {}
WRONG: dict[str, tuple[Scenario, str]] = {}


def honest(scenario: Scenario) -> Scenario:
    HONEST[scenario.__name__] = scenario
    return scenario


def wrong(words: str) -> Callable[[Scenario], Scenario]:
    def register(scenario: Scenario) -> Scenario:
        WRONG[scenario.__name__] = (scenario, words)
        return scenario

    return register


def keras_layer(hidden: int, width: int, kind: Any = None, *, bidirectional: bool = False, **options: Any) -> Any:
    """A built layer whose weights, biases too, are all random."""
    import keras

    layer = (kind or keras.layers.LSTM)(hidden, **options)
    layer = keras.layers.Bidirectional(layer) if bidirectional else layer
    layer.build((3, None, width))
    rng = np.random.default_rng(hidden + width)
    layer.set_weights([rng.uniform(-1, 1, array.shape).astype(array.dtype) for array in layer.get_weights()])
    return layer


def torch_module(*layers: Any, hidden: int = 4, width: int = 5, **options: Any) -> Any:
    """The same weights in PyTorch, transposed and named by hand."""
    import torch

    module = torch.nn.LSTM(width, hidden, num_layers=len(layers), **options)
    arrays: dict[str, Any] = {}
    for index, layer in enumerate(layers):
        given = layer.get_weights()
        size = len(given) // (2 if module.bidirectional else 1)
        for start, end in ((0, ""), (size, "_reverse"))[: len(given) // size]:
            place = f"_l{index}{end}"
            arrays[f"weight_ih{place}"] = given[start].T
            arrays[f"weight_hh{place}"] = given[start + 1].T
            if module.bias:
                arrays[f"bias_ih{place}"] = given[start + 2]
                arrays[f"bias_hh{place}"] = np.zeros_like(given[start + 2])
    module.load_state_dict({name: torch.tensor(np.ascontiguousarray(array)) for name, array in arrays.items()})
    return module


@honest
def the_arrays_of_get_weights() -> None:
    layer = keras_layer(4, 5, bidirectional=True)
    lx.assert_equivalent(layer, layer.get_weights())
    lx.assert_equivalent(keras_layer(4, 5).weights, torch_module(keras_layer(4, 5)).state_dict())


@wrong("U of layer 0, direction 1")
def the_arrays_of_a_spoiled_backward_layer() -> None:
    layer = keras_layer(4, 5, bidirectional=True)
    arrays = layer.get_weights()
    lx.assert_equivalent(layer, [*arrays[:4], -arrays[4], arrays[5]])


@honest
def bidirectional() -> None:
    layer = keras_layer(4, 5, bidirectional=True, return_sequences=True)
    lx.assert_equivalent(layer, torch_module(layer, bidirectional=True))
    lx.assert_equivalent(torch_module(layer, bidirectional=True, batch_first=True), layer)


@honest
def what_a_layer_returns_does_not_matter_and_stays() -> None:
    for sequences in (False, True):
        for state in (False, True):
            layer = keras_layer(4, 5, return_sequences=sequences, return_state=state)
            lx.assert_equivalent(layer, torch_module(layer))
            assert (layer.return_sequences, layer.return_state) == (sequences, state)


@honest
def a_stack_of_two() -> None:
    import keras

    layers = [keras_layer(4, 5, bidirectional=True, return_sequences=True), keras_layer(4, 8, bidirectional=True)]
    module = torch_module(*layers, bidirectional=True)
    lx.assert_equivalent(layers, module)
    lx.assert_equivalent(module, tuple(layers))
    lx.assert_equivalent(keras.Sequential(layers), module)


@honest
def without_bias() -> None:
    layer = keras_layer(4, 5, use_bias=False)
    lx.assert_equivalent(layer, torch_module(layer, bias=False))


@honest
def a_split_bias() -> None:
    import torch

    layer = keras_layer(4, 5)
    module = torch_module(layer)
    with torch.no_grad():
        module.bias_hh_l0.copy_(module.bias_ih_l0 / 2)
        module.bias_ih_l0.copy_(module.bias_ih_l0 / 2)
    lx.assert_equivalent(layer, module)


@honest
def other_activations_and_backwards() -> None:
    options = {"go_backwards": True, "recurrent_activation": "hard_sigmoid", "activation": "relu"}
    lx.assert_equivalent(keras_layer(4, 5, **options), keras_layer(4, 5, return_sequences=True, **options))


@honest
def float64_that_keras_computes_in_float32_under_a_mask() -> None:
    import torch

    layer = keras_layer(4, 5, bidirectional=True, dtype="float64")
    lx.assert_equivalent(layer, torch_module(layer, bidirectional=True, dtype=torch.float64))


@wrong("W of layer 0, gate f: [0, 0]")
def swapped_gates() -> None:
    layer = keras_layer(4, 5)
    module = torch_module(layer)
    kernel, *rest = layer.get_weights()
    i, f, g, o = np.split(kernel, 4, axis=1)
    layer.set_weights([np.concatenate([i, g, f, o], axis=1), *rest])
    lx.assert_equivalent(module, layer)


@wrong("b of layer 0, gate i: [0] is 0 in the first")
def a_dropped_bias() -> None:
    layer = keras_layer(4, 5)
    lx.assert_equivalent(torch_module(layer, bias=False), layer)


@wrong("U of layer 0, gate i: [0, 1]")
def a_transposed_recurrent_kernel() -> None:
    layer = keras_layer(4, 5)
    module = torch_module(layer)
    module.weight_hh_l0.data = module.weight_hh_l0.data.reshape(4, 4, 4).transpose(1, 2).reshape(16, 4)
    lx.assert_equivalent(layer, module)


@wrong("W of layer 0, direction 0, gate i: [0, 0]")
def swapped_directions() -> None:
    layer = keras_layer(4, 5, bidirectional=True)
    module = torch_module(layer, bidirectional=True)
    layer.set_weights([*layer.get_weights()[3:], *layer.get_weights()[:3]])
    lx.assert_equivalent(layer, module)


@wrong("outputs of the first, c_n: mismatch (score")
def a_layer_that_exchanges_h_and_c() -> None:
    import keras

    class Exchanged(keras.layers.LSTM):
        def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
            return super().call(sequences, initial_state=initial_state[::-1], mask=mask, training=training)

    layer = keras_layer(4, 5, Exchanged)
    lx.assert_equivalent(layer, torch_module(layer))


@wrong("gate_activation is 'hard_sigmoid:")
def another_activation() -> None:
    layer = keras_layer(4, 5, recurrent_activation="hard_sigmoid")
    lx.assert_equivalent(layer, torch_module(layer))


@wrong("reverse is True in the first, but False in the second")
def one_that_reads_backwards() -> None:
    lx.assert_equivalent(keras_layer(4, 5, go_backwards=True), keras_layer(4, 5))


def refusals() -> dict[str, str]:
    """The errors for layers that cannot be compared."""
    import keras

    layer = keras_layer(4, 5)
    things = {
        "unbuilt": keras.layers.LSTM(4),
        "other": keras.layers.GRU(4),
        "dense": keras.Sequential([layer, keras.layers.Dense(2)]),
        "stateful": keras_layer(4, 5, stateful=True),
        "merge": keras.layers.Bidirectional(keras.layers.LSTM(4), merge_mode="sum"),
        "activation": keras_layer(4, 5, activation="gelu"),
        "no-sequence": [layer, keras_layer(4, 4)],
        "unequal": [keras_layer(4, 5, return_sequences=True), keras_layer(3, 4)],
        "mixed-list": [layer, 3],
    }
    return {name: outcome(lambda thing=thing: lx.assert_equivalent(thing, layer)) for name, thing in things.items()}


SENTENCES = {
    "unbuilt": "UserError: the keras layer 'lstm",
    "other": "UserError: got a keras GRU",
    "dense": "UserError: got a keras Dense",
    "stateful": "UserError: the keras layer 'lstm",
    "merge": "has merge_mode='sum', but should have 'concat'",
    "activation": "UserError: activation 'gelu' is not one of",
    "no-sequence": "has return_sequences=False, but layer 1 needs its output at every step",
    "unequal": "SpecError: layer 1 of the stack has hidden_size=3, but should have 4",
    "mixed-list": "UserError: the list holds LSTM, int, but should hold LSTM layers",
}


def outcome(scenario: Callable[[], None]) -> str:
    try:
        scenario()
    except lx.DisagreementError as error:
        return f"DisagreementError: {error}"
    except lx.UserError as error:
        return f"{type(error).__name__}: {error}"
    return "agree"


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str]:
    pytest.importorskip("torch")
    pytest.importorskip("keras")
    run = subprocess.run(
        [sys.executable, __file__],
        env={**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": str(Path(str(lx.__file__)).parents[1])},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return dict(json.loads(run.stdout.splitlines()[-1]))


@pytest.mark.parametrize("name", HONEST)
def test_the_same_lstm_agrees(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[name] == "agree"


@pytest.mark.parametrize("name", WRONG)
def test_a_mutant_is_found(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[name].startswith("DisagreementError: the two are not the same LSTM")
    assert WRONG[name][1] in outcomes[name]


@pytest.mark.parametrize("name", SENTENCES)
def test_what_cannot_be_compared_is_refused(outcomes: dict[str, str], name: str) -> None:
    assert SENTENCES[name] in outcomes[name]
    assert "\n" not in outcomes[name]


if __name__ == "__main__":
    scenarios = {**HONEST, **{name: scenario for name, (scenario, _) in WRONG.items()}}
    sys.stdout.write(json.dumps({**{name: outcome(run) for name, run in scenarios.items()}, **refusals()}))
