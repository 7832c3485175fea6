"""Whether errors look like those of a lower precision, everywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..arrays import STORAGE, Array, has_nan, round_to
from ..model import Case, LSTMSpec
from ..oracle import Profile, rougher_than
from .reference import outputs_name, references
from .scores import score
from .tiers import SIGMAS

#: Fewer numbers look like anything.
_FEWEST = 8
#: At least this share of all numbers must be off, in a precision that would move them.
_SHARE = 0.8
#: Levels of 8 bits; the smallest gap that is seen may be several of them; what rounding to float32 leaves of a gap.
_LEVELS, _MOST_PARTS, _NEAR = 256, 4, 1e-3
#: The root mean square of errors in standard deviations of the lower precision is at least this.
_RMS = 0.1


def lower_precision(
    observed: Mapping[str, Array], case: Case, profile: Profile, explains: Callable[[Profile], bool]
) -> str:
    """The lower precision that the outputs look like, or empty.

    `explains`: whether the bounds of a precision allow every number. Wide bounds allow whatever narrow ones do, so the
    numbers decide: all of them are numbers of a shorter format, or all are off by what rounded operands would do.
    """
    if eight_bit_step(observed):
        return ""
    lower = [precision for precision in rougher_than(profile.name) if explains(precision)]
    stored = [precision.name for precision in lower if all_fit(observed, precision.name)]
    if stored:
        return stored[-1]
    return next((precision.name for precision in lower if _is_everywhere(observed, case, profile, precision)), "")


def eight_bit_step(observed: Mapping[str, Array]) -> float:
    """The distance of outputs that are scaled integers of 8 bits, or 0.

    A factor that is a power of 2 would leave numbers of a shorter float, too, so that it proves nothing.
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
            if near and steps.sum() < _LEVELS and abs(np.log2(step) - np.round(np.log2(step))) > _NEAR:
                return step
    return 0.0


def all_fit(observed: Mapping[str, Array], precision: str) -> bool:
    """Whether every observed number is exact in that precision."""
    if precision not in STORAGE:
        return False
    with np.errstate(over="ignore"):
        return all(bool((round_to(array, precision) == array).all()) for array in observed.values())


def _is_everywhere(observed: Mapping[str, Array], case: Case, profile: Profile, lower: Profile) -> bool:
    """Whether nearly every number is off as rounded operands would put it."""
    outputs = _usable(observed, case.spec)
    honest, rough = (references(case, outputs, precision) for precision in (profile, lower))
    off, sizes = [], []
    for name, array in observed.items():
        if honest[name].free or honest[name].value.shape != array.shape:
            continue
        error = np.abs(array - honest[name].value)
        moved = rough[name].sigma > 10.0 * SIGMAS * honest[name].sigma
        off.append((error > SIGMAS * honest[name].sigma)[moved])
        sizes.append(score(np.abs(array - rough[name].value), rough[name].sigma)[moved])
    if not off or sum(part.size for part in off) < _FEWEST:
        return False
    share, size = np.mean(np.concatenate(off)), np.sqrt(np.mean(np.concatenate(sizes) ** 2))
    return bool(share >= _SHARE and size >= _RMS)


def _usable(observed: Mapping[str, Array], spec: LSTMSpec) -> dict[int, Array]:
    names = {layer: outputs_name(spec, layer) for layer in range(spec.num_layers)}
    return {layer: observed[name] for layer, name in names.items() if name in observed and not has_nan(observed[name])}
