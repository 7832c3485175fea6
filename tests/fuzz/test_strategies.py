"""The strategies draw valid cases of every regime, shrink, and obey a seed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

import lstm_xcheck as lx
from lstm_xcheck.engine import Recipe
from lstm_xcheck.model.initializers import INITIALIZERS

CALM = settings(max_examples=60, database=None, deadline=None, suppress_health_check=list(HealthCheck))


def drawn(strategy: st.SearchStrategy[Recipe], number: int, seed: int = 0) -> list[Recipe]:
    """The first recipes that this seed draws."""
    found: list[Recipe] = []

    def collect(recipe: Recipe) -> bool:
        found.append(recipe)
        return False

    with pytest.raises(Exception, match="collect"):
        find(strategy, collect, settings=settings(CALM, max_examples=number, derandomize=False), random=Random(seed))
    return found


def test_the_strategies_are_a_public_module() -> None:
    assert lx.strategies.lstm_cases is sys.modules["lstm_xcheck.strategies"].lstm_cases
    assert "strategies" in dir(lx)


@CALM
@given(lx.strategies.lstm_cases(max_hidden=5, max_steps=4, max_input=3, max_batch=2, max_layers=2))
def test_sizes_stay_within_what_was_asked_for(case: lx.Case) -> None:
    spec = case.spec
    assert (spec.hidden_size <= 5, spec.input_size <= 3, spec.num_layers <= 2) == (True, True, True)
    assert (case.steps <= 4, case.batch <= 2) == (True, True)
    assert np.isfinite(case.x).all()


@CALM
@given(lx.strategies.lstm_cases(layers=2, bias=["none", "single"], dtype="float64", states=True))
def test_axes_are_kept_to(case: lx.Case) -> None:
    assert case.spec.num_layers == 2
    assert case.spec.bias in ("none", "single")
    assert case.precision == "float64"
    assert case.h0 is not None


@CALM
@given(lx.strategies.lstm_specs(plain=False), st.data())
def test_unusual_specs_make_cases(spec: lx.LSTMSpec, data: st.DataObject) -> None:
    case = data.draw(lx.strategies.lstm_cases(st.just(spec), max_steps=3, max_batch=2))
    assert case.spec == spec


@CALM
@given(lx.strategies.lstm_weights(lx.LSTMSpec(input_size=2, hidden_size=3), inits=["chaotic"], dtypes=["float64"]))
def test_weights_of_one_spec(weights: lx.LSTMWeights) -> None:
    assert weights.spec == lx.LSTMSpec(input_size=2, hidden_size=3)
    assert weights.dtype == "float64"


@CALM
@given(st.integers(1, 5), st.integers(1, 5), st.data())
def test_lengths_fit_their_batch_and_steps(batch: int, steps: int, data: st.DataObject) -> None:
    lengths = data.draw(lx.strategies.lengths(batch, steps))
    assert lengths.shape == (batch,)
    assert 1 <= lengths.min() <= lengths.max() <= steps


#: A value of every axis that is neither its default nor the only one drawn without it.
AXES = {
    "hidden": 5, "input": 6, "steps": 4, "batch": 2, "layers": 2, "directions": 2, "bias": "single", "proj": 3,
    "states": False, "ragged": True, "one_hot": True, "returns": "last", "gradients": True, "init": "tiny",
    "dtype": "float64", "seed": 11, "feature": "length-0",
}  # fmt: skip


@pytest.mark.parametrize("axis", [field.name for field in fields(Recipe)])
def test_every_axis_of_a_grid_is_obeyed(axis: str) -> None:
    sizes = {"hidden": 5} if axis == "proj" else {}
    recipes = drawn(lx.strategies.lstm_recipes(**{**sizes, axis: AXES[axis]}), 20)
    assert {getattr(recipe, axis) for recipe in recipes} == {AXES[axis]}


@CALM
@given(lx.strategies.lstm_cases(st.just(lx.LSTMSpec(2, 3)), max_steps=3, gradients=True))
def test_cases_of_given_specs_ask_for_gradients(case: lx.Case) -> None:
    assert case.gradients


def test_every_regime_and_option_is_drawn() -> None:
    recipes = drawn(lx.strategies.lstm_recipes(), 400)
    assert {recipe.init for recipe in recipes} == set(INITIALIZERS)
    assert {recipe.bias for recipe in recipes} == {"none", "single", "split"}
    for name in ("states", "ragged", "one_hot"):
        assert {getattr(recipe, name) for recipe in recipes} == {True, False}
    assert {recipe.directions for recipe in recipes} == {1, 2}
    assert {recipe.feature for recipe in recipes} >= {"", "h0-only", "c0-only", "rows-alone", "twice", "after-another"}
    assert any(recipe.proj for recipe in recipes)


def test_the_seed_decides() -> None:
    first, again, other = (drawn(lx.strategies.lstm_recipes(), 30, seed) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_examples_shrink_to_small_and_plain_ones() -> None:
    small = find(lx.strategies.lstm_recipes(), lambda recipe: recipe.layers >= 2 and recipe.ragged, settings=CALM)
    plain = Recipe(hidden=1, input=1, steps=1, batch=1, bias="none", states=False)
    assert small == Recipe(**{**vars(plain), "layers": 2, "ragged": True})


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"widht": 3}, "unknown axis 'widht'"),
        ({"bias": "double"}, "bias is 'double'"),
        ({"max_steps": 0}, "max_steps is 0, but should be a positive whole number"),
        ({"layers": []}, "no case"),
    ],
    ids=["axis", "value", "size", "empty"],
)
def test_wrong_axes_are_refused(axes: dict[str, object], message: str) -> None:
    with pytest.raises(lx.SpecError, match=message):
        lx.strategies.lstm_cases(**axes)  # type: ignore[arg-type]


def test_a_missing_hypothesis_is_one_sentence() -> None:
    code = "import sys; sys.modules['hypothesis'] = None\nfrom lstm_xcheck.cli.main import main\nmain(['fuzz'])"
    root = Path(str(lx.__file__)).parents[1]
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=False)
    assert run.returncode == 2
    assert run.stderr == (
        "Error: lstm_xcheck.strategies needs hypothesis, which is missing; run: pip install 'lstm-xcheck[fuzz]'\n"
    )
