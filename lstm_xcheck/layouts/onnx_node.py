"""Says a spec in the attributes of an ONNX LSTM node.

Source: ONNX operator LSTM, since version 22 (onnx/defs/rnn/defs.cc).
"""

from __future__ import annotations

from typing import Any

from ..model import LSTMSpec
from ..model.spec import Activation

#: The functions of a spec that ONNX names, without those that take numbers.
PLAIN_FUNCTIONS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "softsign": "Softsign"}
_WITH_NUMBERS = {"hard_sigmoid": "HardSigmoid", "linear": "Affine"}


class NotInSpecError(ValueError):
    """What a node or a spec says and the other cannot, with the reason."""


def node_attributes(spec: LSTMSpec) -> dict[str, Any]:
    """The attributes of a node that computes what the spec says.

    Raises:
        NotInSpecError: for an option that the operator does not have; the message names it.

    >>> node_attributes(LSTMSpec(input_size=3, hidden_size=2, gate_clip=1.5))
    {'hidden_size': 2, 'direction': 'forward', 'clip': 1.5}
    """
    for option in ("proj_size", "cell_clip", "proj_clip"):
        if getattr(spec, option):
            raise NotInSpecError(f"ONNX' LSTM has no {option}")
    if spec.coupling == "i=1-f":
        raise NotInSpecError("ONNX' LSTM has no coupling i=1-f, only f=1-i")
    direction = "bidirectional" if spec.bidirectional else "reverse" if spec.reverse else "forward"
    attributes: dict[str, Any] = {"hidden_size": spec.hidden_size, "direction": direction}
    functions = [Activation.parse(f) for f in (spec.gate_activation, spec.cell_activation, spec.output_activation)]
    if [function.kind for function in functions] != ["sigmoid", "tanh", "tanh"]:
        functions *= spec.num_directions
        attributes["activations"] = [_onnx_name(function.kind) for function in functions]
        numbers = [
            (f.alpha, f.beta) if f.kind == "hard_sigmoid" else (1.0, 0.0)
            for f in functions
            if f.kind not in PLAIN_FUNCTIONS
        ]
        if numbers:
            attributes["activation_alpha"] = [alpha for alpha, _ in numbers]
            attributes["activation_beta"] = [beta for _, beta in numbers]
    if spec.gate_clip is not None:
        attributes["clip"] = spec.gate_clip
    if spec.coupling:
        attributes["input_forget"] = 1
    return attributes


def _onnx_name(kind: str) -> str:
    names = {**PLAIN_FUNCTIONS, **_WITH_NUMBERS}
    if kind not in names:
        raise NotInSpecError(f"ONNX' LSTM has no activation {kind}")
    return names[kind]
