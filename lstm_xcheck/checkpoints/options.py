"""Options of reading: the user's layout, and what is loaded."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import CheckpointError, SpecError
from ..layouts.table import Layout, layout_named


@dataclass(frozen=True)
class ReadOptions:
    """Options of one read, passed down to every detector.

    Attributes:
        layout: the row that the tensors follow; None lets their names decide.
        load_other_tensors: whether tensors of no LSTM are loaded while the file is open; else they are only listed.
    """

    layout: Layout | None = None
    load_other_tensors: bool = False

    @classmethod
    def of(cls, layout: str | None = None, load_other_tensors: bool = False) -> ReadOptions:
        """Options with the layout by its name.

        Raises:
            CheckpointError: for a layout that the table does not have.
        """
        try:
            return cls(layout_named(layout) if layout else None, load_other_tensors)
        except SpecError as error:
            raise CheckpointError(f"--layout: {error}") from error
