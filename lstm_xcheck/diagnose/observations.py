"""What outputs show by themselves: other shapes, padding, constant units, NaN."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..arrays import Array
from ..compare.reference import expected_shapes
from ..errors import SpecError
from ..model import Case
from .catalogue import CATALOGUE
from .catalogue.padding import padding_of
from .catalogue.units import constant_units
from .mistake import Outputs, shapes_after


def check_observed(observed: Outputs, case: Case) -> None:
    """Refuse outputs of shapes that no mistake gives, and those without a finite number."""
    expected = expected_shapes(case)
    for name, array in observed.items():
        if array.shape != expected.get(name) and array.shape not in _shapes_by_mistakes(name, case):
            wanted = expected.get(name, "absent")
            raise SpecError(f"{name} has shape {array.shape}, but should be {wanted} for this case")
    if not any(np.isfinite(array).any() for array in observed.values()):
        name, array = next(iter(observed.items()))
        found = f"{array.size} of {array.size} numbers that are not finite"
        raise SpecError(f"{name} holds {found}; nothing can be told from them")


def _shapes_by_mistakes(name: str, case: Case) -> set[tuple[int, ...] | None]:
    """The shapes that mistakes of the catalogue give to a quantity."""
    reshaping = (mistake for mistake in CATALOGUE if mistake.outputs is not None or mistake.reshapes)
    return {(shapes_after((mistake,), case) or {}).get(name) for mistake in reshaping} - {None}


def finite_part(observed: Outputs) -> Outputs:
    """The outputs with NaN for infinity, without quantities that are nothing else."""
    return {
        name: array if np.isfinite(array).all() else np.where(np.isfinite(array), array, np.nan)
        for name, array in observed.items()
        if np.isfinite(array).any()
    }


def describe_not_finite(observed: Outputs) -> str:
    """Which numbers are not finite, and where first; empty where all are."""
    found = []
    for name, array in observed.items():
        bad = ~np.isfinite(array)
        if bad.any():
            first = np.argwhere(np.swapaxes(bad, 0, 1) if name.endswith("y") else bad)[0]
            axes = ("step", "row", "unit") if name.endswith("y") else ("layer and direction", "row", "unit")
            where = ", ".join(f"{axis} {k}" for axis, k in zip(axes[-len(first) :], first, strict=True))
            found.append(f"{name} holds {int(bad.sum())} of {array.size} numbers that are not finite, first at {where}")
    return f"{'; '.join(found)}; all others were compared." if found else ""


def describe_patterns(observed: Outputs, case: Case) -> str:
    """What the outputs show without any oracle, in sentences."""
    return " ".join(_patterns(observed, case))


def _patterns(observed: Outputs, case: Case) -> Iterator[str]:
    padding = padding_of(observed, case)
    if padding is not None:
        yield f"{padding.words}, as at padding: give lengths, or a mask, with x."
    for name, array in observed.items():
        if array.size > 1 and (array == array.flat[0]).all():
            yield f"{name} is {array.flat[0] + 0.0:g} everywhere."
        elif name.endswith("y") and array.shape == expected_shapes(case).get(name):
            yield from _patterns_of_layer(name, array, case)
    yield from _repeated_states(observed, case)


def _patterns_of_layer(name: str, y: Array, case: Case) -> Iterator[str]:
    units = constant_units(y, case)
    if units:
        listed = ", ".join(f"unit {unit} is {value:g}" for unit, value in list(units.items())[:6])
        yield f"In {name} {listed} at every step of every row{', and so on' if len(units) > 6 else ''}."
    elif case.steps > 1 and case.valid.all() and (y == y[:, :1]).all():
        yield f"{name} is the same at every step: the state is never updated."
        h0 = case.h0 if name == "y" else None
        if h0 is not None and np.array_equal(y[:, 0], np.concatenate(list(h0[-case.spec.num_directions :]), axis=-1)):
            yield "It is the initial h."


def _repeated_states(observed: Outputs, case: Case) -> Iterator[str]:
    """Final states that are the initial ones."""
    for final, initial in (("h_n", "h0"), ("c_n", "c0")):
        states, array = getattr(case, initial), observed.get(final)
        if states is not None and array is not None and states.any() and np.array_equal(array, states):
            yield f"{final} is {initial}: the final state was never written, or never updated."
