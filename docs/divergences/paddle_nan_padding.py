"""PaddlePaddle lets NaN at padding into the final states, in spite of sequence_length."""

import numpy as np
import paddle

paddle.seed(0)
layer = paddle.nn.LSTM(1, 1)
x = np.ones((1, 3, 1), np.float32)
x[0, 2] = np.nan
_, (found, _) = layer(paddle.to_tensor(x), sequence_length=paddle.to_tensor([2]))
_, (right, _) = layer(paddle.to_tensor(x[:, :2]))
print("found: h", found.item(), " right: h", round(right.item(), 4))
assert np.isfinite(right.item())
assert np.isnan(found.item()), "the divergence is gone"
