"""Options of reading: the user's layout, and what is loaded."""

from __future__ import annotations

from dataclasses import dataclass

from ..layouts.table import Layout


@dataclass(frozen=True)
class ReadOptions:
    """Options of one read, passed down to every detector."""

    layout: Layout | None = None  # the row that the tensors follow; None lets their names decide
    # whether tensors of no LSTM are loaded while the file is open; else they are only listed
    load_other_tensors: bool = False
