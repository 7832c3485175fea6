"""Under torch.autocast nn.LSTMCell gives float32, where nn.LSTM of the same weights gives bfloat16."""

import torch

layer, cell, x = torch.nn.LSTM(3, 4), torch.nn.LSTMCell(3, 4), torch.randn(1, 2, 3)
with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
    found, right = cell(x[0])[0].dtype, layer(x)[1][0].dtype
print("found:", found, " right:", right)
assert (found, right) == (torch.float32, torch.bfloat16), "the divergence is gone"
