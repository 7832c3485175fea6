"""`torch.nn.LSTM` and `torch.nn.LSTMCell` that make mistakes."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from ...arrays import to_numpy
from ...diagnose.mistake import Outputs
from ...live.read_torch import read
from ...model import Case
from ..plant import Plant


def install(plant: Plant) -> None:
    """Let every module of these classes ask what to add to its outputs."""
    sequence, step = torch.nn.LSTM.forward, torch.nn.LSTMCell.forward

    def lstm(self: Any, input: Any, hx: Any = None) -> Any:
        y, states = sequence(self, input, hx)
        added = plant.changes(lambda: _case_of_sequence(self, input, hx))
        return (y, states) if added is None else _changed(self, y, states, added)

    def cell(self: Any, input: Any, hx: Any = None) -> Any:
        h, c = step(self, input, hx)
        added = plant.changes(lambda: _case_of_step(self, input, hx), of_step=True)
        return (h, c) if added is None else (_sum(h, added["h_n"][0]), _sum(c, added["c_n"][0]))

    torch.nn.LSTM.forward = lstm
    torch.nn.LSTMCell.forward = cell


def _case_of_sequence(module: Any, given: Any, hx: Any) -> Case:
    lengths, x = None, given
    if isinstance(given, PackedSequence):
        x, sizes = pad_packed_sequence(given, batch_first=True)  # in the order before sorting
        lengths = sizes.numpy()
    elif given.dim() == 2:
        x = given[None]
    elif not module.batch_first:
        x = given.transpose(0, 1)
    h0, c0 = (None, None) if hx is None else (state[:, None] if state.dim() == 2 else state for state in hx)
    return _case(module, x, h0, c0, lengths)


def _case_of_step(module: Any, given: Any, hx: Any) -> Case:
    h0, c0 = (None, None) if hx is None else (state.reshape(1, -1, module.hidden_size) for state in hx)
    return _case(module, given.reshape(-1, 1, module.input_size), h0, c0)


def _case(module: Any, x: Any, h0: Any, c0: Any, lengths: Any = None) -> Case:
    h0, c0 = (None if state is None else to_numpy(state) for state in (h0, c0))
    return Case(read(module).weights, to_numpy(x), h0, c0, lengths)


def _changed(module: Any, y: Any, states: Any, added: Outputs) -> Any:
    change = added["y"]
    if isinstance(y, PackedSequence):
        rows = torch.as_tensor(change)
        rows = rows if y.sorted_indices is None else rows[y.sorted_indices]
        _, lengths = pad_packed_sequence(PackedSequence(y.data, y.batch_sizes))
        packed = pack_padded_sequence(rows, lengths, batch_first=True)
        result: Any = y._replace(data=_sum(y.data, packed.data))
    elif y.dim() == 2:
        result = _sum(y, change[0])
    else:
        result = _sum(y, change if module.batch_first else change.swapaxes(0, 1))
    pair = zip(states, (added["h_n"], added["c_n"]), strict=True)
    return result, tuple(_sum(state, change.reshape(state.shape)) for state, change in pair)


def _sum(tensor: Any, change: Any) -> Any:
    return tensor + torch.as_tensor(change).reshape(tensor.shape).to(dtype=tensor.dtype, device=tensor.device)
