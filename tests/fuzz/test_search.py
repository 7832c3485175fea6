"""The search finds planted mistakes within 120 cases, shrinks and names them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lstm_xcheck.adapters import Entry
from lstm_xcheck.adapters.registry import function_entry
from lstm_xcheck.engine import Recipe
from lstm_xcheck.errors import AdapterError
from lstm_xcheck.fuzz import Budget, Finding, Search, explain
from lstm_xcheck.fuzz.explain import probes_of
from lstm_xcheck.strategies import lstm_recipes

FOLDER = str(Path(__file__).parent)
#: Seconds are no limit here: the number of cases decides.
CASES = Budget(seconds=3600.0, examples=120)


def own(function: str) -> Entry:
    return function_entry("mine", f"kernels:{function}", FOLDER)


def searched(function: str, seed: int = 0, **options: Any) -> tuple[Search, Finding | None]:
    search = Search([own(function)], lstm_recipes(), CASES, seed, **options)
    return search, search.run()


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("function", "smallest", "mistake"),
    [
        ("wrong_gates", {}, "gates-igof"),
        ("h0_ignored", {"states": True}, "h0-ignored"),
        ("halves_exchanged", {"directions": 2}, "halves-exchanged"),
        ("lengths_ignored", {"steps": 2, "batch": 2, "ragged": True}, "lengths-ignored"),
    ],
)
def test_a_planted_mistake_is_found_made_small_and_named(
    function: str, smallest: dict[str, Any], mistake: str, seed: int
) -> None:
    _, finding = searched(function, seed)
    assert finding is not None
    assert finding.examples <= CASES.examples
    plain = {"hidden": 1, "input": 1, "steps": 1, "batch": 1, "bias": "none", "states": False}
    found = finding.recipe
    assert found == Recipe(**{**plain, **smallest, "seed": found.seed, "init": found.init})
    assert finding.repeatable
    assert finding.outcome.verdict == "mismatch"
    diagnosis = explain(finding, own(function))
    assert diagnosis is not None
    assert diagnosis.mistakes == (mistake,)
    assert diagnosis.alternatives == ()


def test_a_mistake_without_a_name_is_made_as_small_as_it_can_be() -> None:
    search, finding = searched("wrong_in_second_layer")
    assert finding is not None
    small = finding.recipe
    assert (small.layers, small.steps, small.hidden, small.batch, small.directions) == (2, 5, 1, 1, 1)
    assert finding.shrinks == len(search.asked) - finding.examples
    diagnosis = explain(finding, own("wrong_in_second_layer"))
    assert diagnosis is not None
    assert diagnosis.cause is None


@pytest.mark.parametrize("function", ["right", "only_outputs", "choosy"])
def test_an_honest_implementation_passes(function: str) -> None:
    search, finding = searched(function)
    assert finding is None
    assert len(search.asked) == CASES.examples
    assert search.compared["mine"] >= CASES.examples // 4


def test_the_same_seed_asks_the_same_cases() -> None:
    first, again, other = (list(searched("right", seed)[0].asked) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_what_explains_the_smallest_case_alone_is_not_named() -> None:
    _, finding = searched("zero_if_small")
    assert finding is not None
    assert finding.recipe.hidden == 1
    diagnosis = explain(finding, own("zero_if_small"))
    assert diagnosis is not None
    assert diagnosis.cause is None
    start = "The smallest case looks like nothing written at all, but a larger one does not."
    assert diagnosis.explanation.startswith(start)


def test_zeros_everywhere_are_named() -> None:
    _, finding = searched("always_zero")
    assert finding is not None
    diagnosis = explain(finding, own("always_zero"))
    assert diagnosis is not None
    assert diagnosis.cause == "nothing written at all"


def test_a_crash_is_a_finding_and_stays_one() -> None:
    _, finding = searched("raising")
    assert finding is not None
    assert finding.outcome.verdict == "crashed"
    assert finding.recipe.steps == 3
    assert "three steps are too many" in finding.outcome.rows[0].reason
    assert explain(finding, own("raising")) is None


def test_what_a_fresh_process_does_not_repeat_is_reported() -> None:
    _, finding = searched("forgetful")
    assert finding is not None
    assert not finding.repeatable
    assert finding.outcome.verdict == "mismatch"


def test_an_exhausted_space_ends_the_search() -> None:
    strategy = lstm_recipes(
        layers=1, hidden=2, input=1, steps=[1, 2], batch=1, directions=1, bias="split", proj=0, states=True,
        ragged=False, one_hot=False, returns="sequence", init="probe", seed=0, feature="",
    )  # fmt: skip
    search = Search([own("right")], strategy, Budget(3600.0))
    assert search.run() is None
    assert len(search.asked) == 2


def test_time_ends_the_search() -> None:
    search = Search([own("right")], lstm_recipes(), Budget(seconds=0.5))
    assert search.run() is None
    assert len(search.asked) >= 1


def test_an_adapter_that_cannot_be_loaded_is_an_error() -> None:
    with pytest.raises(AdapterError, match=r"adapter mine: cannot be loaded: module kernels \(.*\) has no 'nothing'"):
        searched("nothing")


def test_nothing_is_left_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert searched("wrong_gates")[1] is not None
    assert list(tmp_path.iterdir()) == []


def test_a_probe_is_of_the_same_kind_and_large_enough() -> None:
    small = Recipe(hidden=1, input=1, steps=1, batch=1, layers=2, directions=2, bias="none", ragged=True, init="tiny")
    first, second = probes_of(small)
    assert (first.bias, second.bias) == ("split", "none")
    for recipe in (first, second):
        assert (recipe.layers, recipe.directions, recipe.ragged, recipe.init) == (2, 2, True, "probe")
        assert min(recipe.hidden, recipe.input, recipe.steps, recipe.batch) >= 3
