"""Adapters without a framework: an honest one, and wrong ones. A worker also finds `faulty_adapters`."""

from __future__ import annotations

from dataclasses import replace

import faulty_adapters
import numpy as np

from lstm_xcheck.arrays import Array
from lstm_xcheck.layouts import from_layout
from lstm_xcheck.model import Case, Result
from lstm_xcheck.oracle import forward


class Honest(faulty_adapters.Honest):
    """The equations in float64, rounded once."""

    def unsupported(self, case: Case) -> str | None:
        return "batches of 5" if case.batch == 5 else None

    def run(self, model: dict[str, Array], case: Case) -> Result:
        if case.batch == 6:
            raise RuntimeError("cannot do\tbatches of 6")
        answer = forward(replace(case, weights=from_layout(self.reordered(model), "torch", spec=case.spec)))
        kind = case.x.dtype
        y, h_n, c_n = (np.asarray(array, kind) for array in (answer.y, answer.h_n, answer.c_n))
        lower = tuple(np.asarray(array, kind) for array in answer.layer_outputs)
        return Result(y=y, h_n=h_n, c_n=c_n, layer_outputs=lower)

    def reordered(self, model: dict[str, Array]) -> dict[str, Array]:
        return model


class WrongOrder(Honest):
    """Reads the blocks i, f, g, o in Caffe's order, i, g, f, o."""

    def reordered(self, model: dict[str, Array]) -> dict[str, Array]:
        def exchanged(array: Array) -> Array:
            i, f, g, o = np.split(array, 4)
            return np.concatenate([i, g, f, o])

        return {name: exchanged(array) for name, array in model.items()}


class Forgetful(Honest):
    """Reads back other weights than it was given; its outputs are right."""

    def read_back(self, model: dict[str, Array]) -> dict[str, Array]:
        return {name: array + np.float32(1) for name, array in model.items()}
