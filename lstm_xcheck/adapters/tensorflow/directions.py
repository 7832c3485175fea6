"""Stacks of single directions that TensorFlow runs eagerly, with its gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import tensorflow as tf

from ...arrays import Array, to_numpy
from ...errors import SpecError
from ...layouts import gradients_from_layout, layout_named
from ...layouts.naming import tensor_names
from ...model import Case, LSTMSpec, Result, cotangents
from ..case_arrays import explicit_states
from ..layers import StackTensors, run_layers, stack_result

Tensor = Any  # tf.Tensor; TensorFlow has no types for mypy


@dataclass
class Stack:
    """Cells over layers and directions, and their variables under the layout's names."""

    spec: LSTMSpec
    cells: list[Any]
    variables: dict[str, Any]


class EagerDirections(ABC):
    """Shared by adapters of frameworks with one direction at a time, forward.

    As their users do, `tf.reverse_sequence` turns the valid steps round for the backward direction.
    """

    layout: str
    #: Names of the distributions that compute.
    packages: tuple[str, ...]

    def __init__(self, name: str) -> None:
        self.name = name

    def environment(self) -> dict[str, str]:
        """Versions of what computes."""
        return {**{package: version(package) for package in self.packages}, "tensorflow": tf.__version__}

    @abstractmethod
    def unsupported(self, case: Case) -> str | None:
        """The reason why the framework cannot run this case, or None."""

    def computes_in(self, case: Case) -> tuple[str, str]:
        """The precision of the variables."""
        return case.precision, ""

    def build(self, spec: LSTMSpec, precision: str) -> Stack:
        """One cell for each direction of each layer."""
        row = layout_named(self.layout)
        model = Stack(spec, [], {})
        for layer in range(spec.num_layers):
            for direction in range(spec.num_directions):
                cell, variables = self.make_cell(spec, layer, precision)
                model.cells.append(cell)
                stored = [tensor for tensor in row.tensors if tensor.parts[0] in variables]
                for tensor in stored:
                    names = tensor_names(row, tensor, layer, direction, spec.num_layers, spec.num_directions)
                    model.variables.update(zip(names, variables[tensor.parts[0]], strict=True))
        return model

    @abstractmethod
    def make_cell(self, spec: LSTMSpec, layer: int, precision: str) -> tuple[Any, dict[str, list[Any]]]:
        """A cell, and its variables by the first canonical array in them."""

    @abstractmethod
    def unroll(self, cell: Any, x: Tensor, h0: Tensor, c0: Tensor, lengths: Tensor | None) -> tuple[Tensor, ...]:
        """y, h and c for x; x and y are time-major."""

    def load(self, model: Stack, arrays: Mapping[str, Array]) -> None:
        """Load with `assign`, which refuses other shapes."""
        require_names(arrays, model.variables)
        for name, variable in model.variables.items():
            variable.assign(tensor_of(arrays[name], variable.dtype))

    def read_back(self, model: Stack) -> dict[str, Array]:
        """Read from the variables."""
        return {name: to_numpy(variable.numpy()) for name, variable in model.variables.items()}

    def count_parameters(self, model: Stack) -> int:
        """Sum of the sizes of all variables."""
        return sum(int(np.prod(variable.shape)) for variable in model.variables.values())

    def run(self, model: Stack, case: Case) -> Result:
        """Run the stack eagerly."""
        return stack_result(self._forward(model, case, *_data(case)), case, _numpy)

    def run_with_gradients(self, model: Stack, case: Case) -> Result:
        """Differentiate the stack with `tf.GradientTape`."""
        data = _data(case)
        with tf.GradientTape() as tape:
            tape.watch(data)
            found = self._forward(model, case, *data)
            outputs = [found.layers[-1], tf.stack(found.h_n), tf.stack(found.c_n)]
        vectors = [tensor_of(vector, case.precision) for vector in cotangents(case)]
        sources = [*model.variables.values(), *data]
        gradients = [_numpy(gradient) for gradient in tape.gradient(outputs, sources, output_gradients=vectors)]
        by_name = gradients_from_layout(dict(zip(model.variables, gradients, strict=False)), self.layout)
        by_name.update(zip(("x", "h0", "c0"), gradients[-3:], strict=True))
        return replace(stack_result(found, case, _numpy), gradients=by_name)

    def _forward(self, model: Stack, case: Case, x: Tensor, h0: Tensor, c0: Tensor) -> StackTensors:
        spec = model.spec
        lengths = None if case.lengths is None else tf.constant(case.lengths, tf.int32)
        valid = tf.constant(case.valid[..., None])

        def one_direction(layer: int, direction: int, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            backward = spec.is_backward(direction)
            cell = model.cells[layer * spec.num_directions + direction]
            steps = _time_major(_backward(x, case) if backward else x)
            y, h, c = self.unroll(cell, steps, h, c, lengths)
            y = _time_major(y)
            if lengths is not None:
                y = tf.where(valid, y, tf.zeros_like(y))
            return _backward(y, case) if backward else y, h, c

        return run_layers(spec, x, tf.unstack(h0), tf.unstack(c0), one_direction, lambda both: tf.concat(both, axis=-1))


def require_names(arrays: Mapping[str, Array], variables: Mapping[str, Any]) -> None:
    """Refuse arrays of other names than the variables have."""
    if set(arrays) != set(variables):
        raise SpecError(f"the arrays are named {sorted(arrays)}, but the cells hold {sorted(variables)}")


def tensor_of(array: Array, precision: Any) -> Tensor:
    """A tensor of a precision; NumPy has no bfloat16."""
    return tf.cast(tf.constant(np.array(array)), precision)


def _data(case: Case) -> list[Tensor]:
    return [tensor_of(array, case.precision) for array in (case.x, *explicit_states(case))]


def _numpy(tensor: Tensor) -> Array:
    return to_numpy(tensor.numpy())


def _time_major(tensor: Tensor) -> Tensor:
    return tf.transpose(tensor, [1, 0, 2])


def _backward(tensor: Tensor, case: Case) -> Tensor:
    """The valid steps of each row in reverse, padding where it was."""
    return tf.reverse_sequence(tensor, case.valid.sum(axis=1), seq_axis=1, batch_axis=0)
