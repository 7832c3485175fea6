"""PyTorch's names in a state dict of PaddlePaddle name other tensors, in a stack with projections."""

import paddle

state = paddle.nn.LSTM(5, 4, num_layers=2, proj_size=3).state_dict()
found, right = state["weight_ih_l1"], state["1.cell.weight_ih"]
print("found: weight_ih_l1", tuple(found.shape), " right:", tuple(right.shape))
assert found is state["0.cell.weight_ho"], "the divergence is gone"
assert found is not right
