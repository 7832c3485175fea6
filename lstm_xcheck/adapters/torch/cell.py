"""PyTorch's `torch.nn.LSTMCell` in a loop over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from ...arrays import Array, to_numpy
from ...layouts import gradients_from_layout
from ...model import Case, LSTMSpec, Result, cotangents
from ..case_arrays import explicit_states, padding_mask
from ..cell_loop import CellStack, run_cell
from ..layers import StackTensors, run_layers, stack_result
from ..protocol import plain_function_only
from .nn import DTYPES


class TorchCell:
    """`nn.LSTMCell` of torch 2.13.0, called step by step, with `torch.where` at padding.

    The names are those of `nn.LSTM`: the weights that people move from a stack into a loop of cells and back.
    """

    layout = "torch"

    def __init__(self, name: str) -> None:
        self.name = name
        torch.set_num_threads(1)

    def environment(self) -> dict[str, str]:
        """Versions of what computes."""
        return {"torch": torch.__version__}

    def unsupported(self, case: Case) -> str | None:
        """Projections, peepholes and other activations; the loop knows both directions and every mask."""
        if case.spec.proj_size:
            return "proj_size: nn.LSTMCell has no projection"
        return plain_function_only(case.spec, "nn.LSTMCell")

    def computes_in(self, case: Case) -> tuple[str, str]:
        """The precision of the parameters."""
        return case.precision, ""

    def build(self, spec: LSTMSpec, precision: str) -> CellStack:
        """A cell for each direction of each layer, in a `ModuleDict`."""
        cells = [
            [
                torch.nn.LSTMCell(width, spec.hidden_size, bias=spec.bias != "none", dtype=DTYPES[precision])
                for _ in range(spec.num_directions)
            ]
            for width in map(spec.layer_input_size, range(spec.num_layers))
        ]
        named = {
            f"l{layer}{'_reverse' if direction else ''}": cell
            for layer, row in enumerate(cells)
            for direction, cell in enumerate(row)
        }
        return CellStack(spec, cells, torch.nn.ModuleDict(named))

    def load(self, model: CellStack, arrays: Mapping[str, Array]) -> None:
        """Load with `load_state_dict`, which refuses missing and unknown names."""
        state = {_module_name(name): torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        model.root.load_state_dict(state)

    def read_back(self, model: CellStack) -> dict[str, Array]:
        """Read from `state_dict`."""
        return {_layout_name(name): to_numpy(tensor) for name, tensor in model.root.state_dict().items()}

    def count_parameters(self, model: CellStack) -> int:
        """`numel` of every parameter."""
        return sum(parameter.numel() for parameter in model.root.parameters())

    def run(self, model: CellStack, case: Case) -> Result:
        """Run the loop without gradients."""
        with torch.no_grad():
            return stack_result(_forward(model, case, *_data(case)), case, to_numpy)

    def run_with_gradients(self, model: CellStack, case: Case) -> Result:
        """Differentiate the loop with `torch.autograd.grad`."""
        leaves = [tensor.requires_grad_() for tensor in _data(case)]
        found = _forward(model, case, *leaves)
        outputs = [found.layers[-1], torch.stack(found.h_n), torch.stack(found.c_n)]
        names, parameters = zip(*model.root.named_parameters(), strict=True)
        vectors = [_tensor(array, case.precision) for array in cotangents(case)]
        arrays = [to_numpy(gradient) for gradient in torch.autograd.grad(outputs, [*parameters, *leaves], vectors)]
        stored = dict(zip(map(_layout_name, names), arrays, strict=False))
        gradients = gradients_from_layout(stored, self.layout)
        gradients.update(zip(("x", "h0", "c0"), arrays[len(names) :], strict=True))
        return replace(stack_result(found, case, to_numpy), gradients=gradients)


def _module_name(name: str) -> str:
    """`l0_reverse.weight_ih` of `weight_ih_l0_reverse`."""
    parameter, _, cell = name.partition("_l")
    return f"l{cell}.{parameter}"


def _layout_name(name: str) -> str:
    """`weight_ih_l0_reverse` of `l0_reverse.weight_ih`."""
    cell, _, parameter = name.partition(".")
    return f"{parameter}_{cell}"


def _tensor(array: Array, precision: str) -> torch.Tensor:
    return torch.from_numpy(np.array(array)).to(DTYPES[precision])


def _data(case: Case) -> list[torch.Tensor]:
    """x, h0 and c0."""
    return [_tensor(array, case.precision) for array in (case.x, *explicit_states(case))]


def _forward(model: CellStack, case: Case, x: torch.Tensor, h0: torch.Tensor, c0: torch.Tensor) -> StackTensors:
    mask = padding_mask(case)
    valid = None if mask is None else torch.from_numpy(mask.copy()).unsqueeze(-1).unbind(1)

    def run_direction(
        layer: int, direction: int, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        cell = model.cells[layer][direction]
        backward = model.spec.is_backward(direction)
        outputs, h, c = run_cell(
            lambda x, h, c: cell(x, (h, c)), x.unbind(1), h, c, valid, torch.where, backward=backward
        )
        return torch.stack(outputs, 1), h, c

    return run_layers(model.spec, x, h0, c0, run_direction, lambda outputs: torch.cat(outputs, -1))
