"""Maps Keras activations and reductions to ONNX operators.

Source: ONNX operators since 14 and 22; keras 3.15.1, keras/src/activations/activations.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

#: Keras' activation -> operator and attributes.
_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "softmax": ("Softmax", {"axis": -1}),
    "log_softmax": ("LogSoftmax", {"axis": -1}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "elu": ("Elu", {"alpha": 1.0}),
    "exponential": ("Exp", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
}
#: What an attribute is that a node leaves out.
_DEFAULTS: dict[str, dict[str, Any]] = {"Softmax": {"axis": -1}, "LogSoftmax": {"axis": -1}, "Elu": {"alpha": 1.0},
             "HardSigmoid": {"alpha": 0.2, "beta": 0.5}}  # fmt: skip

#: How Keras' Bidirectional puts its directions together, but for `concat`.
MERGES = {"sum": "ReduceSum", "mul": "ReduceProd", "ave": "ReduceMean"}
#: Keras' layers over all steps.
POOLING = {"GlobalAveragePooling1D": "ReduceMean", "GlobalMaxPooling1D": "ReduceMax"}


def operator_of(activation: Any) -> tuple[str, dict[str, Any]] | None:
    """The operator and attributes of a Keras activation, or None."""
    return _ACTIVATIONS.get(activation) if isinstance(activation, str) else None


def activation_of(operator: str, attributes: Mapping[str, Any]) -> str | None:
    """Keras' name of what an operator computes, if it has one."""
    given = {**_DEFAULTS.get(operator, {}), **attributes}
    for name, (own, wanted) in _ACTIVATIONS.items():
        if own != operator or given.keys() != wanted.keys():
            continue
        if all(np.float32(given[key]) == np.float32(value) for key, value in wanted.items()):
            return name
    return None
