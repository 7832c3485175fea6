"""Translates the attributes of an ONNX LSTM to spec options; `layouts/onnx_node.py` translates back.

Source: ONNX operator LSTM, since version 22 (onnx/defs/rnn/defs.cc).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...layouts.onnx_node import PLAIN_FUNCTIONS, NotInSpecError

DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
#: Default alpha and beta of the functions that take both.
_TWO_NUMBERS = {"hardsigmoid": (0.2, 0.5), "affine": (1.0, 0.0)}
#: Numbers that attributes, which are float32, cannot say exactly.
_KNOWN_NUMBERS = (0.2, 1 / 6)

_IGNORED = {"hidden_size", "layout"}
_UNDERSTOOD = {"direction", "activations", "activation_alpha", "activation_beta", "clip", "input_forget"}


def spec_options(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The spec options that a node's attributes mean.

    Raises:
        NotInSpecError: for an unknown attribute, value or function, and directions that differ.
    """
    unknown = set(attributes) - _UNDERSTOOD - _IGNORED
    if unknown:
        raise NotInSpecError(f"attribute {min(unknown)} has no canonical form")
    direction = _text(attributes.get("direction", b"forward"))
    if direction not in DIRECTIONS:
        raise NotInSpecError(f"direction {direction} is none of {', '.join(DIRECTIONS)}")
    gate, cell, output = _functions(attributes, DIRECTIONS[direction])
    clip = attributes.get("clip", 0.0)
    return {
        "reverse": direction == "reverse",
        "bidirectional": direction == "bidirectional",
        "gate_activation": gate,
        "cell_activation": cell,
        "output_activation": output,
        "gate_clip": number_of(clip) if clip else None,
        "coupling": "f=1-i" if attributes.get("input_forget", 0) else None,
    }


def _functions(attributes: Mapping[str, Any], directions: int) -> tuple[str, ...]:
    names = [_text(name) for name in attributes.get("activations", [])] or ["Sigmoid", "Tanh", "Tanh"] * directions
    if len(names) != 3 * directions:
        raise NotInSpecError(f"it has {len(names)} activations, expected {3 * directions}")
    alphas, betas = (iter(attributes.get(f"activation_{kind}", [])) for kind in ("alpha", "beta"))
    functions = [function_of(name, alphas, betas) for name in names]
    if directions == 2 and functions[:3] != functions[3:]:
        raise NotInSpecError("its two directions have different activations")
    return tuple(functions[:3])


def function_of(name: str, alphas: Iterator[float], betas: Iterator[float]) -> str:
    """A function as a spec names it, with the next parameters."""
    kind = name.lower()
    if kind in PLAIN_FUNCTIONS:
        return kind
    if kind not in _TWO_NUMBERS:
        raise NotInSpecError(f"activation {name} has no canonical form")
    alpha, beta = _TWO_NUMBERS[kind]
    alpha, beta = number_of(next(alphas, alpha)), number_of(next(betas, beta))
    if kind == "hardsigmoid":
        return f"hard_sigmoid:{alpha!r},{beta!r}"
    if (alpha, beta) != (1.0, 0.0):
        raise NotInSpecError(f"activation Affine with alpha {alpha} and beta {beta} has no canonical form")
    return "linear"


def number_of(value: float) -> float:
    """A float32 attribute as the decimal meant: 0.2, not 0.20000000298."""
    for known in _KNOWN_NUMBERS:
        if np.float32(known) == np.float32(value):
            return known
    return float(str(np.float32(value)))


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
