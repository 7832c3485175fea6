"""tinygrad's `nn.LSTMCell` in a loop over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from types import SimpleNamespace

import numpy as np
from tinygrad import Device, Tensor, dtypes, nn

from ..arrays import Array
from ..layouts import gradients_from_layout
from ..model import Case, LSTMSpec, Result, cotangents
from .case_arrays import explicit_states, padding_mask
from .cell_loop import CellStack, nested, run_cell
from .layers import StackTensors, run_layers, stack_result
from .protocol import plain_function_only

_DTYPES = {
    "float64": dtypes.float64,
    "float32": dtypes.float32,
    "float16": dtypes.float16,
    "bfloat16": dtypes.bfloat16,
}

#: Multiplications of a case: the device PYTHON, an interpreter, does some 4,000 a second.
_MOST = 250_000


class TinygradCell:
    """`nn.LSTMCell` of tinygrad 0.14.0, called step by step, with `Tensor.where` at padding.

    It runs on the device PYTHON, the only one that needs neither a compiler nor a driver: CPU and its renderers LLVM
    and X86 all start clang.
    """

    layout = "tinygrad"

    def __init__(self, name: str) -> None:
        self.name = name

    def environment(self) -> dict[str, str]:
        """Versions of what computes, and the device."""
        return {"tinygrad": version("tinygrad"), "device": Device.DEFAULT}

    def unsupported(self, case: Case) -> str | None:
        """Projections, peepholes, other activations, gradients of stacks, large cases; the loop knows every mask."""
        number = case.batch * case.steps * case.spec.canonical_count
        if Device.DEFAULT == "PYTHON" and number > _MOST:
            return (
                f"size: {number:,} multiplications take minutes on tinygrad's device PYTHON; ask for at most {_MOST:,}"
            )
        if case.gradients and case.spec.num_layers * case.spec.num_directions > 1:
            return "gradients: those of a stack take minutes on tinygrad's device PYTHON; ask for one layer's"
        if case.spec.proj_size:
            return "proj_size: tinygrad's LSTMCell has no projection"
        return plain_function_only(case.spec, "tinygrad's LSTMCell")

    def computes_in(self, case: Case) -> tuple[str, str]:
        """The precision of the parameters."""
        return case.precision, ""

    def build(self, spec: LSTMSpec, precision: str) -> CellStack:
        """A cell for each direction of each layer, nested as users stack them."""
        cells = [
            [nn.LSTMCell(width, spec.hidden_size, bias=spec.bias != "none") for _ in range(spec.num_directions)]
            for width in map(spec.layer_input_size, range(spec.num_layers))
        ]
        root = nested(cells, SimpleNamespace)
        for tensor in nn.state.get_parameters(root):
            tensor.replace(tensor.cast(_DTYPES[precision]).realize())
        return CellStack(spec, cells, root)

    def load(self, model: CellStack, arrays: Mapping[str, Array]) -> None:
        """Load with `load_state_dict`, which refuses missing names."""
        dtype = model.cells[0][0].weight_ih.dtype
        state = {name: Tensor(np.array(array)).cast(dtype) for name, array in arrays.items()}
        nn.state.load_state_dict(model.root, state, verbose=False)

    def read_back(self, model: CellStack) -> dict[str, Array]:
        """Read from `get_state_dict`."""
        return {name: _to_numpy(tensor) for name, tensor in nn.state.get_state_dict(model.root).items()}

    def count_parameters(self, model: CellStack) -> int:
        """`numel` of every parameter."""
        return sum(tensor.numel() for tensor in nn.state.get_parameters(model.root))

    def run(self, model: CellStack, case: Case) -> Result:
        """Run the loop, each step at once."""
        return stack_result(_forward(model, case, *_data(case), at_once=True), case, _to_numpy)

    def run_with_gradients(self, model: CellStack, case: Case) -> Result:
        """Differentiate a loss with `Tensor.gradient`."""
        data = _data(case)
        found = _forward(model, case, *data, at_once=False)
        outputs = [found.layers[-1], *found.h_n, *found.c_n]
        y, h_n, c_n = cotangents(case)
        vectors = [Tensor(np.array(array)).cast(_DTYPES[case.precision]) for array in (y, *h_n, *c_n)]
        loss = sum((output * vector).sum() for output, vector in zip(outputs, vectors, strict=True))
        parameters = nn.state.get_state_dict(model.root)
        arrays = loss.gradient(*parameters.values(), *data)
        Tensor.realize(*found.layers, *outputs, *arrays)
        *stored, x, h0, c0 = map(_to_numpy, arrays)
        gradients = gradients_from_layout(dict(zip(parameters, stored, strict=True)), self.layout)
        return replace(stack_result(found, case, _to_numpy), gradients={**gradients, "x": x, "h0": h0, "c0": c0})


def _to_numpy(tensor: Tensor) -> Array:
    """A NumPy array; bfloat16, which NumPy lacks, becomes float32 exactly."""
    wide = tensor.float() if tensor.dtype == dtypes.bfloat16 else tensor
    return wide.numpy()


def _data(case: Case) -> list[Tensor]:
    """x, h0 and c0."""
    arrays = (case.x, *explicit_states(case))
    return [Tensor(np.array(array)).cast(_DTYPES[case.precision]).realize() for array in arrays]


def _forward(model: CellStack, case: Case, x: Tensor, h0: Tensor, c0: Tensor, *, at_once: bool) -> StackTensors:
    mask = padding_mask(case)
    valid = None if mask is None else [Tensor(step.copy()) for step in mask.T[..., None]]

    def settle(tensor: Tensor) -> Tensor:
        return tensor.realize() if at_once else tensor

    def run_direction(layer: int, direction: int, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        def step(x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
            h, c = model.cells[layer][direction](x, (h, c))
            return settle(h), settle(c)

        def where(valid: Tensor, then: Tensor, otherwise: Tensor | float) -> Tensor:
            return settle(valid.where(then, otherwise))

        steps = [x[:, t] for t in range(case.steps)]
        backward = model.spec.is_backward(direction)
        outputs, h, c = run_cell(step, steps, h, c, valid, where, backward=backward)
        return settle(Tensor.stack(*outputs, dim=1)), h, c

    return run_layers(model.spec, x, h0, c0, run_direction, lambda outputs: Tensor.cat(*outputs, dim=-1))
