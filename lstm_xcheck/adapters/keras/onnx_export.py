"""Keras's LSTM on PyTorch, exported to ONNX and run in ONNX Runtime."""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import onnxruntime

from ...arrays import Array
from ...model import Case, LSTMSpec, Result
from ..case_arrays import last_output, padding_mask
from .keras3 import Keras3LSTM
from .stack import Stack, StackOutputs, layer_states


class Exportable(NamedTuple):
    """The loaded layers, and their programs by the shapes of inputs."""

    stack: Stack
    programs: dict[tuple[Any, ...], Callable[[list[Array]], list[Array]]]


class KerasOnnx:
    """`keras.Model.export(format="onnx")` of the layers, for a fixed number of steps.

    Keras 3.15.1 on PyTorch (keras/src/export/onnx.py) writes every step out. Of a model with unknown steps it writes
    one step in silence. It gives no gradients: those of the layers are not those of the file.
    """

    layout = "keras"

    def __init__(self, name: str) -> None:
        self.name = name
        self._keras = Keras3LSTM("keras-torch")

    def environment(self) -> dict[str, str]:
        """Versions of what exports and computes."""
        return {**self._keras.environment(), "onnxruntime": onnxruntime.__version__}

    def unsupported(self, case: Case) -> str | None:
        """What Keras and ONNX Runtime cannot do."""
        if case.precision == "float16":
            return "float16: ONNX Runtime 1.32 crashes while it loads the file that Keras exports on PyTorch"
        if case.precision == "bfloat16":
            return "bfloat16: ONNX Runtime on the CPU has no MatMul and Add of it"
        return self._keras.unsupported(case)

    def computes_in(self, case: Case) -> tuple[str, str]:
        """The precision of Keras."""
        return self._keras.computes_in(case)

    def build(self, spec: LSTMSpec, precision: str) -> Exportable:
        """One layer of Keras for each layer, and no program yet."""
        return Exportable(self._keras.build(spec, precision), {})

    def load(self, model: Exportable, arrays: Mapping[str, Array]) -> None:
        """Load with `set_weights` of each layer; files of other weights are dropped."""
        before = self.read_back(model)
        self._keras.load(model.stack, arrays)
        if not all(np.array_equal(before[name], array) for name, array in self.read_back(model).items()):
            model.programs.clear()

    def read_back(self, model: Exportable) -> dict[str, Array]:
        """Read with `get_weights` of each layer."""
        return self._keras.read_back(model.stack)

    def count_parameters(self, model: Exportable) -> int:
        """Sum of `count_params` of every layer."""
        return self._keras.count_parameters(model.stack)

    def run(self, model: Exportable, case: Case) -> Result:
        """Export the loaded layers unless that was done, and run the file."""
        mask = padding_mask(case)
        states = [state for layer in layer_states(case) for state in layer] if _has_states(case) else []
        feed = [case.x, *([] if mask is None else [mask]), *states]
        key = (case.steps, mask is not None, bool(states))
        if key not in model.programs:
            with warnings.catch_warnings(), redirect_stdout(sys.stderr):
                warnings.simplefilter("ignore")
                model.programs[key] = export(model.stack, case, feed, steps=case.steps)
        found = model.programs[key](feed)
        layers, finals = found[: case.spec.num_layers], found[case.spec.num_layers :]
        result = StackOutputs(layers, finals, None).result(np.asarray)
        if case.returns != "last":
            return result
        return replace(result, last=last_output(np.stack(finals[0::2]), case.spec))


def _has_states(case: Case) -> bool:
    return case.h0 is not None or case.c0 is not None


def _functional(stack: Stack, case: Case, steps: int | None) -> Any:
    """The layers as a functional model of x, mask and states."""
    spec = case.spec
    x = keras.Input((steps, spec.input_size), dtype=case.precision, name="x")
    mask = None if padding_mask(case) is None else keras.Input((steps,), dtype="bool", name="mask")
    states: list[Any] = [None] * spec.num_layers
    if _has_states(case):
        shape, width = (spec.hidden_size,), 2 * spec.num_directions
        states = [
            [keras.Input(shape, dtype=case.precision, name=f"state_{layer}_{k}") for k in range(width)]
            for layer in range(spec.num_layers)
        ]
    outputs = stack.forward(x, mask, states, False)
    given = [x, *([] if mask is None else [mask]), *(state for layer in states for state in layer or ())]
    return keras.Model(given, [*outputs.layers, *outputs.states])


def export(stack: Stack, case: Case, feed: list[Array], *, steps: int | None) -> Callable[[list[Array]], list[Array]]:
    """Export for a number of steps, and load the file."""
    model = _functional(stack, case, steps)
    model([keras.ops.convert_to_tensor(np.array(array)) for array in feed])  # Keras exports what was called
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.onnx")
        model.export(file, format="onnx", verbose=False)
        content = file.read_bytes()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    return lambda arrays: session.run(None, dict(zip(names, arrays, strict=True)))
