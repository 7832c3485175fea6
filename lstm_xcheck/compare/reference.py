"""What each observed quantity should be, with its bound, gathered over layers and directions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Array, has_nan
from ..model import Case, Result
from ..oracle import Profile, TeacherForced, teacher_force


@dataclass(frozen=True)
class Reference:
    """The expected value of one quantity.

    Attributes:
        value, bound, sigma: of the quantity's shape.
        free: whether the oracle had to run on its own states, so that the bound may be too wide to prove anything.
        why_free: what was not observed.
    """

    value: Array
    bound: Array
    sigma: Array
    free: bool = False
    why_free: str = ""


def expected_shapes(case: Case) -> dict[str, tuple[int, ...]]:
    """The canonical shape of every quantity."""
    spec = case.spec
    rows, width = spec.num_layers * spec.num_directions, spec.output_size * spec.num_directions
    shapes: dict[str, tuple[int, ...]] = {
        f"layer{k}.y": (case.batch, case.steps, width) for k in range(spec.num_layers - 1)
    }
    return {
        **shapes,
        "y": (case.batch, case.steps, width),
        "h_n": (rows, case.batch, spec.output_size),
        "c_n": (rows, case.batch, spec.hidden_size),
        "last": (case.batch, width),
    }


def observed_quantities(result: Result) -> dict[str, Array]:
    """Everything a result holds, by quantity name."""
    lower = {f"layer{k}.y": array for k, array in enumerate(result.layer_outputs)}
    named = {"y": result.y, "h_n": result.h_n, "c_n": result.c_n, "last": result.last}
    return {**lower, **{name: array for name, array in named.items() if array is not None}}


def references(case: Case, outputs: dict[int, Array], profile: Profile) -> dict[str, Reference]:
    """Drive every layer and direction.

    Args:
        outputs: the observed outputs of each layer, (batch, steps, width), NaN where they were not observed; a layer
            left out runs freely.
    """
    spec = case.spec
    x, dx, hidden = case.x, None, ""
    result: dict[str, Reference] = {}
    finals: list[tuple[TeacherForced, str]] = []
    for layer in range(spec.num_layers):
        seen = outputs.get(layer)
        if seen is None or has_nan(seen):
            hidden = hidden or f"the outputs of layer {layer} were not observed at every step"
        halves = [_drive_half(case, layer, d, x, seen, profile, dx) for d in range(spec.num_directions)]
        finals += [(half, hidden) for half in halves]
        stacked = [_side_by_side([getattr(half, n) for half in halves]) for n in ("y", "y_bound", "y_sigma")]
        top = layer == spec.num_layers - 1
        result["y" if top else f"layer{layer}.y"] = Reference(stacked[0], stacked[1], stacked[2], bool(hidden), hidden)
        if not top:
            x, dx = _as_input(seen, stacked[0], stacked[1])
    result.update(_final_states(finals, spec.num_directions))
    return result


def _side_by_side(parts: list[Array]) -> Array:
    """Both directions' numbers, or those of the only one."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


def _stacked(parts: list[Array]) -> Array:
    """A row for each layer and direction."""
    return parts[0][None] if len(parts) == 1 else np.stack(parts)


def _as_input(seen: Array | None, value: Array, bound: Array) -> tuple[Array, Array | None]:
    """What the next layer reads: the observed outputs, and the oracle's own with their bound where there are none."""
    if seen is None:
        return value, bound
    if not has_nan(seen):
        return seen, None
    unseen = np.isnan(seen)
    return np.where(unseen, value, seen), np.where(unseen, bound, 0.0)


def _drive_half(
    case: Case, layer: int, direction: int, x: Array, seen: Array | None, profile: Profile, dx: Array | None
) -> TeacherForced:
    width = case.spec.output_size
    half = None if seen is None else seen[..., direction * width : (direction + 1) * width]
    return teacher_force(case, layer, direction, x, half, profile, dx)


def _final_states(finals: list[tuple[TeacherForced, str]], directions: int) -> dict[str, Reference]:
    """h_n and c_n of all layers, and the top layer's h side by side as `last`."""
    hidden = next((why for _, why in finals if why), "")
    free = bool(hidden)
    result = {}
    for name, letter in (("h_n", "h"), ("c_n", "c")):
        parts = [_stacked([getattr(d, letter + part) for d, _ in finals]) for part in ("", "_bound", "_sigma")]
        result[name] = Reference(parts[0], parts[1], parts[2], free, hidden)
    top = [d for d, _ in finals[-directions:]]
    parts = [_side_by_side([getattr(d, "h" + part) for d in top]) for part in ("", "_bound", "_sigma")]
    result["last"] = Reference(parts[0], parts[1], parts[2], free, hidden)
    return result
