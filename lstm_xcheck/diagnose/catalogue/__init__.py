"""The catalogue of mistakes, one file for each family.

Of mistakes that give the same outputs on a case, the first is named; simpler ones come first.
"""

from __future__ import annotations

from ..mistake import Mistake
from . import activation, axes, bias, direction, gates, lengths, orientation, precision, state, variant
from .dropout import FITTED as FITTED

_FAMILIES = (bias, state, direction, lengths, axes, orientation, gates, variant, activation, precision)

CATALOGUE: tuple[Mistake, ...] = tuple(mistake for family in _FAMILIES for mistake in family.MISTAKES)


def mistake_named(id: str) -> Mistake:
    """The entry with this id."""
    return {mistake.id: mistake for mistake in (*CATALOGUE, *(fitted.entry for fitted in FITTED))}[id]
