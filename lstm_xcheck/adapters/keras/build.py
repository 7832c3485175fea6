"""The Keras layers behind the adapter: how they are made, named and chained."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ...model import LSTMSpec
from ...model.activations import HARD_SIGMOID_KERAS3, Activation

Tensor = Any  # of the backend in use


@keras.saving.register_keras_serializable(package="lstm_xcheck")
class HostZeros(keras.initializers.Initializer):
    """Zeros made by NumPy: every weight is overwritten, and on JAX an initializer of Keras compiles a program."""

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Tensor:
        """Zeros as a tensor of the backend."""
        return keras.ops.convert_to_tensor(np.zeros(shape, np.float32), dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        """Nothing to save."""
        return {}


@functools.cache
def keras_activation(name: str) -> Callable[[Tensor], Tensor]:
    """Keras's own function where it has one; a hard sigmoid of other slopes from `keras.ops`.

    keras 3.15.1 `hard_sigmoid` is clip(v / 6 + 0.5, 0, 1).
    """
    activation = Activation.parse(name)
    if activation.kind != "hard_sigmoid" or activation == Activation.parse(HARD_SIGMOID_KERAS3):
        function: Callable[[Tensor], Tensor] = keras.activations.get(activation.kind)
        return function

    def hard_sigmoid(v: Tensor) -> Tensor:
        return keras.ops.clip(v * activation.alpha + activation.beta, 0.0, 1.0)

    # Bidirectional makes its two layers from the configuration of one, which takes registered functions alone.
    registered: Callable[[Tensor], Tensor] = keras.saving.register_keras_serializable(
        package="lstm_xcheck", name=f"{activation.kind}_{activation.alpha!r}_{activation.beta!r}"
    )(hard_sigmoid)
    return registered


class Stack:
    """The layers of one spec and precision, built for any batch size and number of steps.

    Attributes:
        layers: `LSTM` or `Bidirectional` layers that return sequences and states.
        weight_names: for each layer, the names of its weights in the order of `get_weights`.
        last: a twin of the top layer with `return_sequences=False`, made when it is first asked for.
        compiled: `forward` as one program of JAX or TensorFlow, made by the adapter; None where it is never compiled.
        differentiated: the same with its gradients.
    """

    def __init__(self, spec: LSTMSpec, precision: str) -> None:
        self.spec = spec
        self.precision = precision
        self.layers = [self._layer(index, sequence=True) for index in range(spec.num_layers)]
        self.weight_names = [self._names(index) for index in range(spec.num_layers)]
        self.last: Any = None
        self.compiled: Callable[..., Any] | None = None
        self.differentiated: Callable[..., Any] | None = None

    def _layer(self, index: int, *, sequence: bool) -> Any:
        spec = self.spec
        zeros = HostZeros()
        layer = keras.layers.LSTM(
            spec.hidden_size,
            activation=keras_activation(spec.cell_activation),
            recurrent_activation=keras_activation(spec.gate_activation),
            use_bias=spec.bias != "none",
            kernel_initializer=zeros,
            recurrent_initializer=zeros,
            bias_initializer=zeros,
            unit_forget_bias=False,
            return_sequences=sequence,
            return_state=sequence,
            zero_output_for_mask=sequence,
            go_backwards=spec.reverse,
            dtype=self.precision,
            name=f"lstm_{index}",
        )
        if spec.bidirectional:
            layer = keras.layers.Bidirectional(layer, merge_mode="concat", dtype=self.precision)
        layer.build((None, None, spec.layer_input_size(index)))
        return layer

    def _names(self, index: int) -> list[str]:
        """Keras's own names of the weights, under the prefixes of the layout's row."""
        layer = self.layers[index]
        stack = f"lstm_{index}/" if self.spec.num_layers > 1 else ""
        halves = ("forward_layer", "backward_layer") if self.spec.bidirectional else ()
        parts = [(f"{stack}{half}/", getattr(layer, half)) for half in halves] or [(stack, layer)]
        return [prefix + weight.name for prefix, part in parts for weight in part.weights]

    def make_last(self) -> None:
        """Bring the twin of the top layer to the top layer's weights."""
        if self.last is None:
            self.last = self._layer(self.spec.num_layers - 1, sequence=False)
        self.last.set_weights(self.layers[-1].get_weights())

    def variables(self, want_last: bool) -> list[Any]:
        """Every variable that `forward` reads, the seeds that Keras gives each layer among them."""
        layers = [*self.layers, self.last] if want_last else self.layers
        return [variable for layer in layers for variable in layer.variables]

    def forward(
        self, x: Tensor, mask: Tensor | None, states: list[Any], want_last: bool
    ) -> tuple[list[Tensor], list[Tensor], Tensor | None]:
        """Outputs of every layer, final states h, c, h, c, ... over layers and directions, and the last output."""
        outputs: list[Tensor] = []
        finals: list[Tensor] = []
        given = below = x
        for layer, initial in zip(self.layers, states, strict=True):
            given = below
            y, *state = layer(given, mask=mask, initial_state=initial, training=False)
            below = keras.ops.flip(y, axis=1) if self.spec.reverse else y
            outputs.append(below)
            finals += state
        if not want_last:
            return outputs, finals, None
        return outputs, finals, self.last(given, mask=mask, initial_state=states[-1], training=False)
