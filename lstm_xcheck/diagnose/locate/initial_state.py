"""Whether initial cell states of some rows explain everything that can be seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...arrays import Array
from ..linearised_cell import LinearisedCell, linearise
from .hypothesis import SPARE
from .wrong_cell import NOISE, WrongCell, in_deviations, inverse

_ROUNDS = 8
#: Smaller errors than this, in deviations, have no shape to be recognised by.
_LEAST = 50.0


def rows_of_c0(wrong: WrongCell) -> list[int]:
    """The rows, fewer than all, whose c0 alone explains; empty where it does not.

    Where every row is wrong, a bias looks much the same.
    """
    driven, units = wrong.driven, wrong.units
    rows = np.flatnonzero(wrong.far[..., units].any(axis=(0, 2)))
    if wrong.first_step or not 0 < len(rows) < driven.valid.shape[1] or np.abs(wrong.errors).max() < _LEAST:
        return []
    if driven.valid[:, rows].sum(axis=0).min() < 1 + SPARE:
        return []
    part, run, change, z = np.ix_(rows, units), wrong.honest, np.zeros(driven.c0.shape), driven.z
    for _ in range(_ROUNDS):
        slopes = np.cumprod(run.carry, axis=0) * run.h_by_c * inverse(wrong.sigma)
        squares = np.maximum((slopes**2).sum(axis=0), 1e-300)
        change[part] += ((slopes * _errors(wrong, run)).sum(axis=0) / squares)[part]
        run = linearise(replace(driven, c0=driven.c0 + change), z)
    explained = np.abs(_errors(wrong, run)).max() <= NOISE
    if wrong.c_n is not None and wrong.c_sigma is not None:
        explained &= np.abs(in_deviations(wrong.c_n - run.c[-1], wrong.c_sigma)).max() <= NOISE
    return rows.tolist() if explained else []


def _errors(wrong: WrongCell, run: LinearisedCell) -> Array:
    """What a run leaves of y, in deviations."""
    return np.where(wrong.driven.valid[..., None], in_deviations(wrong.driven.y - run.y, wrong.sigma), 0.0)
