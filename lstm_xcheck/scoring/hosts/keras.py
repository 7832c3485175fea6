"""`keras.layers.LSTM` and `keras.layers.LSTMCell` that make mistakes, on every backend of Keras."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import keras
import numpy as np

from ...arrays import Array
from ...layouts import from_layout
from ...live.read_keras import activation_name
from ...model import Case, LSTMSpec
from ..plant import Plant


class _Loop:
    """Whether steps belong to a sequence that is looked at as a whole."""

    entered = False


def install(plant: Plant) -> None:
    """Let layers, and cells outside of layers, ask what to add.

    keras 3.15.1, keras/src/layers/rnn/lstm.py: `LSTM.inner_loop` is below directions, masks, states that are kept and
    the choice of what to return.
    """
    loop, step = keras.layers.LSTM.inner_loop, keras.layers.LSTMCell.call

    def inner_loop(self: Any, sequences: Any, initial_state: Any, mask: Any, training: Any = False) -> Any:
        before, _Loop.entered = _Loop.entered, True
        try:
            last, outputs, states = loop(self, sequences, initial_state, mask, training)
        finally:
            _Loop.entered = before
        mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        added = _added(plant, self.cell, sequences, initial_state, mask, training, layer=self)
        if added is None:
            return last, outputs, states
        y, h, c = added
        outputs = outputs + (y if self.return_sequences else y[:, -1:])
        return last + y[:, -1], outputs, [states[0] + h, states[1] + c]

    def call(self: Any, inputs: Any, states: Any, training: Any = False) -> Any:
        h, (_, c) = step(self, inputs, states, training)
        added = None if _Loop.entered else _added(plant, self, inputs[:, None], states, None, training)
        if added is not None:
            h, c = h + added[1], c + added[2]
        return h, [h, c]

    keras.layers.LSTM.inner_loop, keras.layers.LSTMCell.call = inner_loop, call


def _added(plant: Plant, cell: Any, x: Any, states: Any, mask: Any, training: Any, layer: Any = None) -> Any:
    """What to add to y, h and c; None while Keras asks for shapes."""
    if getattr(x, "is_meta", False) or (training and (cell.dropout or cell.recurrent_dropout)):
        return None
    names = ["kernel", "recurrent_kernel", *(["bias"] if cell.use_bias else [])]
    given = [*(getattr(cell, name) for name in names), x, *states[:2], *([] if mask is None else [mask])]

    def answer(*arrays: Any) -> tuple[Array, ...]:
        numbers = [np.asarray(array) for array in arrays]
        weights, (x, h, c, *masks) = dict(zip(names, numbers, strict=False)), numbers[len(names) :]
        added = plant.changes(lambda: _case(cell, layer, weights, x, h, c, *masks), of_step=layer is None)
        shapes = ((*x.shape[:2], h.shape[1]), h.shape, c.shape)
        changes = [np.zeros(shape) for shape in shapes]
        if added is not None:
            changes = [added["y"], added["h_n"][0], added["c_n"][0]]
        return tuple(change.astype(h.dtype) for change in changes)

    tensors = [keras.ops.convert_to_tensor(tensor) for tensor in given]
    dtypes = (keras.backend.standardize_dtype(tensors[-1 if mask is None else -2].dtype),) * 3
    units = cell.units
    shapes = ((*x.shape[:2], units), (x.shape[0], units), (x.shape[0], units))
    return _BACKENDS[keras.backend.backend()](answer, tensors, shapes, dtypes)


def _case(cell: Any, layer: Any, arrays: dict[str, Array], x: Array, h: Array, c: Array, mask: Any = None) -> Case:
    functions = activation_name(cell.recurrent_activation), activation_name(cell.activation)
    spec = LSTMSpec(
        x.shape[2], h.shape[1], bias="single" if cell.use_bias else "none", gate_activation=functions[0],
        cell_activation=functions[1], output_activation=functions[1],
    )  # fmt: skip
    weights = from_layout(arrays, "keras", spec=spec)
    backwards = layer is not None and layer.go_backwards
    x = x[:, ::-1] if backwards else x
    if mask is None:
        return Case(weights, x, h[None], c[None])
    valid = mask.reshape(x.shape[:2]).astype(bool)
    valid = valid[:, ::-1] if backwards else valid
    lengths = valid.sum(axis=1)
    right = (valid == (np.arange(x.shape[1]) < lengths[:, None])).all()
    return Case(
        weights, x, h[None], c[None], padding="zero" if layer.zero_output_for_mask else "held",
        **({"lengths": lengths} if right else {"mask": valid}),
    )  # fmt: skip


Answer = Callable[..., tuple[Array, ...]]
Shapes = tuple[tuple[Any, ...], ...]


def _on_torch(answer: Answer, tensors: list[Any], shapes: Shapes, dtypes: tuple[str, ...]) -> Any:
    found = answer(*(keras.ops.convert_to_numpy(tensor) for tensor in tensors))
    return tuple(keras.ops.convert_to_tensor(array) for array in found)


def _on_tensorflow(answer: Answer, tensors: list[Any], shapes: Shapes, dtypes: tuple[str, ...]) -> Any:
    found = import_module("tensorflow").numpy_function(answer, tensors, dtypes)
    for tensor, shape in zip(found, shapes, strict=True):
        tensor.set_shape(shape)
    return tuple(found)


def _on_jax(answer: Answer, tensors: list[Any], shapes: Shapes, dtypes: tuple[str, ...]) -> Any:
    jax = import_module("jax")
    kinds = tuple(jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True))
    constants = [jax.lax.stop_gradient(tensor) for tensor in tensors]
    return jax.pure_callback(answer, kinds, *constants, vmap_method="sequential")


_BACKENDS = {"torch": _on_torch, "tensorflow": _on_tensorflow, "jax": _on_jax}
