"""Stacks of layers from libraries on JAX; each shape is one program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...arrays import Array, to_numpy
from ...errors import SpecError
from ...layouts import gradients_from_layout, layout_named
from ...layouts.naming import tensor_names
from ...model import Case, LSTMSpec, Result, cotangents
from ..case_arrays import explicit_states
from ..layers import StackTensors, run_layers, stack_result
from ..protocol import plain_function_only
from . import compile_options, process

#: Parameters of one direction of one layer: the library's own pytree.
Cell = Any
#: Over layers and directions.
Cells = list[list[Cell]]

#: Level of XLA's optimisation. These libraries take gates from the logistic function, which is right on every level.
_LEVEL = 0


@dataclass
class StackModel:
    """Parameters and their spec."""

    spec: LSTMSpec
    cells: Cells


class JaxStack:
    """What adapters of libraries on JAX share; each gives `cell_shapes` and `direction`, or `forward`.

    Attributes:
        library: its distribution.
        cell: the name of the cell, for reasons.
        lengths: whether the library itself knows the lengths of rows.
    """

    layout: str
    library: str
    cell: str
    lengths = False
    always_has_bias = True

    def __init__(self, name: str) -> None:
        self.name = name
        process.prepare()
        options = compile_options.jit_arguments(_LEVEL)
        self._forward = jax.jit(self.forward, static_argnames="spec", **options)
        self._vjp = jax.jit(self._forward_and_gradients, static_argnames="spec", **options)

    def environment(self) -> dict[str, str]:
        """Versions of what computes, the device and the compile options."""
        return process.environment(_LEVEL, self.library)

    def unsupported(self, case: Case) -> str | None:
        """All but the textbook LSTM, masks with holes, and what the class attributes say."""
        spec = case.spec
        if spec.proj_size:
            return f"projection: {self.cell} has none"
        if case.mask is not None or (case.lengths is not None and not self.lengths):
            what = "lengths but no mask with holes" if self.lengths else "neither lengths nor masks"
            return f"{'lengths' if case.mask is None else 'mask'}: {self.cell} knows {what}"
        if spec.bias == "none" and self.always_has_bias:
            return f"bias: {self.cell} always has one, and counts it"
        return plain_function_only(spec, self.cell)

    def computes_in(self, case: Case) -> tuple[str, str]:
        """The precision of the case; float32 for float64 while x64 is off."""
        return process.computes_in(case)

    def build(self, spec: LSTMSpec, precision: str) -> StackModel:
        """Zeros in the library's own pytrees; a split bias becomes single."""
        if spec.bias == "split":
            spec = replace(spec, bias="single")
        dtype = process.dtype_of(precision)

        def zeros(layer: int) -> Cell:
            shapes = self.cell_shapes(spec, layer, dtype)
            return jax.tree.map(lambda leaf: _on_cpu(np.zeros(leaf.shape), leaf.dtype), shapes)

        return StackModel(
            spec, [[zeros(layer) for _ in range(spec.num_directions)] for layer in range(spec.num_layers)]
        )

    def load(self, model: StackModel, arrays: Mapping[str, Array]) -> None:
        """Replace every leaf of the pytree."""
        found = self._leaves(model.spec, model.cells)
        expected = {name: leaf.shape for name, leaf in found.items()}
        given = {name: array.shape for name, array in arrays.items()}
        if given != expected:
            raise SpecError(
                f"the arrays have shapes {given}, but should be {expected}; take them from to_layout('{self.layout}')"
            )
        leaves = [_on_cpu(arrays[name], leaf.dtype) for name, leaf in found.items()]
        model.cells = jax.tree.unflatten(jax.tree.structure(model.cells), leaves)

    def read_back(self, model: StackModel) -> dict[str, Array]:
        """The leaves of the pytree by name."""
        return {name: to_numpy(leaf) for name, leaf in self._leaves(model.spec, model.cells).items()}

    def count_parameters(self, model: StackModel) -> int:
        """Sum of `size` of every leaf."""
        return sum(leaf.size for leaf in jax.tree.leaves(model.cells))

    def run(self, model: StackModel, case: Case) -> Result:
        """Run one compiled program; absent states are zeros."""
        found = self._forward(model.cells, *_data(model, case), _lengths(case), spec=model.spec)
        return stack_result(found, case, to_numpy)

    def run_with_gradients(self, model: StackModel, case: Case) -> Result:
        """Differentiate with `jax.vjp`, compiled."""
        data = _data(model, case)
        vectors = tuple(_on_cpu(array, data[0].dtype) for array in cotangents(case))
        found, (cells, *rest) = self._vjp(model.cells, data, vectors, _lengths(case), spec=model.spec)
        leaves = {name: to_numpy(leaf) for name, leaf in self._leaves(model.spec, cells).items()}
        gradients = gradients_from_layout(leaves, self.layout)
        gradients.update(zip(("x", "h0", "c0"), map(to_numpy, rest), strict=True))
        return replace(stack_result(found, case, to_numpy), gradients=gradients)

    def cell_shapes(self, spec: LSTMSpec, layer: int, dtype: Any) -> Cell:
        """The library's parameters of one direction of a layer, as shapes and types."""
        raise NotImplementedError

    def direction(self, cell: Cell, x: Any, h0: Any, c0: Any, *, backward: bool) -> tuple[Any, Any, Any]:
        """Run one direction; returns y in order of time, h and c."""
        raise NotImplementedError

    def forward(self, cells: Cells, x: Any, h0: Any, c0: Any, lengths: Any, spec: LSTMSpec) -> StackTensors:
        """The stack as a pure function.

        x: (batch, steps, input); h0 and c0: (layers * directions, batch, width).
        """

        def run(layer: int, direction: int, x: Any, h0: Any, c0: Any) -> tuple[Any, Any, Any]:
            return self.direction(cells[layer][direction], x, h0, c0, backward=spec.is_backward(direction))

        return run_layers(spec, x, h0, c0, run, lambda parts: jnp.concatenate(parts, axis=-1))

    def _forward_and_gradients(self, cells: Cells, data: Any, vectors: Any, lengths: Any, spec: LSTMSpec) -> Any:
        def forward(cells: Cells, x: Any, h0: Any, c0: Any) -> tuple[Any, StackTensors]:
            found = self.forward(cells, x, h0, c0, lengths, spec)
            return (found.layers[-1], jnp.stack(found.h_n), jnp.stack(found.c_n)), found

        _, vjp, found = jax.vjp(forward, cells, *data, has_aux=True)
        return found, vjp(vectors)

    def _leaves(self, spec: LSTMSpec, cells: Cells) -> dict[str, Any]:
        """The leaves by the layout's names, in the order of the pytree."""
        row = layout_named(self.layout)
        found = {}
        for layer, directions in enumerate(cells):
            for direction, cell in enumerate(directions):
                names = {
                    own: name
                    for tensor in row.tensors
                    for own, name in zip(
                        tensor_names(row, tensor, 0, 0, 1, 1),
                        tensor_names(row, tensor, layer, direction, spec.num_layers, spec.num_directions),
                        strict=True,
                    )
                }
                for path, leaf in jax.tree_util.tree_flatten_with_path(cell)[0]:
                    found[names["/".join(str(getattr(key, "key", getattr(key, "name", ""))) for key in path)]] = leaf
        return found


def _data(model: StackModel, case: Case) -> list[Any]:
    dtype = jax.tree.leaves(model.cells)[0].dtype
    return [_on_cpu(array, dtype) for array in (case.x, *explicit_states(case))]


def _lengths(case: Case) -> Any:
    return None if case.lengths is None else _on_cpu(case.lengths, np.int32)


def _on_cpu(array: Array, dtype: Any) -> Any:
    """An array on the CPU.

    On other devices, these libraries multiply matrices in a lower precision by default.
    """
    return jax.device_put(np.array(array, dtype), jax.devices("cpu")[0])
