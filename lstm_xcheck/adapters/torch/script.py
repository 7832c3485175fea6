"""The LSTM of PyTorch as TorchScript."""

from __future__ import annotations

import torch

from .path import DifferentiablePath, Inputs, Program


class TorchScript(DifferentiablePath):
    """`torch.jit.script` of `nn.LSTM` (torch 2.13.0, torch/jit/_script.py); packs padded rows inside the script."""

    fixed_shapes = False

    def transform(self, module: torch.nn.Module, inputs: Inputs) -> Program:
        """Compile the source of the module."""
        return torch.jit.script(module)
