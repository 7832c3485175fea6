"""Gradients through Keras layers by the backend's own differentiation: GradientTape, `torch.autograd`, `jax.vjp`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .build import Stack, Tensor

#: `forward` as the adapter's backend runs it: outputs of every layer, final states h, c, h, c, ..., the last output.
Answer = tuple[list[Tensor], list[Tensor], Tensor | None]


class Pulled(NamedTuple):
    """What was computed, and the gradients of weights (as `weight_names` lists them) and of x, h, c, h, c, ..."""

    answer: Answer
    weights: list[Tensor]
    data: list[Tensor]


def weight_variables(model: Stack) -> list[Any]:
    """The Keras variables of every weight, in the order of `weight_names`."""
    return [variable for layer in model.layers for variable in layer.weights]


def on_tensorflow(tf: Any, model: Stack, x: Tensor, mask: Any, states: Any, last: bool, pulls: list[Tensor]) -> Pulled:
    """`tf.GradientTape`, with the cotangents as `output_gradients`: no loss is summed, so no sum is rounded."""
    data = _flat(x, states)
    with tf.GradientTape() as tape:
        for tensor in data:
            tape.watch(tensor)
        answer = model.forward(x, mask, states, last)
    sources = [variable.value for variable in weight_variables(model)]
    found = tape.gradient(
        _targets(answer),
        [*sources, *data],
        output_gradients=pulls,
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return Pulled(answer, found[: len(sources)], found[len(sources) :])


def on_torch(torch: Any, model: Stack, x: Tensor, mask: Any, states: Any, last: bool, pulls: list[Tensor]) -> Pulled:
    """`torch.autograd.grad`."""
    data = _flat(x, states)
    for tensor in data:
        tensor.requires_grad_()
    answer = model.forward(x, mask, states, last)
    sources = [variable.value for variable in weight_variables(model)]
    found = torch.autograd.grad(_targets(answer), [*sources, *data], pulls, materialize_grads=True)
    return Pulled(_detached(answer), list(found[: len(sources)]), list(found[len(sources) :]))


def jax_program(jax: Any, model: Stack, stateless: Callable[..., Answer]) -> Callable[..., Pulled]:
    """`jax.vjp` of the whole stack as a pure function (values, x, mask, states, pulls, last), to be compiled."""

    def program(values: list[Any], x: Any, mask: Any, states: Any, pulls: list[Any], last: bool) -> Pulled:
        wanted = {id(variable) for variable in weight_variables(model)}
        places = [k for k, variable in enumerate(model.variables(last)) if id(variable) in wanted]

        def forward(weights: list[Any], x: Any, states: Any) -> tuple[list[Any], Answer]:
            filled = dict(enumerate(values)) | dict(zip(places, weights, strict=True))
            answer = stateless([filled[k] for k in range(len(values))], x, mask, states, last)
            return _targets(answer), answer

        _, back, answer = jax.vjp(forward, [values[k] for k in places], x, states, has_aux=True)
        weights, of_x, of_states = back(pulls)
        return Pulled(answer, weights, _flat(of_x, of_states))

    return program


def _flat(x: Tensor, states: list[list[Tensor]]) -> list[Tensor]:
    return [x, *(state for layer in states for state in layer)]


def _targets(answer: Answer) -> list[Tensor]:
    outputs, finals, _ = answer
    return [outputs[-1], *finals]


def _detached(answer: Answer) -> Answer:
    outputs, finals, last = answer
    return [y.detach() for y in outputs], [state.detach() for state in finals], None if last is None else last.detach()
