"""Hypothesis strategies for property tests of LSTMs.

    @given(lx.strategies.lstm_cases(layers=1, directions=1, bias="split"))
    def test_my_kernel(case):
        assert lx.verify([case], adapters={"mine": my_kernel}).ok

Every example is drawn as a `Recipe`: sizes, options and a seed that fixes the numbers, bit for bit on every machine.
So an example shrinks to one unit, one step, one layer and plain options, and one printed line rebuilds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np

from .arrays import Array
from .engine import Recipe, grid
from .errors import SpecError, UserError
from .model import Case, LSTMSpec, LSTMWeights
from .model.features import feature_named
from .model.initializers import INITIALIZERS
from .model.spec import Bias, Coupling

try:
    from hypothesis import strategies as st
    from hypothesis.strategies import DrawFn, SearchStrategy
except ModuleNotFoundError as error:
    raise UserError(
        "lstm_xcheck.strategies needs hypothesis, which is missing; run: pip install 'lstm-xcheck[fuzz]'"
    ) from error

__all__ = ["lengths", "lstm_cases", "lstm_recipes", "lstm_specs", "lstm_weights", "seeds"]

#: Values of an axis that is not given; examples shrink to the first.
_CHOICES: Mapping[str, Sequence[Any]] = {
    "directions": (1, 2),
    "bias": ("none", "single", "split"),
    "states": (False, True),
    "ragged": (False, True),
    "one_hot": (False, True),
    "returns": ("sequence", "last"),
    "gradients": (False,),
    "init": tuple(INITIALIZERS),
    "dtype": ("float32",),
    "feature": (*[""] * 5, "h0-only", "c0-only", "rows-alone", "twice", "after-another"),  # of every spec and function
}
_SIGMOIDS = ("sigmoid", "hard_sigmoid:0.2,0.5", f"hard_sigmoid:{1 / 6!r},0.5")
_TANHS = ("tanh", "relu", "linear")


def seeds() -> SearchStrategy[int]:
    """Seeds of weights and data; they shrink to 0."""
    return st.integers(0, 2**16)


def lengths(batch: int, steps: int) -> SearchStrategy[Array]:
    """Valid steps of each row, shape (batch,), each from 1 to `steps`."""
    rows = st.lists(st.integers(1, steps), min_size=batch, max_size=batch)
    return rows.map(lambda row: np.array(row, dtype=np.int64))


def lstm_specs(
    *, max_hidden: int = 8, max_input: int = 8, max_layers: int = 3, plain: bool = True
) -> SearchStrategy[LSTMSpec]:
    """Specs of the textbook LSTM.

    Args:
        max_hidden, max_input, max_layers: the largest sizes.
        plain: False for peepholes, clips, coupling, activations and reverse, too.
    """
    sizes = lstm_recipes(max_hidden=max_hidden, max_input=max_input, max_layers=max_layers, steps=1, batch=1)
    specs = sizes.map(lambda recipe: recipe.spec)
    return specs if plain else specs.flatmap(_unusual)


def lstm_weights(
    specs: LSTMSpec | SearchStrategy[LSTMSpec] | None = None,
    *,
    inits: Sequence[str] = tuple(INITIALIZERS),
    dtypes: Sequence[str] = ("float32",),
) -> SearchStrategy[LSTMWeights]:
    """Canonical weights of every regime, such as tiny, saturated or chaotic.

    Args:
        specs: one spec, or a strategy of specs; by default `lstm_specs()`.
        inits: regimes, of `lstm_xcheck.model.initializers.INITIALIZERS`.
        dtypes: precisions of the numbers.
    """
    chosen = st.just(specs) if isinstance(specs, LSTMSpec) else lstm_specs() if specs is None else specs
    return st.builds(
        LSTMWeights.random, chosen, seed=seeds(), init=st.sampled_from(list(inits)), dtype=st.sampled_from(list(dtypes))
    )


def lstm_cases(
    specs: SearchStrategy[LSTMSpec] | None = None,
    *,
    max_hidden: int = 8,
    max_input: int = 8,
    max_steps: int = 8,
    max_batch: int = 4,
    max_layers: int = 3,
    **axes: Any,
) -> SearchStrategy[Case]:
    """Cases: weights, inputs, initial states and lengths.

    Args:
        specs: of the LSTMs; by default those of `lstm_recipes`.
        max_hidden, max_input, max_steps, max_batch, max_layers: the largest sizes.
        **axes: a value or the values to draw from, for any axis of `lx.grid`, such as `bias="split"`, `layers=[1, 2]`,
            `init=["keras", "chaotic"]` or `dtype="float64"`.

    Raises:
        SpecError: for an unknown axis or value.
    """
    sizes = {"max_hidden": max_hidden, "max_input": max_input, "max_layers": max_layers}
    recipes = lstm_recipes(max_steps=max_steps, max_batch=max_batch, **sizes, **axes)
    if specs is None:
        return recipes.map(Recipe.case)
    return st.builds(Recipe.case_of, recipes, specs)


@st.composite
def _recipes(draw: DrawFn, most: Mapping[str, int], axes: Mapping[str, Sequence[Any]]) -> Recipe:
    """Draws sizes first, so that layers and steps shrink before numbers."""
    values: dict[str, Any] = {}
    for name in ("layers", "directions", "hidden", "steps", "batch", "input"):
        values[name] = _draw_axis(draw, name, most, axes)
    if "proj" in axes:
        values["proj"] = draw(st.sampled_from([p for p in axes["proj"] if p < values["hidden"]] or [0]))
    else:
        projected = values["hidden"] > 1 and draw(st.booleans())
        values["proj"] = draw(st.integers(1, values["hidden"] - 1)) if projected else 0
    free = [name for name in _CHOICES["feature"] if not name or not set(feature_named(name).data) & set(axes)]
    values["feature"] = draw(st.sampled_from(axes.get("feature", free)))
    for name in ("bias", "states", "ragged", "one_hot", "returns", "gradients", "init", "dtype"):
        values[name] = _draw_axis(draw, name, most, axes)
    recipe = Recipe(**values, seed=draw(st.sampled_from(axes["seed"]) if "seed" in axes else seeds()))
    return replace(recipe, feature="") if recipe.feature and recipe.impossible else recipe


def _draw_axis(draw: DrawFn, name: str, most: Mapping[str, int], axes: Mapping[str, Sequence[Any]]) -> Any:
    if name in most and name not in axes:
        return draw(st.integers(1, most[name]))
    return draw(st.sampled_from(axes.get(name, _CHOICES.get(name, ()))))


def lstm_recipes(
    *,
    max_hidden: int = 8,
    max_input: int = 8,
    max_steps: int = 8,
    max_batch: int = 4,
    max_layers: int = 3,
    **axes: Any,
) -> SearchStrategy[Recipe]:
    """The recipes of `lstm_cases`: small, hashable, and printed as code.

    Raises:
        SpecError: for an unknown axis or value.
    """
    most = {"hidden": max_hidden, "input": max_input, "steps": max_steps, "batch": max_batch, "layers": max_layers}
    for name, size in most.items():
        if not isinstance(size, int) or size < 1:
            raise SpecError(f"max_{name} is {size!r}, but should be a positive whole number")
    return _recipes(most, _checked(axes))


def _checked(axes: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The values of each axis, as a grid of that axis alone has them."""
    checked = {}
    for name, given in axes.items():
        key = "seed" if name == "seeds" else name
        roomy = {"hidden": 2**31 - 1} if name == "proj" else {}
        checked[key] = [getattr(recipe, key, None) for recipe in grid(**{name: given}, **roomy)]
    return checked


def _unusual(spec: LSTMSpec) -> SearchStrategy[LSTMSpec]:
    """The same sizes with options that change the function."""
    clips = st.none() | st.sampled_from([0.5, 1.0, 3.0])
    return st.builds(
        LSTMSpec,
        input_size=st.just(spec.input_size),
        hidden_size=st.just(spec.hidden_size),
        num_layers=st.just(spec.num_layers),
        bidirectional=st.just(spec.bidirectional),
        bias=st.sampled_from(get_args(Bias)),
        proj_size=st.just(spec.proj_size),
        peepholes=st.booleans(),
        reverse=st.just(False) if spec.bidirectional else st.booleans(),
        gate_activation=st.sampled_from(_SIGMOIDS),
        cell_activation=st.sampled_from(_TANHS),
        output_activation=st.sampled_from(_TANHS),
        gate_clip=clips,
        cell_clip=clips,
        proj_clip=clips if spec.proj_size else st.none(),
        coupling=st.none() | st.sampled_from(get_args(Coupling)),
    )
