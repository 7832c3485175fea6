"""tract, the inference engine in Rust."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import tract

from ...arrays import Array
from .base import OnnxAdapter


class Tract(OnnxAdapter):
    """`tract.onnx().load(...).into_model().into_runnable()` (tract 0.23.9, onnx/src/ops/rec/lstm.rs).

    It ignores activations, clip, input_forget and the direction `reverse`, and refuses lengths. Without initial states
    it fails for several rows of a single layer, so that absent ones are given as zeros.
    """

    runtime = "tract"
    refusals = ("Non constant seq_len is not supported", "LstmEpilogue only supports", "Sigmoid does not support F64")
    always_states = True

    def versions(self) -> dict[str, str]:
        """The version of the package."""
        return {"tract": version("tract")}

    def compute(self, model: onnx.ModelProto, inputs: Mapping[str, Array]) -> list[Array]:
        """Load from a file, the only way there is, and run."""
        with tempfile.TemporaryDirectory(prefix="lstm-xcheck-") as folder:
            file = Path(folder) / "model.onnx"
            file.write_bytes(model.SerializeToString())
            runnable = tract.onnx().load(file).into_model().into_runnable()
        return [output.to_numpy() for output in runnable.run([np.ascontiguousarray(a) for a in inputs.values()])]
