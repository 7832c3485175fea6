"""Draws of the data of a random case: states, lengths, masks and one-hot inputs."""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..errors import SpecError
from .initializers import generator, range_units, signed, uniform
from .spec import LSTMSpec


def draw_h0(spec: LSTMSpec, batch: int, seed: int) -> Array:
    """Hidden states, all away from 0."""
    rows = spec.num_layers * spec.num_directions
    return signed(generator(seed, "h0"), (rows, batch, spec.output_size), 0.15, 0.9)


def draw_c0(spec: LSTMSpec, batch: int, seed: int) -> Array:
    """Cells near 1, every fourth beyond 8 to reveal a hidden cell clip."""
    shape = (spec.num_layers * spec.num_directions, batch, spec.hidden_size)
    rng = generator(seed, "c0")
    return np.where(range_units(spec.hidden_size), 9.0, 1.0) * signed(rng, shape, 0.9, 1.3)


def draw_lengths(batch: int, steps: int, seed: int, *, empty: bool = False) -> Array:
    """Unsorted lengths, at least one full where possible; `empty`: the first is 0."""
    lengths = 1 + np.floor(uniform(generator(seed, "lengths"), (batch,), 0.0, float(steps))).astype(np.int64)
    lengths = np.minimum(lengths, steps)
    lengths[batch // 2] = steps
    if batch > 1 and (lengths == steps).all():
        lengths[0] = max(1, steps - 1)
    if empty:
        lengths[0] = 0
    return lengths


def draw_mask(kind: str, batch: int, steps: int, seed: int) -> Array:
    """Valid steps: padding `left`, holes `interior`, or an `empty` first row."""
    lengths = draw_lengths(batch, steps, seed, empty=kind == "empty")
    if kind == "empty":
        return np.asarray(np.arange(steps) < lengths[:, None])
    if kind == "left":
        return np.asarray(np.arange(steps) >= steps - lengths[:, None])
    if kind != "interior":
        raise SpecError(f"mask is {kind!r}, but should be 'left', 'interior' or 'empty'")
    if steps < 3:
        raise SpecError(f"mask is 'interior', but {steps} steps have no interior; give 3 or more")
    mask = uniform(generator(seed, "mask"), (batch, steps), 0.0, 1.0) < 0.6
    mask[:, [0, -1]] = True
    mask[0, steps // 2] = False
    return mask


def draw_one_hot(seed: int, shape: tuple[int, int, int]) -> Array:
    """Rows of the unit matrix."""
    picks = np.floor(generator(seed, "one-hot").random(shape[:2]) * shape[2]).astype(np.int64)
    return np.eye(shape[2])[np.minimum(picks, shape[2] - 1)]
