"""Asking the implementation itself: a probe settles what the observed outputs leave open.

An implementation that is at hand can be run again. A small probe of the same kind of LSTM shows a mistake that a large
model hides in hundreds of hypotheses; a second run of the same case shows whether the answer is chance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..compare.reference import observed_quantities
from ..errors import XcheckError
from ..model import Case, LSTMSpec, Result
from .discrepancy import Discrepancy

#: Runs a case in the implementation in question; raises `XcheckError` for one that it cannot run.
Ask = Callable[[Case], Result]

#: A cell of more numbers is large: its mistake is looked for on a probe first, two at once nowhere else.
_LARGE = 2**17
_HIDDEN, _INPUT, _STEPS, _BATCH, _SEED = 8, 6, 6, 4, 41


def is_large(case: Case) -> bool:
    """Whether hundreds of wrong versions of this model take long."""
    return any(cell.W.size + cell.U.size > _LARGE for _, _, cell in case.weights.cells())


def probed(case: Case, ask: Ask) -> tuple[Case, Result] | None:
    """A probe and what the implementation answers: a small one, else other data for the very weights; None: neither."""
    for probe in (_small(case), _same_weights(case)):
        try:
            result = ask(probe)
        except XcheckError:  # it has no such LSTM, or cannot take other weights
            continue
        if all(np.isfinite(array).all() for array in observed_quantities(result).values()):
            return probe, result
    return None


def is_chance(view: Discrepancy, ask: Ask) -> bool:
    """Whether the same case, run again, gives numbers that honest rounding cannot make of the same ones."""
    try:
        again = observed_quantities(ask(view.case))
    except XcheckError:  # it has no answer this time; that is no proof
        return False
    return any(
        again[name].shape == array.shape and bool((np.abs(again[name] - array) > 2.0 * reference.bound).any())
        for name, (array, reference) in view.comparable.items()
        if name in again
    )


def _small(case: Case) -> Case:
    return Case.random(
        shrunk(case.spec), steps=_STEPS, batch=_BATCH, seed=_SEED, precision=case.precision,
        states=case.h0 is not None or case.c0 is not None, ragged=case.lengths is not None, id="probe",
    )  # fmt: skip


def _same_weights(case: Case) -> Case:
    return Case.random(
        case.spec, weights=case.weights, steps=_STEPS, batch=_BATCH, seed=_SEED, scale=3.0, precision=case.precision,
        states=case.h0 is not None or case.c0 is not None, ragged=case.lengths is not None, id="probe-of-these-weights",
    )  # fmt: skip


def shrunk(spec: LSTMSpec) -> LSTMSpec:
    """The same kind of LSTM, small: what an implementation does wrong it does wrong at any size."""
    hidden = min(spec.hidden_size, _HIDDEN)
    return replace(
        spec, input_size=min(spec.input_size, _INPUT), hidden_size=hidden, proj_size=min(spec.proj_size, hidden - 1)
    )
