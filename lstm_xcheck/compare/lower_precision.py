"""Whether outputs show a lower precision, in every number.

The bounds of a lower precision are wide and allow noise of that size, or a small mistake. So it is spoken of only where

1. every number is one of a shorter float, as noise would be by chance only, and not of a fixed point; or
2. operands of matrix products with fewer bits leave what float32 rounds, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..arrays import Array, has_nan, round_to
from ..model import Case, LSTMSpec
from ..oracle import Profile, rougher_than
from .reference import Reference, outputs_name, references
from .scores import score
from .short_operands import SHORT_OPERANDS, Rounding, with_short_operands
from .tiers import SIGMAS

#: Fewer numbers look like anything.
_FEWEST = 8
#: How unlikely it must be that numbers have so few bits by chance, or are whole multiples of one step: in bits.
_CHANCE = 20.0
#: Of floats that numbers may be stored in: significant bits, how many fewer than of the next, and the least exponent.
_FLOATS = {"float32": (24, 29, -149), "float16": (11, 13, -24), "bfloat16": (8, 16, -133)}
#: Levels of 8 bits; the smallest gap that is seen may be several of them; what rounding to float32 leaves of a gap.
_LEVELS, _MOST_PARTS, _NEAR = 256, 4, 1e-3


def lower_precision(
    observed: Mapping[str, Array], case: Case, profile: Profile, explains: Callable[[Profile], bool]
) -> str:
    """The lower precision that the outputs show, or empty.

    `explains`: whether the bounds of a precision allow every number.
    """
    lower = [precision.name for precision in rougher_than(profile.name) if explains(precision)]
    stored = [name for name in lower if are_stored_in(observed, name)]
    if stored:
        return stored[-1]
    if profile.name != "float32":
        return ""
    short = [(name, rounding) for name, _, rounding in SHORT_OPERANDS if name in lower]
    return next((name for name, rounding in short if _leave_rounding(observed, case, profile, rounding)), "")


def eight_bit_step(observed: Mapping[str, Array]) -> float:
    """The distance of outputs that are scaled integers of 8 bits, or 0.

    A power of 2 would leave numbers of a shorter float, too, and one of 10 those that were printed: they prove nothing.
    """
    found = [np.unique(np.asarray(array, np.float64)) for name, array in observed.items() if name.endswith("y")]
    for values in found:
        gaps = np.diff(values)
        if gaps.size < _FEWEST or not np.all(np.isfinite(values)):
            continue
        for parts in range(1, _MOST_PARTS + 1):
            step = float(gaps.min()) / parts
            steps = gaps / step
            near = np.abs(steps - np.round(steps)).max() < _NEAR
            by_itself = all(abs(log(step) - np.round(log(step))) > _NEAR for log in (np.log2, np.log10))
            if near and steps.sum() < _LEVELS and by_itself:
                return step
    return 0.0


def are_stored_in(observed: Mapping[str, Array], precision: str) -> bool:
    """Whether every observed number is one of that float.

    Chance and numbers of a fixed point are excluded.
    """
    if precision not in _FLOATS or not observed:
        return False
    with np.errstate(over="ignore"):
        if not all(bool((round_to(array, precision) == array).all()) for array in observed.values()):
            return False
    numbers = np.concatenate([np.asarray(array, np.float64).ravel() for array in observed.values()])
    long = numbers[numbers * 256.0 % 1.0 != 0.0]  # 0, 1 and 0.5 have few bits in any format
    bits, fewer, least = _FLOATS[precision]
    mantissa, exponent = np.frexp(long)
    whole = np.ldexp(mantissa, bits).astype(np.int64)
    trailing = np.frexp(whole & -whole)[1] - 1  # how many last bits are 0
    step = int((exponent - bits + trailing).min(initial=0))
    if np.maximum(step - np.maximum(exponent - bits, least), 0).sum() > _CHANCE:
        return False  # small numbers have no finer step than large ones
    return float(long.size * fewer) > _CHANCE


def _usable(observed: Mapping[str, Array], spec: LSTMSpec) -> dict[int, Array]:
    names = {layer: outputs_name(spec, layer) for layer in range(spec.num_layers)}
    return {layer: observed[name] for layer, name in names.items() if name in observed and not has_nan(observed[name])}


def _leave_rounding(observed: Mapping[str, Array], case: Case, profile: Profile, rounding: Rounding) -> bool:
    """Whether float32 explains all that short operands leave.

    It is asked of numbers that it would not explain alone.
    """
    outputs = _usable(observed, case.spec)
    honest = references(case, outputs, profile)
    short = {layer: rounding(array) for layer, array in outputs.items()}
    changed = references(with_short_operands(case, rounding), short, profile)
    if any(changed[name].free or not _fits(array, changed[name]).all() for name, array in observed.items()):
        return False
    return sum(int((~_fits(array, honest[name])).sum()) for name, array in observed.items()) >= _FEWEST


def _fits(array: Array, reference: Reference) -> Array:
    """Where rounding explains an observed number."""
    if array.shape != reference.value.shape:
        return np.zeros(1, bool)
    error = np.abs(array - reference.value)
    return (score(error, reference.bound) <= 1.0) & (score(error, reference.sigma) <= SIGMAS)
