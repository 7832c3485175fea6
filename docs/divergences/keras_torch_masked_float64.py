"""Keras on PyTorch computes a float64 LSTM in float32 as soon as there is a mask."""

import os

os.environ["KERAS_BACKEND"] = "torch"
import keras
import numpy as np

layer = keras.layers.LSTM(1, dtype="float64")
layer.build((1, 1, 1))
layer.set_weights([np.ones((1, 4)), np.zeros((1, 4)), np.zeros(4)])
x = np.full((1, 1, 1), 0.1)
plain, found = (keras.ops.convert_to_numpy(layer(x, mask=mask)).item() for mask in (None, np.ones((1, 1), bool)))
gate = 1 / (1 + np.exp(-0.1))
right = gate * np.tanh(gate * np.tanh(0.1))
print("found:", found, " right:", right)
assert abs(plain - right) < 1e-15
assert abs(found - right) > 1e-10, "the divergence is gone"
