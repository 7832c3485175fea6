"""Stacks of Keras layers, for Keras 2 and Keras 3. Loads no framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ...arrays import Array, to_numpy
from ...errors import SpecError
from ...model import Case, LSTMSpec, Result
from ..case_arrays import explicit_states, padding_mask

Tensor = Any  # of the backend in use


class KerasVersion(NamedTuple):
    """What differs between versions of Keras.

    `flip` exchanges first and last steps of outputs, shape (batch, steps, width).
    """

    keras: Any
    activation: Callable[[str], Callable[[Tensor], Tensor]]
    flip: Callable[[Tensor], Tensor]
    initializer: Any


class StackOutputs(NamedTuple):
    """What a stack computes, as tensors of the backend.

    Attributes:
        layers: outputs of every layer, shape (batch, steps, directions * hidden).
        states: final states h, c, h, c, ... over layers and directions, each of shape (batch, hidden).
        last: output of the last step, shape (batch, directions * hidden), or None.
        merged: merged halves of the top layer, shape (batch, steps, hidden), or None.
    """

    layers: list[Tensor]
    states: list[Tensor]
    last: Tensor | None
    merged: Tensor | None = None

    def result(self, to_numpy: Callable[[Tensor], Array]) -> Result:
        """The same as NumPy arrays."""
        layers, states = map(to_numpy, self.layers), [to_numpy(state) for state in self.states]
        *lower, y = layers
        last, merged = (None if tensor is None else to_numpy(tensor) for tensor in (self.last, self.merged))
        h_n, c_n = np.stack(states[0::2]), np.stack(states[1::2])
        return Result(y=y, h_n=h_n, c_n=c_n, last=last, layer_outputs=tuple(lower), merged=merged)


class Stack:
    """Layers of one spec and precision, for any batch and steps.

    Attributes:
        layers: `LSTM` or `Bidirectional` layers that return sequences and states.
        weight_names: for each layer, the layout's names of its weights in the order of `get_weights`.
        last: a copy of the top layer with `return_sequences=False`, made when it is first needed.
        merged: a copy of the top layer with another `merge_mode` than concat, or None.
        variants: stacks of the same weights with other padding or merge, made when they are first needed.
        compiled: `forward` as a program of JAX or TensorFlow, made by the adapter.
        compiled_vjp: the same with its gradients.
    """

    def __init__(
        self, version: KerasVersion, spec: LSTMSpec, precision: str, *, padding: str = "zero", merge: str = "concat"
    ) -> None:
        self.version, self.spec, self.precision, self.padding = version, spec, precision, padding
        self.layers = [self._layer(index, sequence=True) for index in range(self._count_layers())]
        self.weight_names = [self._names(index) for index in range(self._count_layers())]
        self.last: Any = None
        self.merged = None if merge == "concat" else self._layer(len(self.layers) - 1, sequence=True, merge=merge)
        self.variants: dict[tuple[str, str], Stack] = {}
        self.compiled: Callable[..., Any] | None = None
        self.compiled_vjp: Callable[..., Any] | None = None

    def _count_layers(self) -> int:
        return self.spec.num_layers

    def _layer(self, index: int, *, sequence: bool, merge: str = "concat") -> Any:
        layer = self._direction(index, sequence=sequence)
        if self.spec.bidirectional:
            layer = self.version.keras.layers.Bidirectional(layer, merge_mode=merge, dtype=self.precision)
        layer.build((None, None, self.spec.layer_input_size(index)))
        return layer

    def _direction(self, index: int, *, sequence: bool) -> Any:
        """A layer of one direction."""
        return self.version.keras.layers.LSTM(**self._cell_options(), **self._loop_options(index, sequence=sequence))

    def _cell_options(self) -> dict[str, Any]:
        spec, version, zeros = self.spec, self.version, self.version.initializer
        return {
            "units": spec.hidden_size,
            "activation": version.activation(spec.cell_activation),
            "recurrent_activation": version.activation(spec.gate_activation),
            "use_bias": spec.bias != "none",
            "kernel_initializer": zeros,
            "recurrent_initializer": zeros,
            "bias_initializer": zeros,
            "unit_forget_bias": False,
            "dtype": self.precision,
        }

    def _loop_options(self, index: int, *, sequence: bool) -> dict[str, Any]:
        return {
            "return_sequences": sequence,
            "return_state": sequence,
            "zero_output_for_mask": sequence and self.padding == "zero",
            "go_backwards": self.spec.reverse,
            "name": f"lstm_{index}" if sequence else f"last_{index}",
        }

    def _names(self, index: int) -> list[str]:
        """Names of a layer's weights; Keras 2 has `lstm_0/lstm_cell/kernel:0`, Keras 3 `kernel`."""
        layer = self.layers[index]
        stack = f"lstm_{index}/" if self.spec.num_layers > 1 else ""
        halves = ("forward_layer", "backward_layer") if self.spec.bidirectional else ()
        parts = [(f"{stack}{half}/", getattr(layer, half)) for half in halves] or [(stack, layer)]
        own_names = ((prefix, weight.name.rpartition("/")[2]) for prefix, part in parts for weight in part.weights)
        return [prefix + name.partition(":")[0] for prefix, name in own_names]

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Load arrays by name with `set_weights`."""
        names = [name for own in self.weight_names for name in own]
        if set(names) != set(arrays):
            raise SpecError(f"the arrays are named {sorted(arrays)}, but this Keras model needs {sorted(names)}")
        for layer, own in zip(self.layers, self.weight_names, strict=True):
            layer.set_weights([np.array(arrays[name]) for name in own])

    def read_back(self) -> dict[str, Array]:
        """Read the arrays by name with `get_weights`."""
        return {
            name: to_numpy(array)
            for layer, names in zip(self.layers, self.weight_names, strict=True)
            for name, array in zip(names, layer.get_weights(), strict=True)
        }

    def variant(self, case: Case) -> Stack:
        """The stack for the padding and merge of a case, with the present weights."""
        key = (case.padding, case.merge)
        if key == ("zero", "concat"):
            return self
        if key not in self.variants:
            padding, merge = key
            self.variants[key] = type(self)(self.version, self.spec, self.precision, padding=padding, merge=merge)
        found = self.variants[key]
        for mine, other in zip(self.layers, found.layers, strict=True):
            other.set_weights(mine.get_weights())
        if found.merged is not None:
            found.merged.set_weights(self.layers[-1].get_weights())
        return found

    def prepare_last(self, case: Case) -> bool:
        """Give `last` the top layer's weights; False where not asked for."""
        if case.returns != "last":
            return False
        if self.last is None:
            self.last = self._layer(self._count_layers() - 1, sequence=False)
        self.last.set_weights(self.layers[-1].get_weights())
        return True

    def variables(self, want_last: bool) -> list[Any]:
        """Every variable that `forward` reads, including seeds of the layers."""
        copies = [*([self.last] if want_last else []), *([] if self.merged is None else [self.merged])]
        return [variable for layer in [*self.layers, *copies] for variable in layer.variables]

    def forward(self, x: Tensor, mask: Tensor | None, states: list[Any], want_last: bool) -> StackOutputs:
        """Run each layer on the output of the one below, without training.

        x: (batch, steps, input); mask: valid steps, boolean, (batch, steps); states: h, c of each direction, by layer.
        """
        outputs, finals, given = self._pass(self.layers, x, mask, states)
        last = merged = None
        if want_last:
            last = self.last(given, mask=mask, initial_state=states[-1], training=False)
        if self.merged is not None:
            merged, *_ = self.merged(given, mask=mask, initial_state=states[-1], training=False)
        return StackOutputs(outputs, finals, last, merged)

    def _pass(
        self, layers: list[Any], x: Tensor, mask: Tensor | None, states: list[Any]
    ) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Outputs of every layer, all final states, and what the top layer was given."""
        outputs: list[Tensor] = []
        finals: list[Tensor] = []
        given = below = x
        for layer, initial in zip(layers, states, strict=True):
            given = below
            y, *state = layer(given, mask=mask, initial_state=initial, training=False)
            below = self.version.flip(y) if self.spec.reverse else y  # `go_backwards` returns steps as processed
            outputs.append(below)
            finals += state
        return outputs, finals, given


def layer_states(case: Case) -> list[list[Array]]:
    """Initial states of each layer: h, c for each direction; zeros where absent."""
    states = [state for pair in zip(*explicit_states(case), strict=True) for state in pair]
    width = 2 * case.spec.num_directions
    return [states[start : start + width] for start in range(0, len(states), width)]


def layer_inputs(
    case: Case,
    to_tensor: Callable[[Array, str], Tensor],
    to_mask: Callable[[Array], Tensor],
    *,
    explicit: bool = False,
) -> tuple[Tensor, Tensor | None, list[Any]]:
    """x, mask and initial states for `Stack.forward`; with `explicit`, absent states are zeros."""
    mask = padding_mask(case)
    states: list[Any] = [None] * case.spec.num_layers
    if explicit or case.h0 is not None or case.c0 is not None:
        states = [[to_tensor(state, case.precision) for state in layer] for layer in layer_states(case)]
    return to_tensor(case.x, case.precision), None if mask is None else to_mask(np.array(mask)), states


def unsupported_by_keras(case: Case) -> str | None:
    """Why no version of `keras.layers.LSTM` can run a case, or None."""
    spec = case.spec
    missing = {
        "projection": spec.proj_size,
        "peepholes": spec.peepholes,
        "gate clip": spec.gate_clip,
        "cell clip": spec.cell_clip,
        "projection clip": spec.proj_clip,
        "coupled gates": spec.coupling,
    }
    for what, given in missing.items():
        if given:
            return f"{what}: keras.layers.LSTM has none"
    if spec.cell_activation != spec.output_activation:
        return (
            f"activations: keras.layers.LSTM applies one `activation` to the candidate and to the cell, not "
            f"{spec.cell_activation} and {spec.output_activation}"
        )
    if case.returns == "last" and case.h0 is not None and not case.valid.any(axis=1).all():
        return "mask: LSTM(return_sequences=False) has no last output for a row without a valid step"
    return None
