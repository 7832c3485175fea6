"""MLX's `mlx.nn.LSTM`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import mlx.core as mx
import numpy as np
from mlx import nn
from mlx.utils import tree_flatten

from ..arrays import Array
from ..layouts import gradients_from_layout
from ..model import Case, LSTMSpec, Result, cotangents
from .case_arrays import explicit_states
from .cell_loop import CellStack, nested
from .layers import StackTensors, run_layers, stack_result
from .protocol import plain_function_only

_DTYPES = {"float64": mx.float64, "float32": mx.float32, "float16": mx.float16, "bfloat16": mx.bfloat16}


class _Group(nn.Module):
    """Modules under names of their own, as users stack layers."""

    def __init__(self, **modules: Any) -> None:
        super().__init__()
        for name, module in modules.items():
            setattr(self, name, module)


class Mlx:
    """`mlx.nn.LSTM` of mlx 0.32.4 on the CPU; it has no lengths.

    It is one direction of one layer, and returns h and c of every step, so the last step's are the final states. It has
    no backward direction: users flip its inputs and its outputs.
    """

    layout = "mlx"

    def __init__(self, name: str) -> None:
        self.name = name
        mx.set_default_device(mx.cpu)  # a GPU has no float64

    def environment(self) -> dict[str, str]:
        """Versions of what computes, and the device."""
        return {"mlx": mx.__version__, "device": str(mx.default_device())}

    def unsupported(self, case: Case) -> str | None:
        """Lengths, masks, projections, peepholes and other activations."""
        if case.lengths is not None or case.mask is not None:
            return "lengths or mask: mlx.nn.LSTM has none"
        if case.spec.proj_size:
            return "proj_size: mlx.nn.LSTM has no projection"
        return plain_function_only(case.spec, "mlx.nn.LSTM")

    def computes_in(self, case: Case) -> tuple[str, str]:
        """The precision of the parameters; float32 for float64, whose sigmoid is no better."""
        if case.precision == "float64":
            return "float32", "mlx computes the sigmoid of float64 arrays in float32 on the CPU, and returns float64"
        return case.precision, ""

    def build(self, spec: LSTMSpec, precision: str) -> CellStack:
        """A layer for each direction of each layer, nested as users stack them."""
        layers = [
            [nn.LSTM(width, spec.hidden_size, bias=spec.bias != "none") for _ in range(spec.num_directions)]
            for width in map(spec.layer_input_size, range(spec.num_layers))
        ]
        root = nested(layers, _Group)
        root.set_dtype(_DTYPES[precision])
        return CellStack(spec, layers, root)

    def load(self, model: CellStack, arrays: Mapping[str, Array]) -> None:
        """Load with `load_weights`, which refuses missing and unknown names."""
        model.root.load_weights([(name, _array(array, _dtype(model))) for name, array in arrays.items()])

    def read_back(self, model: CellStack) -> dict[str, Array]:
        """The module's parameters by path."""
        return {name: _to_numpy(array) for name, array in tree_flatten(model.root.parameters())}

    def count_parameters(self, model: CellStack) -> int:
        """`size` of every trainable parameter."""
        return sum(array.size for _, array in tree_flatten(model.root.trainable_parameters()))

    def run(self, model: CellStack, case: Case) -> Result:
        """Run each layer; an absent state is left out of the call."""
        absent = [None] * (case.spec.num_layers * case.spec.num_directions)
        h0, c0 = (absent if array is None else _array(array, _dtype(model)) for array in (case.h0, case.c0))
        return stack_result(_forward(model, _array(case.x, _dtype(model)), h0, c0), case, _to_numpy)

    def run_with_gradients(self, model: CellStack, case: Case) -> Result:
        """Differentiate with `mx.vjp`, for which absent states are zeros."""
        names, parameters = zip(*tree_flatten(model.root.trainable_parameters()), strict=True)
        data = [_array(array, _dtype(model)) for array in (case.x, *explicit_states(case))]

        def outputs(*primals: mx.array) -> list[mx.array]:
            model.root.load_weights(list(zip(names, primals, strict=False)))
            found = _forward(model, *primals[len(names) :])
            return [found.layers[-1], mx.stack(found.h_n), mx.stack(found.c_n), *found.layers[:-1]]

        vectors = [_array(array, _dtype(model)) for array in cotangents(case)]
        rows = (case.batch, case.steps, case.spec.num_directions * case.spec.output_size)
        vectors += [mx.zeros(rows, _dtype(model))] * (case.spec.num_layers - 1)
        (y, h_n, c_n, *lower), found = mx.vjp(outputs, [*parameters, *data], vectors)
        model.root.load_weights(list(zip(names, parameters, strict=True)))  # no tracers stay behind
        stored = {name: _to_numpy(array) for name, array in zip(names, found, strict=False)}
        gradients = gradients_from_layout(stored, self.layout)
        gradients.update(zip(("x", "h0", "c0"), map(_to_numpy, found[len(names) :]), strict=True))
        result = stack_result(StackTensors([*lower, y], list(h_n), list(c_n)), case, _to_numpy)
        return replace(result, gradients=gradients)


def _dtype(model: CellStack) -> Any:
    return model.cells[0][0].Wx.dtype


def _array(array: Array, dtype: Any) -> mx.array:
    return mx.array(np.array(array, order="C"), dtype=dtype)


def _to_numpy(array: mx.array) -> Array:
    """A NumPy array; bfloat16, which NumPy lacks, becomes float32 exactly."""
    wide = array.astype(mx.float32) if array.dtype == mx.bfloat16 else array
    return np.array(wide)


def _forward(model: CellStack, x: mx.array, h0: Sequence[Any], c0: Sequence[Any]) -> StackTensors:
    def run_direction(layer: int, direction: int, x: mx.array, h: Any, c: Any) -> tuple[mx.array, mx.array, mx.array]:
        turn = slice(None, None, -1 if model.spec.is_backward(direction) else 1)
        outputs, cells = model.cells[layer][direction](x[:, turn], hidden=h, cell=c)
        return outputs[:, turn], outputs[:, -1], cells[:, -1]

    return run_layers(model.spec, x, h0, c0, run_direction, lambda outputs: mx.concatenate(outputs, axis=-1))
