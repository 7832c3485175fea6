"""Keras on JAX computes a float64 LSTM in float32, even where JAX has float64, and returns float64."""

import os

os.environ.update(KERAS_BACKEND="jax", JAX_ENABLE_X64="1")
import keras
import numpy as np

layer = keras.layers.LSTM(1, dtype="float64")
layer.build((1, 1, 1))
layer.set_weights([np.ones((1, 4)), np.zeros((1, 4)), np.zeros(4)])
y = np.asarray(layer(np.ones((1, 1, 1))))
gate = 1 / (1 + np.exp(-1))
found, right = y.item(), gate * np.tanh(gate * np.tanh(1))
print("found:", y.dtype, found, " right:", right)
assert y.dtype == np.float64
assert abs(found - right) > 1e-10, "the divergence is gone"
