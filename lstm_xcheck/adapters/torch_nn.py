"""PyTorch's `torch.nn.LSTM`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ..arrays import STORAGE, Array
from ..layouts import gradients_from_layout
from ..model import Case, LSTMSpec, Result, cotangents
from .protocol import plain_function_only

_DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}

_States = tuple[torch.Tensor, torch.Tensor]


class TorchNN:
    """`nn.LSTM`, batch first; padded rows go through `pack_padded_sequence`.

    The fused stack shows only its top layer, so each layer of a stack is also run alone, on the output of the
    one below, for `Result.layer_outputs`.
    """

    layout = "torch"

    def __init__(self, name: str) -> None:
        self.name = name
        torch.set_num_threads(1)  # a second thread makes small cases up to 100 times slower on busy machines

    def environment(self) -> dict[str, str]:
        """Versions of what computes."""
        return {"torch": torch.__version__}

    def unsupported(self, case: Case) -> str | None:
        """nn.LSTM has neither peepholes nor other activations, masks with holes, nor a reverse-only direction."""
        if case.spec.reverse:
            return "reverse: nn.LSTM reads backward only as half of a bidirectional layer"
        if case.mask is not None:
            return "mask: nn.LSTM knows lengths (packed sequences) but no mask with holes"
        return plain_function_only(case.spec, "nn.LSTM")

    def computes_in(self, case: Case) -> tuple[str, str]:
        """nn.LSTM computes in the precision of its parameters."""
        return case.precision, ""

    def build(self, spec: LSTMSpec, precision: str) -> torch.nn.LSTM:
        """The whole stack as one module."""
        return _module(spec, precision)

    def load(self, model: torch.nn.LSTM, arrays: Mapping[str, Array]) -> None:
        """Through `load_state_dict`, which refuses missing and unknown names."""
        model.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})

    def read_back(self, model: torch.nn.LSTM) -> dict[str, Array]:
        """From `state_dict`."""
        return {name: _to_numpy(tensor) for name, tensor in model.state_dict().items()}

    def count_parameters(self, model: torch.nn.LSTM) -> int:
        """`numel` of every parameter."""
        return sum(parameter.numel() for parameter in model.parameters())

    def run(self, model: torch.nn.LSTM, case: Case) -> Result:
        """The fused stack, then each layer alone."""
        with torch.no_grad():
            return _result(model, case, *_forward(model, case, _tensor(case.x, model), _initial(model, case)))

    def run_with_gradients(self, model: torch.nn.LSTM, case: Case) -> Result:
        """`torch.autograd.grad` through the fused stack."""
        leaves = [_tensor(array, model).requires_grad_() for array in (case.x, *_states(case))]
        outputs = _forward(model, case, leaves[0], (leaves[1], leaves[2]))
        names, parameters = zip(*model.named_parameters(), strict=True)
        pulls = [_tensor(array, model) for array in cotangents(case)]
        found = [_to_numpy(gradient) for gradient in torch.autograd.grad(outputs, [*parameters, *leaves], pulls)]
        gradients = gradients_from_layout(dict(zip(names, found, strict=False)), self.layout)
        gradients.update(zip(("x", "h0", "c0"), found[len(names) :], strict=True))
        return replace(_result(model, case, *outputs), gradients=gradients)


def _module(spec: LSTMSpec, precision: str) -> torch.nn.LSTM:
    return torch.nn.LSTM(
        spec.input_size,
        spec.hidden_size,
        num_layers=spec.num_layers,
        bias=spec.bias != "none",
        batch_first=True,
        bidirectional=spec.bidirectional,
        proj_size=spec.proj_size,
        dtype=_DTYPES[precision],
    )


def _tensor(array: Array, model: torch.nn.LSTM) -> torch.Tensor:
    return torch.from_numpy(np.array(array)).to(model.weight_ih_l0.dtype)


def _to_numpy(tensor: torch.Tensor) -> Array:
    """bfloat16 has no NumPy type and travels, exactly, as float32."""
    wide = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
    return wide.detach().cpu().numpy()


def _result(model: torch.nn.LSTM, case: Case, y: torch.Tensor, h_n: torch.Tensor, c_n: torch.Tensor) -> Result:
    lower = _layer_outputs(model, case) if case.spec.num_layers > 1 else ()
    last = _last(h_n, case.spec) if case.returns == "last" else None
    return Result(y=_to_numpy(y), h_n=_to_numpy(h_n), c_n=_to_numpy(c_n), last=last, layer_outputs=lower)


def _initial(model: torch.nn.LSTM, case: Case, rows: slice = slice(None)) -> _States | None:
    """The given rows of the initial states, or None where the case has none."""
    if case.h0 is None and case.c0 is None:
        return None
    h0, c0 = _states(case)
    return _tensor(h0[rows], model), _tensor(c0[rows], model)


def _forward(
    model: torch.nn.LSTM, case: Case, x: torch.Tensor, states: _States | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Run a module on x."""
    if case.lengths is None:
        y, (h_n, c_n) = model(x, states)
        return y, h_n, c_n
    packed = pack_padded_sequence(x, torch.tensor(case.lengths), batch_first=True, enforce_sorted=False)
    y, (h_n, c_n) = model(packed, states)
    padded, _ = pad_packed_sequence(y, batch_first=True, total_length=case.steps)
    return padded, h_n, c_n


def _states(case: Case) -> tuple[Array, Array]:
    """Both initial states; one that is absent is zero."""
    spec, storage = case.spec, STORAGE[case.precision]
    shape = (spec.num_layers * spec.num_directions, case.batch)
    h0 = np.zeros((*shape, spec.output_size), storage) if case.h0 is None else case.h0
    c0 = np.zeros((*shape, spec.hidden_size), storage) if case.c0 is None else case.c0
    return h0, c0


def _layer_outputs(model: torch.nn.LSTM, case: Case) -> tuple[Array, ...]:
    """The outputs of every layer below the top, each layer run as a module of its own."""
    spec = case.spec
    x = _tensor(case.x, model)
    outputs = []
    for index in range(spec.num_layers - 1):
        layer = _module(spec.layer(index), case.precision)
        with torch.no_grad():
            for name, parameter in layer.named_parameters():
                parameter.copy_(getattr(model, name.replace("_l0", f"_l{index}")))
        rows = slice(index * spec.num_directions, (index + 1) * spec.num_directions)
        x, _, _ = _forward(layer, case, x, _initial(model, case, rows))
        outputs.append(_to_numpy(x))
    return tuple(outputs)


def _last(h_n: torch.Tensor, spec: LSTMSpec) -> Array:
    """What users take as the last output: the top layer's final hidden states, side by side."""
    top = h_n[-spec.num_directions :]
    return _to_numpy(torch.cat(list(top), dim=-1))
