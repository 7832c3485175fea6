"""Keras 3's `keras.layers.LSTM` and `Bidirectional(LSTM)`, on TensorFlow, JAX or PyTorch.

The backend is fixed when keras is imported, by KERAS_BACKEND; `registry.py` sets it for each adapter name.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from ...arrays import STORAGE, Array, to_numpy
from ...errors import AdapterError, SpecError
from ...layouts import gradients_from_layout
from ...model import Case, LSTMSpec, Result, cotangents
from .build import Stack, keras_activation
from .gradients import Answer, Pulled, jax_program, on_tensorflow, on_torch
from .limits import unsupported_by_keras

#: x, mask and the initial states of each layer, as tensors of the backend.
Inputs = tuple[Any, Any, list[Any]]

BACKEND: str = keras.config.backend()
if BACKEND == "tensorflow":
    import tensorflow as framework
elif BACKEND == "jax":
    import jax as framework

    from ..jax_scan import compile_options, program_cache
elif BACKEND == "torch":
    import torch as framework
else:
    raise AdapterError(
        f"keras was imported with the backend {BACKEND}, but should have tensorflow, jax or torch; "
        "set KERAS_BACKEND before keras is imported"
    )

#: Of XLA's optimisation on JAX. Keras takes its gates from the logistic function, which no level makes worse.
_LEVEL = 0

#: `function` makes one program of a TensorFlow model for each shape, as `predict` does; else its layers run eagerly.
#: Tracing a shape takes as long as running it eagerly some three times.
_IN_GRAPHS = BACKEND == "tensorflow" and os.environ.get("LSTM_XCHECK_TENSORFLOW") == "function"

#: Small enough for steep, large enough for flat activations; all of them exact in float32.
_PROBES = np.array([[sign * 2.0**power] for power in (-10, -5, -1, 1, 5, 10) for sign in (1, -1)])


class KerasLayer:
    """A chain of `LSTM` or `Bidirectional(LSTM)` layers, each one's output observed; padding goes in as a mask.

    `zero_output_for_mask=True` makes Keras itself put zeros at padding. `go_backwards` answers in the order of
    processing, so its output is flipped back in time. Everything runs with `training=False`.
    """

    layout = "keras"

    def __init__(self, name: str) -> None:
        wanted = name.removeprefix("keras-")
        if wanted in ("tensorflow", "jax", "torch") and wanted != BACKEND:
            raise AdapterError(
                f"adapter {name}: keras was imported with the backend {BACKEND}, but should have {wanted}; "
                f"set KERAS_BACKEND={wanted} before keras is imported"
            )
        self.name = name
        if BACKEND == "jax":
            compile_options.prepare_process()
            program_cache.keep_programs()
        if _IN_GRAPHS:
            # Grappler takes a quarter of a new shape's time, and without it what runs is what Keras wrote.
            framework.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
        if BACKEND == "torch":
            framework.set_num_threads(1)  # a second thread makes small cases many times slower on busy machines

    def environment(self) -> dict[str, str]:
        """Versions of what computes, and the options that JAX compiles with."""
        versions = {"keras": keras.__version__, BACKEND: framework.__version__}
        if _IN_GRAPHS:
            versions["runs"] = "in graphs of tf.function, without Grappler"
        if BACKEND == "jax":
            versions |= compile_options.described(_LEVEL)
        return versions

    def unsupported(self, case: Case) -> str | None:
        """Keras has sigmoid, tanh or other activations, but neither projection, peepholes, clips nor coupling."""
        return unsupported_by_keras(case)

    def computes_in(self, case: Case) -> tuple[str, str]:
        """float64 is kept only where each Keras operation on the way keeps it."""
        if case.precision != "float64":
            return case.precision, ""
        return float64_becomes(case.spec, masked=case.lengths is not None or case.mask is not None)

    def build(self, spec: LSTMSpec, precision: str) -> Stack:
        """One layer of Keras for each layer of the stack."""
        return Stack(spec, precision)

    def load(self, model: Stack, arrays: Mapping[str, Array]) -> None:
        """Through `set_weights` of each layer.

        Raises:
            SpecError: for missing and unknown names.
        """
        names = [name for layer in model.weight_names for name in layer]
        if set(names) != set(arrays):
            raise SpecError(f"the arrays are named {sorted(arrays)}, but this Keras model needs {sorted(names)}")
        for layer, own in zip(model.layers, model.weight_names, strict=True):
            layer.set_weights([np.array(arrays[name]) for name in own])

    def read_back(self, model: Stack) -> dict[str, Array]:
        """From `get_weights` of each layer."""
        return {
            name: to_numpy(array)
            for layer, names in zip(model.layers, model.weight_names, strict=True)
            for name, array in zip(names, layer.get_weights(), strict=True)
        }

    def count_parameters(self, model: Stack) -> int:
        """`count_params` of every layer."""
        return sum(int(layer.count_params()) for layer in model.layers)

    def run(self, model: Stack, case: Case) -> Result:
        """Each layer on the output of the one below; the last output by a twin of the top layer."""
        want_last = case.returns == "last"
        if want_last:
            model.make_last()
        return _result(_forward(model, _inputs(case), want_last))

    def run_with_gradients(self, model: Stack, case: Case) -> Result:
        """The same forward pass, differentiated by the backend."""
        if case.returns == "last":
            model.make_last()
        pulled = _differentiated(model, case)
        names = [name for layer in model.weight_names for name in layer]
        arrays = dict(zip(names, map(_to_numpy, pulled.weights), strict=True))
        x, *states = map(_to_numpy, pulled.data)
        data = {"x": x, "h0": np.stack(states[0::2]), "c0": np.stack(states[1::2])}
        return replace(_result(pulled.answer), gradients={**gradients_from_layout(arrays, self.layout), **data})


def _result(answer: Answer) -> Result:
    outputs, finals, last = answer
    arrays = [_to_numpy(output) for output in outputs]
    return Result(
        y=arrays[-1],
        h_n=np.stack([_to_numpy(state) for state in finals[0::2]]),
        c_n=np.stack([_to_numpy(state) for state in finals[1::2]]),
        last=None if last is None else _to_numpy(last),
        layer_outputs=tuple(arrays[:-1]),
    )


def float64_becomes(spec: LSTMSpec, *, masked: bool) -> tuple[str, str]:
    """In which precision a float64 layer really computes, and why.

    keras 3.15.1, keras/src/backend/common/dtypes.py, turns float64 results into float32 on every backend but
    TensorFlow (BIT64_TO_BIT32_DTYPE): on JAX in `ops.tanh`, on PyTorch in `ops.matmul`. PyTorch's matmul is
    `torch.matmul`, and exact, in the loop that runs without a mask (keras/src/backend/torch/rnn.py, `lstm`).
    The operations are tried out here, so another version of Keras answers for itself.
    """
    operations = [
        ("gate activation", keras_activation(spec.gate_activation)),
        ("cell activation", keras_activation(spec.cell_activation)),
    ]
    if BACKEND != "torch" or masked:
        operations.append(("matrix product", _product))
    for name, operation in operations:
        if not _keeps_float64(operation):
            where = " under a mask" if operation is _product and BACKEND == "torch" else ""
            return "float32", f"Keras computes the {name} of a float64 layer{where} in float32 on {BACKEND}"
    return "float64", ""


def _forward(model: Stack, inputs: Inputs, want_last: bool) -> Any:
    """`Stack.forward` as users of each backend run it: eagerly, without gradients, or compiled."""
    if _IN_GRAPHS:
        model.compiled = model.compiled or framework.function(model.forward, autograph=False)
        return model.compiled(*inputs, want_last)
    if BACKEND == "tensorflow":
        return model.forward(*inputs, want_last)
    if BACKEND == "torch":
        with framework.no_grad():
            return model.forward(*inputs, want_last)
    if model.compiled is None:
        model.compiled = framework.jit(_stateless(model), static_argnums=4, **compile_options.jit_arguments(_LEVEL))
    values = [variable.value for variable in model.variables(want_last)]
    return model.compiled(values, *inputs, want_last)


def _differentiated(model: Stack, case: Case) -> Pulled:
    """Eagerly, or compiled on JAX, as `_forward`; absent states are zeros, which have gradients."""
    x, mask, states = _inputs(case, explicit=True)
    y, h_n, c_n = cotangents(case)
    finals = [pull for pair in zip(h_n, c_n, strict=True) for pull in pair]
    pulls = [_tensor(pull, case.precision) for pull in (y, *finals)]
    last = case.returns == "last"
    if BACKEND == "tensorflow":
        return on_tensorflow(framework, model, x, mask, states, last, pulls)
    if BACKEND == "torch":
        return on_torch(framework, model, x, mask, states, last, pulls)
    if model.differentiated is None:
        program = jax_program(framework, model, _stateless(model))
        model.differentiated = framework.jit(program, static_argnums=5, **compile_options.jit_arguments(_LEVEL))
    values = [variable.value for variable in model.variables(last)]
    pulled: Pulled = model.differentiated(values, x, mask, states, pulls, last)
    return pulled


def _stateless(model: Stack) -> Callable[..., Any]:
    """`Stack.forward` as a pure function of the weights, so that one program serves many of them."""

    def program(values: list[Any], x: Any, mask: Any, states: Any, want_last: bool) -> Any:
        mapping = list(zip(model.variables(want_last), values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return model.forward(x, mask, states, want_last)

    return program


def _inputs(case: Case, *, explicit: bool = False) -> Inputs:
    """x, mask and the states of each layer, of the layers' own dtype; None or explicit zeros where there are none."""
    mask = None
    if case.lengths is not None or case.mask is not None:
        mask = keras.ops.convert_to_tensor(np.array(case.valid))
    spec, precision = case.spec, case.precision
    x = _tensor(case.x, precision)
    if case.h0 is None and case.c0 is None and not explicit:
        return x, mask, [None] * spec.num_layers
    zeros = np.zeros((spec.num_layers * spec.num_directions, case.batch, spec.hidden_size), STORAGE[precision])
    h0 = zeros if case.h0 is None else case.h0
    c0 = zeros if case.c0 is None else case.c0
    flat = [_tensor(state, precision) for pair in zip(h0, c0, strict=True) for state in pair]
    width = 2 * spec.num_directions
    return x, mask, [flat[k * width : (k + 1) * width] for k in range(spec.num_layers)]


def _tensor(array: Array, precision: str) -> Any:
    """A writable copy: torch warns of read-only memory."""
    return keras.ops.convert_to_tensor(np.array(array), dtype=precision)


def _to_numpy(tensor: Any) -> Array:
    return to_numpy(keras.ops.convert_to_numpy(tensor))


def _product(values: Any) -> Any:
    return keras.ops.matmul(values, keras.ops.ones((1, 1), dtype="float64"))


@functools.cache
def _keeps_float64(operation: Callable[[Any], Any]) -> bool:
    """Whether numbers that differ beyond float32's reach have different images."""
    images = [_to_numpy(operation(_tensor(points, "float64"))) for points in (_PROBES, _PROBES * (1.0 + 2.0**-40))]
    return bool((images[0] != images[1]).any())
