"""Cases that share a compilation stay together; shards hold every case once."""

from __future__ import annotations

from collections import Counter

import pytest

from lstm_xcheck.engine import Recipe, grid, preset
from lstm_xcheck.engine.grouping import build_and_compile_key, group_by_compilation, shard_of
from lstm_xcheck.errors import UserError
from lstm_xcheck.runs.resume import cases_of_shard


def seeds(number: int) -> list[Recipe]:
    return grid(seeds=number)


def test_seeds_and_numbers_share_a_compilation() -> None:
    base = Recipe()
    for same in (Recipe(seed=7), Recipe(init="keras"), Recipe(one_hot=True)):
        assert build_and_compile_key(same) == build_and_compile_key(base)


@pytest.mark.parametrize(
    "other",
    [Recipe(hidden=9), Recipe(input=6), Recipe(steps=8), Recipe(batch=4), Recipe(layers=2), Recipe(directions=2),
     Recipe(bias="none"), Recipe(proj=2), Recipe(states=False), Recipe(ragged=True), Recipe(returns="last"),
     Recipe(dtype="float64"), Recipe(gradients=True)],
    ids=lambda recipe: recipe.id,
)  # fmt: skip
def test_what_a_framework_compiles_for_separates_groups(other: Recipe) -> None:
    assert build_and_compile_key(other) != build_and_compile_key(Recipe())
    assert build_and_compile_key(other.case()) != build_and_compile_key(Recipe().case())


def test_cases_are_grouped_as_their_recipes_are() -> None:
    recipes = preset("quick")
    by_recipe = [[recipe.id for recipe in group] for group in group_by_compilation(recipes)]
    by_case = group_by_compilation(recipe.case() for recipe in recipes)
    assert [[case.id for case in group] for group in by_case] == by_recipe


def test_groups_of_one_build_are_neighbours() -> None:
    recipes = [
        Recipe(hidden=hidden, steps=steps, seed=seed) for seed in (0, 1) for steps in (2, 3) for hidden in (1, 2)
    ]
    groups = group_by_compilation(recipes)
    assert [[(recipe.hidden, recipe.steps, recipe.seed) for recipe in group] for group in groups] == [
        [(hidden, steps, seed) for seed in (0, 1)] for hidden in (1, 2) for steps in (2, 3)
    ]


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_every_case_is_in_one_shard_and_shards_are_nearly_equal(shards: int) -> None:
    recipes = preset("standard")
    parts = [shard_of(recipes, number, shards) for number in range(1, shards + 1)]
    assert Counter(case.id for part in parts for case in part) == Counter(recipe.id for recipe in recipes)
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= len(recipes) // (4 * shards) + 1


def test_seeds_of_a_shape_stay_in_one_shard_if_shards_stay_equal() -> None:
    recipes = grid(hidden=list(range(1, 17)), seeds=4)
    part = shard_of(recipes, 1, 2)
    assert set(Counter(recipe.hidden for recipe in part if isinstance(recipe, Recipe)).values()) == {4}


def test_one_group_is_spread_over_all_shards() -> None:
    assert [len(shard_of(seeds(9), number, 9)) for number in range(1, 10)] == [1] * 9


def test_a_shard_without_cases_is_refused() -> None:
    assert cases_of_shard(seeds(3), (3, 3))
    with pytest.raises(UserError, match="--shard 4/4: there are only 3 cases; use at most 3 shards"):
        cases_of_shard(seeds(3), (4, 4))
