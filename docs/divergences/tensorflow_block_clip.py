"""tf.raw_ops.BlockLSTM bounds the cell state to 3 unless told otherwise; BlockLSTMV2 does not."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf

x, w, b, zero = np.zeros((1, 1, 1), "f"), np.zeros((2, 4), "f"), np.float32([0, 0, 9, 0]), np.zeros(1, "f")
given = {"seq_len_max": 1, "x": x, "cs_prev": np.float32([[8]]), "h_prev": np.zeros((1, 1), "f"), "w": w, "b": b}
given.update(wci=zero, wcf=zero, wco=zero)
found = tf.raw_ops.BlockLSTM(**given, forget_bias=0.0).cs.numpy().item()
right = 8 / (1 + np.exp(-9))  # order of gates i, g, f, o; the forget gate is open
print("found: cell state", found, " right:", round(right, 4))
assert found == 3, "the divergence is gone"
