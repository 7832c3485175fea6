"""Writes MLX's weights as `.npz`: `lstm.Wx`, `lstm.Wh` and `lstm.bias`, as `Module.load_weights` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...model import LSTMWeights
from ..other_layers.model import OtherLayers
from .named_npz import write_npz


def write(
    path: Path, lstms: Mapping[str, LSTMWeights], like: Path | None = None, other_layers: OtherLayers | None = None
) -> None:
    """One module for each LSTM, a chain for a stack; with `like`, that file with its LSTMs replaced.

    Raises:
        CheckpointError: for what mlx.nn.LSTM has no place for.
    """
    write_npz(path, "mlx", ".", lstms, like, other_layers)
