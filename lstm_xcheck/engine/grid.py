"""Grids of cases: every combination of the axes given, made only when needed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from ..arrays import STORAGE
from ..errors import SpecError
from ..model import Case, LSTMSpec
from ..model.initializers import INITIALIZERS


@dataclass(frozen=True)
class Recipe:
    """A case not yet made: small, hashable, and rebuilt bit for bit anywhere."""

    hidden: int = 8
    input: int = 5
    steps: int = 7
    batch: int = 3
    layers: int = 1
    directions: int = 1
    bias: str = "split"
    proj: int = 0
    states: bool = True
    ragged: bool = False
    one_hot: bool = False
    returns: str = "sequence"
    gradients: bool = False
    init: str = "probe"
    dtype: str = "float32"
    seed: int = 0

    @property
    def id(self) -> str:
        """Readable and unique: lower-case words and dashes."""
        words = [f"h{self.hidden}", f"x{self.input}", f"t{self.steps}", f"b{self.batch}"]
        words += [f"l{self.layers}"] if self.layers > 1 else []
        words += ["bi"] if self.directions == 2 else []
        words += [self.bias]
        words += [f"p{self.proj}"] if self.proj else []
        words += [word for word in ("states", "ragged") if getattr(self, word)]
        words += ["onehot"] if self.one_hot else []
        words += ["last"] if self.returns == "last" else []
        words += ["gradients"] if self.gradients else []
        words += [self.init] if self.init != "probe" else []
        return "-".join([*words, self.dtype, f"s{self.seed}"])

    @cached_property
    def spec(self) -> LSTMSpec:
        """The LSTM of this recipe.

        Raises:
            SpecError: when the values describe no LSTM.
        """
        if self.directions not in (1, 2):
            raise SpecError(f"directions is {self.directions}, but should be 1 or 2")
        return LSTMSpec(
            input_size=self.input,
            hidden_size=self.hidden,
            num_layers=self.layers,
            bidirectional=self.directions == 2,
            bias=self.bias,  # type: ignore[arg-type]
            proj_size=self.proj,
        )

    @cached_property
    def impossible(self) -> str:
        """Why the values, each of which may be fine, together describe no LSTM; empty where they do."""
        try:
            self.spec  # noqa: B018 - the property validates
        except SpecError as error:
            return str(error)
        return ""

    def case(self) -> Case:
        """Make the case.

        Raises:
            SpecError: when the values describe no LSTM.
        """
        return Case.random(
            self.spec,
            steps=self.steps,
            batch=self.batch,
            seed=self.seed,
            states=self.states,
            ragged=self.ragged,
            one_hot=self.one_hot,
            init=self.init,
            precision=self.dtype,
            returns=self.returns,  # type: ignore[arg-type]
            id=self.id,
            gradients=self.gradients,
        )


#: A grid of more cases would not end; a larger size is a slip of the keyboard, and would ask for all memory.
MOST_CASES, LARGEST = 1_000_000, 2**31 - 1

_DEFAULTS = asdict(Recipe())
_CHOICES: Mapping[str, Iterable[str]] = {
    "bias": ("split", "single", "none"),
    "returns": ("sequence", "last"),
    "init": tuple(INITIALIZERS),
    "dtype": tuple(STORAGE),
}


def grid(**axes: Any) -> list[Recipe]:
    """Every combination of the axes, each a value or a sequence of values.

    Axes are the fields of `Recipe`: hidden, input, steps, batch, layers, directions, bias, proj, states, ragged,
    one_hot, returns, gradients, init, dtype, seed; `seeds=N` stands for seed=0..N-1.

    Combinations that are no LSTM, such as a projection as wide as the hidden state, stay in: a run skips them and says
    why.

    Raises:
        SpecError: for an unknown axis or value, for a value that no combination can have, and when there is no case.

    >>> [recipe.id for recipe in grid(hidden=[1, 32], steps=5)]
    ['h1-x5-t5-b3-split-states-float32-s0', 'h32-x5-t5-b3-split-states-float32-s0']
    """
    if "seeds" in axes:
        axes["seed"] = range(_whole("seeds", axes.pop("seeds"), minimum=1))
    unknown = sorted(set(axes) - set(_DEFAULTS))
    if unknown:
        raise SpecError(f"unknown axis {unknown[0]!r}; expected one of {', '.join([*_DEFAULTS, 'seeds'])}")
    lists = {name: _as_list(given) for name, given in axes.items()}
    cases = math.prod(len(values) for values in lists.values())
    if cases > MOST_CASES:
        raise SpecError(f"the grid has {cases:,} cases, but should have at most {MOST_CASES:,}; shorten an axis")
    values = [[_checked(name, value) for value in given] for name, given in lists.items()]
    recipes = [Recipe(**dict(zip(axes, combination, strict=True))) for combination in itertools.product(*values)]
    if not recipes:
        raise SpecError("the grid has no case: every axis needs at least one value")
    for name in axes:
        _refuse_useless(name, recipes)
    return recipes


def parse_grid(text: str) -> list[Recipe]:
    """A grid from the command line: `hidden=1,32 steps=1,20 bias=split,none`.

    Raises:
        SpecError: naming the word that cannot be read.
    """
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


def _as_list(given: Any) -> Sequence[Any]:
    if isinstance(given, Sequence) and not isinstance(given, str):
        return given
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]


def _checked(name: str, value: Any) -> Any:
    """A value of an axis in its own type; text from the command line is converted."""
    default = _DEFAULTS[name]
    if isinstance(default, bool):
        named = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if str(value).lower() not in named:
            raise SpecError(f"grid: {name} is {value!r}, but should be yes or no")
        return named[str(value).lower()]
    if isinstance(default, int):
        return _whole(name, value, minimum=0 if name in ("proj", "seed") else 1)
    if value not in _CHOICES[name]:
        raise SpecError(f"grid: {name} is {value!r}, but should be one of {', '.join(_CHOICES[name])}")
    return value


def _whole(name: str, value: Any, *, minimum: int) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = minimum - 1
    if not minimum <= number <= LARGEST or (isinstance(value, float) and value != number):
        raise SpecError(f"grid: {name} is {value!r}, but should be a whole number from {minimum} to {LARGEST}")
    return number


def _refuse_useless(axis: str, recipes: Sequence[Recipe]) -> None:
    """Fail early, before any worker starts, for a value that is in no LSTM."""
    useful = {getattr(recipe, axis) for recipe in recipes if not recipe.impossible}
    for recipe in recipes:
        if getattr(recipe, axis) not in useful:
            raise SpecError(f"grid: case {recipe.id}: {recipe.impossible}")


def asking_gradients(questions: Iterable[Case | Recipe]) -> tuple[Case | Recipe, ...]:
    """The same questions, each with its gradients; those that come to mean the same are asked once."""
    asked: list[Case | Recipe] = [replace(question, gradients=True) for question in questions]
    return tuple(dict.fromkeys(asked))


def unique(recipes: Iterable[Recipe]) -> Iterator[Recipe]:
    """Each recipe once, in the order of its first appearance."""
    return iter(dict.fromkeys(recipes))
