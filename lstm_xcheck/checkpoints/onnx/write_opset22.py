"""Writes ONNX models of operator set 22, the newest that has an LSTM of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...model import LSTMWeights
from ..other_layers.model import OtherLayers
from . import write as any_opset


def write(
    path: Path, lstms: Mapping[str, LSTMWeights], like: Path | None = None, other_layers: OtherLayers | None = None
) -> None:
    """As `onnx.write.write` with operator set 22.

    Raises:
        CheckpointError: for what the operators cannot say.
    """
    any_opset.write(path, lstms, like, other_layers, opset=22)
