"""Whether mistakes explain the observed outputs within the bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import Array
from ..compare.judge import LOOSE, SIGMAS
from ..compare.reference import Reference, expected_shapes, references
from ..model import Case, LSTMSpec
from ..oracle import Profile, teacher_force
from .mistake import Mistake, Outputs, between_layers, changed_outputs, mutated_case, output_name

#: A free run's loose bound proves something only if every error is this small, in units of rounding.
CLOSE = 100.0
#: Of a cell with more weights, this many units are tested before all.
_WIDE, _UNITS = 2**16, 8


class Residuals(NamedTuple):
    """Largest error, and sum of squares, in standard deviations of rounding."""

    largest: float = 0.0
    squares: float = 0.0
    numbers: int = 0

    def or_more(self, other: Residuals) -> Residuals:
        """Each figure, or that of another measure where it is larger."""
        return Residuals(max(self.largest, other.largest), max(self.squares, other.squares), self.numbers)


class Fit(NamedTuple):
    """How well an explanation fits.

    Attributes:
        score: largest error / bound.
        rms_sigmas: root mean square of error / standard deviation, which ranks explanations within the bound.
        decisive: the quantities that prove something: teacher-forced, tightly bounded, or close to a free run.
        forced: the residuals of teacher-forced numbers, without final states that only repeat y.
        free: those of a free run, whose errors are correlated.
    """

    score: float
    rms_sigmas: float = float("inf")
    decisive: frozenset[str] = frozenset()
    forced: Residuals = Residuals()
    free: Residuals = Residuals()

    @property
    def sigmas(self) -> float:
        """Largest error / standard deviation of teacher-forced numbers."""
        return self.forced.largest

    @property
    def within_bound(self) -> bool:
        """Whether rounding explains every remaining difference."""
        return self.score <= 1.0 and self.sigmas <= SIGMAS and bool(self.decisive)


#: The fit of mistakes that do not apply to the case or cannot be decided on it.
NO_FIT = Fit(float("inf"), forced=Residuals(float("inf"), float("inf"), 1))


def fit(
    mistakes: Sequence[Mistake],
    observed: Outputs,
    case: Case,
    profile: Profile,
    wrong_cells: Sequence[tuple[int, int]] = (),
    sigmas: Mapping[str, Array] | None = None,
) -> Fit:
    """How well these mistakes, in this order, explain observed outputs.

    `wrong_cells`: (layer, direction) to test first; if one of them does not fit, nothing does. `sigmas`: standard
    deviations to measure by in place of the hypothesis's own.
    """
    mutated = mutated_case(mistakes, observed, case)
    if mutated is None:
        return NO_FIT
    outputs = layer_outputs(mutated.outputs, mutated.case)
    with np.errstate(over="ignore", invalid="ignore"):
        between = between_layers(mistakes)
        if (
            between is None
            and all(mistake.outputs is None for mistake in mistakes)
            and any(_is_refuted(cell, mutated.case, outputs, profile) for cell in wrong_cells)
        ):
            return NO_FIT
        expected = references(mutated.case, outputs, profile, between)
        parts = [{name: getattr(r, part) for name, r in expected.items()} for part in ("value", "bound", "sigma")]
        parts.append({name: np.full(r.value.shape, float(r.free)) for name, r in expected.items()})
        changed = [changed_outputs(mistakes, part, case) for part in parts]
        if sigmas is not None and changed[2] is not None:
            changed[2] = {**changed[2], **sigmas}
        return _measure(changed, observed, profile, repetitions(observed, case))


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
    dx = np.full(x.shape, profile.resolution) if layer and profile.resolution else None
    expected = teacher_force(case, layer, direction, np.asarray(x), y, profile, dx, units)
    tested = y if units is None else y[..., units]
    return largest_ratio(np.abs(tested - expected.y), expected.y_bound + profile.resolution) > 1.0


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


def _measure(parts: Sequence[Outputs | None], observed: Outputs, profile: Profile, repeated: Outputs) -> Fit:
    """The fit to values, bounds, sigmas and free-run flags; `repeated`: numbers that repeat y."""
    values, bounds, sigmas, free = parts
    if values is None or bounds is None or sigmas is None or free is None:
        return NO_FIT
    score = squares = 0.0
    count, decisive, residuals = 0, set(), [Residuals(), Residuals()]
    for name, array in observed.items():
        if name not in values or values[name].shape != array.shape:
            return NO_FIT
        value, bound, sigma, is_free = values[name], np.abs(bounds[name]), np.abs(sigmas[name]), free[name] != 0.0
        error = difference(array, value)
        score = max(score, largest_ratio(error, bound))
        unit = _unit(value, profile)
        if (~is_free | (bound <= LOOSE * unit) | (error <= CLOSE * unit)).all():
            decisive.add(name)
        ratio = error_ratio(error, sigma)
        squares, count = squares + float((ratio**2).sum()), count + ratio.size
        live = ((sigma > 0.0) | (error != 0.0)) & ~np.isnan(array)
        counted = live & ~repeated[name] if name in repeated else live
        residuals = [
            _with(known, ratio, live & where, counted & where)
            for known, where in zip(residuals, (~is_free, is_free), strict=True)
        ]
    return Fit(score, (squares / max(1, count)) ** 0.5, frozenset(decisive), *residuals)


def _with(known: Residuals, ratio: Array, where: Array, counted: Array) -> Residuals:
    """Residuals with those of another quantity; `counted`: which are not counted already."""
    more = ratio[counted]
    largest = max(known.largest, float(ratio[where].max(initial=0.0)))
    return Residuals(largest, known.squares + float((more**2).sum()), known.numbers + more.size)


def repetitions(observed: Outputs, case: Case) -> Outputs:
    """Where final states repeat numbers of y, by quantity."""
    spec, shapes = case.spec, expected_shapes(case)
    outputs = layer_outputs(observed, case)
    ends = {layer: _ends(y, case) for layer, y in outputs.items()}
    repeated = {}
    if "h_n" in observed and observed["h_n"].shape == shapes["h_n"]:
        h_n = observed["h_n"].reshape(spec.num_layers, spec.num_directions, *shapes["h_n"][1:])
        found = [h_n[layer] == ends[layer] if layer in ends else np.zeros(h_n[layer].shape, bool)
                 for layer in range(spec.num_layers)]  # fmt: skip
        repeated["h_n"] = np.concatenate(found)
    top = spec.num_layers - 1
    if "last" in observed and observed["last"].shape == shapes["last"] and top in ends:
        repeated["last"] = observed["last"] == np.concatenate([*ends[top]], axis=-1)
    return repeated


def _ends(y: Array, case: Case) -> Array:
    """The outputs after the last processed step, (directions, batch, output)."""
    rows, last = np.arange(case.batch), _last_valid(case.valid)
    first = np.argmax(case.valid, axis=1)
    return np.stack(
        [
            direction_half(y, case.spec, d)[rows, first if case.spec.is_backward(d) else last]
            for d in range(case.spec.num_directions)
        ]
    )


def _last_valid(valid: Array) -> Array:
    steps = valid.shape[1]
    last: Array = steps - 1 - np.argmax(valid[:, ::-1], axis=1)
    return last


def difference(observed: Array, value: Array) -> Array:
    """The absolute error; 0 where a number was not observed (NaN)."""
    observed = np.asarray(observed, np.float64)
    error: Array = np.where(np.isnan(observed), 0.0, np.abs(observed - value))
    return error


def largest_ratio(error: Array, scale: Array) -> float:
    """The largest error / scale; 0 / 0 is 0."""
    return float(error_ratio(error, scale).max())


def is_outside(error: Array, bound: Array) -> Array:
    """Where errors are beyond their bounds; after an overflow there is no bound."""
    return error_ratio(error, bound) > 1.0


def error_ratio(error: Array, scale: Array) -> Array:
    """error / scale; 0 / 0 is 0, and NaN is infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(error == 0.0, 0.0, error / np.abs(scale))
    return np.nan_to_num(ratio, nan=np.inf)
