"""The LSTM of PyTorch through `torch.export`."""

from __future__ import annotations

import torch

from ...model import Case
from .path import DifferentiablePath, Inputs, Program


class TorchExport(DifferentiablePath):
    """`torch.export.export(...).module()`, one operator `lstm`; batch and steps are fixed (torch 2.13.0).

    A number of steps cannot be dynamic: the export refuses `Dim`, and with `Dim.AUTO` the module refuses other steps.
    """

    def unsupported(self, case: Case) -> str | None:
        """What `nn.LSTM` cannot do, and packed sequences."""
        if case.lengths is not None:
            return "lengths: torch.export refuses pack_padded_sequence, whose sizes depend on data"
        return super().unsupported(case)

    def transform(self, module: torch.nn.Module, inputs: Inputs) -> Program:
        """Export for these shapes."""
        return torch.export.export(module, inputs).module()


class TorchExportDecomposed(TorchExport):
    """The same after `run_decompositions()`, which writes every step out in core operators."""

    observes_layers = False  # seconds for each

    def transform(self, module: torch.nn.Module, inputs: Inputs) -> Program:
        """Export for these shapes and decompose."""
        return torch.export.export(module, inputs).run_decompositions().module()
