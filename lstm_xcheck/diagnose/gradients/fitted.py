"""Mistakes read from the gradients themselves: factors, clips, numbers never written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from ...arrays import Array, round_to
from ...compare.gradients import LIMIT_RMS
from ...model import Case
from .discrepancy import GradientDiscrepancy
from .mistake import Arrays, GradientMistake

#: A fitted number is the exact one if so many standard errors away.
_SIGMAS = 6.0
#: Norms and bounds that users clip to.
_ROUND = tuple(m * 10.0**e for e in range(-4, 4) for m in (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 8.0))


def known_factors(case: Case) -> list[tuple[float, str, str]]:
    """Factors with id and words; of equal ones the first is named."""
    size = case.batch * case.steps
    width = case.spec.output_size * case.spec.num_directions
    rows = [
        (2.0, "doubled", "doubled: added twice, or accumulated over two passes"),
        (-1.0, "sign-flipped", "of the opposite sign"),
        (1.0 / case.batch, "mean-over-batch", "a mean over the batch instead of a sum"),
        (1.0 / case.steps, "mean-over-steps", "a mean over the steps instead of a sum"),
        (1.0 / size, "mean-over-batch-and-steps", "a mean over batch and steps instead of a sum"),
        (1.0 / (size * width), "mean-over-outputs", "a mean over all outputs instead of a sum"),
        (1.0 / width, "mean-over-units", "a mean over the units instead of a sum"),
        (
            1.0 / max(1.0, float(case.valid.sum())),
            "mean-over-valid-steps",
            "a mean over the valid steps instead of a sum",
        ),
        (0.5, "halved", "halved"),
        (float(case.batch), "times-batch", "multiplied by the batch"),
        (float(case.steps), "times-steps", "multiplied by the steps"),
        (3.0, "tripled", "tripled"),
        (4.0, "times-4", "four times too large: accumulated once for each gate, or over four passes"),
        (0.25, "divided-by-4", "a quarter of what it should be: a mean over the gates"),
    ]
    return [row for row in rows if row[0] != 1.0]


def scaled(arrays: Arrays, names: frozenset[str], factor: float) -> Arrays:
    """Some arrays times a factor."""
    return {name: factor * array if name in names else array for name, array in arrays.items()}


def _fit_factor(names: Sequence[str], discrepancy: GradientDiscrepancy) -> tuple[float, float]:
    """The factor of several arrays with its standard error."""
    along = square = 0.0
    for name in names:
        value, observed = discrepancy.honest.value[name], discrepancy.observed[name]
        rms = np.maximum(discrepancy.honest.rms[name], 0.1 * np.sqrt(np.mean(discrepancy.honest.rms[name] ** 2)))
        weight = np.where(rms > 0.0, 1.0 / np.maximum(rms, np.finfo(float).tiny) ** 2, 0.0)
        along += float((weight * value * observed).sum())
        square += float((weight * value * value).sum())
    return (along / square, 1.0 / square**0.5) if square > 0.0 else (1.0, 0.0)


def factors(discrepancy: GradientDiscrepancy) -> Iterator[GradientMistake]:
    """Wrong arrays that are multiples of the right ones, by factor."""
    left = [name for name in discrepancy.wrong if discrepancy.observed[name].any()]
    while left:
        factor, error = _fit_factor(left[:1], discrepancy)
        spread = _SIGMAS * (error * max(1.0, abs(factor)) + abs(factor) * discrepancy.profile.u)
        group = [n for n in left if abs(_fit_factor([n], discrepancy)[0] - factor) <= spread + _spread(n, discrepancy)]
        left = [name for name in left if name not in group]
        yield from _of_factor(group, discrepancy)


def _spread(name: str, discrepancy: GradientDiscrepancy) -> float:
    factor, error = _fit_factor([name], discrepancy)
    return _SIGMAS * error * max(1.0, abs(factor))


def _of_factor(names: list[str], discrepancy: GradientDiscrepancy) -> Iterator[GradientMistake]:
    factor, error = _fit_factor(names, discrepancy)
    error *= max(1.0, abs(factor))
    near = [
        row
        for row in known_factors(discrepancy.case)
        if abs(factor - row[0]) <= _SIGMAS * (error + abs(row[0]) * discrepancy.profile.u)
    ]
    who = words_for(names, discrepancy)
    margin = "" if near else f" +/- {error:.1g}"
    chosen = near or [(factor, "scaled", f"multiplied by {factor:.6g}")]
    for number, id, words in chosen:
        yield GradientMistake(
            id=f"gradient-{id}",
            title=f"the gradient of {who} is {words}",
            explanation=f"Every number of the gradient of {who} is {number:.6g}{margin} times what it should be.",
            fix=f"Divide the gradient of {who} by {number:.6g}, where it is scaled or added up.",
            code=f"gradients |= {{n: gradients[n] / {number!r} for n in {sorted(names)}}}",
            arrays=partial(scaled, names=frozenset(names), factor=number),
            parameters={"factor": number} if near else {"factor": number, "factor_error": error},
            fitted=True,
        )


def norms(discrepancy: GradientDiscrepancy, multiple: GradientMistake) -> GradientMistake | None:
    """A fitted factor below 1 that gives a round norm: a clip by norm."""
    factor = multiple.parameters.get("factor", 0.0)
    if not 0.0 < factor < 1.0 or "factor_error" not in multiple.parameters:
        return None
    names = [name for name in discrepancy.wrong if _is_scaled(name, multiple)]
    norm = float(np.sqrt(sum(float((discrepancy.observed[name] ** 2).sum()) for name in names)))
    for bound in _ROUND:
        if abs(norm / bound - 1.0) < 1e-5:
            who = words_for(names, discrepancy)
            return replace(
                multiple,
                id="gradient-clipped-by-norm",
                title=f"the gradient of {who} is clipped to the norm {bound:g}",
                explanation=f"The gradient of {who} was scaled by {factor:.6g}, so that its norm is {bound:g}.",
                fix="Clip gradients after they are compared.",
                code="",
                parameters={**multiple.parameters, "norm": bound},
            )
    return None


def _is_scaled(name: str, multiple: GradientMistake) -> bool:
    one = {name: np.ones(1)}
    return multiple.arrays is not None and bool(multiple.arrays(one)[name][0] != 1.0)


def _clipped(arrays: Arrays, names: frozenset[str], bound: float) -> Arrays:
    return {name: np.clip(array, -bound, bound) if name in names else array for name, array in arrays.items()}


def clips(discrepancy: GradientDiscrepancy) -> Iterator[GradientMistake]:
    """Gradients cut off at the largest number observed, where that is reached several times."""
    wrong = discrepancy.wrong
    if not wrong:
        return
    bound = max(float(np.abs(discrepancy.observed[name]).max()) for name in wrong)
    reached = sum(int((np.abs(discrepancy.observed[name]) == bound).sum()) for name in wrong)
    if bound > 0.0 and reached >= 3:
        who = words_for(wrong, discrepancy)
        yield GradientMistake(
            id="gradient-clipped-by-value",
            title=f"the gradient of {who} is clipped at {bound:.6g}",
            explanation=f"No number is beyond {bound:.6g}, and {reached} are exactly that.",
            fix="Clip gradients after they are compared.",
            arrays=partial(_clipped, names=frozenset(wrong), bound=bound),
            parameters={"bound": bound},
            exact=True,
        )


def zeros(discrepancy: GradientDiscrepancy) -> Iterator[GradientMistake]:
    """Wrong numbers that are all exactly zero: never written.

    Those of one kind and place are one mistake.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for name in discrepancy.wrong:
        wrong = np.abs(discrepancy.errors[name]) > LIMIT_RMS
        if (discrepancy.observed[name][wrong] == 0.0).all():
            lost = (discrepancy.observed[name] == 0.0) & (discrepancy.honest.value[name] != 0.0)
            place = "" if (discrepancy.observed[name] == 0.0).all() else block_words(name, lost, discrepancy.case)
            groups.setdefault((name.rpartition(".")[2], place), []).append(name)
    for (kind, place), names in groups.items():
        who = words_for(names, discrepancy)
        yield GradientMistake(
            id=f"gradient-of-{kind.lower()}-{'partly-lost' if place else 'lost'}",
            title=f"the gradient of {who} is zero" + (f" {place}" if place else ""),
            explanation="These numbers are exactly zero: the gradient was never written there, or lost on its way out.",
            fix=f"Compute and return the gradient of {who} everywhere.",
            arrays=partial(_zeroed, where={name: discrepancy.observed[name] == 0.0 for name in names}),
            exact=True,
        )


def _zeroed(arrays: Arrays, where: Arrays) -> Arrays:
    return {n: np.where(where[n], 0.0, array) if n in where else array for n, array in arrays.items()}


def roundings(discrepancy: GradientDiscrepancy) -> Iterator[tuple[str, list[str]]]:
    """Short formats that hold every number of the wrong arrays, with those arrays."""
    for precision in ("bfloat16", "float16"):
        names = [n for n in discrepancy.wrong if on_grid(discrepancy.observed[n], precision)]
        if names and len(names) == len(discrepancy.wrong):
            yield precision, names


def on_grid(array: Array, precision: str) -> bool:
    """Whether every number is one of that precision."""
    with np.errstate(over="ignore"):
        return bool((round_to(array, precision).astype(np.float64) == array).all())


_AXES = {
    "W": ("gate", "unit", "column"), "U": ("gate", "unit", "column"), "b": ("gate", "unit"), "b_r": ("gate", "unit"),
    "peephole": ("gate", "unit"), "projection": ("row", "unit"), "x": ("row", "step", "feature"),
    "h0": ("state", "row", "unit"), "c0": ("state", "row", "unit"),
}  # fmt: skip
_GATES = {"peephole": "ifo"}


def block_words(name: str, where: Array, case: Case) -> str:
    """Elements of an array as a block, in words: "at gate i, unit 3"."""
    kind = name.rpartition(".")[2]
    axes = _AXES[kind]
    parts = []
    for axis, label in enumerate(axes):
        other = tuple(k for k in range(where.ndim) if k != axis)
        indices = np.flatnonzero(where.any(axis=other))
        if 0 < len(indices) < where.shape[axis]:
            letters = _GATES.get(kind, "ifgo")
            names = [letters[k] if label == "gate" else str(k) for k in indices[:4]]
            more = f" and {len(indices) - 4} more" if len(indices) > 4 else ""
            parts.append(f"{label}{'s' if len(indices) > 1 else ''} {', '.join(names)}{more}")
    return f"at {', '.join(parts)}" if parts else f"at {int(where.sum())} of {where.size} places"


def words_for(names: Sequence[str], discrepancy: GradientDiscrepancy) -> str:
    """Arrays in words, by kind where all cells have it."""
    cells = case_cells(discrepancy.case)
    if set(names) == set(discrepancy.observed):
        return "every array"
    kinds = list(dict.fromkeys(name.rpartition(".")[2] for name in names))
    parts = []
    for kind in kinds:
        own = [name for name in names if name.rpartition(".")[2] == kind]
        if kind in ("x", "h0", "c0") or len(own) == len(cells):
            parts.append(kind)
        else:
            parts += [f"{kind} of {cell_words(name, discrepancy.case)}" for name in own]
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0]


def case_cells(case: Case) -> list[tuple[int, int]]:
    """(layer, direction) of every cell."""
    return [(k, d) for k in range(case.spec.num_layers) for d in range(case.spec.num_directions)]


def cell_words(name: str, case: Case) -> str:
    """The cell of an array such as 1.0.W in words."""
    layer, direction, _ = name.split(".")
    return f"layer {layer}" + ("" if not case.spec.bidirectional else " backward" if direction == "1" else " forward")
