"""The remedy of a mistake of weights as code for the framework at hand."""

from __future__ import annotations

import re

from .catalogue import mistake_named
from .search import Diagnosis

#: What the code of some entries needs and a framework no longer holds: the numbers that were lost.
_NOT_AT_HAND = ("bias_", "forward", "b + b_r")

#: How a framework's arrays become canonical ones, and how they go back.
_AROUND = {
    "torch": (
        "weights = lx.LSTMWeights.from_layout({k: v.numpy() for k, v in lstm.state_dict().items()}, 'torch')",
        "lstm.load_state_dict({k: torch.tensor(v) for k, v in weights.to_layout('torch').items()})",
    ),
    "keras": (
        "names = ['kernel', 'recurrent_kernel', 'bias']\n"
        "weights = lx.LSTMWeights.from_layout(dict(zip(names, layer.get_weights())), 'keras')",
        "layer.set_weights(list(weights.to_layout('keras').values()))",
    ),
    "jax": (
        "weights = lx.LSTMWeights.from_layout(arrays, 'jax')",
        "arrays = weights.to_layout('jax')",
    ),
}


#: How a framework is told that nothing is to be dropped.
_CALLS = {"torch": "model.eval()", "keras": "y = layer(x, training=False)", "jax": "y = model(x, deterministic=True)"}


def remedy(diagnosis: Diagnosis, framework: str = "torch") -> str:
    """Code that repairs the weights held by a framework; empty where there is none.

    Args:
        diagnosis: with a cause.
        framework: torch, keras or jax.
    """
    mistakes = [mistake_named(id) for id in diagnosis.mistakes if not id.startswith("computed-in-")]
    if mistakes and all(mistake.family == "dropout" for mistake in mistakes):
        return _CALLS.get(framework, "")
    if not mistakes or framework not in _AROUND or any(m.cell is None or not m.code for m in mistakes):
        return ""
    edits = [line for mistake in reversed(mistakes) for line in mistake.code.splitlines()]
    if framework == "torch":
        edits = [line for edit in edits for line in _for_both_biases(edit)]
    names = [name for name in ("W", "U", "b", "b_r") if any(re.match(rf"{name}\b", line) for line in edits)]
    if not names or any(word in line for line in edits for word in _NOT_AT_HAND):
        return ""
    before, after = _AROUND[framework]
    return "\n".join(
        [
            "import dataclasses, numpy as np, lstm_xcheck as lx",
            before,
            "cell = weights.layers[0][0]  # and so each layer and direction",
            f"hidden = cell.W.shape[1]; {'; '.join(f'{name} = np.array(cell.{name})' for name in names)}",
            *edits,
            f"cell = dataclasses.replace(cell, {', '.join(f'{name}={name}' for name in names)})",
            "weights = dataclasses.replace(weights, layers=((cell,),))",
            after,
        ]
    )


def _for_both_biases(edit: str) -> list[str]:
    """A rearrangement of the bias concerns both vectors; a constant only the first."""
    return [edit, re.sub(r"\bb\b", "b_r", edit)] if edit.startswith("b = ") else [edit]
