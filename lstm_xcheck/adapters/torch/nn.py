"""PyTorch's `torch.nn.LSTM`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ...arrays import Array, to_numpy
from ...layouts import gradients_from_layout
from ...model import Case, LSTMSpec, Result, cotangents
from ..case_arrays import explicit_states, last_output
from ..protocol import plain_function_only

DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}

_States = tuple[torch.Tensor, torch.Tensor]


class TorchModule:
    """An `nn.LSTM`, batch first; subclasses run it, or what it becomes."""

    layout = "torch"

    def __init__(self, name: str) -> None:
        self.name = name
        torch.set_num_threads(1)  # a second thread makes small cases up to 100 times slower on busy machines

    def environment(self) -> dict[str, str]:
        """Versions of what computes."""
        return {"torch": torch.__version__}

    def unsupported(self, case: Case) -> str | None:
        """Peepholes, other activations, masks with holes, length 0, or only a backward direction."""
        if case.spec.reverse:
            return "reverse: nn.LSTM reads backward only as half of a bidirectional layer"
        if case.mask is not None:
            return "mask: nn.LSTM knows lengths (packed sequences) but no mask with holes"
        if case.lengths is not None and not case.lengths.all():
            return "length 0: pack_padded_sequence refuses rows without a valid step"
        return plain_function_only(case.spec, "nn.LSTM")

    def computes_in(self, case: Case) -> tuple[str, str]:
        """The precision of the parameters."""
        return case.precision, ""

    def build(self, spec: LSTMSpec, precision: str) -> torch.nn.LSTM:
        """The stack as one module."""
        return _module(spec, precision)

    def load(self, model: torch.nn.LSTM, arrays: Mapping[str, Array]) -> None:
        """Load with `load_state_dict`, which refuses missing and unknown names."""
        model.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})

    def read_back(self, model: torch.nn.LSTM) -> dict[str, Array]:
        """Read from `state_dict`."""
        return {name: to_numpy(tensor) for name, tensor in model.state_dict().items()}

    def count_parameters(self, model: torch.nn.LSTM) -> int:
        """`numel` of every parameter."""
        return sum(parameter.numel() for parameter in model.parameters())


class TorchNN(TorchModule):
    """`nn.LSTM` itself, called as `Case.call` says; padded rows are packed with `pack_padded_sequence`.

    The fused stack returns outputs of its top layer only. Each lower layer is therefore also run alone, on the output
    of the layer below, for `Result.layer_outputs`.
    """

    options = frozenset({"time-major", "unbatched"})

    def run(self, model: torch.nn.LSTM, case: Case) -> Result:
        """Run the fused stack, then each lower layer alone."""
        with torch.no_grad():
            return _result(model, case, *_forward(model, case, to_tensor(case.x, model), _initial_states(model, case)))

    def run_with_gradients(self, model: torch.nn.LSTM, case: Case) -> Result:
        """Differentiate the fused stack with `torch.autograd.grad`."""
        leaves = [to_tensor(array, model).requires_grad_() for array in (case.x, *explicit_states(case))]
        outputs = _forward(model, case, leaves[0], (leaves[1], leaves[2]))
        names, parameters = zip(*model.named_parameters(), strict=True)
        vectors = [to_tensor(array, model) for array in cotangents(case)]
        found = [to_numpy(gradient) for gradient in torch.autograd.grad(outputs, [*parameters, *leaves], vectors)]
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
        dtype=DTYPES[precision],
    )


def to_tensor(array: Array, model: torch.nn.LSTM) -> torch.Tensor:
    """A tensor of the precision of the parameters."""
    return torch.from_numpy(np.array(array)).to(model.weight_ih_l0.dtype)


def _result(model: torch.nn.LSTM, case: Case, y: torch.Tensor, h_n: torch.Tensor, c_n: torch.Tensor) -> Result:
    final = to_numpy(h_n)
    last = last_output(final, case.spec) if case.returns == "last" else None
    return Result(y=to_numpy(y), h_n=final, c_n=to_numpy(c_n), last=last, layer_outputs=_lower_outputs(model, case))


def _initial_states(model: torch.nn.LSTM, case: Case, rows: slice = slice(None)) -> _States | None:
    """Rows of the initial states; None for a case without states."""
    if case.h0 is None and case.c0 is None:
        return None
    h0, c0 = explicit_states(case)
    return to_tensor(h0[rows], model), to_tensor(c0[rows], model)


def _forward(
    model: torch.nn.LSTM, case: Case, x: torch.Tensor, states: _States | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Run a module on x; returns y, h_n and c_n."""
    if case.call == "unbatched":
        y, (h_n, c_n) = model(x[0], None if states is None else (states[0][:, 0], states[1][:, 0]))
        return y[None], h_n[:, None], c_n[:, None]
    model.batch_first = first = case.call == "batch-major"
    x = x if first else x.transpose(0, 1)
    if case.lengths is None:
        y, (h_n, c_n) = model(x, states)
        return y if first else y.transpose(0, 1), h_n, c_n
    packed = pack_padded_sequence(x, torch.tensor(case.lengths), batch_first=first, enforce_sorted=False)
    y, (h_n, c_n) = model(packed, states)
    padded, _ = pad_packed_sequence(y, batch_first=first, total_length=case.steps)
    return padded if first else padded.transpose(0, 1), h_n, c_n


def _lower_outputs(model: torch.nn.LSTM, case: Case) -> tuple[Array, ...]:
    """Outputs of the layers below the top, each run as a module."""
    x = to_tensor(case.x, model)
    outputs = []
    for layer, rows in lower_layers(model, case):
        with torch.no_grad():
            x, _, _ = _forward(layer, case, x, _initial_states(model, case, rows))
        outputs.append(to_numpy(x))
    return tuple(outputs)


def lower_layers(model: torch.nn.LSTM, case: Case) -> Iterator[tuple[torch.nn.LSTM, slice]]:
    """Each layer below the top as a module, and its rows of the states."""
    spec = case.spec
    for index in range(spec.num_layers - 1):
        layer = _module(spec.layer(index), case.precision)
        with torch.no_grad():
            for name, parameter in layer.named_parameters():
                parameter.copy_(getattr(model, name.replace("_l0", f"_l{index}")))
        yield layer, slice(index * spec.num_directions, (index + 1) * spec.num_directions)
