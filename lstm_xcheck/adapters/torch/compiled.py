"""The LSTM of PyTorch through `torch.compile`."""

from __future__ import annotations

import torch
import torch._dynamo
from torch._dynamo.utils import counters
from torch._inductor import cpp_builder
from torch._inductor.exc import InvalidCxxCompiler

from ...errors import Unsupported
from ...model import Case
from .path import Inputs, Outputs, Program, TorchPath


class TorchCompile(TorchPath):
    """`torch.compile(nn.LSTM, fullgraph=True)` with `torch._dynamo.config.allow_rnn`, by inductor.

    Without that option torch 2.13.0 breaks the graph at an LSTM (torch/_dynamo/variables/nn_module.py), compiles
    nothing and runs eagerly, in silence. So graphs are counted: a program of no graph is refused.
    """

    observes_layers = False  # seconds for each

    def unsupported(self, case: Case) -> str | None:
        """What `nn.LSTM` cannot do, packed sequences, and PyTorch without `allow_rnn`."""
        if not hasattr(torch._dynamo.config, "allow_rnn"):
            return f"torch.compile of PyTorch {torch.__version__} compiles no nn.LSTM: it has no option allow_rnn"
        if case.lengths is not None:
            return "lengths: torch.compile(fullgraph=True) refuses pack_padded_sequence"
        return super().unsupported(case)

    def transform(self, module: torch.nn.Module, inputs: Inputs) -> Program:
        """Compile for these shapes; the first call compiles."""
        try:
            cpp_builder.get_cpp_compiler()
        except InvalidCxxCompiler as error:
            raise Unsupported("torch.compile needs a C++ compiler, and found none") from error
        torch._dynamo.reset()  # programs of other shapes count against a limit
        counters.clear()
        compiled = torch.compile(module, fullgraph=True, dynamic=False)

        def program(*inputs: torch.Tensor) -> Outputs:
            with torch._dynamo.config.patch(allow_rnn=True):
                return compiled(*inputs)

        with torch.no_grad():
            program(*inputs)
        if not counters["stats"]["unique_graphs"]:
            raise Unsupported("torch.compile compiled nothing: it made no graph of nn.LSTM and ran it eagerly")
        return program
