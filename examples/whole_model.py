"""Make tagger.pt: a PyTorch model of an embedding, two LSTM layers and a head, input for `lstm-xcheck port`."""

from __future__ import annotations

import torch

torch.manual_seed(0)
model = torch.nn.ModuleDict(
    {
        "embedding": torch.nn.Embedding(50, 6),
        "lstm": torch.nn.LSTM(6, 10, num_layers=2, bidirectional=True),
        "head": torch.nn.Linear(20, 3),
    }
)
torch.save(model.state_dict(), "tagger.pt")
print("wrote tagger.pt")
