"""The presets cover what the documentation promises."""

from __future__ import annotations

import pytest

from lstm_xcheck.engine import Recipe, preset
from lstm_xcheck.errors import SpecError

STANDARD = preset("standard")


def test_the_standard_preset_has_sixty_cases_or_more() -> None:
    assert len(STANDARD) >= 60


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("layers", {1, 2, 3}),
        ("directions", {1, 2}),
        ("bias", {"split", "single", "none"}),
        ("ragged", {True, False}),
        ("states", {True, False}),
        ("one_hot", {True, False}),
        ("returns", {"sequence", "last"}),
        ("dtype", {"float32", "float64"}),
    ],
)
def test_the_standard_preset_covers_every_value(field: str, values: set[object]) -> None:
    assert {getattr(recipe, field) for recipe in STANDARD} >= values


def test_the_standard_preset_goes_from_one_unit_to_256_and_to_a_hundred_steps() -> None:
    hidden = {recipe.hidden for recipe in STANDARD}
    assert (min(hidden), max(hidden)) == (1, 256)
    steps = {recipe.steps for recipe in STANDARD}
    assert (min(steps), max(steps)) == (1, 100)


@pytest.mark.parametrize("bias", ["split", "single", "none"])
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_layers_directions_and_biases_are_combined(layers: int, directions: int, bias: str) -> None:
    assert any((r.layers, r.directions, r.bias) == (layers, directions, bias) for r in STANDARD)


@pytest.mark.parametrize(
    "shape",
    [
        {"hidden": 1, "input": 1, "steps": 5, "returns": "last"},
        {"hidden": 1, "input": 1, "steps": 5, "returns": "sequence"},
        {"hidden": 1, "input": 1, "steps": 4},
        {"input": 10, "steps": 4, "one_hot": True, "returns": "last"},
        {"input": 10, "steps": 4, "one_hot": True, "returns": "sequence"},
        {"hidden": 32, "input": 2308, "bias": "single"},
        {"hidden": 32, "input": 2308, "bias": "split"},
    ],
    ids=str,
)
def test_the_first_shapes_are_there(shape: dict[str, object]) -> None:
    assert any(all(getattr(recipe, name) == value for name, value in shape.items()) for recipe in STANDARD)


def test_equal_sizes_are_there() -> None:
    """With equal sizes, exchanged axes or a transposed kernel raise no error."""
    assert any(r.hidden == r.input == r.steps == r.batch > 1 for r in STANDARD)


@pytest.mark.parametrize(("smaller", "larger"), [("quick", "standard"), ("standard", "deep")])
def test_presets_grow(smaller: str, larger: str) -> None:
    assert len(preset(smaller)) < len(preset(larger))
    if larger == "deep":
        assert set(preset("standard")) <= set(preset("deep"))


@pytest.mark.parametrize("name", ["quick", "standard", "deep"])
def test_every_recipe_describes_an_lstm(name: str) -> None:
    for recipe in preset(name):
        assert recipe.spec.hidden_size == recipe.hidden
        assert isinstance(recipe, Recipe)


def test_another_name_is_a_spec_error() -> None:
    with pytest.raises(SpecError, match="unknown preset 'thorough'; expected one of quick, standard, deep"):
        preset("thorough")
