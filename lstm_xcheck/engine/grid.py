"""Grids: every combination of the given axes, as recipes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..arrays import STORAGE
from ..errors import SpecError, unknown
from ..model.features import FEATURES
from ..model.initializers import INITIALIZERS
from .recipe import Recipe

#: The most cases of a grid; more would take days.
MAX_CASES = 1_000_000
#: The largest size, seed or number of an axis.
MAX_INTEGER = 2**31 - 1

_DEFAULTS = asdict(Recipe())
_CHOICES: Mapping[str, Iterable[str]] = {
    "bias": ("split", "single", "none"),
    "returns": ("sequence", "last"),
    "init": tuple(INITIALIZERS),
    "dtype": tuple(STORAGE),
    "feature": ("", *(feature.name for feature in FEATURES)),
}
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def grid(**axes: Any) -> list[Recipe]:
    """Every combination of the axes, each a value or a sequence of values.

    Axes are the fields of `Recipe`: hidden, input, steps, batch, layers, directions, bias, proj, states, ragged,
    one_hot, returns, gradients, init, dtype, seed, feature; `seeds=N` stands for seed=0..N-1.

    Combinations that are no LSTM, such as a projection as wide as the hidden state, are kept; a run skips them and
    reports the reason.

    Raises:
        SpecError: for an unknown axis or value, for a value that no combination can have, and when there is no case.

    >>> [recipe.id for recipe in grid(hidden=[1, 32], steps=5)]
    ['h1-x5-t5-b3-split-states-float32-s0', 'h32-x5-t5-b3-split-states-float32-s0']
    """
    if "seeds" in axes:
        axes["seed"] = range(_integer("seeds", axes.pop("seeds"), minimum=1))
    strangers = sorted(set(axes) - set(_DEFAULTS))
    if strangers:
        raise SpecError(unknown("axis", strangers[0], [*_DEFAULTS, "seeds"]))
    given = {name: _as_sequence(values) for name, values in axes.items()}
    cases = math.prod(len(values) for values in given.values())
    if cases > MAX_CASES:
        raise SpecError(f"the grid has {cases:,} cases, but should have at most {MAX_CASES:,}; shorten an axis")
    converted = [[_convert(name, value) for value in values] for name, values in given.items()]
    recipes = [Recipe(**dict(zip(axes, combination, strict=True))) for combination in itertools.product(*converted)]
    if not recipes:
        raise SpecError("the grid has no case: every axis needs at least one value")
    for name in axes:
        _refuse_unusable_values(name, recipes)
    return recipes


def parse_grid(text: str) -> list[Recipe]:
    """A grid from the command line: `hidden=1,32 steps=1,20 bias=split,none`."""
    if not text.split():
        raise SpecError("grid: the text is empty; write axis=value,value such as hidden=1,32")
    axes: dict[str, Any] = {}
    for word in text.split():
        name, equals, values = word.partition("=")
        if not equals or not values or not name:
            raise SpecError(f"grid: {word!r} should be written axis=value,value such as hidden=1,32")
        if name in axes:
            raise SpecError(f"grid: axis {name} is given twice")
        axes[name] = values if name == "seeds" else values.split(",")
    return grid(**axes)


def _as_sequence(values: Any) -> Sequence[Any]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        return [values]
    return values if isinstance(values, Sequence) else list(values)


def _convert(name: str, value: Any) -> Any:
    """Convert a value to the type of its axis."""
    default = _DEFAULTS[name]
    if isinstance(default, bool):
        if str(value).lower() not in _BOOLEANS:
            raise SpecError(f"grid: {name} is {value!r}, but should be yes or no")
        return _BOOLEANS[str(value).lower()]
    if isinstance(default, int):
        return _integer(name, value, minimum=0 if name in ("proj", "seed") else 1)
    if value not in _CHOICES[name]:
        raise SpecError(f"grid: {name} is {value!r}, but should be one of {', '.join(filter(None, _CHOICES[name]))}")
    return value


def _integer(name: str, value: Any, *, minimum: int) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = minimum - 1
    if not minimum <= number <= MAX_INTEGER or (isinstance(value, float) and value != number):
        raise SpecError(f"grid: {name} is {value!r}, but should be a whole number from {minimum} to {MAX_INTEGER}")
    return number


def _refuse_unusable_values(axis: str, recipes: Sequence[Recipe]) -> None:
    """Fail before any worker starts when a value occurs in no LSTM."""
    usable = {getattr(recipe, axis) for recipe in recipes if not recipe.impossible}
    for recipe in recipes:
        if getattr(recipe, axis) not in usable:
            raise SpecError(f"grid: case {recipe.id}: {recipe.impossible}")
