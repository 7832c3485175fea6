"""The LSTM of PyTorch, exported to ONNX and run in ONNX Runtime."""

from __future__ import annotations

import io
from typing import Any

import onnx
import onnxruntime
import torch

from ...errors import Unsupported
from ...model import Case
from .path import Inputs, Outputs, Program, TorchPath


class TorchOnnx(TorchPath):
    """`torch.onnx.export(dynamo=True)`; batch and steps are fixed in the file.

    The file has ONNX's operator LSTM of each layer. Of a layer with projection torch 2.13.0 writes arrays of wrong
    shapes in silence; their shapes are compared before the file is run.
    """

    observes_layers = False  # seconds for each

    def environment(self) -> dict[str, str]:
        """Versions of what exports and computes."""
        return {**super().environment(), "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}

    def unsupported(self, case: Case) -> str | None:
        """What `nn.LSTM` and ONNX Runtime cannot do, and packed sequences."""
        if case.lengths is not None:
            return "lengths: torch.onnx.export(dynamo=True) refuses pack_padded_sequence, whose sizes depend on data"
        return self._unsupported_by_runtime(case)

    def _unsupported_by_runtime(self, case: Case) -> str | None:
        if case.precision in ("float64", "bfloat16"):
            return f"{case.precision}: the LSTM of ONNX Runtime on the CPU takes float32 and float16 alone"
        return super().unsupported(case)

    def transform(self, module: torch.nn.Module, inputs: Inputs) -> Program:
        """Export for these shapes, compare those of the weights, load the file."""
        exported = torch.onnx.export(module, inputs, dynamo=True, verbose=False).model_proto
        _check_shapes(exported, module.lstm)
        return _session(exported.SerializeToString())


class TorchOnnxScript(TorchOnnx):
    """`torch.onnx.export(dynamo=False)`, by TorchScript; `dynamic_axes` leave batch and steps open, packed too."""

    fixed_shapes = False
    observes_layers = True

    def unsupported(self, case: Case) -> str | None:
        """What `nn.LSTM` and ONNX Runtime cannot do, and projections."""
        if case.spec.proj_size:
            return "projection: torch.onnx.export(dynamo=False) refuses LSTMs with projections"
        return self._unsupported_by_runtime(case)

    def transform(self, module: torch.nn.Module, inputs: Inputs) -> Program:
        """Export for all shapes and load the file."""
        states = [name for name in ("h0", "c0") if len(inputs) > 2]
        names = ["x", *(["lengths"] if len(inputs) in (2, 4) else []), *states]
        axes = {"x": {0: "batch", 1: "steps"}, "lengths": {0: "batch"}, "h0": {1: "batch"}, "c0": {1: "batch"}}
        file = io.BytesIO()
        torch.onnx.export(
            module,
            inputs,
            file,
            dynamo=False,
            verbose=False,
            input_names=names,
            output_names=["y", "h_n", "c_n"],
            dynamic_axes={name: axes[name] for name in names},
        )
        return _session(file.getvalue())


def _check_shapes(exported: onnx.ModelProto, lstm: torch.nn.LSTM) -> None:
    """Raise where a matrix has other rows than four gates of `hidden_size`."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in exported.graph.initializer}
    rows = 4 * lstm.hidden_size
    for node in exported.graph.node:
        for role, name in zip(("W", "R"), node.input[1:3] if node.op_type == "LSTM" else (), strict=False):
            if name in shapes and shapes[name][1] != rows:
                raise Unsupported(
                    f"projection: torch.onnx.export(dynamo=True) wrote {role} of shape {shapes[name]} in silence, but "
                    f"hidden_size={lstm.hidden_size} asks for {rows} rows (proj_size={lstm.proj_size})"
                )


def _session(file: bytes) -> Program:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]

    def program(*inputs: Any) -> Outputs:
        feed = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
        y, h_n, c_n = map(torch.from_numpy, session.run(None, feed))
        return y, h_n, c_n

    return program
