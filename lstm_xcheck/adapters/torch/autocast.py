"""The LSTM of PyTorch under `torch.autocast`."""

from __future__ import annotations

import torch

from ...model import Case
from .path import Inputs, Outputs, Program, TorchPath


class TorchAutocast(TorchPath):
    """`nn.LSTM` in float32 under `torch.autocast("cpu", dtype=torch.bfloat16)`.

    In torch 2.13.0 results are bfloat16; those of packed rows of different lengths are float32 with errors of bfloat16.
    """

    fixed_shapes = False

    def unsupported(self, case: Case) -> str | None:
        """What `nn.LSTM` cannot do, and precisions that autocast does not cast."""
        if case.precision in ("float64", "float16"):
            return f"{case.precision}: torch.autocast on the CPU casts an LSTM in float32 to bfloat16 alone"
        return super().unsupported(case)

    def computes_in(self, case: Case) -> tuple[str, str]:
        """The precision that autocast casts to."""
        note = "torch.autocast casts weights, inputs and states of the LSTM to bfloat16"
        return "bfloat16", "" if case.precision == "bfloat16" else note

    def transform(self, module: torch.nn.Module, inputs: Inputs) -> Program:
        """The module itself, called under autocast."""

        def program(*inputs: torch.Tensor) -> Outputs:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return module(*inputs)

        return program
