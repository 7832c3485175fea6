"""The gradient of tf.raw_ops.BlockLSTM passes through its cell clip as if there were none."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf

zero = np.zeros(1, "f")
given = {"seq_len_max": 1, "x": np.zeros((1, 1, 1), "f"), "h_prev": np.zeros((1, 1), "f"), "cell_clip": 1.0}
given.update(w=np.zeros((2, 4), "f"), b=np.zeros(4, "f"), wci=zero, wcf=zero, wco=zero)
c = tf.constant([[8.0]])  # becomes 4 or more, is bounded to 1, and a small change of it changes nothing
with tf.GradientTape() as tape:
    tape.watch(c)
    h = tf.raw_ops.BlockLSTM(**given, cs_prev=c).h
found = tape.gradient(h, c).numpy().item()
higher, lower = (tf.raw_ops.BlockLSTM(**given, cs_prev=c + step).h.numpy().item() for step in (0.5, -0.5))
print("found:", found, " right:", higher - lower)
assert higher == lower
assert found > 0.1, "the divergence is gone"
