"""What c_n tells: whether gate o or what c is made of is wrong."""

from __future__ import annotations

import numpy as np

from ...arrays import Array
from ...compare.judge import SIGMAS
from ...oracle import Profile
from ...oracle.activations import apply
from .wrong_cell import NOISE, WrongCell, in_deviations

#: A difference of variances is known no better than to this share of them.
_LEAST = 0.1


def gates_by_c_n(wrong: WrongCell, profile: Profile) -> tuple[str, ...]:
    """The gates that can be wrong at the last step.

    h_T = o tanh(c_n) tells; empty where it does not. i, f and g stand for all that c is made of, o also for the
    activation of c.
    """
    if wrong.c_n is None or wrong.c_errors is None or wrong.c_sigma is None:
        return ()
    output = np.abs(_output_errors(wrong, wrong.c_n, wrong.c_sigma, profile))
    state = np.abs(wrong.c_errors)
    if (output > SIGMAS).any() and (state <= NOISE).all():
        return ("o",)
    if (state > SIGMAS).any() and (output <= NOISE).all():
        return ("i", "f", "g")
    return ()


def _output_errors(wrong: WrongCell, c_n: Array, c_sigma: Array, profile: Profile) -> Array:
    """h_T - o tanh(c_n) in deviations, (batch, output)."""
    driven, cell = wrong.driven, wrong.driven.cell
    last, rows = len(driven.valid) - 1 - np.argmax(driven.valid[::-1], axis=0), np.arange(len(c_n))
    gate, _, activation = cell.activations
    z = driven.z[last, rows, 3]
    z = z if cell.peephole is None else z + cell.peephole[2] * c_n
    expected = cell.project(apply(gate, cell.clip_gates(z)) * apply(activation, c_n))
    # y's deviation without what c adds to it, but with what storing c adds.
    slope = np.abs(wrong.honest.h_by_c[last, rows])
    added, stored = (_projected(wrong, (slope * part) ** 2) for part in (c_sigma, profile.u * c_n))
    variance = wrong.sigma[last, rows] ** 2
    sigma = np.sqrt(np.maximum(variance - added, _LEAST * variance) + stored)
    return in_deviations(driven.y[last, rows] - expected, sigma)


def _projected(wrong: WrongCell, variance: Array) -> Array:
    projection = wrong.driven.cell.projection
    return variance if projection is None else variance @ (projection**2).T
