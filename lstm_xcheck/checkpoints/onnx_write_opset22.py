"""Writes ONNX models of operator set 22, the newest that has an LSTM of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..spec import LSTMWeights
from . import onnx_write
from .beside import Beside


def write(path: Path, lstms: Mapping[str, LSTMWeights], like: Path | None = None, beside: Beside | None = None) -> None:
    """As `onnx_write.write` with operator set 22.

    Raises:
        CheckpointError: for what the operators cannot say.
    """
    onnx_write.write(path, lstms, like, beside, opset=22)
