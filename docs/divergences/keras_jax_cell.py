"""keras.layers.RNN([LSTMCell]) raises on JAX, and is one layer on the other backends."""

import os

os.environ["KERAS_BACKEND"] = "jax"
import keras
import numpy as np

x = np.ones((1, 2, 1), np.float32)
right = keras.layers.RNN(keras.layers.LSTMCell(1))(x).shape
try:
    found = keras.layers.RNN([keras.layers.LSTMCell(1)])(x).shape
except (TypeError, ValueError) as error:
    found = type(error).__name__
print("found:", found, " right:", right)
assert found == "TypeError", "the divergence is gone"
