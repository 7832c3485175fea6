"""Gradients of `jax_lstm.run_stack` by JAX itself."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from ...arrays import Array
from ...model import Case, LSTMSpec, cotangents
from .lstm import Outputs, Params, run_stack


def data_and_pulls(case: Case) -> tuple[list[Array], list[Array]]:
    """x, h0 and c0, zeros where they are absent, and the cotangents of y, h_n and c_n."""
    spec = case.spec
    rows = spec.num_layers * spec.num_directions
    zeros = [np.zeros((rows, case.batch, width)) for width in (spec.output_size, spec.hidden_size)]
    states = [zero if given is None else given for given, zero in zip((case.h0, case.c0), zeros, strict=True)]
    return [case.x, *states], list(cotangents(case))


def pull_stack(params: Params, data: list[Any], pulls: list[Any], spec: LSTMSpec, valid: Any) -> Any:
    """Outputs, and the gradients of the loss of these cotangents; to be compiled, with `spec` static."""

    def forward(params: Params, x: Any, h0: Any, c0: Any) -> tuple[Any, Outputs]:
        outputs = run_stack(params, x, spec, h0, c0, valid)
        return tuple(outputs[:3]), outputs

    _, back, outputs = jax.vjp(forward, params, *data, has_aux=True)
    return outputs, back(tuple(pulls))
