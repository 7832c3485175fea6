"""Writes MLX's weights as `.npz`, for `Module.load_weights`: `lstm.Wx`, `lstm.Wh`, `lstm.bias`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...model import LSTMWeights
from ..other_layers.model import OtherLayers
from .named_npz import fill as fill
from .named_npz import write_npz


def write(path: Path, lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers) -> None:
    """Writes one module for each LSTM, a chain for a stack."""
    write_npz(path, "mlx", ".", lstms, other_layers)
