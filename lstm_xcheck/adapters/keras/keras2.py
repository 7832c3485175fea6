"""Keras 2's `tf.keras.layers.LSTM` and `Bidirectional(LSTM)`.

The adapter keras-tensorflow is this one where Keras 2 is installed. Keras 2 has no `keras.ops` and takes initial states
as tensors only. Run with keras 2.12.0 on tensorflow 2.12.1 and with keras 2.15.0 on tensorflow 2.15.1.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import tensorflow as tf

from ...arrays import Array, to_numpy
from ...model import Case, LSTMSpec, Result
from ...model.spec import HARD_SIGMOID_KERAS2, Activation
from ..case_arrays import padding_mask
from .stack import KerasVersion, Stack, layer_states, unsupported_by_keras

keras: Any = tf.keras
_VERSION = version("keras")  # tf.keras of 2.15 has no __version__


class Keras2LSTM:
    """A stack of `LSTM` or `Bidirectional(LSTM)` layers, run eagerly, with padding as a mask.

    On a CPU, Keras 2 computes without cuDNN: `keras/layers/rnn/lstm.py`, `standard_lstm`.
    """

    layout = "keras"
    options = frozenset({"held", "merge"})

    def __init__(self, name: str) -> None:
        self.name = name

    def environment(self) -> dict[str, str]:
        """Versions of what computes."""
        return {"keras": _VERSION, "tensorflow": tf.__version__}

    def unsupported(self, case: Case) -> str | None:
        """A backend other than TensorFlow, and what no version of Keras has."""
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        if backend != "tensorflow":
            return f"backend: keras {_VERSION} runs on TensorFlow alone, not on {backend}; keras>=3 does"
        return unsupported_by_keras(case)

    def computes_in(self, case: Case) -> tuple[str, str]:
        """The precision of the layers: every operation is TensorFlow's."""
        return case.precision, ""

    def build(self, spec: LSTMSpec, precision: str) -> Stack:
        """One layer of Keras for each layer of the stack."""
        return Stack(_KERAS2, spec, precision)

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
        mask = padding_mask(case)
        states: list[Any] = [None] * case.spec.num_layers
        if case.h0 is not None or case.c0 is not None:
            states = [[_tensor(state, case.precision) for state in layer] for layer in layer_states(case)]
        mask_tensor = None if mask is None else tf.constant(np.array(mask))
        outputs = model.forward(_tensor(case.x, case.precision), mask_tensor, states, want_last)
        return outputs.result(lambda tensor: to_numpy(tensor.numpy()))


@functools.cache
def _activation(name: str) -> Callable[[Any], Any]:
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


_KERAS2 = KerasVersion(keras, _activation, lambda outputs: tf.reverse(outputs, [1]), "zeros")


def _tensor(array: Array, precision: str) -> Any:
    return tf.cast(tf.constant(np.array(array)), precision)
