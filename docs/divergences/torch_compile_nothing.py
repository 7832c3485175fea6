"""torch.compile of nn.LSTM compiles nothing, and says nothing, without the private option allow_rnn."""

import torch
import torch._dynamo
from torch._dynamo.utils import counters

graphs = {}
for allowed in (False, True):
    torch._dynamo.reset()
    counters.clear()
    with torch._dynamo.config.patch(allow_rnn=allowed), torch.no_grad():
        torch.compile(torch.nn.LSTM(3, 4), backend="eager")(torch.randn(5, 2, 3))
    graphs[allowed] = counters["stats"]["unique_graphs"]
print("found: graphs", graphs[False], " right: graphs", graphs[True])
assert graphs[True] == 1
assert graphs[False] == 0, "the divergence is gone"
