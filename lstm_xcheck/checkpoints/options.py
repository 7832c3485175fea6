"""Options of reading: the user's layout, and what is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from os import PathLike
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, SpecError
from ..layouts.table import Layout, layout_named


@dataclass(frozen=True)
class KerasOptions:
    """What the user adds to a Keras file that does not say it."""

    config: Path | None = None  # the architecture beside the weights, as `model.to_json()` gives it
    activation: str | None = None  # as Keras names it, or hard_sigmoid:SLOPE,OFFSET
    recurrent_activation: str | None = None
    go_backwards: bool = False
    accept_class: tuple[str, ...] = ()  # classes that are not Keras' own and compute what its LSTM does

    @classmethod
    def of(
        cls,
        config: str | PathLike[str] | None = None,
        activation: str | None = None,
        recurrent_activation: str | None = None,
        go_backwards: bool = False,
        accept_class: Sequence[str] = (),
    ) -> KerasOptions:
        """The options as commands and functions give them."""
        file = None if config is None else Path(config)
        return cls(file, activation, recurrent_activation, go_backwards, tuple(accept_class))

    def to_dict(self) -> dict[str, Any]:
        """What is not the default, for a certificate."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {key: value for key, value in given.items() if value not in (None, False, ())}


@dataclass(frozen=True)
class ReadOptions:
    """Options of one read, passed down to every detector."""

    layout: Layout | None = None  # the row that the tensors follow; None lets their names decide
    # whether tensors of no LSTM are loaded while the file is open; else they are only listed
    load_other_tensors: bool = False
    # counts the bytes of those that are loaded, and raises CheckpointError where they are too many for the file
    count_loaded: Callable[[int, str], None] | None = field(default=None, compare=False)
    keras: KerasOptions = field(default_factory=KerasOptions)
    leave_out: frozenset[str] = frozenset()  # tensors and modules that the user leaves behind, so that no LSTM has them


def layout_row(name: str) -> Layout:
    """The row of `--layout`."""
    try:
        return layout_named(name)
    except SpecError as error:
        raise CheckpointError(f"--layout: {error}") from error
