"""Gradients that go wrong between layers and directions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ....arrays import Array
from ....model import Case
from ..mistake import GradientMistake
from ..wrong_pass import Join


def _one(direction: int) -> Join:
    return lambda layer, below: below[direction]


def _flipped(direction: int) -> Join:
    return lambda layer, below: below[1 - direction] + below[direction][:, :, ::-1]


def _mean(layer: int, below: list[Array]) -> Array:
    return np.asarray(0.5 * (below[0] + below[1]))


def _at_layers(join: Join, where: str) -> Join:
    """The join at the lowest layer, whose result is dx, or above it."""
    right: Join = lambda layer, below: sum(below[1:], below[0])  # noqa: E731
    if where == "everywhere":
        return join
    return lambda layer, below: (join if (layer == 0) == (where == "in dx") else right)(layer, below)


def _stopped(layer: int, below: list[Array]) -> Array:
    total = sum(below[1:], below[0])
    return total if layer == 0 else np.zeros_like(total)


_JOINS: dict[str, tuple[str, Join]] = {
    "forward-only": ("of the forward direction alone", _one(0)),
    "backward-only": ("of the backward direction alone", _one(1)),
    "backward-not-flipped": ("with the backward direction's not flipped back in time", _flipped(1)),
    "forward-flipped": ("with the forward direction's flipped in time", _flipped(0)),
    "mean-of-directions": ("as the mean of the two directions", _mean),
}


def entries(case: Case) -> Iterator[GradientMistake]:
    """Joins of two directions, and layers that are cut off."""
    layers, two = case.spec.num_layers, case.spec.bidirectional
    if layers > 1:
        yield GradientMistake(
            id="gradient-detached-between-layers",
            title="no gradient goes from a layer to the one below",
            explanation="The outputs of each lower layer were taken as constants by the layer above.",
            fix="Do not detach outputs between layers; each layer's dx is the gradient of the outputs below.",
            join=_stopped,
        )
    for where in ("everywhere", "in dx", "between layers") if layers > 1 else ("in dx",):
        for name, (words, join) in _JOINS.items() if two else ():
            yield GradientMistake(
                id=f"gradient-{name}{'' if where != 'between layers' else '-between-layers'}",
                title=f"the gradient of a layer's inputs {words}" + ("" if where == "everywhere" else f", {where}"),
                explanation="Each direction has a gradient of the layer's inputs; their sum at each step is right.",
                fix="Flip the backward direction's dx back in time, then add the two.",
                join=_at_layers(join, where),
            )
