"""Padding that the outputs show although no lengths were given."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ...arrays import Array
from ...compare.reference import expected_shapes
from ...model import Case
from ..mistake import Mistake, Outputs
from .dropout import FittedMistake

#: Outputs that change by a smaller share before they repeat have come to rest by themselves.
_CONVERGED = 2.0**-16


class Padding(NamedTuple):
    """Steps that look padded.

    `valid` (batch, steps): the others; `fills`: what each direction gives at padding, None for its last output again.
    """

    valid: Array
    fills: tuple[float | None, ...]

    @property
    def words(self) -> str:
        """Where it begins: "y repeats from step 3 on in 2 of 4 rows"."""
        padded: Array = ~self.valid
        rows = np.asarray(padded.any(axis=1))
        known = [fill for fill in self.fills if fill is not None]
        what = f"is {known[0]:g}" if len(known) == len(self.fills) else "repeats"
        if padded[:, 0].any():
            what = "is 0"
            where = f"up to step {int(np.max(np.argmax(self.valid, axis=1))) - 1}"
        else:
            where = f"from step {int(np.min(np.argmax(padded, axis=1)[rows]))} on"
        return f"y {what} {where} in {int(rows.sum())} of {len(rows)} rows"

    @property
    def remedy(self) -> str:
        """The lengths or the mask that fit."""
        lengths = self.valid.sum(axis=1)
        if (self.valid == (np.arange(self.valid.shape[1]) < lengths[:, None])).all():
            return f"Give lengths {lengths.tolist()} with x."
        return "Give the mask of the valid steps with x."


def padding_of(observed: Outputs, case: Case) -> Padding | None:
    """The padding that y shows, where the case has none."""
    y = observed.get("y")
    if y is None or case.steps == 1 or case.lengths is not None or case.mask is not None:
        return None
    if y.shape != expected_shapes(case)["y"] or (y == y[:, :1]).all():
        return None
    halves = np.split(np.asarray(y), case.spec.num_directions, axis=-1)
    starts, found = zip(*(_trailing(half) for half in halves), strict=True)
    ends = np.max(starts, axis=0)[:, None]
    zero = (np.asarray(y) == 0.0).all(axis=-1)
    steps = np.arange(case.steps)
    valid = (steps < ends) & (np.maximum.accumulate(~zero, axis=1) | (ends < case.steps))
    if valid.all() or not valid.any(axis=1).all():
        return None
    if (y[~valid] == 0.0).all() and (y[valid] == 0.0).any():  # zeros are no sign of padding here
        return None
    return Padding(valid, tuple(found))


def _trailing(half: Array) -> tuple[Array, float | None]:
    """Each row's first step of padding at its end, and what is there."""
    steps = half.shape[1]
    same_as_before = (half[:, 1:] == half[:, :-1]).all(axis=-1)
    repeats_from = 1 + _end_of_last_other(
        np.concatenate([np.zeros_like(same_as_before[:, :1]), same_as_before], axis=1)
    )
    rows, last = np.arange(len(half)), np.minimum(repeats_from, steps) - 1
    change = np.abs(half[rows, last] - half[rows, np.maximum(last - 1, 0)]).max(axis=-1)
    repeats_from = np.where((last > 0) & (change <= _CONVERGED * np.abs(half).max()), steps, repeats_from)
    fill = half[int(np.argmin(repeats_from)), -1, 0]
    filled = 1 + _end_of_last_other((half == fill).all(axis=-1))
    if fill == 0.0 or (half.shape[-1] > 1 and (filled < repeats_from).any()):
        return filled, float(fill)
    return np.minimum(repeats_from, steps), None


def _end_of_last_other(equal: Array) -> Array:
    """The last step where a row is not `equal`, -1 for none."""
    steps = equal.shape[1]
    last: Array = steps - 1 - np.argmax(~equal[:, ::-1], axis=1)
    return np.where(equal.all(axis=1), -1, last)


def _padded(observed: Outputs, case: Case) -> Mistake | None:
    """The mask that y shows, and what is at padding."""
    found = padding_of(observed, case)
    if found is None:
        return None
    valid, fills = found
    steps = np.arange(case.steps)
    last = np.maximum.accumulate(np.where(valid, steps, 0), axis=1)[..., None]

    def output_change(outputs: Outputs, case: Case) -> Outputs | None:
        if "y" not in outputs:
            return None
        halves = [
            np.take_along_axis(half, last, axis=1) if fill is None else np.where(valid[..., None], half, fill)
            for half, fill in zip(np.split(outputs["y"], len(fills), axis=-1), fills, strict=True)
        ]
        return {**outputs, "y": np.concatenate(halves, axis=-1)}

    return replace(
        ENTRY, title=f"{ENTRY.title}: {found.words}", fix=found.remedy, outputs=output_change,
        case=lambda case: replace(case, mask=valid),
    )  # fmt: skip


ENTRY = Mistake(
    "lengths-not-given", "padded steps without lengths",
    "The implementation skipped these steps; as data without lengths they would be read like all others.",
    "Give lengths, or a mask, with x.", family="lengths",
)  # fmt: skip


def _lengths(case: Case) -> float:
    return case.batch * math.log(case.steps)


FITTED = (FittedMistake(ENTRY, _padded, _lengths),)
