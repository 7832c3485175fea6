"""Small cases that together use every option of the spec."""

from __future__ import annotations

from typing import Any

import numpy as np

from lstm_xcheck.model import Case, LSTMSpec, LSTMWeights
from lstm_xcheck.model.activations import HARD_SIGMOID_KERAS2, HARD_SIGMOID_KERAS3

_SPECS: dict[str, dict[str, Any]] = {
    "plain": {},
    "single-bias": {"bias": "single"},
    "no-bias": {"bias": "none"},
    "one-unit": {"input_size": 1, "hidden_size": 1},
    "reverse": {"reverse": True},
    "bidirectional": {"bidirectional": True},
    "stack": {"num_layers": 2},
    "stack-of-three-bidirectional": {"num_layers": 3, "bidirectional": True, "hidden_size": 3},
    "peepholes": {"peepholes": True},
    "peepholes-stack-bidirectional": {"peepholes": True, "num_layers": 2, "bidirectional": True},
    "projection": {"proj_size": 2},
    "projection-stack-bidirectional": {"proj_size": 2, "num_layers": 2, "bidirectional": True},
    "projection-clip": {"proj_size": 2, "proj_clip": 0.25},
    "gate-clip": {"gate_clip": 0.75},
    "cell-clip": {"cell_clip": 0.5},
    "coupled-f": {"coupling": "f=1-i"},
    "coupled-i": {"coupling": "i=1-f"},
    "hard-sigmoid-keras2": {"gate_activation": HARD_SIGMOID_KERAS2},
    "hard-sigmoid-keras3": {"gate_activation": HARD_SIGMOID_KERAS3},
    "relu": {"cell_activation": "relu", "output_activation": "relu"},
    "linear-output": {"output_activation": "linear"},
    "all-options": {
        "peepholes": True, "proj_size": 3, "proj_clip": 0.9, "gate_clip": 2.5, "cell_clip": 1.5,
        "coupling": "f=1-i", "num_layers": 2, "reverse": True,
    },
}  # fmt: skip

#: Name -> data options of the case.
_DATA: dict[str, dict[str, Any]] = {
    "": {},
    "-lengths": {"ragged": True},
    "-zero-states": {"states": False},
    "-holes": {"holes": True},
}

#: Every option, and every kind of data for the options that depend on time.
NAMES = [
    *_SPECS,
    *(
        f"{spec}{data}"
        for spec in ("plain", "bidirectional", "peepholes-stack-bidirectional", "all-options")
        for data in ("-lengths", "-zero-states", "-holes")
    ),
]


def holes(batch: int, steps: int) -> np.ndarray[Any, Any]:
    """A mask with gaps; its last row has no valid step."""
    mask = np.arange(batch * steps).reshape(batch, steps) * 7 % 5 > 1
    mask[-1] = False
    return mask


def case_named(name: str, *, init: str = "probe", precision: str = "float32", seed: int = 3, steps: int = 5) -> Case:
    """The case of one of `NAMES`."""
    spec_name = max((known for known in _SPECS if name.startswith(known)), key=len)
    options = dict(_DATA[name[len(spec_name) :]])
    masked = options.pop("holes", False)
    spec = LSTMSpec(**{"input_size": 3, "hidden_size": 4, **_SPECS[spec_name]})
    case = Case.random(
        spec, steps=steps, batch=3, seed=seed, init=init, precision=precision, id=f"{name}-{init}", **options
    )
    if not masked:
        return case
    return Case(
        weights=case.weights, x=case.x, h0=case.h0, c0=case.c0, mask=holes(3, steps), precision=precision, id=case.id
    )


def constant_case(value: float, x: float, hidden: int = 6, inputs: int = 5, steps: int = 6) -> Case:
    """Equal weights and inputs: all roundings of a sum have the same sign."""
    spec = LSTMSpec(input_size=inputs, hidden_size=hidden)
    drawn = LSTMWeights.random(spec, dtype="float32")
    cell = drawn.layers[0][0].map(lambda array: np.full_like(array, value))
    weights = LSTMWeights(spec, ((cell,),), "float32")
    return Case(weights=weights, x=np.full((2, steps, inputs), x), precision="float32", id=f"constant-{value}-{x}")
