"""Live `torch.nn.LSTM` and `torch.nn.LSTMCell` modules, run as they are, compiled and scripted ones too."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ..arrays import STORAGE, Array, to_numpy
from ..errors import SpecError, Unsupported, UserError
from ..layouts import from_layout
from ..model import LSTMWeights, Result
from .lstm import LiveLSTM

#: torch 2.13.0 nn.LSTMCell, torch/nn/modules/rnn.py (RNNCellBase.__init__).
_CELL_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def read(module: Any) -> LiveLSTM:
    """An `nn.LSTM` with any options and device, or an `nn.LSTMCell`.

    The weights are those of the module; what is run is the module that was given, as torch.compile or torch.jit.script
    made it.
    """
    own, how = module, ""
    if type(own).__name__ == "OptimizedModule":  # whose class is private, in torch/_dynamo/eval_frame.py
        own, how = own._orig_mod, "compiled "
    scripted = own.original_name if isinstance(own, torch.jit.ScriptModule) and _has_options(own) else ""
    how += "scripted " if scripted else ""
    if isinstance(own, torch.nn.LSTM) or scripted == "LSTM":
        if own.training and own.dropout > 0:
            raise UserError(
                f"torch {own} is in training mode with dropout {own.dropout:g}, so its outputs are random; "
                "call .eval() on it first"
            )
        # PyTorch compiles the call with a tensor and that with a packed sequence to two methods.
        given = own.forward__0 if scripted and own is module else module
        own_names = [name for name, _ in own.named_parameters()] if scripted else own._flat_weights_names
        # A packed sequence is not compiled: PyTorch runs the module that was compiled instead.
        ragged = not scripted and own is module
        return _live(own, how, {name: name for name in own_names}, partial(_run_lstm, own, given), ragged=ragged)
    if isinstance(own, torch.nn.LSTMCell):
        names = {f"{name}_l0": name for name in _CELL_NAMES if getattr(own, name) is not None}
        return _live(own, how, names, partial(_run_cell, own, module), ragged=False)
    raise UserError(_not_an_lstm(own))


def _has_options(module: Any) -> bool:
    """Whether a program keeps an LSTM's options; a traced one does not."""
    return all(hasattr(module, name) for name in ("batch_first", "bidirectional", "num_layers", "dropout"))


def _live(module: Any, how: str, names: dict[str, str], run: Any, *, ragged: bool) -> LiveLSTM:
    arrays = {name: to_numpy(getattr(module, attribute)) for name, attribute in names.items()}
    weights = _weights(arrays, getattr(module, next(iter(names.values()))).dtype)
    count = sum(parameter.numel() for parameter in module.parameters())
    return LiveLSTM(f"{how}torch {module}", weights, count, run, ragged)


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
    kind = type(module)
    if ".quantized." in f"{kind.__module__}.":
        stored = str(getattr(module, "dtype", torch.qint8)).removeprefix("torch.")
        return (
            f"got a quantised torch {kind.__name__} ({kind.__module__}), whose weights were rounded to {stored}, so it "
            f"is not the LSTM it was made of; compare that one, or, to see how far off it is, {hint}"
        )
    if inside:
        hint = f"pass one of those inside it: {', '.join(inside)}"
    return f"got a torch {kind.__name__}, but expected nn.LSTM or nn.LSTMCell; {hint}"


def _run_lstm(module: Any, given: Any, x: Array, h0: Array, c0: Array, lengths: Array | None) -> Result:
    """The module, then each layer alone: a fused stack hides the lower ones."""
    if lengths is not None and lengths.ndim == 2:
        raise Unsupported("mask: nn.LSTM knows lengths (packed sequences) but no mask with holes")
    like = module.weight_ih_l0
    with torch.no_grad():
        y, h_n, c_n = _call(given, module.batch_first, _tensor(x, like), _tensor(h0, like), _tensor(c0, like), lengths)
        lower = _lower_outputs(module, x, h0, c0, lengths)
    return Result(y=y, h_n=h_n, c_n=c_n, layer_outputs=lower)


def _call(
    module: Any, batch_first: bool, x: torch.Tensor, h0: torch.Tensor, c0: torch.Tensor, lengths: Array | None
) -> tuple[Array, Array, Array]:
    """Batch-first tensors in, batch-first arrays out, for any module."""
    given = x if batch_first else x.transpose(0, 1)
    if lengths is None:
        y, (h_n, c_n) = module(given, (h0, c0))
    else:
        packed = pack_padded_sequence(given, torch.tensor(lengths), batch_first=batch_first, enforce_sorted=False)
        y, (h_n, c_n) = module(packed, (h0, c0))
        y, _ = pad_packed_sequence(y, batch_first=batch_first, total_length=x.shape[1])
    return to_numpy(y if batch_first else y.transpose(0, 1)), to_numpy(h_n), to_numpy(c_n)


def _lower_outputs(module: Any, x: Array, h0: Array, c0: Array, lengths: Array | None) -> tuple[Array, ...]:
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
        states = (_tensor(h0[rows], like), _tensor(c0[rows], like))
        y, _, _ = _call(layer, layer.batch_first, _tensor(given, like), *states, lengths)
        outputs.append(y)
    return tuple(outputs)


def _run_cell(module: torch.nn.LSTMCell, given: Any, x: Array, h0: Array, c0: Array, lengths: Array | None) -> Result:
    """The cell, step by step."""
    if lengths is not None:
        raise Unsupported("lengths: nn.LSTMCell computes one step for all rows")
    like = module.weight_ih
    h, c = _tensor(h0[0], like), _tensor(c0[0], like)
    outputs = []
    with torch.no_grad():
        for t in range(x.shape[1]):
            h, c = given(_tensor(x[:, t], like), (h, c))
            outputs.append(to_numpy(h))
    return Result(y=np.stack(outputs, axis=1), h_n=to_numpy(h)[None], c_n=to_numpy(c)[None])


def _tensor(array: Array, like: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(np.array(array)).to(dtype=like.dtype, device=like.device)
