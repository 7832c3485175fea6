"""Every planted gradient mistake is named, on cases of all kinds."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import numpy as np
import pytest

pytest.importorskip("torch")

from lstm_xcheck.compare import judge
from lstm_xcheck.diagnose import Diagnosis, diagnose

from .cases import SHAPES, applies, case_of
from .plans import PLANS
from .planted import run

pytestmark = pytest.mark.framework


def chosen() -> list[tuple[str, str]]:
    """Each plan on one of the shapes that it applies to, in turn."""
    turn, pairs = count(), []
    for name, (_, _, need) in PLANS.items():
        possible = [shape for shape in SHAPES if applies(need, case_of(shape))]
        pairs.append((name, possible[next(turn) % len(possible)]))
    return pairs


def is_named(found: Diagnosis, id: str) -> bool:
    """Whether the cause is this entry, or gives the same numbers here; an id may be the beginning of another."""
    named = [found.mistakes, *(tuple(o["mistakes"]) for o in found.alternatives if o["same_on_this_case"])]
    return any(len(ids) == 1 and (ids[0] == id or (id[-1] == "-" and ids[0].startswith(id))) for ids in named)


@pytest.mark.parametrize(("name", "shape"), chosen())
def test_a_planted_mistake_is_named(name: str, shape: str) -> None:
    id, plan, _ = PLANS[name]
    case = case_of(shape)
    result = run(case, plan)
    wrong = [row for row in judge(result, case).rows if row.verdict in ("mismatch", "suspect")]
    assert wrong, "the mistake does not show on this case"
    assert all(row.quantity.startswith("grad:") for row in wrong)
    found = diagnose(result, case)
    assert is_named(found, id), (found.cause, found.mistakes, found.within_reach, found.explanation)
    assert found.evidence["residual_before"] > 1.0 >= found.evidence["residual_after"]
    assert found.fix
    assert set(found.location["arrays"]) <= set(result.gradients)


@pytest.mark.parametrize("name", ["detached-h", "truncated-3", "sigmoid-for-tanh-g", "pass-io", "U-by-new-h"])
@pytest.mark.parametrize("cells", [{(1, 0)}, {(0, 1)}, {(1, 0), (1, 1)}], ids=["upper", "lower-backward", "layer-1"])
def test_a_mistake_in_some_cells_alone_is_named_with_them(name: str, cells: set[tuple[int, int]]) -> None:
    id, plan, _ = PLANS[name]
    case = case_of("both")
    found = diagnose(run(case, replace(plan, cells=frozenset(cells))), case)
    assert found.mistakes == (id,), found.explanation
    words = [f"layer {layer} {'backward' if direction else 'forward'}" for layer, direction in sorted(cells)]
    assert found.cause is not None
    assert found.cause.endswith(f"in {', '.join(words)} alone")


def test_mistakes_of_different_arrays_are_named_together() -> None:
    case = case_of("plain")
    result = run(case)
    gradients = {**result.gradients, "0.0.b": 2 * result.gradients["0.0.b"], "h0": 0 * result.gradients["h0"]}
    found = diagnose(replace(result, gradients=gradients), case)
    assert set(found.mistakes) == {"gradient-doubled", "gradient-of-h0-lost"}


@pytest.mark.parametrize(
    "name", ["detached-h", "truncated-2", "sigmoid-for-tanh-g", "pass-io", "gates-figo", "h_n-twice"]
)
def test_a_mistake_and_a_mean_for_a_sum_are_named_together(name: str) -> None:
    id, plan, _ = PLANS[name]
    case = case_of("plain")
    result = run(case, plan)
    mean = {name: array / np.float32(case.batch) for name, array in result.gradients.items()}
    found = diagnose(replace(result, gradients=mean), case)
    assert found.mistakes == (id, "gradient-mean-over-batch"), found.explanation


def test_a_fitted_number_has_a_standard_error() -> None:
    id, plan, _ = PLANS["W-scaled"]
    case = case_of("plain")
    found = diagnose(run(case, plan), case)
    assert found.mistakes == (id,)
    assert abs(found.parameters["factor"] - 1.37) < 10 * found.parameters["factor_error"] < 1e-5


def test_the_window_of_a_truncation_is_told() -> None:
    case = case_of("eight-units")
    found = diagnose(run(case, PLANS["truncated-3"][1]), case)
    assert found.parameters == {"window": 3.0, "first_cut": 0.0}
