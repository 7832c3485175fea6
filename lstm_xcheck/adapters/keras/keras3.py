"""Keras 3's `keras.layers.LSTM` and `Bidirectional(LSTM)`, on TensorFlow, JAX or PyTorch.

KERAS_BACKEND fixes the backend when keras is imported; `registry.py` sets it for each adapter name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras

from ...arrays import Array
from ...errors import AdapterError
from ...model import Case, LSTMSpec, Result
from ..case_arrays import padding_mask
from .gradients import Vjp, cotangents_in_order, jax_program, on_tensorflow, on_torch
from .keras3_functions import BACKEND, HostZeros, activation, float64_becomes, to_numpy, to_tensor
from .stack import KerasVersion, Stack, StackOutputs, layer_inputs, unsupported_by_keras

#: x, mask and the initial states of each layer, as tensors of the backend.
Inputs = tuple[Any, Any, list[Any]]

if BACKEND == "tensorflow":
    import tensorflow as framework
elif BACKEND == "jax":
    import jax as framework

    from ..jax import compile_options, program_cache
else:
    import torch as framework

KERAS3 = KerasVersion(keras, activation, lambda outputs: keras.ops.flip(outputs, axis=1), HostZeros())

#: Level of XLA's optimisation on JAX. Keras takes gates from the logistic function, which is right on every level.
_LEVEL = 0

#: `function` compiles a TensorFlow model for each shape, as `predict` does; else layers run eagerly. Tracing a shape
#: takes about as long as running it eagerly three times.
_IN_GRAPHS = BACKEND == "tensorflow" and os.environ.get("LSTM_XCHECK_TENSORFLOW") == "function"


class Keras3Layers:
    """A stack of `LSTM` or `Bidirectional(LSTM)` layers, with padding as a mask.

    With `zero_output_for_mask=True`, Keras itself puts zeros at padding; without, it holds outputs, but Bidirectional
    zeroes them, and on JAX they start with h0 instead of zeros.
    """

    layout = "keras"
    options = frozenset({"held", "merge"})

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
            program_cache.enable()
        if _IN_GRAPHS:
            # Grappler takes a quarter of a new shape's time, and changes the graph that Keras wrote.
            framework.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
        if BACKEND == "torch":
            framework.set_num_threads(1)  # a second thread makes small cases many times slower on busy machines

    def environment(self) -> dict[str, str]:
        """Versions of what computes, and the options it compiles with."""
        versions = {"keras": keras.__version__, BACKEND: framework.__version__}
        if _IN_GRAPHS:
            versions["runs"] = "in graphs of tf.function, without Grappler"
        if BACKEND == "jax":
            versions |= compile_options.describe(_LEVEL)
        return versions

    def unsupported(self, case: Case) -> str | None:
        """Projections, peepholes, clips, coupled gates, and different activations."""
        return unsupported_by_keras(case)

    def computes_in(self, case: Case) -> tuple[str, str]:
        """The precision of the case; float64 where every operation keeps it."""
        if case.precision != "float64":
            return case.precision, ""
        return float64_becomes(case.spec, masked=padding_mask(case) is not None)

    def build(self, spec: LSTMSpec, precision: str) -> Stack:
        """One layer of Keras for each layer of the stack."""
        with _device():
            return Stack(KERAS3, spec, precision)

    def load(self, model: Stack, arrays: Mapping[str, Array]) -> None:
        """Load with `set_weights` of each layer."""
        with _device():
            model.load(arrays)

    def read_back(self, model: Stack) -> dict[str, Array]:
        """Read with `get_weights` of each layer."""
        return model.read_back()

    def count_parameters(self, model: Stack) -> int:
        """Sum of `count_params` of every layer."""
        return sum(int(layer.count_params()) for layer in model.layers)

    def run(self, model: Stack, case: Case) -> Result:
        """Run the stack as users of the backend do."""
        with _device():
            model = model.variant(case)
            return _forward(model, _inputs(case), model.prepare_last(case)).result(to_numpy)


class Keras3LSTM(Keras3Layers):
    """The same, with gradients."""

    def run_with_gradients(self, model: Stack, case: Case) -> Result:
        """Run the stack and differentiate with the backend; absent states are zeros."""
        with _device():
            model = model.variant(case)
            return _differentiate(model, case, model.prepare_last(case)).result(model, self.layout, to_numpy)


def _device() -> AbstractContextManager[Any]:
    """Keras on JAX runs on the CPU.

    On other devices JAX rounds the operands of products to fewer bits unless it is told not to.
    """
    return framework.default_device(framework.devices("cpu")[0]) if BACKEND == "jax" else nullcontext()


def _inputs(case: Case, *, explicit: bool = False) -> Inputs:
    return layer_inputs(case, to_tensor, keras.ops.convert_to_tensor, explicit=explicit)


def _forward(model: Stack, inputs: Inputs, want_last: bool) -> StackOutputs:
    """`Stack.forward` as users of each backend run it."""
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


def _differentiate(model: Stack, case: Case, want_last: bool) -> Vjp:
    """Outputs, and gradients for the case's cotangents; compiled on JAX alone."""
    x, mask, states = _inputs(case, explicit=True)
    vectors = [to_tensor(vector, case.precision) for vector in cotangents_in_order(case)]
    if BACKEND == "tensorflow":
        return on_tensorflow(framework, model, x, mask, states, want_last, vectors)
    if BACKEND == "torch":
        return on_torch(framework, model, x, mask, states, want_last, vectors)
    if model.compiled_vjp is None:
        program = jax_program(framework, model, _stateless(model))
        model.compiled_vjp = framework.jit(program, static_argnums=5, **compile_options.jit_arguments(_LEVEL))
    values = [variable.value for variable in model.variables(want_last)]
    return model.compiled_vjp(values, x, mask, states, vectors, want_last)


def _stateless(model: Stack) -> Callable[..., StackOutputs]:
    """`Stack.forward` as a pure function of the weights: one program serves many weights."""

    def program(values: list[Any], x: Any, mask: Any, states: Any, want_last: bool) -> StackOutputs:
        mapping = list(zip(model.variables(want_last), values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return model.forward(x, mask, states, want_last)

    return program
