"""Keras 2's `LSTM` and `Bidirectional(LSTM)`, as `tf_keras` and as `tf.keras`.

The adapter tf-keras is this one, and keras-tensorflow where Keras 2 is installed. Keras 2 has no `keras.ops` and takes
initial states as tensors only. Run with keras 2.12.0 on tensorflow 2.12.1, with keras 2.15.0 on tensorflow 2.15.1, and
with tf_keras 2.21.0 on tensorflow 2.21.0.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import tensorflow as tf

from ...arrays import Array, to_numpy
from ...model import Case, LSTMSpec, Result
from ...model.spec import HARD_SIGMOID_KERAS2, Activation
from .gradients import cotangents_in_order, on_tensorflow
from .stack import KerasVersion, Stack, layer_inputs, unsupported_by_keras

#: The adapter that runs the package `tf_keras`.
TF_KERAS = "tf-keras"


class Keras2LSTM:
    """A stack of `LSTM` or `Bidirectional(LSTM)` layers, run eagerly, with padding as a mask.

    On a CPU, Keras 2 computes without cuDNN: `keras/layers/rnn/lstm.py`, `standard_lstm`.
    """

    layout = "keras"
    options = frozenset({"held", "merge"})

    def __init__(self, name: str) -> None:
        self.name = name
        self._package = TF_KERAS if name == TF_KERAS else "keras"
        keras = importlib.import_module("tf_keras") if name == TF_KERAS else tf.keras
        activation = functools.cache(functools.partial(_activation, keras))
        self._keras = KerasVersion(keras, activation, lambda outputs: tf.reverse(outputs, [1]), "zeros")

    def environment(self) -> dict[str, str]:
        """Versions of what computes."""
        return {self._package: version(self._package), "tensorflow": tf.__version__}

    def unsupported(self, case: Case) -> str | None:
        """What no version of Keras has."""
        return unsupported_by_keras(case)

    def computes_in(self, case: Case) -> tuple[str, str]:
        """The precision of the layers: every operation is TensorFlow's."""
        return case.precision, ""

    def build(self, spec: LSTMSpec, precision: str) -> Stack:
        """One layer of Keras for each layer of the stack."""
        return Stack(self._keras, spec, precision)

    def load(self, model: Stack, arrays: Mapping[str, Array]) -> None:
        """Load with `set_weights` of each layer."""
        model.load(arrays)

    def read_back(self, model: Stack) -> dict[str, Array]:
        """Read with `get_weights` of each layer."""
        return model.read_back()

    def count_parameters(self, model: Stack) -> int:
        """Sum of `count_params` of every layer."""
        return sum(int(layer.count_params()) for layer in model.layers)

    def run(self, model: Stack, case: Case) -> Result:
        """Run the stack eagerly."""
        model = model.variant(case)
        want_last = model.prepare_last(case)
        return model.forward(*layer_inputs(case, _tensor, tf.constant), want_last).result(_numpy)

    def run_with_gradients(self, model: Stack, case: Case) -> Result:
        """Run the stack and differentiate with `tf.GradientTape`; absent states are zeros."""
        model = model.variant(case)
        vectors = [_tensor(vector, case.precision) for vector in cotangents_in_order(case)]
        inputs = layer_inputs(case, _tensor, tf.constant, explicit=True)
        return on_tensorflow(tf, model, *inputs, model.prepare_last(case), vectors).result(model, self.layout, _numpy)


def _activation(keras: Any, name: str) -> Callable[[Any], Any]:
    """Keras's own function; its hard sigmoid is clip(0.2 v + 0.5, 0, 1)."""
    parsed = Activation.parse(name)
    if parsed.kind != "hard_sigmoid" or parsed == Activation.parse(HARD_SIGMOID_KERAS2):
        function: Callable[[Any], Any] = keras.activations.get(parsed.kind)
        return function

    def hard_sigmoid(v: Any) -> Any:
        return tf.clip_by_value(v * parsed.alpha + parsed.beta, 0.0, 1.0)

    registered: Callable[[Any], Any] = keras.utils.register_keras_serializable(
        package="lstm_xcheck", name=f"{parsed.kind}_{parsed.alpha!r}_{parsed.beta!r}"
    )(hard_sigmoid)
    return registered


def _tensor(array: Array, precision: str) -> Any:
    return tf.cast(tf.constant(np.array(array)), precision)


def _numpy(tensor: Any) -> Array:
    return to_numpy(tensor.numpy())
