"""`torch.nn.LSTM` as the function that the tests of `lstm-xcheck vectors --format pytest` call."""

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

NAMES = {"W": "weight_ih", "U": "weight_hh", "b": "bias_ih", "b_r": "bias_hh"}


def run(weights, x, h0, c0, lengths):
    """Outputs y, h_n and c_n."""
    first = weights.layers[0]
    lstm = torch.nn.LSTM(x.shape[2], h0.shape[2], len(weights.layers), bidirectional=len(first) == 2, batch_first=True)
    for layer, cells in enumerate(weights.layers):
        for cell, direction in zip(cells, ("", "_reverse"), strict=False):
            for ours, theirs in NAMES.items():
                parameter = getattr(lstm, f"{theirs}_l{layer}{direction}")
                parameter.data.copy_(torch.tensor(getattr(cell, ours)).reshape(parameter.shape))
    given = torch.tensor(x)
    if lengths is not None:
        given = pack_padded_sequence(given, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    with torch.no_grad():
        y, states = lstm(given, (torch.tensor(h0), torch.tensor(c0)))
    if lengths is not None:
        y, _ = pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
    return y, *states
