"""An LSTM as a PyTorch loop whose backward pass tests can modify."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from lstm_xcheck.arrays import Array
from lstm_xcheck.model import Case, Result, cotangents

Keep = Callable[[torch.Tensor], torch.Tensor]


def same(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor with its gradient."""
    return tensor


def detached(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor without a gradient."""
    return tensor.detach()


def run_loop(case: Case, *, h: Keep = same, c: Keep = same, output_c: Keep = same, steps: int = 0) -> Result:
    """Outputs and gradients of a single-bias LSTM of one layer and direction.

    Args:
        case: with gradients.
        h, c: what happens to the states between steps.
        output_c: what happens to c_t on its way to the output.
        steps: apply `h` and `c` every so many steps; 0 for each.
    """
    cell = case.weights.layers[0][0]
    leaves = {name: torch.tensor(np.array(array), requires_grad=True) for name, array in _inputs(case, cell).items()}
    now_h, now_c = leaves["h0"][0], leaves["c0"][0]
    outputs = []
    for t in range(case.steps):
        if steps == 0 or t % steps == 0:
            now_h, now_c = h(now_h), c(now_c)
        z = torch.einsum("ghx,bx->bgh", leaves["0.0.W"], leaves["x"][:, t])
        z = z + torch.einsum("ghr,br->bgh", leaves["0.0.U"], now_h) + leaves["0.0.b"]
        i, f, g, o = z.unbind(1)
        now_c = torch.sigmoid(f) * now_c + torch.sigmoid(i) * torch.tanh(g)
        now_h = torch.sigmoid(o) * torch.tanh(output_c(now_c))
        outputs.append(now_h)
    y = torch.stack(outputs, 1)
    targets = (y, now_h[None], now_c[None])
    pulls = [torch.tensor(np.array(pull)) for pull in cotangents(case)]
    found = torch.autograd.grad(targets, list(leaves.values()), pulls, materialize_grads=True)
    gradients = {name: gradient.numpy() for name, gradient in zip(leaves, found, strict=True)}
    return Result(**_numpy(targets), gradients=gradients)


def _inputs(case: Case, cell: Any) -> dict[str, Any]:
    return {"0.0.W": cell.W, "0.0.U": cell.U, "0.0.b": cell.b, "x": case.x, "h0": case.h0, "c0": case.c0}


def _numpy(targets: tuple[torch.Tensor, ...]) -> dict[str, Array]:
    return {name: target.detach().numpy() for name, target in zip(("y", "h_n", "c_n"), targets, strict=True)}
