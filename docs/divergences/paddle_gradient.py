"""PaddlePaddle's gradient of weight_hh is wrong in the backward direction of a padded row with initial states."""

import paddle

paddle.set_default_dtype("float64")
paddle.seed(0)
layer = paddle.nn.LSTM(2, 2, direction="bidirect")
x, *states = (paddle.randn(shape) for shape in ([1, 5, 2], [2, 1, 2], [2, 1, 2]))
for tensor in (x, *states):
    tensor.stop_gradient = False


def loss_and_gradient(x, lengths):
    """The sum of outputs, and its gradient by the first number of the recurrent matrix."""
    layer.clear_gradients()
    loss = layer(x, states, lengths)[0].sum()
    loss.backward()
    return loss.item(), layer[0].cell_bw.weight_hh.grad[0, 0].item()


(loss, found), (same, right) = loss_and_gradient(x, paddle.to_tensor([3])), loss_and_gradient(x[:, :3], None)
print("found: padded", found, " right: cut, of the same loss,", right)
assert abs(loss - same) < 1e-12
assert abs(found - right) > 0.001, "the divergence is gone"
