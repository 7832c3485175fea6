"""RNN of a list of float64 cells computes in float32 in Keras 3: the stack it makes has the default dtype."""

import os

os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
import keras
import numpy as np

layer = keras.layers.RNN([keras.layers.LSTMCell(1, dtype="float64")], dtype="float64")
layer.build((1, 1, 1))
layer.set_weights([np.ones((1, 4)), np.zeros((1, 4)), np.zeros(4)])
y = np.asarray(layer(np.full((1, 1, 1), 0.1)))
gate = 1 / (1 + np.exp(-0.1))
found, right = y.item(), gate * np.tanh(gate * np.tanh(0.1))
print("found:", found, " right:", right)
assert abs(found - right) > 1e-10, "the divergence is gone"
