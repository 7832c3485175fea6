"""Errors that no entry explains are located, never named, and never called nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

from lstm_xcheck.arrays import Array
from lstm_xcheck.compare import judge
from lstm_xcheck.diagnose import diagnose
from lstm_xcheck.diagnose.gradients import candidates, evidence, search
from lstm_xcheck.model import Case, Result

from .cases import case_of
from .plans import PLANS
from .planted import Plan, Tensor, run, with_backward

pytestmark = pytest.mark.framework


def element(array: Array, factor: float) -> Array:
    array.flat[array.size // 2] *= factor
    return array


def row(array: Array, factor: float) -> Array:
    array[0, 0] *= factor
    return array


def noise(array: Array, size: float) -> Array:
    return np.asarray(array * (1 + size * np.random.default_rng(3).normal(size=array.shape)))


#: Name -> (array, change).
CHANGES: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "one-weight-1.01": ("0.0.W", lambda a: element(a, 1.01)),
    "one-weight-1e-4": ("0.0.U", lambda a: element(a, 1.0001)),
    "one-weight-doubled": ("0.0.U", lambda a: element(a, 2.0)),
    "one-bias-negated": ("0.0.b", lambda a: element(a, -1.0)),
    "one-row": ("0.0.W", lambda a: row(a, 1.01)),
    "one-row-doubled": ("0.0.U", lambda a: row(a, 2.0)),
    "noise-1e-3": ("0.0.W", lambda a: noise(a, 1e-3)),
    "noise-in-x": ("x", lambda a: noise(a, 1e-2)),
    "one-step-of-x": ("x", lambda a: np.concatenate([a[:, :1], 1.5 * a[:, 1:2], a[:, 2:]], axis=1)),
    "one-gate": ("0.0.U", lambda a: np.concatenate([a[:1], 1.2 * a[1:2], a[2:]])),
    "constant": ("0.0.b", lambda a: a + 0.1),
    "shuffled": ("0.0.W", lambda a: np.random.default_rng(5).permutation(a.ravel()).reshape(a.shape)),
}


def changed(result: Result, name: str, change: Callable[[Array], Array]) -> Result:
    new = change(np.array(result.gradients[name], np.float64)).astype(np.float32)
    return replace(result, gradients={**result.gradients, name: new})


def assert_located(result: Result, case: Case, *names: str) -> None:
    wrong = [row for row in judge(result, case).rows if row.verdict in ("mismatch", "suspect")]
    assert wrong, "the error does not show on this case"
    found = diagnose(result, case)
    assert found.cause is None, found.cause
    assert found.explanation.startswith("The outputs are right, but the gradients are not")
    assert set(found.location["arrays"]) >= set(names)
    assert all(f"Gradient of {name}: " in found.explanation for name in names)


@pytest.mark.parametrize("shape", ["plain", "two-units"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_foreign_error_is_located(name: str, shape: str) -> None:
    array, change = CHANGES[name]
    case = case_of(shape)
    assert_located(changed(run(case), array, change), case, array)


def test_the_gradients_of_another_case_are_located() -> None:
    case, other = case_of("plain"), case_of("plain", seed=1)
    assert_located(replace(run(case), gradients=run(other).gradients), case, "0.0.W", "x", "c0")


@pytest.mark.parametrize("size", [1e-1, 1e-3, 1e-5])
def test_a_gradient_that_grows_at_every_step_is_located(size: float) -> None:
    def states(t: int, steps: int, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        return h, with_backward(c, c, lambda pull: pull * (1.0 + size))

    for shape in ("eight-units", "stack"):
        case = case_of(shape)
        assert_located(run(case, Plan(states=states)), case)


def test_a_growing_error_is_told() -> None:
    def states(t: int, steps: int, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        return with_backward(h, h, lambda pull: pull * 1.5), with_backward(c, c, lambda pull: pull * 1.5)

    case = case_of("eight-units")
    steps = diagnose(run(case, Plan(states=states)), case).location["steps"]
    assert (steps["first"], steps["grows"]) == (0, "toward the first step")


def test_a_constant_ratio_and_the_place_are_told() -> None:
    case = case_of("plain")
    found = diagnose(changed(run(case), "0.0.W", lambda a: row(a, 1.25)), case)
    assert found.location["arrays"]["0.0.W"]["where"] == "at gate i, unit 0"
    assert abs(found.location["arrays"]["0.0.W"]["ratio"] - 1.25) < 1e-4
    assert "1 of" not in found.explanation
    assert found.location["right"] == [name for name in run(case).gradients if name != "0.0.W"]


def test_the_first_wrong_cell_on_the_way_back_is_told() -> None:
    def z(values: Tensor) -> Tensor:
        return with_backward(values, values, lambda pull: pull * 1.1)

    case = case_of("both")
    found = diagnose(run(case, Plan(z=z, cells=frozenset({(0, 0)}))), case)
    assert found.cause is None
    assert (found.location["layer"], found.location["direction"]) == (0, 0)
    assert "layer 0 forward is the first to be wrong" in found.explanation
    assert all(not name.startswith("1.") for name in found.location["arrays"])


@pytest.mark.parametrize(
    "name", ["detached-h", "truncated-3", "sigmoid-for-tanh-g", "pass-io", "U-by-new-h", "h_n-twice"]
)
def test_without_its_entry_a_mistake_is_located(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    id, plan, _ = PLANS[name]
    case = case_of("plain")
    known = [mistake for mistake in candidates.entries(case) if not mistake.id.startswith(id)]
    monkeypatch.setattr(candidates, "entries", lambda case: known)
    assert_located(run(case, plan), case)


def test_an_error_of_one_number_is_within_reach_alone() -> None:
    case = case_of("one-unit")
    result = changed(run(case), "h0", lambda a: 2.0 * a)
    found = diagnose(result, case)
    assert found.cause is None
    (entry, *_) = found.within_reach
    assert entry["mistakes"] == ["gradient-doubled"]
    assert "one wrong number would explain" in entry["reason"]


def test_without_the_alternative_of_one_number_it_would_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard against chance is needed, and the check above can fail."""
    case = case_of("one-unit")
    monkeypatch.setattr(search, "surprise", lambda *_, **options: 1e9)
    assert diagnose(changed(run(case), "h0", lambda a: 2.0 * a), case).cause is not None


def test_without_the_bound_of_noise_foreign_errors_would_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An explanation that leaves more than honest rounding is none."""
    case = case_of("plain")
    result = changed(changed(run(case), "0.0.b", lambda a: 2.0 * a), "0.0.b", lambda a: element(a, 1.00002))
    assert diagnose(result, case).cause is None
    monkeypatch.setattr(evidence, "_LARGEST", 1e9)
    monkeypatch.setattr(evidence, "_TYPICAL", 1e9)
    monkeypatch.setattr(evidence, "_IMPROVEMENT", 0.0)
    assert diagnose(result, case).mistakes == ("gradient-doubled",)
