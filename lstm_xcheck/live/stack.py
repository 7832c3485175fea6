"""Several live layers as one LSTM, each reading the outputs of the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..arrays import Array
from ..errors import SpecError, UserError
from ..model import LSTMSpec, LSTMWeights, Result
from .lstm import LiveLSTM


def stacked(layers: Sequence[LiveLSTM]) -> LiveLSTM:
    """Several layers as one LSTM."""
    if len(layers) == 1:
        return layers[0]
    for index, layer in enumerate(layers[:-1]):
        if not layer.sequence:
            raise UserError(
                f"layer {index} ({layer.label}) has return_sequences=False, but layer {index + 1} needs its output at "
                "every step; make it with return_sequences=True"
            )
    spec = _stack_spec(layers)
    rows = tuple(row for layer in layers for row in layer.weights.layers)
    return LiveLSTM(
        label=f"stack of {', '.join(layer.label for layer in layers)}",
        weights=LSTMWeights(spec, rows, layers[0].weights.dtype),
        parameter_count=sum(layer.parameter_count for layer in layers),
        run=lambda x, h0, c0, lengths: _run_stack(layers, x, h0, c0, lengths),
        ragged=all(layer.ragged for layer in layers),
    )


def _stack_spec(layers: Sequence[LiveLSTM]) -> LSTMSpec:
    """The spec of the stack."""
    bottom = layers[0].weights
    spec = bottom.spec
    for index, layer in enumerate(layers):
        own = layer.weights.spec
        below = spec.input_size if index == 0 else spec.output_size * spec.num_directions
        wanted = replace(spec, input_size=below, num_layers=own.num_layers)
        for name, value in wanted.to_dict().items():
            found = own.to_dict()[name]
            if found != value:
                raise SpecError(
                    f"layer {index} of the stack has {name}={found!r}, but should have {value!r} as the layers before "
                    "it say; compare layers of different kinds one by one"
                )
        if layer.weights.dtype != bottom.dtype:
            raise SpecError(f"layer {index} of the stack is {layer.weights.dtype}, but layer 0 is {bottom.dtype}")
    if spec.reverse:
        raise SpecError(
            "the layers of the stack read backward (go_backwards=True), and each turns the order of time around for "
            "the next; compare such layers one by one"
        )
    return replace(spec, num_layers=sum(layer.weights.spec.num_layers for layer in layers))


def _run_stack(layers: Sequence[LiveLSTM], x: Array, h0: Array, c0: Array, lengths: Array | None) -> Result:
    outputs: list[Array] = []
    results: list[Result] = []
    start = 0
    for layer in layers:
        end = start + layer.weights.spec.num_layers * layer.weights.spec.num_directions
        result = layer.run(outputs[-1] if outputs else x, h0[start:end], c0[start:end], lengths)
        outputs += [*result.layer_outputs, _present(result, "y")]
        results.append(result)
        start = end
    finals = [np.concatenate([_present(result, name) for result in results]) for name in ("h_n", "c_n")]
    top = results[-1]
    return replace(top, y=outputs[-1], h_n=finals[0], c_n=finals[1], layer_outputs=tuple(outputs[:-1]))


def _present(result: Result, name: str) -> Array:
    array: Array | None = getattr(result, name)
    if array is None:
        raise SpecError(f"a layer of the stack gave no {name}, but should give y, h_n and c_n")
    return array
