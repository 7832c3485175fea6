"""A layer or module of a running program, seen as an LSTM: its weights, and how to run it where it is.

Frameworks are recognised by the modules of an object's classes, so that only the framework it comes from is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Array
from ..errors import SpecError, UserError
from ..model import LSTMSpec, LSTMWeights, Result

#: x (batch, steps, input), h0 and c0 (layers * directions, batch, width), and which steps count: None for all,
#: lengths (batch,), or a boolean mask (batch, steps).
Runner = Callable[[Array, Array, Array, Array | None], Result]


@dataclass(frozen=True)
class Live:
    """One object, ready to be compared.

    Attributes:
        label: what it is, for messages.
        weights: what it holds now, in canonical form.
        parameter_count: trainable numbers as the framework itself reports them.
        run: calls the object itself.
        ragged: whether it takes rows of different lengths.
        sequence: whether it gives its outputs at every step, so that another layer can read them.
    """

    label: str
    weights: LSTMWeights
    parameter_count: int
    run: Runner
    ragged: bool = True
    sequence: bool = True


def live_object(thing: object) -> Live | None:
    """A Keras layer, a PyTorch module, or a list of them (one on the output of the other); None for anything else.

    Raises:
        UserError: for a layer, module or list that is no LSTM; the sentence says what to pass instead.
    """
    if isinstance(thing, (list, tuple)):
        layers = [live_object(element) for element in thing]
        found = [layer for layer in layers if layer is not None]
        if not found or len(found) < len(layers):
            kinds = ", ".join(type(element).__name__ for element in thing) or "nothing"
            raise UserError(f"the list holds {kinds}, but should hold LSTM layers of Keras or PyTorch alone")
        return stacked(found)
    origins = {base.__module__.partition(".")[0] for base in type(thing).__mro__}
    if "keras" in origins:  # before torch: on that backend every Keras layer is a torch module, too
        from . import keras_layers

        return keras_layers.read(thing)
    if "torch" in origins:
        from . import torch_modules

        return torch_modules.read(thing)
    return None


def stacked(layers: Sequence[Live]) -> Live:
    """Several layers as one LSTM, each reading the outputs of the one before.

    Raises:
        UserError: when one gives no sequence to the next.
        SpecError: when they are not of one kind and width, which a canonical stack is.
    """
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
    return Live(
        label=f"stack of {', '.join(layer.label for layer in layers)}",
        weights=LSTMWeights(spec, rows, layers[0].weights.dtype),
        parameter_count=sum(layer.parameter_count for layer in layers),
        run=lambda x, h0, c0, lengths: _run_stack(layers, x, h0, c0, lengths),
        ragged=all(layer.ragged for layer in layers),
    )


def _stack_spec(layers: Sequence[Live]) -> LSTMSpec:
    """The spec of the whole; what differs between layers is named."""
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


def _run_stack(layers: Sequence[Live], x: Array, h0: Array, c0: Array, lengths: Array | None) -> Result:
    outputs: list[Array] = []
    results: list[Result] = []
    start = 0
    for layer in layers:
        end = start + layer.weights.spec.num_layers * layer.weights.spec.num_directions
        result = layer.run(outputs[-1] if outputs else x, h0[start:end], c0[start:end], lengths)
        outputs += [*result.layer_outputs, _sequence(result)]
        results.append(result)
        start = end
    finals = [np.concatenate([_present(result, name) for result in results]) for name in ("h_n", "c_n")]
    top = results[-1]
    return replace(top, y=outputs[-1], h_n=finals[0], c_n=finals[1], layer_outputs=tuple(outputs[:-1]))


def _sequence(result: Result) -> Array:
    return _present(result, "y")


def _present(result: Result, name: str) -> Array:
    array: Array | None = getattr(result, name)
    if array is None:
        raise SpecError(f"a layer of the stack gave no {name}, but should give y, h_n and c_n")
    return array


def as_mask(lengths: Array | None, steps: int) -> Array | None:
    """Lengths or a mask as a mask (batch, steps); None stays None."""
    if lengths is None or lengths.ndim == 2:
        return lengths
    mask: Array = np.arange(steps) < np.asarray(lengths)[:, None]
    return mask
