"""The grid of what an adapter supports, read off the cases it was asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..engine import Recipe

#: Axes of which an adapter may lack a value, not those of sizes and numbers, with values to try.
_AXES: dict[str, tuple[Any, ...]] = {
    "layers": (1, 2), "directions": (1, 2), "bias": ("split", "single", "none"), "proj": (0, 1),
    "states": (False, True), "ragged": (False, True), "one_hot": (False, True), "returns": ("sequence", "last"),
    "gradients": (False, True), "dtype": ("float32", "float64"),
}  # fmt: skip
#: The LSTM that nearly everything supports.
SIMPLE = Recipe(hidden=2, input=2, steps=3, batch=2, states=False)


def neighbours(recipe: Recipe) -> list[Recipe]:
    """A recipe, and all that differ from it in one axis."""
    near = [replace(recipe, **{axis: value}) for axis, values in _AXES.items() for value in values]
    return list(dict.fromkeys([recipe, *near]))


def supported_grid(asked: Iterable[Recipe], unsupported: Iterable[Recipe]) -> str:
    """The `--grid` of what is supported; "" where no axis says it.

    >>> from lstm_xcheck.engine import grid
    >>> cases = grid(layers=[1, 2], bias=["split", "none"])
    >>> supported_grid(cases, [case for case in cases if case.layers == 2])
    'layers=1'
    >>> cases = grid(hidden=4, proj=[0, 1, 3])
    >>> supported_grid(cases, [case for case in cases if case.proj == 3])
    ''
    """
    refused = set(unsupported)
    supported = [recipe for recipe in asked if recipe not in refused]
    words = []
    for axis in _AXES:
        good = {getattr(recipe, axis) for recipe in supported}
        if axis == "proj" and good != {0}:  # a width fits some hidden sizes alone
            continue
        if good and {getattr(recipe, axis) for recipe in refused} - good:
            words.append(f"{axis}={','.join(str(value).lower() for value in sorted(good))}")
    return " ".join(words)
