"""The table of all layouts, and how a row is found."""

from __future__ import annotations

from ..errors import SpecError
from .rows import TABLE as TABLE
from .schema import Layout as Layout
from .schema import Tensor as Tensor


def layout_named(name: str) -> Layout:
    """The row of that name.

    Raises:
        SpecError: when there is none; the message lists the names.
    """
    for row in TABLE:
        if row.name == name:
            return row
    raise SpecError(f"unknown layout {name!r}; expected one of {', '.join(row.name for row in TABLE)}")
