"""Live `torch.nn.LSTM` and `torch.nn.LSTMCell` modules, run as they are."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ..adapters.torch_nn import to_numpy
from ..arrays import STORAGE, Array
from ..errors import SpecError, Unsupported, UserError
from ..layouts import from_layout
from ..model import LSTMWeights, Result
from .lstm import LiveLSTM

#: torch 2.13.0 nn.LSTMCell, torch/nn/modules/rnn.py (RNNCellBase.__init__).
_CELL_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def read(module: Any) -> LiveLSTM:
    """An `nn.LSTM` with any options and device, or an `nn.LSTMCell`."""
    if isinstance(module, torch.nn.LSTM):
        if module.training and module.dropout > 0:
            raise UserError(
                f"torch {module} is in training mode with dropout {module.dropout:g}, so its outputs are random; "
                "call .eval() on it first"
            )
        names = {name: name for name in module._flat_weights_names}
        return _live(module, names, partial(_run_lstm, module), ragged=True)
    if isinstance(module, torch.nn.LSTMCell):
        names = {f"{name}_l0": name for name in _CELL_NAMES if getattr(module, name) is not None}
        return _live(module, names, partial(_run_cell, module), ragged=False)
    raise UserError(_not_an_lstm(module))


def _live(module: Any, names: dict[str, str], run: Any, *, ragged: bool) -> LiveLSTM:
    arrays = {name: to_numpy(getattr(module, attribute)) for name, attribute in names.items()}
    weights = _weights(arrays, getattr(module, next(iter(names.values()))).dtype)
    count = sum(parameter.numel() for parameter in module.parameters())
    return LiveLSTM(f"torch {module}", weights, count, run, ragged)


def _weights(arrays: dict[str, Array], dtype: torch.dtype) -> LSTMWeights:
    precision = str(dtype).removeprefix("torch.")
    if precision not in STORAGE:
        raise SpecError(f"the module holds {precision} weights, but should hold one of {', '.join(STORAGE)}")
    return from_layout(arrays, "torch", dtype=precision)


def _not_an_lstm(module: Any) -> str:
    inside = []
    if isinstance(module, torch.nn.Module):
        kinds = (torch.nn.LSTM, torch.nn.LSTMCell)
        inside = [name for name, part in module.named_modules() if name and isinstance(part, kinds)]
    hint = "write it as a function (weights, x, h0, c0, lengths) -> y, h, c"
    if inside:
        hint = f"pass one of those inside it: {', '.join(inside)}"
    return f"got a torch {type(module).__name__}, but expected nn.LSTM or nn.LSTMCell; {hint}"


def _run_lstm(module: torch.nn.LSTM, x: Array, h0: Array, c0: Array, lengths: Array | None) -> Result:
    """The module, then each layer alone: a fused stack hides the lower ones."""
    if lengths is not None and lengths.ndim == 2:
        raise Unsupported("mask: nn.LSTM knows lengths (packed sequences) but no mask with holes")
    like = module.weight_ih_l0
    with torch.no_grad():
        y, h_n, c_n = _call(module, _tensor(x, like), _tensor(h0, like), _tensor(c0, like), lengths)
        lower = _lower_outputs(module, x, h0, c0, lengths)
    return Result(y=y, h_n=h_n, c_n=c_n, layer_outputs=lower)


def _call(
    module: torch.nn.LSTM, x: torch.Tensor, h0: torch.Tensor, c0: torch.Tensor, lengths: Array | None
) -> tuple[Array, Array, Array]:
    """Batch-first tensors in, batch-first arrays out, for any module."""
    given = x if module.batch_first else x.transpose(0, 1)
    if lengths is None:
        y, (h_n, c_n) = module(given, (h0, c0))
    else:
        packed = pack_padded_sequence(
            given, torch.tensor(lengths), batch_first=module.batch_first, enforce_sorted=False
        )
        y, (h_n, c_n) = module(packed, (h0, c0))
        y, _ = pad_packed_sequence(y, batch_first=module.batch_first, total_length=x.shape[1])
    return to_numpy(y if module.batch_first else y.transpose(0, 1)), to_numpy(h_n), to_numpy(c_n)


def _lower_outputs(module: torch.nn.LSTM, x: Array, h0: Array, c0: Array, lengths: Array | None) -> tuple[Array, ...]:
    """Outputs of the layers below the top, from single layers with the same weights."""
    like = module.weight_ih_l0
    width = 2 if module.bidirectional else 1
    outputs: list[Array] = []
    for index in range(module.num_layers - 1):
        given = outputs[-1] if outputs else x
        layer = torch.nn.LSTM(
            given.shape[2], module.hidden_size, bias=module.bias, batch_first=True,
            bidirectional=module.bidirectional, proj_size=module.proj_size, dtype=like.dtype, device=like.device,
        )  # fmt: skip
        for name, parameter in layer.named_parameters():
            parameter.copy_(getattr(module, name.replace("_l0", f"_l{index}")))
        rows = slice(index * width, (index + 1) * width)
        y, _, _ = _call(layer, _tensor(given, like), _tensor(h0[rows], like), _tensor(c0[rows], like), lengths)
        outputs.append(y)
    return tuple(outputs)


def _run_cell(module: torch.nn.LSTMCell, x: Array, h0: Array, c0: Array, lengths: Array | None) -> Result:
    """The cell, step by step."""
    if lengths is not None:
        raise Unsupported("lengths: nn.LSTMCell computes one step for all rows")
    like = module.weight_ih
    h, c = _tensor(h0[0], like), _tensor(c0[0], like)
    outputs = []
    with torch.no_grad():
        for t in range(x.shape[1]):
            h, c = module(_tensor(x[:, t], like), (h, c))
            outputs.append(to_numpy(h))
    return Result(y=np.stack(outputs, axis=1), h_n=to_numpy(h)[None], c_n=to_numpy(c)[None])


def _tensor(array: Array, like: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(np.array(array)).to(dtype=like.dtype, device=like.device)
