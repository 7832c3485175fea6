"""hard_sigmoid is 0.2 z + 0.5 in Keras 2 and z / 6 + 0.5 in Keras 3: a saved layer changes in silence."""

import os

os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
import keras
import numpy as np
import tf_keras

x = np.ones((1, 1, 1), np.float32)
last = {}
for library in (tf_keras, keras):
    layer = library.layers.LSTM(1, recurrent_activation="hard_sigmoid")
    layer.build(x.shape)
    layer.set_weights([np.ones((1, 4)), np.zeros((1, 4)), np.zeros(4)])
    last[library] = np.asarray(layer(x)).item()
found, right = last[keras], last[tf_keras]
print(f"found: Keras 3 {found:.4f}  right: Keras 2, which wrote the model, {right:.4f}")
assert abs(found - right) > 0.01, "the divergence is gone"
