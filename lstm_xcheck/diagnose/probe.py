"""Runs the implementation again, on a probe or the same case.

A small probe of the same kind of LSTM tells mistakes apart that the observed outputs do not, and is cheaper to search
than a large model. A second run of the same case shows whether the implementation is deterministic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..compare.reference import observed_quantities
from ..errors import XcheckError
from ..model import Case, LSTMSpec, Result
from .discrepancy import Discrepancy

#: Runs a case in the implementation; raises `XcheckError` for one that it cannot run.
Ask = Callable[[Case], Result]

#: A cell with more weights is large: its mistake is searched for on a probe first, pairs of mistakes only there.
_LARGE = 2**17
_HIDDEN, _INPUT, _STEPS, _BATCH, _SEED = 8, 6, 6, 4, 41


def is_large(case: Case) -> bool:
    """Whether hundreds of mutants of this model take long."""
    return any(cell.W.size + cell.U.size > _LARGE for _, _, cell in case.weights.cells())


def run_probe(case: Case, ask: Ask) -> tuple[Case, Result] | None:
    """A probe and its result; None if every probe was refused.

    The first probe is a small LSTM, the second has these weights and other data.
    """
    for probe in (
        _probe(case, shrunk(case.spec), "probe"),
        _probe(case, case.spec, "probe-of-these-weights", weights=case.weights, scale=3.0),
    ):
        try:
            result = ask(probe)
        except XcheckError:  # it has no such LSTM, or cannot take other weights
            continue
        if all(np.isfinite(array).all() for array in observed_quantities(result).values()):
            return probe, result
    return None


def is_nondeterministic(discrepancy: Discrepancy, ask: Ask) -> bool:
    """Whether a second run differs by more than rounding."""
    try:
        again = observed_quantities(ask(discrepancy.case))
    except XcheckError:  # no answer this time proves nothing
        return False
    return any(
        again[name].shape == array.shape and bool((np.abs(again[name] - array) > 2.0 * reference.bound).any())
        for name, (array, reference) in discrepancy.comparable.items()
        if name in again
    )


def _probe(case: Case, spec: LSTMSpec, id: str, **options: Any) -> Case:
    return Case.random(
        spec, steps=_STEPS, batch=_BATCH, seed=_SEED, precision=case.precision,
        states=case.h0 is not None or case.c0 is not None, ragged=case.lengths is not None, id=id, **options,
    )  # fmt: skip


def shrunk(spec: LSTMSpec) -> LSTMSpec:
    """The same kind of LSTM, small: mistakes do not depend on size."""
    hidden = min(spec.hidden_size, _HIDDEN)
    return replace(
        spec, input_size=min(spec.input_size, _INPUT), hidden_size=hidden, proj_size=min(spec.proj_size, hidden - 1)
    )
