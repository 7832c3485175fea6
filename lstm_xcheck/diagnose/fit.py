"""Does a mistake explain what was observed? Judged by the same bounds as everything else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import Array
from ..compare.judge import LOOSE, SIGMAS
from ..compare.reference import Reference, expected_shapes, references
from ..oracle import Profile
from ..spec import Case
from .mistake import Mistake, Outputs


class Fit(NamedTuple):
    """How well an explanation fits: largest error / bound, and largest error / standard deviation."""

    score: float
    sigmas: float

    @property
    def holds(self) -> bool:
        """Whether every number is what the mistaken implementation would give, up to rounding."""
        return self.score <= 1.0 and self.sigmas <= SIGMAS


#: What does not apply to the case, or cannot be decided on it, fits nothing.
NO_FIT = Fit(float("inf"), float("inf"))


def fit(mistakes: Sequence[Mistake], observed: Outputs, case: Case, profile: Profile) -> Fit:
    """Judge the observed outputs against the case as these mistakes change it, in this order."""
    changed: Case | None = case
    driving: Outputs | None = observed
    for mistake in mistakes:
        changed = None if changed is None else mistake.change_case(changed)
    for mistake in reversed(mistakes):
        if mistake.undo is not None and driving is not None:
            driving = mistake.undo(driving, case)
    if changed is None or driving is None:
        return NO_FIT
    outputs = layer_outputs(driving, changed)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = references(changed, outputs, profile)
        if any(is_loose(reference, profile) for name, reference in expected.items() if name in observed):
            return NO_FIT
        parts = [{name: getattr(r, part) for name, r in expected.items()} for part in ("value", "bound", "sigma")]
        return _measure(mistakes, parts, observed, case)


def layer_outputs(observed: Outputs, case: Case) -> dict[int, Array]:
    """The observed outputs that can drive the oracle, by layer."""
    shapes, top = expected_shapes(case), case.spec.num_layers - 1
    names = {k: "y" if k == top else f"layer{k}.y" for k in range(top + 1)}
    return {k: observed[n] for k, n in names.items() if n in observed and observed[n].shape == shapes[n]}


def is_loose(reference: Reference, profile: Profile) -> bool:
    """Whether a free-running bound is so wide that it would explain anything."""
    if not reference.free:
        return False
    return bool(reference.bound.max() > LOOSE * profile.u * max(1.0, float(np.abs(reference.value).max())))


def _measure(mistakes: Sequence[Mistake], parts: list[Outputs], observed: Outputs, case: Case) -> Fit:
    changed: list[Outputs] = []
    for part in parts:
        outputs: Outputs | None = part
        for mistake in mistakes:
            if mistake.after is not None and outputs is not None:
                outputs = mistake.after(outputs, case)
        if outputs is None:
            return NO_FIT
        changed.append(outputs)
    value, bound, sigma = changed
    score = sigmas = 0.0
    for name, array in observed.items():
        if name not in value or value[name].shape != array.shape:
            return NO_FIT
        error = np.abs(np.asarray(array, np.float64) - value[name])
        score, sigmas = max(score, largest(error, bound[name])), max(sigmas, largest(error, sigma[name]))
    return Fit(score, sigmas)


def largest(error: Array, scale: Array) -> float:
    """The largest error / scale, where nothing divided by nothing is nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(error == 0.0, 0.0, error / np.abs(scale))
    return float(np.nan_to_num(ratio, nan=np.inf).max())
