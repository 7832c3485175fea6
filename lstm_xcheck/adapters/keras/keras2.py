"""Keras 2's `tf.keras.layers.LSTM` and `Bidirectional(LSTM)`: the adapter keras-tensorflow in old environments.

Keras 2 has no `keras.ops`, takes initial states as tensors alone and names weights `lstm_0/lstm_cell/kernel:0`. Run
with keras 2.12.0 on tensorflow 2.12.1 and with keras 2.15.0 on tensorflow 2.15.1.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import tensorflow as tf

from ...arrays import STORAGE, Array, to_numpy
from ...errors import SpecError
from ...model import Case, LSTMSpec, Result
from ...model.activations import HARD_SIGMOID_KERAS2, Activation
from .limits import unsupported_by_keras

keras: Any = tf.keras
_VERSION = version("keras")  # tf.keras of 2.15 does not say


@dataclass
class LegacyStack:
    """The layers of one spec and precision.

    Attributes:
        layers: `LSTM` or `Bidirectional` layers that return sequences and states.
        last: a twin of the top layer with `return_sequences=False`.
    """

    spec: LSTMSpec
    layers: list[Any]
    last: Any

    def weight_names(self, index: int) -> list[str]:
        """The names of a layer's weights under the prefixes of the layout's row, in the order of `get_weights`."""
        layer = self.layers[index]
        stack = f"lstm_{index}/" if self.spec.num_layers > 1 else ""
        halves = ("forward_layer", "backward_layer") if self.spec.bidirectional else ()
        parts = [(f"{stack}{half}/", getattr(layer, half)) for half in halves] or [(stack, layer)]
        return [prefix + _own_name(weight) for prefix, part in parts for weight in part.weights]


class KerasLegacy:
    """A chain of `LSTM` or `Bidirectional(LSTM)` layers, run eagerly; padding goes in as a mask.

    On a CPU, Keras 2 computes what it does without cuDNN: `keras/layers/rnn/lstm.py`, `standard_lstm`.
    """

    layout = "keras"

    def __init__(self, name: str) -> None:
        self.name = name

    def environment(self) -> dict[str, str]:
        """Versions of what computes."""
        return {"keras": _VERSION, "tensorflow": tf.__version__}

    def unsupported(self, case: Case) -> str | None:
        """Another backend than TensorFlow, and what no version of Keras has."""
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        if backend != "tensorflow":
            return f"backend: keras {_VERSION} runs on TensorFlow alone, not on {backend}; keras>=3 does"
        return unsupported_by_keras(case)

    def computes_in(self, case: Case) -> tuple[str, str]:
        """Every operation is TensorFlow's, in the layer's dtype."""
        return case.precision, ""

    def build(self, spec: LSTMSpec, precision: str) -> LegacyStack:
        """One layer of Keras for each layer of the stack."""
        layers = [_layer(spec, index, precision, sequence=True) for index in range(spec.num_layers)]
        return LegacyStack(spec, layers, _layer(spec, spec.num_layers - 1, precision, sequence=False))

    def load(self, model: LegacyStack, arrays: Mapping[str, Array]) -> None:
        """Through `set_weights` of each layer.

        Raises:
            SpecError: for missing and unknown names.
        """
        names = [model.weight_names(index) for index in range(len(model.layers))]
        if {name for own in names for name in own} != set(arrays):
            raise SpecError(f"the arrays are named {sorted(arrays)}, but this Keras model needs {names}")
        for layer, own in zip(model.layers, names, strict=True):
            layer.set_weights([np.array(arrays[name]) for name in own])
        model.last.set_weights(model.layers[-1].get_weights())

    def read_back(self, model: LegacyStack) -> dict[str, Array]:
        """From `get_weights` of each layer."""
        return {
            name: to_numpy(array)
            for index, layer in enumerate(model.layers)
            for name, array in zip(model.weight_names(index), layer.get_weights(), strict=True)
        }

    def count_parameters(self, model: LegacyStack) -> int:
        """`count_params` of every layer."""
        return sum(int(layer.count_params()) for layer in model.layers)

    def run(self, model: LegacyStack, case: Case) -> Result:
        """Each layer on the output of the one below; the last output by a twin of the top layer."""
        padded = case.lengths is not None or case.mask is not None
        mask = tf.constant(np.array(case.valid)) if padded else None
        outputs: list[Array] = []
        finals: list[Array] = []
        given = below = _tensor(case.x, case.precision)
        states = _states(case)
        for layer, initial in zip(model.layers, states, strict=True):
            given = below
            y, *final = layer(given, mask=mask, initial_state=initial, training=False)
            below = tf.reverse(y, [1]) if case.spec.reverse else y
            outputs.append(to_numpy(below.numpy()))
            finals += [to_numpy(state.numpy()) for state in final]
        last = None
        if case.returns == "last":
            last = to_numpy(model.last(given, mask=mask, initial_state=states[-1], training=False).numpy())
        h_n, c_n = np.stack(finals[0::2]), np.stack(finals[1::2])
        return Result(y=outputs[-1], h_n=h_n, c_n=c_n, last=last, layer_outputs=tuple(outputs[:-1]))


def _layer(spec: LSTMSpec, index: int, precision: str, *, sequence: bool) -> Any:
    layer = keras.layers.LSTM(
        spec.hidden_size,
        activation=_activation(spec.cell_activation),
        recurrent_activation=_activation(spec.gate_activation),
        use_bias=spec.bias != "none",
        kernel_initializer="zeros",
        recurrent_initializer="zeros",
        return_sequences=sequence,
        return_state=sequence,
        zero_output_for_mask=sequence,
        go_backwards=spec.reverse,
        dtype=precision,
        name=f"lstm_{index}",
    )
    if spec.bidirectional:
        layer = keras.layers.Bidirectional(layer, merge_mode="concat", dtype=precision)
    layer.build((None, None, spec.layer_input_size(index)))
    return layer


@functools.cache
def _activation(name: str) -> Callable[[Any], Any]:
    """Keras's own function where it has one; its hard sigmoid is clip(0.2 v + 0.5, 0, 1)."""
    activation = Activation.parse(name)
    if activation.kind != "hard_sigmoid" or activation == Activation.parse(HARD_SIGMOID_KERAS2):
        function: Callable[[Any], Any] = keras.activations.get(activation.kind)
        return function

    def hard_sigmoid(v: Any) -> Any:
        return tf.clip_by_value(v * activation.alpha + activation.beta, 0.0, 1.0)

    registered: Callable[[Any], Any] = keras.utils.register_keras_serializable(
        package="lstm_xcheck", name=f"{activation.kind}_{activation.alpha!r}_{activation.beta!r}"
    )(hard_sigmoid)
    return registered


def _own_name(weight: Any) -> str:
    name: str = weight.name.rpartition("/")[2].partition(":")[0]
    return name


def _states(case: Case) -> list[Any]:
    """The initial states of each layer as h, c, or h, c, h, c for both directions; None where the case has none."""
    spec, storage = case.spec, STORAGE[case.precision]
    if case.h0 is None and case.c0 is None:
        return [None] * spec.num_layers
    zeros = np.zeros((spec.num_layers * spec.num_directions, case.batch, spec.hidden_size), storage)
    h0 = zeros if case.h0 is None else case.h0
    c0 = zeros if case.c0 is None else case.c0
    flat = [_tensor(state, case.precision) for pair in zip(h0, c0, strict=True) for state in pair]
    width = 2 * spec.num_directions
    return [flat[k * width : (k + 1) * width] for k in range(spec.num_layers)]


def _tensor(array: Array, precision: str) -> Any:
    return tf.cast(tf.constant(np.array(array)), precision)
