"""Make lstm.pt, and observed.npz from a copy whose gates f and g were exchanged: input for `lstm-xcheck diagnose`."""

from __future__ import annotations

import numpy as np
import torch

torch.manual_seed(0)
lstm = torch.nn.LSTM(6, 10, batch_first=True)
torch.save(lstm.state_dict(), "lstm.pt")
x = torch.randn(3, 7, 6)
with torch.no_grad():
    for parameter in lstm.parameters():
        blocks = parameter.reshape(4, 10, -1)
        parameter.copy_(blocks[[0, 2, 1, 3]].reshape(parameter.shape))
    y, (h_n, c_n) = lstm(x)
np.savez("observed.npz", x=x.numpy(), y=y.numpy(), h_n=h_n.numpy(), c_n=c_n.numpy())
print("wrote lstm.pt and observed.npz")
