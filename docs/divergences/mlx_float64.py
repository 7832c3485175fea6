"""mlx computes the sigmoid of float64 arrays in float32 on the CPU, and with it every gate of a float64 LSTM."""

import mlx.core as mx
import numpy as np

mx.set_default_device(mx.cpu)
y = mx.sigmoid(mx.array(np.ones(1), dtype=mx.float64))
found, right = np.array(y).item(), 1 / (1 + np.exp(-1))
print("found:", y.dtype, found, " right:", right)
assert y.dtype == mx.float64
assert abs(found - right) > 1e-10, "the divergence is gone"
