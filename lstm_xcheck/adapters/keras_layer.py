"""Keras 3's `keras.layers.LSTM` and `Bidirectional(LSTM)`, on TensorFlow, JAX or PyTorch.

The backend is fixed when keras is imported, by KERAS_BACKEND; `registry.py` sets it for each adapter name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from ..arrays import STORAGE, Array
from ..errors import AdapterError, SpecError
from ..spec import Case, LSTMSpec, Result
from ..spec.activations import Activation
from .keras_build import Stack, keras_activation

BACKEND: str = keras.config.backend()
if BACKEND == "tensorflow":
    import tensorflow as framework
elif BACKEND == "jax":
    import jax as framework
elif BACKEND == "torch":
    import torch as framework
else:
    raise AdapterError(
        f"keras was imported with the backend {BACKEND}, but should have tensorflow, jax or torch; "
        "set KERAS_BACKEND before keras is imported"
    )

#: XLA options for programs that run a few times: they compile in about half the time and still are Keras's own graph.
_QUICK_COMPILE = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}

#: float64 tells these two numbers apart, float32 does not.
_NEIGHBOURS = (0.3, 0.3 + 2.0**-40)


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
        if BACKEND == "torch":
            framework.set_num_threads(1)  # a second thread makes small cases many times slower on busy machines

    def environment(self) -> dict[str, str]:
        """Versions of what computes."""
        return {"keras": keras.__version__, BACKEND: framework.__version__}

    def unsupported(self, case: Case) -> str | None:
        """Keras has sigmoid, tanh or other activations, but neither projection, peepholes, clips nor coupling."""
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

    def computes_in(self, case: Case) -> tuple[str, str]:
        """float64 is kept only where each Keras operation on the way keeps it.

        keras 3.15.1, keras/src/backend/common/dtypes.py, turns float64 results into float32 on every backend but
        TensorFlow (BIT64_TO_BIT32_DTYPE): on JAX in `ops.tanh`, on PyTorch in `ops.matmul`. PyTorch's matmul is
        `torch.matmul`, and exact, in the loop that runs without a mask (keras/src/backend/torch/rnn.py, `lstm`).
        The operations are tried out here, so another version of Keras answers for itself.
        """
        if case.precision != "float64":
            return case.precision, ""
        operations = {
            "gate activation": keras_activation(case.spec.gate_activation),
            "cell activation": keras_activation(case.spec.cell_activation),
        }
        generic_loop = BACKEND != "torch" or case.lengths is not None or case.mask is not None
        if generic_loop:
            operations["matrix product"] = lambda value: keras.ops.matmul(value, keras.ops.ones_like(value))
        for name, operation in operations.items():
            if not _keeps_float64(operation):
                where = " of the loop that a mask calls for" if BACKEND == "torch" and generic_loop else ""
                return "float32", f"Keras computes the {name}{where} in float32 on {BACKEND}, in float64 layers too"
        return "float64", ""

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
            name: _plain(array)
            for layer, names in zip(model.layers, model.weight_names, strict=True)
            for name, array in zip(names, layer.get_weights(), strict=True)
        }

    def count_parameters(self, model: Stack) -> int:
        """`count_params` of every layer."""
        return sum(int(layer.count_params()) for layer in model.layers)

    def run(self, model: Stack, case: Case) -> Result:
        """Each layer on the output of the one below; the last output by a twin of the top layer."""
        if case.returns == "last":
            model.make_last()
        inputs = _inputs(case)
        if BACKEND == "jax":
            outputs, states, last = model.compiled(_compile)(*inputs, case.returns == "last")
        else:
            with framework.no_grad() if BACKEND == "torch" else contextlib.nullcontext():
                outputs, states, last = model.forward(*inputs, case.returns == "last")
        arrays = [_to_numpy(output) for output in outputs]
        return Result(
            y=arrays[-1],
            h_n=np.stack([_to_numpy(state) for state in states[0::2]]),
            c_n=np.stack([_to_numpy(state) for state in states[1::2]]),
            last=None if last is None else _to_numpy(last),
            layer_outputs=tuple(arrays[:-1]),
        )
