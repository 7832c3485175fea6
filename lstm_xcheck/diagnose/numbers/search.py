"""Finds the families whose number explains a wrong cell, and estimates it.

Every family is tried at many values on the first wrong steps; Gauss-Newton refines the best of each there, then on all
steps, then with the standard deviations of the hypothesis itself, since those of the honest LSTM are wrong where units
saturate. The proof is the oracle on the changed case, as for any mistake.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...arrays import Array
from ...compare.judge import SIGMAS
from ...compare.reference import references
from ..discrepancy import Discrepancy
from ..fit import Fit, direction_half, fit, layer_outputs
from ..linearised_cell import DrivenCell, in_processing_order
from ..mistake import Mistake, mutated_case, output_name
from .families import Cells, Family, families
from .simulate import Hypothesis, Window, simulate

#: Rows, and units, of the cell that are examined: those that are most wrong.
_ROWS, _WINDOW_ROWS, _UNITS, _STEPS = 8, 3, 24, 64
#: Steps after the first wrong one in the window.
_MORE_STEPS = 2
#: A family stays while its errors in the window are this small, relative to the largest output.
_CLOSE = 1e-3
#: A number with a larger error, relative to its effect, is not known.
_MOST_ERROR = 0.1
#: Rounds of Gauss-Newton in the window, on all steps, and weighted.
_ROUNDS, _ALL_ROUNDS, _WEIGHTED_ROUNDS = 8, 4, 3


@dataclass(frozen=True)
class FittedNumber:
    """A mistake with its estimated number.

    Attributes:
        family: the row of the table.
        value: the number, a factor, constant or limit; `error`: its standard error.
        mistake, fit: the mistake with it, and how well it explains the outputs.
    """

    family: Family
    value: float
    error: float
    mistake: Mistake
    fit: Fit

    @property
    def is_known(self) -> bool:
        """Whether the number differs from the honest one by far more than its error."""
        honest = 0.0 if self.family.is_clip or self.family.kind == "constant" else 1.0
        return self.error <= _MOST_ERROR * abs(self.value - honest)

    @property
    def parameters(self) -> dict[str, float]:
        """Plain data for a diagnosis."""
        return {"value": self.value, "standard_error": self.error}


def fitting_numbers(discrepancy: Discrepancy) -> list[FittedNumber]:
    """The families that explain all outputs within the bound, best first."""
    wrong, spec = discrepancy.wrong_cells(), discrepancy.case.spec
    if not wrong or spec.proj_size:
        return []
    index = wrong[0]
    driven = DrivenCell.of(discrepancy.case, layer_outputs(discrepancy.observed, discrepancy.case), index)
    if driven is None or discrepancy.expected[output_name(spec, index[0])].free:
        return []
    with np.errstate(all="ignore"):
        window, estimates = _estimates(driven, _ratio(discrepancy, index))
        return _proven(discrepancy, index, wrong, window, estimates)


def _ratio(discrepancy: Discrepancy, index: tuple[int, int]) -> Array:
    """|error| / sigma of one cell's outputs, (steps, batch, units)."""
    spec = discrepancy.case.spec
    array, reference = discrepancy.comparable[output_name(spec, index[0])]
    error, sigma = (
        in_processing_order(direction_half(part, spec, index[1]), spec.is_backward(index[1]))
        for part in (np.abs(array - reference.value), reference.sigma)
    )
    return np.where(error == 0.0, 0.0, error / np.maximum(sigma, 1e-300))


def _estimates(driven: DrivenCell, ratio: Array) -> tuple[Window, list[Hypothesis]]:
    """The window of all steps; families and numbers that explain it, best first."""
    spec, wrong = driven.cell.spec, ratio > SIGMAS
    first = int(np.argmax(wrong.any(axis=(1, 2)))) if wrong.any() else 0
    units = np.sort(np.argsort(-ratio.max(axis=(0, 1)), kind="stable")[:_UNITS])
    order = np.argsort(-(wrong.sum(axis=(0, 2))), kind="stable")
    small = Window.of(driven, first + _MORE_STEPS, order[:_WINDOW_ROWS], units)
    everything = Window.of(driven, max(_STEPS, first + _MORE_STEPS), order[:_ROWS], units)
    rows = families(spec, biased=bool(driven.cell.bias.any()))
    jobs = [(family, p) for family in rows for p in _starts(family, small)]
    error = _mean_squares(small, jobs)
    best: dict[Family, list[tuple[float, float]]] = {}
    for (family, p), e in zip(jobs, error, strict=True):
        best.setdefault(family, []).append((e, p))
    chosen = [(family, p) for family, found in best.items() for _, p in sorted(found)[:2]]
    chosen += [(family, 1e-3) for family in rows if not family.is_clip]
    refined, error = _gauss_newton(small, chosen, _ROUNDS)
    limit = float(np.square(_CLOSE * max(1e-30, float(np.abs(small.y).max()))))
    near: dict[Family, tuple[float, float]] = {}
    for (family, p), e in zip(refined, error, strict=True):
        if e <= limit and (family not in near or e < near[family][0]):
            near[family] = (e, p)
    if not near:
        return everything, []
    refined, error = _gauss_newton(everything, [(family, p) for family, (_, p) in near.items()], _ALL_ROUNDS)
    ranked = sorted(zip(error, range(len(refined)), strict=True))
    return everything, [refined[k] for _, k in ranked]


def _starts(family: Family, window: Window) -> Sequence[float]:
    """The values of p that are tried first."""
    if family.kind != "gate_clip":
        return family.start
    z = np.abs(window.parts["W"] + window.parts["U"] + window.parts["b"])
    return sorted([*family.start, *(0.97 * np.quantile(z, np.linspace(0.05, 0.98, 12)))])


def _mean_squares(window: Window, hypotheses: Sequence[Hypothesis]) -> Array:
    """Mean squared error of each hypothesis; infinite where it overflows."""
    error: Array = ((simulate(window, hypotheses)[0] - window.y) ** 2).mean(axis=(1, 2, 3))
    return np.where(np.isfinite(error), error, np.inf)


def _gauss_newton(
    window: Window, hypotheses: Sequence[Hypothesis], rounds: int, weight: Array | float = 1.0
) -> tuple[list[Hypothesis], Array]:
    """Refined numbers and their mean squared errors, each step damped until it improves."""
    rows = [family for family, _ in hypotheses]
    p = np.array([number for _, number in hypotheses])
    y = simulate(window, hypotheses)[0]
    error = (((y - window.y) * weight) ** 2).mean(axis=(1, 2, 3))
    damping = np.ones(len(p))
    for _ in range(rounds):
        step = 1e-5 * np.maximum(np.abs(p), 1e-2)
        moved = simulate(window, [*zip(rows, p + step, strict=True)])[0]
        slope = (moved - y) / step[:, None, None, None] * weight
        residual = (window.y - y) * weight
        top, bottom = (slope * residual).sum(axis=(1, 2, 3)), (slope * slope).sum(axis=(1, 2, 3))
        most = 3.0 * np.maximum(np.abs(p), 0.3)
        change = np.clip(np.where(bottom > 0.0, top / np.where(bottom > 0.0, bottom, 1.0), 0.0), -most, most)
        tried = p + damping * change
        outputs = simulate(window, [*zip(rows, tried, strict=True)])[0]
        new = (((outputs - window.y) * weight) ** 2).mean(axis=(1, 2, 3))
        better = new < error
        p, error = np.where(better, tried, p), np.where(better, new, error)
        y = np.where(better[:, None, None, None], outputs, y)
        damping = np.where(better, 1.0, damping / 3.0)
    return [*zip(rows, map(float, p), strict=True)], error


def _proven(
    discrepancy: Discrepancy,
    index: tuple[int, int],
    wrong: Sequence[tuple[int, int]],
    window: Window,
    estimates: Sequence[Hypothesis],
) -> list[FittedNumber]:
    """The estimates that explain every output, in all cells or in the wrong ones."""
    spec = discrepancy.case.spec
    found = _proven_in(None, discrepancy, index, window, estimates)
    if len(wrong) < spec.num_layers * spec.num_directions:
        known = {number.family for number in found}
        others = [(family, p) for family, p in estimates if family not in known]
        found += _proven_in(tuple(wrong), discrepancy, index, window, others)
    return sorted(found, key=lambda entry: entry.fit.rms_sigmas)


def _proven_in(
    cells: Cells | None,
    discrepancy: Discrepancy,
    index: tuple[int, int],
    window: Window,
    estimates: Sequence[Hypothesis],
) -> list[FittedNumber]:
    """The estimates that explain every output if these cells alone are affected."""
    spec, numbers = discrepancy.case.spec, list(estimates)
    for _ in range(2):  # the standard deviations depend on the number
        weighted: list[tuple[Hypothesis, Array]] = []
        for family, p in numbers:
            mistake = family.mistake(p, "", cells, spec) if family.allows(p) else None
            sigma = None if mistake is None else _sigma(discrepancy, mistake, index, window)
            if sigma is not None:
                weight = np.where(window.valid[..., None] & (sigma > 0.0), 1.0 / np.maximum(sigma, 1e-300), 0.0)
                weighted.append(((family, p), weight))
        if not weighted:
            return []
        weights = np.stack([weight for _, weight in weighted])
        numbers, _ = _gauss_newton(window, [number for number, _ in weighted], _WEIGHTED_ROUNDS, weights)
    found = []
    for (family, p), error in zip(numbers, _standard_errors(window, numbers, weights), strict=True):
        if not family.allows(p):
            continue
        value = family.value(p)
        mistake = family.mistake(p, in_digits(value, error), cells, spec)
        quality = fit((mistake,), discrepancy.observed, discrepancy.case, discrepancy.profile)
        if quality.within_bound and quality.decisive & discrepancy.wrong:
            found.append(FittedNumber(family, value, error, mistake, quality))
    return found


def _sigma(discrepancy: Discrepancy, mistake: Mistake, index: tuple[int, int], window: Window) -> Array | None:
    """Standard deviations under a hypothesis; None where it does not apply."""
    changed = mutated_case((mistake,), discrepancy.observed, discrepancy.case)
    if changed is None:
        return None
    spec = changed.case.spec
    expected = references(changed.case, layer_outputs(changed.outputs, changed.case), discrepancy.profile)
    sigma = direction_half(expected[output_name(spec, index[0])].sigma, spec, index[1])
    ordered = in_processing_order(sigma, window.driven.backward)
    chosen: Array = ordered[: len(window.y)][:, window.rows][..., window.units]
    return chosen


def _standard_errors(window: Window, hypotheses: Sequence[Hypothesis], weights: Array) -> list[float]:
    """The standard error of each number: 1 / sqrt(sum (dy / dp / sigma)^2)."""
    p = np.array([number for _, number in hypotheses])
    step = 1e-5 * np.maximum(np.abs(p), 1e-2)
    y = simulate(window, hypotheses)[0]
    moved = simulate(window, [(family, q) for (family, _), q in zip(hypotheses, p + step, strict=True)])[0]
    squares = (((moved - y) / step[:, None, None, None] * weights) ** 2).sum(axis=(1, 2, 3))
    return [1.0 / math.sqrt(total) if total > 0.0 else math.inf for total in map(float, squares)]


def in_digits(value: float, error: float) -> str:
    """A number in the fewest digits that its standard error allows.

    >>> in_digits(2.7000013, 2e-6), in_digits(117.358, 0.4), in_digits(0.5, 0.0)
    ('2.7', '117', '0.5')
    """
    if abs(value) <= 2.0 * error:
        return "0"
    for digits in range(1, 10):
        text = f"{value:.{digits}g}"
        if abs(float(text) - value) <= 2.0 * error or digits == 9:
            break
    return text
