"""The catalogue of mistakes, one file for each family.

Of mistakes that give the same outputs on a case, the first is named; simpler ones come first.
"""

from __future__ import annotations

from ..mistake import Mistake
from . import (
    activation,
    axes,
    bias,
    direction,
    dropout,
    gates,
    lengths,
    orientation,
    padding,
    precision,
    state,
    units,
    variant,
)
from .between import BETWEEN as BETWEEN

_FAMILIES = (bias, state, direction, lengths, axes, orientation, gates, variant, activation, precision)

CATALOGUE: tuple[Mistake, ...] = tuple(mistake for family in _FAMILIES for mistake in family.MISTAKES)


#: Mistakes whose parameters are read from the outputs.
FITTED = (*padding.FITTED, *dropout.FITTED, *units.FITTED)


#: Every entry by its id.
ENTRIES = {mistake.id: mistake for mistake in (*CATALOGUE, *BETWEEN, *(fitted.entry for fitted in FITTED))}


def mistake_named(id: str) -> Mistake:
    """The entry with this id."""
    return ENTRIES[id]
