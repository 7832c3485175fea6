"""PaddlePaddle computes on at padding when there is a projection; without one, outputs there are 0."""

import paddle

paddle.seed(0)
x, lengths = paddle.ones([1, 3, 1]), paddle.to_tensor([1])
found, right = (paddle.nn.LSTM(1, 2, proj_size=size)(x, None, lengths)[0][0, 1:].numpy() for size in (1, 0))
print("found: proj_size 1", found.ravel().round(3), " right: proj_size 0", right.ravel())
assert not right.any()
assert found.any(), "the divergence is gone"
