"""Grids have every combination once; recipes give the same bits everywhere."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.engine import Recipe, grid, parse_grid, preset
from lstm_xcheck.errors import SpecError


def test_a_grid_has_every_combination_once_in_order() -> None:
    recipes = grid(hidden=[1, 32], bias=["split", "none"], steps=3)
    assert [(recipe.hidden, recipe.bias, recipe.steps) for recipe in recipes] == [
        (1, "split", 3), (1, "none", 3), (32, "split", 3), (32, "none", 3),
    ]  # fmt: skip


def test_text_and_arguments_give_the_same_grid() -> None:
    text = "hidden=1,32 input=1,5 steps=1,20 layers=1,2 directions=1,2 bias=split,single,none dtype=float32"
    assert parse_grid(text) == grid(
        hidden=[1, 32], input=[1, 5], steps=[1, 20], layers=[1, 2], directions=[1, 2],
        bias=["split", "single", "none"], dtype="float32",
    )  # fmt: skip
    assert len(parse_grid(text)) == 96


def test_words_for_yes_and_no() -> None:
    assert [recipe.ragged for recipe in parse_grid("ragged=yes,No,TRUE,0")] == [True, False, True, False]


def test_seeds_is_a_number_of_seeds() -> None:
    assert [recipe.seed for recipe in grid(seeds=3)] == [0, 1, 2]
    assert [recipe.seed for recipe in parse_grid("seeds=3")] == [0, 1, 2]
    assert [recipe.seed for recipe in parse_grid("seed=7,3")] == [7, 3]


@pytest.mark.parametrize(
    "given", [2, [2], (2,), range(2, 3), {2}, np.int64(2), np.array([2]), 2.0, (value for value in [2])],
    ids=["integer", "list", "tuple", "range", "set", "numpy", "array", "float", "generator"],
)  # fmt: skip
def test_an_axis_may_be_given_in_any_form(given: Any) -> None:
    (recipe,) = grid(hidden=given)
    assert recipe == Recipe(hidden=2)
    assert type(recipe.hidden) is int


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "grid: the text is empty; write axis=value,value such as hidden=1,32"),
        ("hidden", "grid: 'hidden' should be written axis=value,value such as hidden=1,32"),
        ("hidden=", "grid: 'hidden=' should be written axis=value,value such as hidden=1,32"),
        ("=1", "grid: '=1' should be written axis=value,value such as hidden=1,32"),
        ("hidden = 4", "grid: 'hidden' should be written"),
        ("hidden=0", "grid: hidden is '0', but should be a whole number from 1"),
        ("hidden=-3", "grid: hidden is '-3', but should be a whole number from 1"),
        ("hidden=1.5", "grid: hidden is '1.5', but should be a whole number from 1"),
        ("hidden=1,,2", "grid: hidden is '', but should be a whole number from 1"),
        ("hidden=99999999999", "grid: hidden is '99999999999', but should be a whole number from 1 to 2147483647"),
        ("hidden=1 hidden=2", "grid: axis hidden is given twice"),
        ("widgets=1", "unknown axis 'widgets'; expected one of hidden, input, steps"),
        ("bias=both", "grid: bias is 'both', but should be one of split, single, none"),
        ("dtype=int8", "grid: dtype is 'int8', but should be one of float64, float32, float16, bfloat16"),
        ("init=best", "grid: init is 'best', but should be one of probe, keras, torch"),
        ("states=maybe", "grid: states is 'maybe', but should be yes or no"),
        ("directions=3", "directions is 3, but should be 1 or 2"),
        ("proj=4 hidden=4", "proj_size is 4, but should be smaller than hidden_size=4"),
        ("seeds=0", "grid: seeds is '0', but should be a whole number from 1"),
        ("seeds=1000001", "the grid has 1,000,001 cases, but should have at most 1,000,000"),
        ("seeds=1001 hidden=" + ",".join(["1"] * 1000), "the grid has 1,001,000 cases"),
    ],
)
def test_a_wrong_grid_is_reported_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_grid(text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "axes",
    [{"hidden": []}, {"hidden": None}, {"hidden": 1.5}, {"hidden": float("inf")}, {"hidden": float("nan")},
     {"bias": None}, {"bias": [["split"]]}, {"ragged": "perhaps"}, {"seeds": "many"}, {"colour": 1}],
    ids=str,
)  # fmt: skip
def test_a_wrong_axis_is_a_spec_error(axes: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        grid(**axes)


@pytest.mark.parametrize(
    "field",
    ["hidden", "input", "steps", "batch", "layers", "directions", "bias", "proj", "states", "ragged", "one_hot",
     "returns", "gradients", "init", "dtype", "seed", "feature"],
)  # fmt: skip
def test_every_field_changes_the_id(field: str) -> None:
    assert sorted(known.name for known in fields(Recipe)) == sorted(asdict(Recipe()))
    other = {
        "hidden": 9, "input": 6, "steps": 8, "batch": 4, "layers": 2, "directions": 2, "bias": "none", "proj": 3,
        "states": False, "ragged": True, "one_hot": True, "returns": "last", "init": "keras", "dtype": "float64",
        "seed": 1, "gradients": True, "feature": "h0-only",
    }  # fmt: skip
    assert sorted(other) == sorted(asdict(Recipe()))
    assert replace(Recipe(), **{field: other[field]}).id != Recipe().id  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["quick", "standard", "deep"])
def test_ids_are_unique_and_can_be_searched_for(name: str) -> None:
    ids = [recipe.id for recipe in preset(name)]
    assert len(set(ids)) == len(ids)
    assert all(set(case_id) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for case_id in ids)


@pytest.mark.parametrize("recipe", preset("standard")[::5], ids=lambda recipe: recipe.id)
def test_a_recipe_is_rebuilt_bit_for_bit(recipe: Recipe) -> None:
    again = Recipe(**json.loads(json.dumps(asdict(recipe))))
    assert again == recipe
    assert pickle.loads(pickle.dumps(recipe)) == recipe  # noqa: S301
    first, second = recipe.case(), again.case()
    assert first.fingerprint == second.fingerprint
    assert (first.id, first.precision, first.returns) == (recipe.id, recipe.dtype, recipe.returns)
    assert replace(recipe, gradients=True).case().gradients
    assert not first.gradients


def test_the_case_is_what_the_recipe_says() -> None:
    recipe = Recipe(
        hidden=5, input=3, steps=6, batch=4, layers=2, directions=2, bias="single", proj=2, ragged=True, dtype="float64"
    )
    case, spec = recipe.case(), recipe.spec
    assert (spec.hidden_size, spec.input_size, spec.num_layers, spec.bidirectional) == (5, 3, 2, True)
    assert (spec.bias, spec.proj_size, case.steps, case.batch, case.precision) == ("single", 2, 6, 4, "float64")
    assert case.lengths is not None
    assert case.h0 is not None
    assert replace(recipe, states=False).case().h0 is None
    hot = replace(recipe, one_hot=True).case().x
    assert ((hot == 0.0) | (hot == 1.0)).all()
    assert (hot.sum(axis=-1) == 1.0).all()
