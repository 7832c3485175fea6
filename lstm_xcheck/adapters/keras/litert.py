"""Keras 3's `LSTM` and `Bidirectional(LSTM)`, converted by `tf.lite` and run in LiteRT."""

from __future__ import annotations

import contextlib
import io
from importlib.metadata import version
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from ...arrays import Array
from ...model import Case, Result
from .keras3 import Keras3Layers
from .stack import Stack, StackOutputs, layer_inputs


class KerasLiteRT(Keras3Layers):
    """`tf.lite.TFLiteConverter.from_keras_model`, which makes a WHILE loop of each direction of Keras 3.

    Layout `keras`, read from tensorflow 2.21, tensorflow/lite/python/lite.py. Shapes are fixed and weights are
    constants, so each case is converted anew. x, the initial states and the mask are inputs of the model, which puts
    zeros at padding as Keras does. Weights are read back from Keras, before the conversion.
    """

    options = frozenset()

    def environment(self) -> dict[str, str]:
        """Versions of the interpreter and of what makes the model."""
        return {"ai-edge-litert": version("ai-edge-litert"), **super().environment()}

    def unsupported(self, case: Case) -> str | None:
        """What Keras has not, and precisions other than float32."""
        if case.precision != "float32":
            return f"precision: LiteRT computes a Keras model in float32, not in {case.precision}"
        return super().unsupported(case)

    def run(self, model: Stack, case: Case) -> Result:
        """Convert the stack for this shape and run it once."""
        given: list[Array] = []
        inputs: list[Any] = []

        def symbolic(array: Array, precision: str) -> Any:
            given.append(np.array(array))
            inputs.append(keras.Input(batch_shape=array.shape, dtype=precision, name=f"input_{len(inputs)}"))
            return inputs[-1]

        x, mask, states = layer_inputs(case, symbolic, lambda valid: symbolic(valid, "bool"))
        found = model.forward(x, mask, states, model.prepare_last(case))
        last = [] if found.last is None else [found.last]
        outputs = [*found.layers, *found.states, *last]
        functional = keras.Model(inputs, {f"output_{k}": output for k, output in enumerate(outputs)})
        with contextlib.redirect_stdout(io.StringIO()):  # Keras tells where it saves the model on the way
            content = tf.lite.TFLiteConverter.from_keras_model(functional).convert()
        run = Interpreter(model_content=content, num_threads=1).get_signature_runner()
        answer = run(**{tensor.name: array for tensor, array in zip(inputs, given, strict=True)})
        arrays = [answer[f"output_{k}"] for k in range(len(outputs))]
        layers = len(found.layers)
        final = StackOutputs(arrays[:layers], arrays[layers : layers + len(found.states)], arrays[-1] if last else None)
        return final.result(np.asarray)
