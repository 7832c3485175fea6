"""Does a mistake explain what was observed? Judged by the same bounds as everything else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import Array
from ..compare.judge import LOOSE, SIGMAS
from ..compare.reference import Reference, expected_shapes, references
from ..model import Case
from ..oracle import Profile, teacher_force
from .mistake import Mistake, Outputs, brought_back

#: Where a free run's bound proves nothing, being this close to it in every number, in units of rounding, tells as much.
CLOSE = 100.0
#: Of a cell of more numbers a few units are looked at before all.
_WIDE, _UNITS = 2**16, 8


class Fit(NamedTuple):
    """How well an explanation fits.

    Attributes:
        score: largest error / bound.
        sigmas: largest error / standard deviation of honest rounding.
        misfit: the same as a root mean square, to rank explanations that all hold.
        decides: the quantities that tell anything: driven, sharply bounded, or met by a free run closely.
    """

    score: float
    sigmas: float
    misfit: float = float("inf")
    decides: frozenset[str] = frozenset()

    @property
    def holds(self) -> bool:
        """Whether every number is what the mistaken implementation would give, up to rounding."""
        return self.score <= 1.0 and self.sigmas <= SIGMAS and bool(self.decides)


#: What does not apply to the case, or cannot be decided on it, fits nothing.
NO_FIT = Fit(float("inf"), float("inf"))


def fit(
    mistakes: Sequence[Mistake],
    observed: Outputs,
    case: Case,
    profile: Profile,
    doubtful: Sequence[tuple[int, int]] = (),
) -> Fit:
    """Judge the observed outputs against the case as these mistakes change it, in this order.

    `doubtful`: cells (layer, direction) that are looked at first; where one of them does not fit, nothing does.
    """
    question = brought_back(mistakes, observed, case)
    if question is None:
        return NO_FIT
    changed, driving = question
    outputs = layer_outputs(driving, changed)
    with np.errstate(over="ignore", invalid="ignore"):
        if all(mistake.after is None for mistake in mistakes) and any(
            _fails(where, changed, outputs, profile) for where in doubtful
        ):
            return NO_FIT
        expected = references(changed, outputs, profile)
        parts = [{name: getattr(r, part) for name, r in expected.items()} for part in ("value", "bound", "sigma")]
        parts.append({name: np.full(r.value.shape, float(r.free)) for name, r in expected.items()})
        return _measure([_after(mistakes, part, case) for part in parts], observed, profile)


def _fails(where: tuple[int, int], case: Case, outputs: dict[int, Array], profile: Profile) -> bool:
    """Whether one cell of several, or some units of a wide one, cannot have given these outputs."""
    layer, direction = where
    cell = case.weights.layers[layer][direction] if layer < len(case.weights.layers) else None
    if cell is None or layer not in outputs or (layer and layer - 1 not in outputs):
        return False
    wide = cell.W.size + cell.U.size > _WIDE and cell.projection is None
    if not wide and case.spec.num_layers * case.spec.num_directions < 2:
        return False
    x = case.x if layer == 0 else outputs[layer - 1]
    width = case.spec.output_size
    half = outputs[layer][..., direction * width : (direction + 1) * width]
    if np.isnan(x).any() or np.isnan(half).any():
        return False
    units = np.linspace(0, width - 1, _UNITS).astype(np.intp) if wide else None
    expected = teacher_force(case, layer, direction, np.asarray(x), half, profile, units=units)
    asked = half if units is None else half[..., units]
    return largest(np.abs(asked - expected.y), expected.y_bound) > 1.0


def layer_outputs(observed: Outputs, case: Case) -> dict[int, Array]:
    """The observed outputs that can drive the oracle, by layer."""
    shapes, top = expected_shapes(case), case.spec.num_layers - 1
    names = {k: "y" if k == top else f"layer{k}.y" for k in range(top + 1)}
    return {k: observed[n] for k, n in names.items() if n in observed and observed[n].shape == shapes[n]}


def is_loose(reference: Reference, profile: Profile) -> bool:
    """Whether a free-running bound is so wide that it would explain anything."""
    return reference.free and bool((reference.bound > LOOSE * _unit(reference.value, profile)).any())


def _unit(value: Array, profile: Profile) -> float:
    return profile.u * max(1.0, float(np.abs(value).max()))


def _after(mistakes: Sequence[Mistake], outputs: Outputs | None, case: Case) -> Outputs | None:
    for mistake in mistakes:
        if mistake.after is not None and outputs is not None:
            outputs = mistake.after(outputs, case)
    return outputs


def _measure(made: Sequence[Outputs | None], observed: Outputs, profile: Profile) -> Fit:
    values, bounds, sigmas, free = made
    if values is None or bounds is None or sigmas is None or free is None:
        return NO_FIT
    score = noise = squares = 0.0
    count, decides = 0, set()
    for name, array in observed.items():
        if name not in values or values[name].shape != array.shape:
            return NO_FIT
        value, bound, driven = values[name], np.abs(bounds[name]), free[name] == 0.0
        error = np.abs(np.asarray(array, np.float64) - value)
        score = max(score, largest(error, bound))
        unit = _unit(value, profile)
        if (driven | (bound <= LOOSE * unit) | (error <= CLOSE * unit)).all():
            decides.add(name)
        ratio = _ratio(error, sigmas[name])
        noise = max(noise, float(ratio[driven].max(initial=0.0)))  # in a free run errors depend on each other
        squares, count = squares + float((ratio**2).sum()), count + ratio.size
    return Fit(score, noise, (squares / max(1, count)) ** 0.5, frozenset(decides))


def largest(error: Array, scale: Array) -> float:
    """The largest error / scale, where nothing divided by nothing is nothing."""
    return float(_ratio(error, scale).max())


def _ratio(error: Array, scale: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(error == 0.0, 0.0, error / np.abs(scale))
    return np.nan_to_num(ratio, nan=np.inf)
