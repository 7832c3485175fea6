"""The grid of what an adapter supports, read off the cases it was asked."""

from __future__ import annotations

from collections.abc import Iterable

from ..engine import Recipe

#: Axes of which an adapter may lack a value, not those of sizes and numbers.
_AXES = ("layers", "directions", "bias", "proj", "states", "ragged", "one_hot", "returns", "gradients")


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
