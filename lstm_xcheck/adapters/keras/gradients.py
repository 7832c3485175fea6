"""Gradients through Keras layers by each backend's own differentiation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ...arrays import Array
from ...layouts import gradients_from_layout
from ...model import Case, Result, cotangents
from .stack import Stack, StackOutputs, Tensor


class Vjp(NamedTuple):
    """Outputs, and gradients for given cotangents.

    Weights in the order of `weight_names`; data are x and the initial states h, c, h, c, ...
    """

    outputs: StackOutputs
    weights: list[Tensor]
    data: list[Tensor]

    def result(self, model: Stack, layout: str, to_numpy: Callable[[Tensor], Array]) -> Result:
        """Outputs, and gradients by canonical name, as NumPy arrays."""
        names = [name for own in model.weight_names for name in own]
        arrays = dict(zip(names, map(to_numpy, self.weights), strict=True))
        x, *states = map(to_numpy, self.data)
        data = {"x": x, "h0": np.stack(states[0::2]), "c0": np.stack(states[1::2])}
        return replace(self.outputs.result(to_numpy), gradients={**gradients_from_layout(arrays, layout), **data})


def cotangents_in_order(case: Case) -> list[Array]:
    """Cotangents of y, h, c, h, c, ..., in the order of `StackOutputs`."""
    y, h_n, c_n = cotangents(case)
    return [y, *(vector for pair in zip(h_n, c_n, strict=True) for vector in pair)]


def weight_variables(model: Stack) -> list[Any]:
    """The Keras variables of all weights, in the order of `weight_names`."""
    return [variable for layer in model.layers for variable in layer.weights]


def on_tensorflow(tf: Any, model: Stack, x: Tensor, mask: Any, states: Any, last: bool, vectors: list[Tensor]) -> Vjp:
    """Differentiate with `tf.GradientTape`; `vectors` are the cotangents.

    They are `output_gradients`: no loss is summed, so that no sum is rounded.
    """
    data = _flat(x, states)
    with tf.GradientTape() as tape:
        for tensor in data:
            tape.watch(tensor)
        outputs = model.forward(x, mask, states, last)
    variables = weight_variables(model)
    sources = [variable if isinstance(variable, tf.Variable) else variable.value for variable in variables]
    gradients = tape.gradient(
        _targets(outputs),
        [*sources, *data],
        output_gradients=vectors,
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return Vjp(outputs, gradients[: len(sources)], gradients[len(sources) :])


def on_torch(torch: Any, model: Stack, x: Tensor, mask: Any, states: Any, last: bool, vectors: list[Tensor]) -> Vjp:
    """Differentiate with `torch.autograd.grad`; `vectors` are the cotangents."""
    data = _flat(x, states)
    for tensor in data:
        tensor.requires_grad_()
    outputs = model.forward(x, mask, states, last)
    sources = [variable.value for variable in weight_variables(model)]
    gradients = torch.autograd.grad(_targets(outputs), [*sources, *data], vectors, materialize_grads=True)
    return Vjp(_detached(outputs), list(gradients[: len(sources)]), list(gradients[len(sources) :]))


def jax_program(jax: Any, model: Stack, stateless: Callable[..., StackOutputs]) -> Callable[..., Vjp]:
    """A pure function `(values, x, mask, states, vectors, last)` with `jax.vjp`, to be compiled."""

    def program(values: list[Any], x: Any, mask: Any, states: Any, vectors: list[Any], last: bool) -> Vjp:
        weight_ids = {id(variable) for variable in weight_variables(model)}
        positions = [k for k, variable in enumerate(model.variables(last)) if id(variable) in weight_ids]

        def forward(weights: list[Any], x: Any, states: Any) -> tuple[list[Any], StackOutputs]:
            filled = dict(enumerate(values)) | dict(zip(positions, weights, strict=True))
            outputs = stateless([filled[k] for k in range(len(values))], x, mask, states, last)
            return _targets(outputs), outputs

        _, vjp, outputs = jax.vjp(forward, [values[k] for k in positions], x, states, has_aux=True)
        weights, x_gradient, state_gradients = vjp(vectors)
        return Vjp(outputs, weights, _flat(x_gradient, state_gradients))

    return program


def _flat(x: Tensor, states: list[list[Tensor]]) -> list[Tensor]:
    return [x, *(state for layer in states for state in layer)]


def _targets(outputs: StackOutputs) -> list[Tensor]:
    return [outputs.layers[-1], *outputs.states]


def _detached(outputs: StackOutputs) -> StackOutputs:
    def detached(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.detach()

    layers, states = ([tensor.detach() for tensor in tensors] for tensors in (outputs.layers, outputs.states))
    return StackOutputs(layers, states, detached(outputs.last), detached(outputs.merged))
