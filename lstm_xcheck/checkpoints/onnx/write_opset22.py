"""Writes ONNX models of operator set 22."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...model import LSTMWeights
from ..other_layers.model import OtherLayers
from . import write as any_opset
from .write import fill as fill


def write(path: Path, lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers) -> None:
    """As `onnx.write.write` with operator set 22."""
    any_opset.write(path, lstms, other_layers, opset=22)
