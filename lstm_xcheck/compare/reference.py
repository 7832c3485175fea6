"""Expected value and error bound of each quantity, over layers and directions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Array, has_nan
from ..model import QUANTITIES, Case, LSTMSpec, Result
from ..oracle import LayerMap, Profile, TeacherForced, merge_halves, teacher_force


@dataclass(frozen=True)
class Reference:
    """The expected value of one quantity.

    `free`: whether the oracle ran on its own states, so that the bound may be too wide to decide; `why_free`: what was
    not observed.
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
    outputs: dict[str, tuple[int, ...]] = {
        outputs_name(spec, layer): (case.batch, case.steps, width) for layer in range(spec.num_layers)
    }
    return {
        **outputs,
        "h_n": (rows, case.batch, spec.output_size),
        "c_n": (rows, case.batch, spec.hidden_size),
        "last": (case.batch, width),
        **({} if case.merge == "concat" else {"merged": (case.batch, case.steps, spec.output_size)}),
    }


def observed_quantities(result: Result) -> dict[str, Array]:
    """The arrays of a result by quantity."""
    lower = {f"layer{k}.y": array for k, array in enumerate(result.layer_outputs)}
    named = {name: getattr(result, name) for name in QUANTITIES}
    return {**lower, **{name: array for name, array in named.items() if array is not None}}


def usable_outputs(result: Result, case: Case) -> dict[int, Array]:
    """The outputs of each layer that are finite and of the right shape."""
    observed, shapes = observed_quantities(result), expected_shapes(case)
    outputs = {}
    for layer in range(case.spec.num_layers):
        name = outputs_name(case.spec, layer)
        array = observed.get(name)
        if array is not None and array.shape == shapes[name] and np.isfinite(array).all():
            outputs[layer] = array
    return outputs


def outputs_name(spec: LSTMSpec, layer: int) -> str:
    """The quantity that a layer's outputs are."""
    return "y" if layer == spec.num_layers - 1 else f"layer{layer}.y"


def references(
    case: Case, outputs: dict[int, Array], profile: Profile, between: LayerMap | None = None
) -> dict[str, Reference]:
    """Run every layer and direction with teacher forcing.

    Args:
        outputs: the observed outputs of each layer, (batch, steps, width), NaN where not observed; a missing layer
            runs on its own outputs.
        between: what a hypothesis does to the outputs of each layer; cells are driven by what was there before.
    """
    spec = case.spec
    x, dx, unobserved = case.x, None, ""
    result: dict[str, Reference] = {}
    finals: list[TeacherForced] = []
    for layer in range(spec.num_layers):
        observed = outputs.get(layer)
        mapped = between if between is not None and between.concerns(case, layer) else None
        driving = observed if observed is None or mapped is None else mapped.undo(observed, case)
        if observed is None or has_nan(observed):
            unobserved = unobserved or f"the outputs of layer {layer} were not observed at every step"
        halves = []
        for direction in range(spec.num_directions):
            columns = slice(direction * spec.output_size, (direction + 1) * spec.output_size)
            half = None if driving is None else driving[..., columns]
            halves.append(teacher_force(case, layer, direction, x, half, profile, dx))
        finals += halves
        y = _reference("y", halves, _joined, unobserved, profile.resolution)
        if mapped is not None:
            value, bound, sigma = (mapped.change(part, case) for part in (y.value, y.bound, y.sigma))
            y = replace(y, value=value, bound=bound, sigma=sigma)
        result[outputs_name(spec, layer)] = y
        if layer < spec.num_layers - 1:
            x, dx = _as_input(observed, y)
            if dx is None and profile.resolution:
                dx = np.full(x.shape, profile.resolution)
    result["h_n"] = _reference("h", finals, _stacked, unobserved, profile.resolution)
    result["c_n"] = _reference("c", finals, _stacked, unobserved, profile.resolution)
    result["last"] = _reference("h", finals[-spec.num_directions :], _joined, unobserved, profile.resolution)
    if case.merge != "concat":
        result["merged"] = _merged(case, result["y"], outputs.get(spec.num_layers - 1), profile)
    return result


def _merged(case: Case, y: Reference, observed: Array | None, profile: Profile) -> Reference:
    """The observed halves merged, within one rounding.

    Halving is exact. An observed y decides alone whether y is right. The standard deviation is the bound, so that no
    statistic objects.
    """
    unobserved = observed is None or has_nan(observed)
    value = merge_halves(y.value if observed is None or unobserved else observed, case.merge)
    bound = np.abs(value) * (profile.u + 2.0**-53) + profile.eta + 2.0 * profile.resolution
    if unobserved:
        return Reference(value, np.full_like(bound, np.inf), bound, True, "y was not observed at every step")
    return Reference(value, bound, bound)


def _reference(
    quantity: str,
    parts: list[TeacherForced],
    combine: Callable[[list[Array]], Array],
    unobserved: str,
    resolution: float,
) -> Reference:
    """One quantity of several directions; `resolution` is that of its digits."""
    value, bound, sigma = (
        combine([getattr(part, quantity + field) for part in parts]) for field in ("", "_bound", "_sigma")
    )
    if resolution:
        bound, sigma = bound + resolution, np.hypot(sigma, resolution / 3.0**0.5)
    return Reference(value, bound, sigma, bool(unobserved), unobserved)


def _joined(parts: list[Array]) -> Array:
    """The directions of one layer in one row."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


def _stacked(parts: list[Array]) -> Array:
    """One row per layer and direction."""
    return parts[0][None] if len(parts) == 1 else np.stack(parts)


def _as_input(observed: Array | None, expected: Reference) -> tuple[Array, Array | None]:
    """Inputs of the next layer, and their error bound where outputs were not observed."""
    if observed is None:
        return expected.value, expected.bound
    if not has_nan(observed):
        return observed, None
    unobserved = np.isnan(observed)
    return np.where(unobserved, expected.value, observed), np.where(unobserved, expected.bound, 0.0)
