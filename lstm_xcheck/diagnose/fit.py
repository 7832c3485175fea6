"""Whether mistakes explain the observed outputs within the bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import Array
from ..compare.judge import LOOSE, SIGMAS
from ..compare.reference import Reference, expected_shapes, references
from ..model import Case, LSTMSpec
from ..oracle import Profile, teacher_force
from .mistake import Mistake, Outputs, changed_outputs, mutated_case, output_name

#: A free run's loose bound proves something only if every error is this small, in units of rounding.
CLOSE = 100.0
#: Of a cell with more weights, this many units are tested before all.
_WIDE, _UNITS = 2**16, 8


class Fit(NamedTuple):
    """How well an explanation fits.

    Attributes:
        score: largest error / bound.
        sigmas: largest error / standard deviation of honest rounding.
        rms_sigmas: the root mean square of the same, which ranks explanations within the bound.
        decisive: the quantities that prove something: teacher-forced, tightly bounded, or close to a free run.
    """

    score: float
    sigmas: float
    rms_sigmas: float = float("inf")
    decisive: frozenset[str] = frozenset()

    @property
    def within_bound(self) -> bool:
        """Whether rounding explains every remaining difference."""
        return self.score <= 1.0 and self.sigmas <= SIGMAS and bool(self.decisive)


#: The fit of mistakes that do not apply to the case or cannot be decided on it.
NO_FIT = Fit(float("inf"), float("inf"))


def fit(
    mistakes: Sequence[Mistake],
    observed: Outputs,
    case: Case,
    profile: Profile,
    wrong_cells: Sequence[tuple[int, int]] = (),
) -> Fit:
    """How well these mistakes, in this order, explain observed outputs.

    `wrong_cells`: (layer, direction) to test first; if one of them does not fit, nothing does.
    """
    mutated = mutated_case(mistakes, observed, case)
    if mutated is None:
        return NO_FIT
    outputs = layer_outputs(mutated.outputs, mutated.case)
    with np.errstate(over="ignore", invalid="ignore"):
        if all(mistake.outputs is None for mistake in mistakes) and any(
            _is_refuted(cell, mutated.case, outputs, profile) for cell in wrong_cells
        ):
            return NO_FIT
        expected = references(mutated.case, outputs, profile)
        parts = [{name: getattr(r, part) for name, r in expected.items()} for part in ("value", "bound", "sigma")]
        parts.append({name: np.full(r.value.shape, float(r.free)) for name, r in expected.items()})
        return _measure([changed_outputs(mistakes, part, case) for part in parts], observed, profile)


def _is_refuted(index: tuple[int, int], case: Case, outputs: dict[int, Array], profile: Profile) -> bool:
    """Whether a cell, tested alone, cannot have given these outputs.

    Only one cell of several, or a few units of a wide cell, are worth a test of their own.
    """
    arrays = cell_arrays(case, outputs, index)
    if arrays is None:
        return False
    layer, direction = index
    cell = case.weights.layers[layer][direction]
    wide = cell.W.size + cell.U.size > _WIDE and cell.projection is None
    if not wide and case.spec.num_layers * case.spec.num_directions < 2:
        return False
    x, y = arrays
    if np.isnan(x).any() or np.isnan(y).any():
        return False
    units = np.linspace(0, case.spec.output_size - 1, _UNITS).astype(np.intp) if wide else None
    expected = teacher_force(case, layer, direction, np.asarray(x), y, profile, units=units)
    tested = y if units is None else y[..., units]
    return largest_ratio(np.abs(tested - expected.y), expected.y_bound) > 1.0


def layer_outputs(observed: Outputs, case: Case) -> dict[int, Array]:
    """The observed outputs usable for teacher forcing, by layer."""
    shapes = expected_shapes(case)
    names = {layer: output_name(case.spec, layer) for layer in range(case.spec.num_layers)}
    return {k: observed[n] for k, n in names.items() if n in observed and observed[n].shape == shapes[n]}


def direction_half(y: Array, spec: LSTMSpec, direction: int) -> Array:
    """One direction's share of a layer's outputs, (batch, steps, output)."""
    return y[..., direction * spec.output_size : (direction + 1) * spec.output_size]


def cell_arrays(case: Case, outputs: dict[int, Array], index: tuple[int, int]) -> tuple[Array, Array] | None:
    """A cell's inputs and outputs; None where not observed."""
    layer, direction = index
    if layer not in outputs or (layer and layer - 1 not in outputs):
        return None
    x = case.x if layer == 0 else outputs[layer - 1]
    return x, direction_half(outputs[layer], case.spec, direction)


def is_loose(reference: Reference, profile: Profile) -> bool:
    """Whether a free run's bound would explain anything."""
    return reference.free and bool((reference.bound > LOOSE * _unit(reference.value, profile)).any())


def _unit(value: Array, profile: Profile) -> float:
    return profile.u * max(1.0, float(np.abs(value).max()))


def _measure(parts: Sequence[Outputs | None], observed: Outputs, profile: Profile) -> Fit:
    """The fit to values, bounds, sigmas and free-run flags."""
    values, bounds, sigmas, free = parts
    if values is None or bounds is None or sigmas is None or free is None:
        return NO_FIT
    score = noise = squares = 0.0
    count, decisive = 0, set()
    for name, array in observed.items():
        if name not in values or values[name].shape != array.shape:
            return NO_FIT
        value, bound, teacher_forced = values[name], np.abs(bounds[name]), free[name] == 0.0
        error = np.abs(np.asarray(array, np.float64) - value)
        score = max(score, largest_ratio(error, bound))
        unit = _unit(value, profile)
        if (teacher_forced | (bound <= LOOSE * unit) | (error <= CLOSE * unit)).all():
            decisive.add(name)
        ratio = _ratio(error, sigmas[name])
        noise = max(noise, float(ratio[teacher_forced].max(initial=0.0)))  # errors of a free run are correlated
        squares, count = squares + float((ratio**2).sum()), count + ratio.size
    return Fit(score, noise, (squares / max(1, count)) ** 0.5, frozenset(decisive))


def largest_ratio(error: Array, scale: Array) -> float:
    """The largest error / scale; 0 / 0 is 0."""
    return float(_ratio(error, scale).max())


def _ratio(error: Array, scale: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(error == 0.0, 0.0, error / np.abs(scale))
    return np.nan_to_num(ratio, nan=np.inf)
