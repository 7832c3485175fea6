"""The remedy of a mistake of weights, as code for a user's own program."""

from __future__ import annotations

import re

from ..layouts import layout_named
from ..layouts.layer_code import LAYER_CODE
from .catalogue import mistake_named
from .diagnosis import Diagnosis

#: Code of some entries needs numbers that were lost and are not in the layer.
_LOST = ("bias_", "forward", "b + b_r")


def remedy(diagnosis: Diagnosis, layout: str) -> str:
    """Code that repairs the weights of a live layer; empty where there is none."""
    code = LAYER_CODE.get(layout)
    mistakes = [mistake_named(id) for id in diagnosis.mistakes if not id.startswith("computed-in-")]
    if code is None or not mistakes:
        return ""
    if all(mistake.family == "dropout" for mistake in mistakes):
        return code.inference
    if any(mistake.cell is None or not mistake.code for mistake in mistakes):
        return ""
    edits = [line for mistake in reversed(mistakes) for line in mistake.code.splitlines()]
    if layout_named(layout).bias == "split":
        edits = [line for edit in edits for line in _for_both_biases(edit)]
    names = [name for name in ("W", "U", "b", "b_r") if any(re.match(rf"{name}\b", line) for line in edits)]
    if not names or any(word in line for line in edits for word in _LOST):
        return ""
    return "\n".join(
        [
            "import dataclasses, numpy as np, lstm_xcheck as lx",
            code.read,
            "cell = weights.layers[0][0]  # and so each layer and direction",
            f"hidden = cell.W.shape[1]; {'; '.join(f'{name} = np.array(cell.{name})' for name in names)}",
            *edits,
            f"cell = dataclasses.replace(cell, {', '.join(f'{name}={name}' for name in names)})",
            "weights = dataclasses.replace(weights, layers=((cell,),))",
            code.write,
        ]
    )


def _for_both_biases(edit: str) -> list[str]:
    """A permutation of the bias concerns both vectors; a constant only the first."""
    return [edit, re.sub(r"\bb\b", "b_r", edit)] if edit.startswith("b = ") else [edit]
