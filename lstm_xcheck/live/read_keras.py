"""Live Keras 3 layers: `LSTM`, `Bidirectional(LSTM)` and `Sequential` of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import numpy as np

from ..adapters.keras.keras3_functions import float64_becomes, to_numpy, to_tensor
from ..arrays import STORAGE, Array
from ..errors import SpecError, Unsupported, UserError
from ..layouts import from_layout
from ..model import LSTMSpec, LSTMWeights, Result
from ..model.spec import HARD_SIGMOID_KERAS3
from .lstm import LiveLSTM, as_mask
from .stack import stacked

#: keras 3.15.1, keras/src/activations/activations.py.
_ACTIVATIONS = {
    keras.activations.sigmoid: "sigmoid",
    keras.activations.tanh: "tanh",
    keras.activations.relu: "relu",
    keras.activations.linear: "linear",
    keras.activations.hard_sigmoid: HARD_SIGMOID_KERAS3,
}


def read(layer: Any) -> LiveLSTM:
    """A built layer, or a Sequential of nothing but such layers."""
    if isinstance(layer, keras.Sequential):
        if not layer.layers:
            raise UserError(f"the Sequential {layer.name!r} holds no layer; add its LSTMs first")
        return stacked([read(part) for part in layer.layers])
    halves = _halves(layer)
    for half in halves:
        _check(half, layer)
    weights = _weights(halves)
    wrapped = "Bidirectional(LSTM)" if len(halves) == 2 else "LSTM"
    return LiveLSTM(
        label=f"keras {wrapped} {layer.name!r}",
        weights=weights,
        parameter_count=int(layer.count_params()),
        run=partial(_run, layer, halves, weights),
        sequence=bool(layer.return_sequences),
    )


def _halves(layer: Any) -> list[Any]:
    """The LSTM, or the forward and the backward one."""
    if isinstance(layer, keras.layers.LSTM):
        return [layer]
    if isinstance(layer, keras.layers.Bidirectional):
        halves = [layer.forward_layer, layer.backward_layer]
        if all(isinstance(half, keras.layers.LSTM) for half in halves):
            if layer.merge_mode != "concat":
                raise UserError(f"{layer.name!r} has merge_mode={layer.merge_mode!r}, but should have 'concat'")
            if layer.forward_layer.go_backwards:
                raise UserError(f"the forward layer of {layer.name!r} has go_backwards=True, but should read forward")
            return halves
    raise UserError(
        f"got a keras {type(layer).__name__} {getattr(layer, 'name', '')!r}, but expected LSTM, Bidirectional(LSTM) or "
        "a Sequential or list of these alone; pass the LSTM layers of your model, such as model.layers[1]"
    )


def _check(half: Any, layer: Any) -> None:
    if not (layer.built and half.built):
        raise UserError(
            f"the keras layer {layer.name!r} has no weights yet; call it once, or layer.build((None, None, input_size))"
        )
    if half.stateful:
        raise UserError(
            f"the keras layer {layer.name!r} has stateful=True, so running it would change it; make one with "
            "stateful=False and the same weights"
        )


def _weights(halves: list[Any]) -> LSTMWeights:
    arrays: dict[str, Array] = {}
    prefixes = ("forward_layer/", "backward_layer/") if len(halves) == 2 else ("",)
    for prefix, half in zip(prefixes, halves, strict=True):
        arrays[f"{prefix}kernel"] = to_numpy(half.cell.kernel)
        arrays[f"{prefix}recurrent_kernel"] = to_numpy(half.cell.recurrent_kernel)
        if half.cell.use_bias:
            arrays[f"{prefix}bias"] = to_numpy(half.cell.bias)
    cell = halves[0].cell
    activation, gate = activation_name(cell.activation), activation_name(cell.recurrent_activation)
    for half in halves[1:]:
        if (activation_name(half.cell.activation), activation_name(half.cell.recurrent_activation)) != (
            activation,
            gate,
        ):
            raise UserError("the two directions have different activations; compare them one by one")
    spec = LSTMSpec(
        input_size=int(cell.kernel.shape[0]),
        hidden_size=int(cell.units),
        bidirectional=len(halves) == 2,
        bias="single" if cell.use_bias else "none",
        reverse=len(halves) == 1 and bool(halves[0].go_backwards),
        gate_activation=gate,
        cell_activation=activation,
        output_activation=activation,
    )
    precision = keras.backend.standardize_dtype(cell.kernel.dtype)
    if precision not in STORAGE:
        raise SpecError(f"the layer holds {precision} weights, but should hold one of {', '.join(STORAGE)}")
    return from_layout(arrays, "keras", spec=spec, dtype=precision)


def activation_name(function: Any) -> str:
    """The name that a spec gives to an activation of Keras."""
    name = _ACTIVATIONS.get(function)
    if name is None:
        known = ", ".join(sorted(f.__name__ for f in _ACTIVATIONS))
        raise UserError(f"activation {getattr(function, '__name__', function)!r} is not one of {known}")
    return name


def _run(
    layer: Any, halves: list[Any], weights: LSTMWeights, x: Array, h0: Array, c0: Array, lengths: Array | None
) -> Result:
    """The layer as it is, then with every step and state returned."""
    mask = as_mask(lengths, x.shape[1])
    if mask is not None and not layer.return_sequences and not mask.any(axis=1).all():
        raise Unsupported("mask: LSTM(return_sequences=False) has no last output for a row without a valid step")
    dtype = str(layer.compute_dtype)
    states = [to_tensor(state, dtype) for pair in zip(h0, c0, strict=True) for state in pair]
    keywords = {
        "mask": None if mask is None else keras.ops.convert_to_tensor(np.array(mask)),
        "initial_state": states,
        "training": False,
    }
    given = to_tensor(x, dtype)
    last = None
    if not layer.return_sequences:
        answer = layer(given, **keywords)
        last = to_numpy(answer[0] if layer.return_state else answer)
    with _everything_returned([layer, *halves]):
        output, *finals = layer(given, **keywords)
    y = to_numpy(output)
    if len(halves) == 1 and layer.go_backwards:
        y = y[:, ::-1]  # Keras answers in the order of processing
    if mask is not None:
        y = np.where(mask[..., None], y, np.zeros((), y.dtype))  # by default Keras repeats outputs through padding
    computed_in, note = _precision(weights, dtype, masked=mask is not None)
    h_n, c_n = (np.stack([to_numpy(state) for state in finals[start::2]]) for start in (0, 1))
    return Result(y=y, h_n=h_n, c_n=c_n, last=last, computed_in=computed_in, note=note)


def _precision(weights: LSTMWeights, dtype: str, *, masked: bool) -> tuple[str, str]:
    """The precision of the computation, and why it is not that of the weights."""
    if dtype != weights.dtype:
        return dtype, f"the layer holds {weights.dtype} and computes in {dtype}"
    return float64_becomes(weights.spec, masked=masked) if dtype == "float64" else (dtype, "")


@contextmanager
def _everything_returned(layers: list[Any]) -> Iterator[None]:
    """Lets the layers return every step and state; the flags are restored.

    keras 3.15.1 RNN.call and Bidirectional.call read them at each call.
    """
    before = [(layer, layer.return_sequences, layer.return_state) for layer in layers]
    try:
        for layer in layers:
            layer.return_sequences = layer.return_state = True
        yield
    finally:
        for layer, sequences, state in before:
            layer.return_sequences, layer.return_state = sequences, state
