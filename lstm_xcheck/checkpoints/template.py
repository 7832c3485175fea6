"""The template of `--like`: its keys stay, its numbers change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..model import LSTMWeights
from .layout_arrays import Typed
from .model import Checkpoint


@dataclass(frozen=True)
class Template:
    """A file to fill, and the numbers to fill it with."""

    path: Path
    checkpoint: Checkpoint  # what it holds now
    # new weights by the names of the file's LSTMs; single layers where the format has no stacks
    lstms: Mapping[str, LSTMWeights]
    # new arrays by the names of the file's tensors, for LSTMs whose tensors are arrays of a layout, and for other
    # layers
    values: Mapping[str, Typed]
