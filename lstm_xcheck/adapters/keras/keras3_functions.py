"""Functions of Keras 3 on the backend in use: activations, tensors, float64."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ... import arrays
from ...arrays import Array
from ...errors import AdapterError
from ...model import LSTMSpec
from ...model.spec import HARD_SIGMOID_KERAS3, Activation
from .stack import Tensor

BACKEND: str = keras.config.backend()
if BACKEND not in ("tensorflow", "jax", "torch"):
    raise AdapterError(
        f"keras was imported with the backend {BACKEND}, but should have tensorflow, jax or torch; "
        "set KERAS_BACKEND before keras is imported"
    )

#: Small enough for steep, large enough for flat activations; all exact in float32.
_PROBES = np.array([[sign * 2.0**power] for power in (-10, -5, -1, 1, 5, 10) for sign in (1, -1)])


@keras.saving.register_keras_serializable(package="lstm_xcheck")
class HostZeros(keras.initializers.Initializer):
    """Zeros made by NumPy; on JAX, Keras's own initializers compile programs."""

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Tensor:
        """Zeros as a tensor of the backend."""
        return keras.ops.convert_to_tensor(np.zeros(shape, np.float32), dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        """Nothing to save."""
        return {}


@functools.cache
def activation(name: str) -> Callable[[Tensor], Tensor]:
    """Keras's own function, or a hard sigmoid of other slopes from `keras.ops`.

    keras 3.15.1 `hard_sigmoid` is clip(v / 6 + 0.5, 0, 1).
    """
    parsed = Activation.parse(name)
    if parsed.kind != "hard_sigmoid" or parsed == Activation.parse(HARD_SIGMOID_KERAS3):
        function: Callable[[Tensor], Tensor] = keras.activations.get(parsed.kind)
        return function

    def hard_sigmoid(v: Tensor) -> Tensor:
        return keras.ops.clip(v * parsed.alpha + parsed.beta, 0.0, 1.0)

    # Bidirectional makes its layers from a configuration, which takes registered functions only.
    registered: Callable[[Tensor], Tensor] = keras.saving.register_keras_serializable(
        package="lstm_xcheck", name=f"{parsed.kind}_{parsed.alpha!r}_{parsed.beta!r}"
    )(hard_sigmoid)
    return registered


def to_tensor(array: Array, precision: str) -> Tensor:
    """A tensor of a writable copy: torch warns of read-only memory."""
    return keras.ops.convert_to_tensor(np.array(array), dtype=precision)


def to_numpy(tensor: Tensor) -> Array:
    """A NumPy array of a tensor."""
    return arrays.to_numpy(keras.ops.convert_to_numpy(tensor))


def float64_becomes(spec: LSTMSpec, *, masked: bool) -> tuple[str, str]:
    """In which precision a float64 layer computes, and why.

    keras 3.15.1, keras/src/backend/common/dtypes.py, turns float64 results into float32 on every backend but
    TensorFlow (BIT64_TO_BIT32_DTYPE): on JAX in `ops.tanh`, on PyTorch in `ops.matmul`. PyTorch's matmul is
    `torch.matmul`, and exact, in the loop that runs without a mask (keras/src/backend/torch/rnn.py, `lstm`).
    The operations are tried out, so that the answer holds for other versions of Keras.
    """
    operations = [
        ("gate activation", activation(spec.gate_activation)),
        ("cell activation", activation(spec.cell_activation)),
    ]
    if BACKEND != "torch" or masked:
        operations.append(("matrix product", _product))
    for name, operation in operations:
        if not _keeps_float64(operation):
            where = " under a mask" if operation is _product and BACKEND == "torch" else ""
            return "float32", f"Keras computes the {name} of a float64 layer{where} in float32 on {BACKEND}"
    return "float64", ""


def _product(values: Tensor) -> Tensor:
    return keras.ops.matmul(values, keras.ops.ones((1, 1), dtype="float64"))


@functools.cache
def _keeps_float64(operation: Callable[[Tensor], Tensor]) -> bool:
    """Whether numbers that float32 cannot tell apart have different images."""
    images = [to_numpy(operation(to_tensor(points, "float64"))) for points in (_PROBES, _PROBES * (1.0 + 2.0**-40))]
    return bool((images[0] != images[1]).any())
