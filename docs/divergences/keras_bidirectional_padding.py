"""Bidirectional of Keras has 0 at padding, where its LSTM repeats the last valid output."""

import os

os.environ["KERAS_BACKEND"] = "torch"
import keras
import numpy as np

weights = [np.ones((1, 4)), np.ones((1, 4)), np.zeros(4)]
layer = keras.layers.LSTM(1, return_sequences=True)
both = keras.layers.Bidirectional(keras.layers.LSTM(1, return_sequences=True))
layer.build((1, 3, 1))
both.build((1, 3, 1))
layer.set_weights(weights)
both.set_weights([*weights, *weights])
x, mask = np.ones((1, 3, 1), np.float32), np.array([[True, True, False]])
right, found = (keras.ops.convert_to_numpy(one(x, mask=mask))[0, :, 0] for one in (layer, both))
print("found:", found.round(3), " right:", right.round(3))
assert right[2] == right[1]
assert found[2] == 0, "the divergence is gone"
