"""Under torch.autocast nn.LSTM gives bfloat16, but float32 for packed rows of different lengths."""

import torch
from torch.nn.utils.rnn import pack_padded_sequence

torch.manual_seed(0)
layer, x = torch.nn.LSTM(3, 4, batch_first=True), torch.randn(2, 5, 3)
packed = pack_padded_sequence(x, torch.tensor([5, 3]), batch_first=True)
with torch.no_grad():
    exact = layer(packed)[1][0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        right, found = layer(x)[1][0].dtype, layer(packed)[1][0]
error = (found - exact).abs().max().item()
print(f"found: {found.dtype}, off by {error:.0e}", " right:", right)
assert error > 1e-5, "packed rows are no longer computed in bfloat16"
assert (found.dtype, right) == (torch.float32, torch.bfloat16), "the divergence is gone"
