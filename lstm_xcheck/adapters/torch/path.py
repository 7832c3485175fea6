"""What paths from `nn.LSTM` share: load it, transform it, run the outcome."""

from __future__ import annotations

import sys
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ...arrays import Array, to_numpy
from ...layouts import gradients_from_layout
from ...model import Case, LSTMSpec, Result, cotangents
from ..case_arrays import explicit_states, last_output
from .nn import TorchModule, lower_layers, to_tensor

#: x, lengths if there are any, and h0 and c0 if there are any.
Inputs = tuple[torch.Tensor, ...]
Outputs = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
Program = Callable[..., Outputs]


class Plain(torch.nn.Module):
    """The stack, with states as inputs of their own."""

    def __init__(self, lstm: torch.nn.LSTM) -> None:
        super().__init__()
        self.lstm = lstm

    def forward(self, x: torch.Tensor, h0: torch.Tensor | None = None, c0: torch.Tensor | None = None) -> Any:
        """The outputs y, h_n and c_n."""
        states: tuple[torch.Tensor, torch.Tensor] | None = None
        if h0 is not None and c0 is not None:
            states = (h0, c0)
        y, (h_n, c_n) = self.lstm(x, states)
        return y, h_n, c_n


class Packed(torch.nn.Module):
    """The stack between `pack_padded_sequence` and `pad_packed_sequence`."""

    def __init__(self, lstm: torch.nn.LSTM) -> None:
        super().__init__()
        self.lstm = lstm

    def forward(
        self, x: torch.Tensor, lengths: torch.Tensor, h0: torch.Tensor | None = None, c0: torch.Tensor | None = None
    ) -> Any:
        """The outputs y, zero at padding, h_n and c_n."""
        states: tuple[torch.Tensor, torch.Tensor] | None = None
        if h0 is not None and c0 is not None:
            states = (h0, c0)
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y, (h_n, c_n) = self.lstm(packed, states)
        padded, _ = pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
        return padded, h_n, c_n


@dataclass
class PathModel:
    """The loaded stack, and its programs by the shapes of inputs."""

    lstm: torch.nn.LSTM
    programs: dict[tuple[Any, ...], Program] = field(default_factory=dict)


class TorchPath(TorchModule):
    """A path; subclasses transform a module.

    It has no `run_with_gradients`: the gradients of the eager module are not those of a path.

    Attributes:
        fixed_shapes: whether another batch or number of steps needs another program.
        observes_layers: whether each lower layer takes the same path alone, for `Result.layer_outputs`.
    """

    fixed_shapes = True
    observes_layers = True

    @abstractmethod
    def transform(self, module: torch.nn.Module, inputs: Inputs) -> Program:
        """A program of the module, which may keep its present weights."""

    def build(self, spec: LSTMSpec, precision: str) -> Any:
        """The stack, and no program yet."""
        return PathModel(super().build(spec, precision).eval())

    def load(self, model: PathModel, arrays: Mapping[str, Array]) -> None:
        """Load the stack; programs of other weights are dropped."""
        before = {name: tensor.clone() for name, tensor in model.lstm.state_dict().items()}
        super().load(model.lstm, arrays)
        if not all(torch.equal(before[name], tensor) for name, tensor in model.lstm.state_dict().items()):
            model.programs.clear()

    def read_back(self, model: PathModel) -> dict[str, Array]:
        """Read from `state_dict` of the stack."""
        return super().read_back(model.lstm)

    def count_parameters(self, model: PathModel) -> int:
        """`numel` of every parameter of the stack."""
        return super().count_parameters(model.lstm)

    def run(self, model: PathModel, case: Case) -> Result:
        """Transform the loaded stack unless that was done, and run the outcome."""
        with torch.no_grad():
            inputs = _inputs(model.lstm, case, case.x, explicit=False)
            return self._result(model, case, self.program(model, model.lstm, case, inputs)(*inputs))

    def program(self, model: PathModel, lstm: torch.nn.LSTM, case: Case, inputs: Inputs, layer: int = -1) -> Program:
        """The program of the stack or of a lower layer.

        Exporters warn of what no user can change, and print.
        """
        shapes = tuple(tuple(tensor.shape) if self.fixed_shapes else () for tensor in inputs)
        key = (layer, case.lengths is not None, *shapes)
        if key not in model.programs:
            module = Plain(lstm) if case.lengths is None else Packed(lstm)
            with warnings.catch_warnings(), redirect_stdout(sys.stderr), torch.enable_grad():
                warnings.simplefilter("ignore")
                model.programs[key] = self.transform(module.eval(), inputs)
        return model.programs[key]

    def _result(self, model: PathModel, case: Case, outputs: Outputs) -> Result:
        y, h_n, c_n = map(to_numpy, outputs)
        last = last_output(h_n, case.spec) if case.returns == "last" else None
        return Result(y=y, h_n=h_n, c_n=c_n, last=last, layer_outputs=self._lower_outputs(model, case))

    def _lower_outputs(self, model: PathModel, case: Case) -> tuple[Array, ...]:
        outputs = [case.x]
        for layer, (lstm, rows) in enumerate(lower_layers(model.lstm, case) if self.observes_layers else ()):
            inputs = _inputs(lstm, case, outputs[-1], rows, explicit=False)
            with torch.no_grad():
                y, _, _ = self.program(model, lstm, case, inputs, layer)(*inputs)
            outputs.append(to_numpy(y))
        return tuple(outputs[1:])


class DifferentiablePath(TorchPath):
    """A path whose program is a module with parameters that autograd reaches."""

    def run_with_gradients(self, model: PathModel, case: Case) -> Result:
        """Differentiate the program with `torch.autograd.grad`."""
        inputs = _inputs(model.lstm, case, case.x, explicit=True)
        program: Any = self.program(model, model.lstm, case, inputs)
        leaves = [tensor.requires_grad_() for tensor in inputs if tensor.is_floating_point()]
        outputs = program(*inputs)
        names, parameters = zip(*program.named_parameters(), strict=True)
        vectors = [to_tensor(array, model.lstm) for array in cotangents(case)]
        found = [to_numpy(gradient) for gradient in torch.autograd.grad(outputs, [*parameters, *leaves], vectors)]
        own = {name.removeprefix("lstm."): gradient for name, gradient in zip(names, found, strict=False)}
        gradients = gradients_from_layout(own, self.layout)
        gradients.update(zip(("x", "h0", "c0"), found[len(names) :], strict=True))
        return replace(self._result(model, case, outputs), gradients=gradients)


def _inputs(lstm: torch.nn.LSTM, case: Case, x: Array, rows: slice = slice(None), *, explicit: bool) -> Inputs:
    """The tensors of a case; with `explicit`, absent states are zeros."""
    inputs = [to_tensor(x, lstm)]
    if case.lengths is not None:
        inputs.append(torch.tensor(case.lengths))
    if explicit or case.h0 is not None or case.c0 is not None:
        inputs += [to_tensor(array[rows], lstm) for array in explicit_states(case)]
    return tuple(inputs)
