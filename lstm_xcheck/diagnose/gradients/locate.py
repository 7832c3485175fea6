"""Where wrong gradients are: arrays, cells, gates, units and steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...arrays import Array
from ...compare.gradients import LIMIT_RMS
from .discrepancy import GradientDiscrepancy
from .fitted import block_words, case_cells, cell_words, on_grid

#: Ratios that agree to this many digits are one ratio.
_CONSTANT = 1e-4


def locate(discrepancy: GradientDiscrepancy) -> dict[str, Any]:
    """The wrong arrays, and the first cell, step and place where they are wrong."""
    wrong = {name: _array(name, discrepancy) for name in discrepancy.wrong}
    cell = _highest_cell(discrepancy)
    steps = _steps_of_x(discrepancy)
    return {
        "arrays": wrong,
        "right": [name for name in discrepancy.observed if name not in wrong],
        **({"layer": cell[0], "direction": cell[1]} if cell is not None else {}),
        **({"steps": steps} if steps else {}),
    }


def _array(name: str, discrepancy: GradientDiscrepancy) -> dict[str, Any]:
    """Which elements of an array are wrong, and how."""
    errors = np.abs(discrepancy.errors[name])
    outside = errors > LIMIT_RMS
    found: dict[str, Any] = {
        "outside": int(outside.sum()),
        "of": int(outside.size),
        "score": float(errors.max()) / LIMIT_RMS,
        "where": block_words(name, outside, discrepancy.case),
        "relative": _relative(name, discrepancy),
    }
    ratio = _ratio(name, outside, discrepancy)
    return found if ratio is None else {**found, "ratio": ratio}


def _relative(name: str, discrepancy: GradientDiscrepancy) -> float:
    value = discrepancy.honest.value[name]
    largest = float(np.abs(value).max())
    error = float(np.abs(discrepancy.observed[name] - value).max())
    return error / largest if largest else float("inf")


def _ratio(name: str, outside: Array, discrepancy: GradientDiscrepancy) -> float | None:
    """Observed / expected of the wrong elements, where it is one number."""
    value, observed = discrepancy.honest.value[name][outside], discrepancy.observed[name][outside]
    if not value.size or (value == 0.0).any():
        return None
    ratios = observed / value
    middle = float(np.median(ratios))
    unit = np.abs(discrepancy.errors[name][outside])
    noise = np.where(unit > 0.0, np.abs(observed - value) / np.maximum(unit, 1e-300), 0.0) / np.abs(value)
    allowed = np.maximum(_CONSTANT * abs(middle), LIMIT_RMS * noise)
    return middle if bool((np.abs(ratios - middle) <= allowed).all()) else None


def _highest_cell(discrepancy: GradientDiscrepancy) -> tuple[int, int] | None:
    """The first wrong cell on the way back: no cell above it is wrong."""
    directions = discrepancy.case.spec.num_directions
    for layer, direction in reversed(case_cells(discrepancy.case)):
        if any(name.startswith(f"{layer}.{direction}.") for name in discrepancy.wrong):
            return layer, direction
        for name in ("h0", "c0"):
            if name in discrepancy.wrong:
                row = np.abs(discrepancy.errors[name])[layer * directions + direction]
                if (row > LIMIT_RMS).any():
                    return layer, direction
    return None


def _steps_of_x(discrepancy: GradientDiscrepancy) -> dict[str, Any]:
    """The wrong steps of x's gradient, and whether its error grows toward either end."""
    if "x" not in discrepancy.wrong:
        return {}
    wrong = (np.abs(discrepancy.errors["x"]) > LIMIT_RMS).any(axis=(0, 2))
    value = discrepancy.honest.value["x"]
    error = np.abs(discrepancy.observed["x"] - value).max(axis=(0, 2))
    size = np.maximum(np.abs(value).max(axis=(0, 2)), np.finfo(float).tiny)
    relative = error / size
    steps = [int(k) for k in np.flatnonzero(wrong)]
    return {"first": steps[0], "last": steps[-1], "number": len(steps), "grows": _trend(relative[wrong])}


def _trend(errors: Array) -> str:
    """Toward which end errors grow at least tenfold."""
    if len(errors) < 3:
        return ""
    third = max(1, len(errors) // 3)
    early, late = (float(np.median(part)) for part in (errors[:third], errors[-third:]))
    if early > 10.0 * late:
        return "toward the first step"
    return "toward the last step" if late > 10.0 * early else ""


def describe(location: dict[str, Any], discrepancy: GradientDiscrepancy) -> str:
    """The location in sentences."""
    case = discrepancy.case
    sentences = ["The outputs are right, but the gradients are not, and no mistake is proven to explain them."]
    sentences += [_array_words(name, found) for name, found in list(location["arrays"].items())[:8]]
    if len(location["arrays"]) > 8:
        sentences.append(f"Wrong as well: {', '.join(list(location['arrays'])[8:])}.")
    if location["right"]:
        sentences.append(f"Right: {', '.join(location['right'])}.")
    if "layer" in location and len(case_cells(case)) > 1:
        where = cell_words(f"{location['layer']}.{location['direction']}.", case)
        sentences.append(f"On the way back, {where} is the first to be wrong.")
    if "steps" in location:
        sentences.append(_step_words(location["steps"], case.steps))
    for precision in ("bfloat16", "float16"):
        if all(on_grid(discrepancy.observed[name], precision) for name in discrepancy.wrong):
            sentences.append(f"Every wrong number is one of {precision}, but off by more than its rounding.")
            break
    return " ".join(sentences)


def _array_words(name: str, found: dict[str, Any]) -> str:
    text = f"Gradient of {name}: {found['outside']} of {found['of']} numbers wrong"
    if found["outside"] < found["of"]:
        text += f", {found['where']}"
    if "ratio" in found:
        return f"{text}; all are {found['ratio']:.6g} times what they should be."
    return f"{text}; off by up to {found['relative']:.2g} of the largest."


def _step_words(steps: dict[str, Any], total: int) -> str:
    text = f"In x, {steps['number']} of {total} steps are wrong, from step {steps['first']} to step {steps['last']}"
    return text + (f"; relative to the right numbers, the error grows {steps['grows']}." if steps["grows"] else ".")
