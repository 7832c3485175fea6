"""An LSTM of one cell whose matrix products have operands of fewer bits, step by step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from lstm_xcheck.model import Case, LSTMWeights, Result
from lstm_xcheck.oracle import forward


def with_short_operands(case: Case, bits: int) -> Result:
    """Outputs in float32 where W, U, x and every h are rounded to so many bits, and nothing else is."""

    def short(array: Any) -> Any:
        mantissa, exponent = np.frexp(np.asarray(array, np.float64))
        return np.ldexp(np.round(mantissa * 2.0**bits) / 2.0**bits, exponent).astype(np.float32)

    cell = case.weights.layers[0][0]
    cell = replace(cell, W=short(cell.W), U=short(cell.U))
    weights = LSTMWeights(case.spec, ((cell,),), case.weights.dtype)
    h, c, outputs = case.initial("h0", 0, 0), case.initial("c0", 0, 0), []
    for t in range(case.steps):
        step = forward(Case(weights=weights, x=short(case.x[:, t : t + 1]), h0=short(h)[None], c0=c[None]))
        assert step.h_n is not None
        assert step.c_n is not None
        h, c = step.h_n[0].astype(np.float32), step.c_n[0].astype(np.float32)
        outputs.append(h)
    return Result(y=np.stack(outputs, axis=1), h_n=h[None], c_n=c[None])
