"""The catalogue of gradient mistakes, made for a case.

One file has the rows of one family.

Of mistakes that give the same gradients on a case, the first is named; simpler ones come first.
"""

from __future__ import annotations

from ....model import Case
from ..mistake import GradientMistake
from . import arrays, gates, loss, padding, recurrence, slopes, stacks, sums

_FAMILIES = (arrays, recurrence, loss, stacks, sums, padding, slopes, gates)


def entries(case: Case) -> list[GradientMistake]:
    """Every entry that may apply to a case."""
    return [mistake for family in _FAMILIES for mistake in family.entries(case)]
