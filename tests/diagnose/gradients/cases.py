"""Cases on which gradient mistakes are planted."""

from __future__ import annotations

from typing import Any

from lstm_xcheck.model import Case, LSTMSpec

_SHAPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({"input_size": 5, "hidden_size": 4}, {"steps": 7, "batch": 3}),
    "two-units": ({"input_size": 3, "hidden_size": 2}, {"steps": 6, "batch": 2}),
    "one-unit": ({"input_size": 1, "hidden_size": 1}, {"steps": 5, "batch": 1}),
    "eight-units": ({"input_size": 4, "hidden_size": 8, "bias": "single"}, {"steps": 12, "batch": 3}),
    "stack": ({"input_size": 3, "hidden_size": 3, "num_layers": 2}, {"steps": 6, "batch": 3}),
    "bidirectional": (
        {"input_size": 3, "hidden_size": 3, "bidirectional": True}, {"steps": 5, "batch": 3, "ragged": True},
    ),
    "both": (
        {"input_size": 4, "hidden_size": 3, "num_layers": 2, "bidirectional": True},
        {"steps": 6, "batch": 4, "ragged": True},
    ),
    "no-bias": ({"input_size": 2, "hidden_size": 5, "bias": "none"}, {"steps": 8, "batch": 4, "ragged": True}),
    "user": ({"input_size": 5, "hidden_size": 6}, {"steps": 10, "batch": 2, "init": "normal"}),
}  # fmt: skip

SHAPES = tuple(_SHAPES)


def case_of(shape: str, seed: int = 0, precision: str = "float32") -> Case:
    """The case of a shape."""
    spec, data = _SHAPES[shape]
    return Case.random(LSTMSpec(**spec), seed=seed, gradients=True, precision=precision, **data)


def applies(need: str, case: Case) -> bool:
    """Whether a case has what a plan needs."""
    spec = case.spec
    if need.startswith("steps>"):
        return case.steps > int(need[6:])
    return {
        "": True,
        "hidden>1": spec.hidden_size > 1,
        "numbers": spec.hidden_size > 1,
        "batch>1": case.batch > 1,
        "bias": spec.bias != "none",
        "split": spec.bias == "split",
        "ragged": not case.valid.all(),
        "directions": spec.bidirectional,
        "layers": spec.num_layers > 1,
    }[need]
