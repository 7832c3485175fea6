"""Describes one tensor of a file before its values are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..arrays import Array


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a file, described but not read yet."""

    name: str  # full name in the file, such as `state_dict.encoder.weight_ih_l0`
    shape: tuple[int, ...]
    dtype: str  # `float32`, `bfloat16`, `int64` and others
    load: Callable[[], Array]  # reads the values; bfloat16 comes widened, exactly, to float32. Raises CheckpointError.
    scope: str = ""  # leading part of the name that is only a container of the file, such as `state_dict.`
    # raises CheckpointError when the file cannot hold what it claims, without reading a value. Its presence says
    # that `load` works after the reader has returned, which makes an LSTM's weights lazy.
    check: Callable[[], object] | None = None
    # the tensors of the file that it is computed from, where it is none of them itself, and how it is
    sources: tuple[str, ...] = ()
    note: str = ""
    owner: str = ""  # the class of the pickled object that it is part of; empty in a plain container
    unread: str = ""  # why no LSTM can be made of it

    @property
    def file_names(self) -> tuple[str, ...]:
        """The tensors of the file that hold it."""
        return self.sources or (self.name,)


def checked() -> None:
    """The check of a tensor that has been checked already."""
