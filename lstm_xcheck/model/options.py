"""How a case is asked: padding, merge, call, and calls that follow each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from .spec import LSTMSpec

Padding = Literal["zero", "held"]
Merge = Literal["concat", "sum", "mul", "ave"]
Call = Literal["batch-major", "time-major", "unbatched"]
Chunks = Literal["", "halves", "steps", "rows", "twice", "after-another"]

#: The values of each option, the usual one first.
CHOICES: Mapping[str, tuple[str, ...]] = {
    "padding": ("zero", "held"),
    "merge": ("concat", "sum", "mul", "ave"),
    "call": ("batch-major", "time-major", "unbatched"),
    "chunks": ("", "halves", "steps", "rows", "twice", "after-another"),
}

#: Chunks along time, with the state carried from call to call.
ALONG_TIME = ("halves", "steps")


def unusual(options: Mapping[str, str]) -> dict[str, str]:
    """The options that are not the usual ones."""
    return {name: value for name, value in options.items() if value != CHOICES[name][0]}


def impossible_options(
    options: Mapping[str, str], spec: LSTMSpec, *, batch: int, steps: int, padded: bool, gradients: bool
) -> str:
    """Why no case can have these options; "" when one can."""
    for name, value in options.items():
        if value not in CHOICES[name]:
            *first, last = map(repr, CHOICES[name])
            return f"{name} is {value!r}, but should be {', '.join(first)} or {last}"
    chosen = unusual(options)
    chunks = chosen.get("chunks", "")
    if "merge" in chosen and not spec.bidirectional:
        return f"merge is {chosen['merge']!r}, but only a bidirectional LSTM has two halves to merge"
    if chosen.get("call") == "unbatched" and (batch != 1 or padded):
        return "call is 'unbatched', so batch should be 1, without lengths and mask"
    if gradients and (chunks or "padding" in chosen):
        return f"gradients are of one call with zeros at padding, not of {'chunks' if chunks else 'held padding'}"
    if chunks in ALONG_TIME:
        if spec.bidirectional or spec.reverse:
            return f"chunks is {chunks!r}, but only a forward LSTM of one direction can carry its state on"
        if chosen.get("padding") == "held":
            return f"chunks is {chunks!r}, so padding should be 'zero': no call knows the outputs before it"
        if chunks == "halves" and steps < 2:
            return "chunks is 'halves', but there is a single step; give 2 or more"
    return ""
