"""The catalogue of mistakes, as data; each family in a file of its own.

Order matters where two mistakes are the same thing on a case: the first, simpler one is named.
"""

from __future__ import annotations

from ..mistake import Mistake
from . import activation, axes, bias, direction, gates, lengths, orientation, precision, state, variant
from .dropout import FITTED as FITTED

#: Families in the order in which their mistakes are named when they explain the same outputs.
_FAMILIES = (bias, state, direction, lengths, axes, orientation, gates, variant, activation, precision)

CATALOGUE: tuple[Mistake, ...] = tuple(mistake for family in _FAMILIES for mistake in family.MISTAKES)


def mistake_named(id: str) -> Mistake:
    """The entry of that id.

    Raises:
        KeyError: when there is none.
    """
    return {mistake.id: mistake for mistake in (*CATALOGUE, *(fitted.entry for fitted in FITTED))}[id]
