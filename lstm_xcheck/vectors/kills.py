"""Which planted mistakes a case shows for certain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ..compare.reference import observed_quantities, references
from ..diagnose import CATALOGUE
from ..diagnose.detection_power import stored_in
from ..diagnose.mistake import Mistake, Outputs, between_layers, changed_case, changed_outputs, in_cells, run_mistakes
from ..model import Case, LSTMSpec
from ..oracle import forward, profile_named
from .expected import OUTPUTS, Expected

#: Errors of fewer bounds are looked at again, with what the mistaken implementation itself rounds.
_NEAR = 64.0


def mutants_of(spec: LSTMSpec) -> dict[str, Mistake]:
    """Every mistake in all cells, then in each alone, such as `gates-iofg in 1.0`."""
    found = {mistake.id: mistake for mistake in CATALOGUE}
    places = [(layer, direction) for layer in range(spec.num_layers) for direction in range(spec.num_directions)]
    if len(places) > 1:
        of_cells = [mistake for mistake in CATALOGUE if mistake.cell is not None]
        for place in places:
            found |= {f"{m.id} in {place[0]}.{place[1]}": in_cells(m, [place]) for m in of_cells}
    return found


def killed(
    case: Case, expected: Mapping[str, Expected], mutants: Mapping[str, Mistake], keys: Iterable[str]
) -> set[str]:
    """Those of the mutants that leave the allowed error somewhere, whatever they round."""
    return {key for key in keys if is_killed(case, expected, mutants[key])}


def is_killed(case: Case, expected: Mapping[str, Expected], mistake: Mistake) -> bool:
    """Whether this mistake, planted, is wrong for certain."""
    outputs = run_mistakes([mistake], case)
    if outputs is None:
        return False
    if _leaves(outputs, expected, {name: _NEAR * expected[name].bound for name in OUTPUTS}):
        return True
    bounds = {name: expected[name].bound for name in OUTPUTS}
    return _leaves(outputs, expected, bounds) and _leaves_when_rounded(case, expected, mistake)


def _leaves(outputs: Outputs, expected: Mapping[str, Expected], own: Outputs) -> bool:
    """Whether an output is further off than allowed and its own rounding explain.

    Numbers are compared in their order, since a program returns memory without a shape and without an end.
    """
    for name in OUTPUTS:
        found, right = outputs[name].ravel(), expected[name]
        count = min(found.size, right.value.size)
        limit = right.allowed.ravel()[:count].astype(np.float64) + np.abs(own[name]).ravel()[:count]
        if not (np.abs(found[:count] - right.value.ravel()[:count]) <= limit).all():
            return True
    return False


def _leaves_when_rounded(case: Case, expected: Mapping[str, Expected], mistake: Mistake) -> bool:
    """The same with what the mistaken run itself rounds."""
    changed, profile, between = changed_case([mistake], case), profile_named(case.precision), between_layers([mistake])
    assert changed is not None, "it has outputs"
    with np.errstate(over="ignore", invalid="ignore"):
        for faulty in (changed, stored_in(changed, profile)):
            seen = changed_outputs([mistake], observed_quantities(forward(faulty, between=between)), case)
            own = {name: found.bound for name, found in references(faulty, {}, profile, between).items()}
            bounds = changed_outputs([mistake], own, case)
            if seen is None or bounds is None or not _leaves(seen, expected, bounds):
                return False
    return True
