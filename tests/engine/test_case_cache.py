"""Cases of several adapters are made once, within a fixed amount of memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from lstm_xcheck.adapters import Entry
from lstm_xcheck.engine import Plan, Recipe, grid, run
from lstm_xcheck.engine import case_cache as module
from lstm_xcheck.engine.case_cache import CaseCache
from lstm_xcheck.model import Case
from lstm_xcheck.report import Report

HERE = str(Path(__file__).parent)
RECIPES = grid(hidden=[2, 3], input=2, steps=3, batch=1, seeds=3)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the recipes that were made, each time."""
    found: list[str] = []
    original = Recipe.case

    def counted(recipe: Recipe) -> Case:
        found.append(recipe.id)
        return original(recipe)

    monkeypatch.setattr(Recipe, "case", counted)
    return found


def test_each_case_is_made_once_and_dropped_after_its_last_use(made: list[str]) -> None:
    cache = CaseCache(3)
    cases = [[cache.case(recipe) for recipe in RECIPES] for _ in range(3)]
    assert made == [recipe.id for recipe in RECIPES]
    assert all(first is other for column in zip(*cases, strict=True) for first in column for other in column)
    assert cases[0][0].fingerprint == RECIPES[0].case().fingerprint
    assert (cache._cases, cache._size) == ({}, 0)


def test_cases_beyond_the_capacity_are_made_again(made: list[str]) -> None:
    capacity = module._byte_count(RECIPES[0].case())
    made.clear()
    cache = CaseCache(2, capacity=capacity)
    for _ in range(2):
        for recipe in RECIPES:
            cache.case(recipe)
        assert cache._size <= capacity
    assert len(made) == 2 * len(RECIPES) - 1


def test_a_sweep_makes_each_case_once(made: list[str]) -> None:
    entries = tuple(Entry(name, f"faulty_adapters:{name}", path=(HERE,)) for name in ("Honest", "Faulty"))
    report = Report.of(run(Plan(tuple(RECIPES), entries, jobs=1)))
    assert report.totals["match"] == 2 * len(RECIPES)
    made_by_the_run = [made.count(recipe.id) for recipe in RECIPES]
    assert made_by_the_run == [1] * len(RECIPES)
