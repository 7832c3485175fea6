"""Recipes: the small, hashable descriptions from which cases are made."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from typing import Any

from ..arrays import STORAGE
from ..errors import SpecError
from ..model import Case, LSTMSpec
from ..model.features import FEATURES, feature_named
from ..model.initializers import INITIALIZERS


@dataclass(frozen=True)
class Recipe:
    """A case not yet made; the same bits everywhere.

    `feature` names a row of `model/features.py`, which changes the spec and the data that the other fields describe.
    """

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
    feature: str = ""

    @property
    def id(self) -> str:
        """A readable, unique name of lower-case words and dashes."""
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
        # A feature may have the name of another word.
        taken = self.feature in INITIALIZERS or self.feature.startswith("gradients")
        words += [f"feature-{self.feature}" if taken else self.feature] if self.feature else []
        return "-".join([*words, self.dtype, f"s{self.seed}"])

    @cached_property
    def spec(self) -> LSTMSpec:
        """The LSTM of this recipe."""
        if self.directions not in (1, 2):
            raise SpecError(f"directions is {self.directions}, but should be 1 or 2")
        plain = LSTMSpec(
            input_size=self.input,
            hidden_size=self.hidden,
            num_layers=self.layers,
            bidirectional=self.directions == 2,
            bias=self.bias,  # type: ignore[arg-type]
            proj_size=self.proj,
        )
        return replace(plain, **feature_named(self.feature).spec) if self.feature else plain

    @cached_property
    def impossible(self) -> str:
        """Why this combination of values is no LSTM; "" when it is one."""
        try:
            if self.feature:
                self.case()
            else:
                self.spec  # noqa: B018 - the property validates
        except SpecError as error:
            return str(error)
        return ""

    @classmethod
    def from_id(cls, id: str) -> Recipe | None:
        """The recipe of an id; None for text that is no recipe's id.

        >>> Recipe.from_id("h4-x5-t7-b3-l2-bi-split-states-float32-s1").layers
        2
        """
        found = _id_pattern().fullmatch(id)
        if found is None:
            return None
        words = {name: word for name, word in found.groupdict().items() if word is not None}
        flags = ("states", "ragged", "one_hot", "gradients")
        fields: dict[str, Any] = {name: name in words for name in flags}
        fields["returns"] = "last" if "last" in words else "sequence"
        fields["directions"] = 2 if "bi" in words else 1
        fields |= {name: int(words[name]) for name in _NUMBERS if name in words}
        fields |= {name: words[name] for name in ("bias", "init", "feature", "dtype") if name in words}
        recipe = cls(**fields)
        return recipe if recipe.id == id else None

    def case(self) -> Case:
        """Make the case."""
        return self.case_of(self.spec, self.id)

    def case_of(self, spec: LSTMSpec, id: str = "") -> Case:
        """A case of another spec, with everything else from the recipe."""
        arguments: dict[str, Any] = {
            "steps": self.steps,
            "batch": self.batch,
            "seed": self.seed,
            "states": self.states,
            "ragged": self.ragged,
            "one_hot": self.one_hot,
            "init": self.init,
            "precision": self.dtype,
            "returns": self.returns,
            "gradients": self.gradients,
        }
        if self.feature:
            arguments = feature_named(self.feature).recipe_arguments(arguments)
        return Case.random(spec, **arguments, id=id)

    def fields(self) -> dict[str, Any]:
        """The fields as plain data, without an empty feature, which older versions lack."""
        return {name: value for name, value in asdict(self).items() if name != "feature" or value}


_NUMBERS = ("hidden", "input", "steps", "batch", "layers", "proj", "seed")


@cache
def _id_pattern() -> re.Pattern[str]:
    """The words of `Recipe.id`, in their order."""
    inits, features, dtypes = (
        "|".join(sorted(map(re.escape, names), key=len, reverse=True))
        for names in (INITIALIZERS, (feature.name for feature in FEATURES), STORAGE)
    )
    return re.compile(
        r"h(?P<hidden>\d+)-x(?P<input>\d+)-t(?P<steps>\d+)-b(?P<batch>\d+)(-l(?P<layers>\d+))?(?P<bi>-bi)?"
        r"-(?P<bias>split|single|none)(-p(?P<proj>\d+))?(?P<states>-states)?(?P<ragged>-ragged)?(?P<one_hot>-onehot)?"
        r"(?P<last>-last)?(?P<gradients>-gradients)?"
        rf"(-(?P<init>{inits}))?(-(?:feature-)?(?P<feature>{features}))?-(?P<dtype>{dtypes})-s(?P<seed>\d+)"
    )


CaseOrRecipe = Case | Recipe


def make_case(case: CaseOrRecipe) -> Case:
    """The case itself; a recipe is made into one."""
    return case.case() if isinstance(case, Recipe) else case


def with_gradients(cases: Iterable[CaseOrRecipe]) -> tuple[CaseOrRecipe, ...]:
    """The same cases with gradients asked for; duplicates are dropped."""
    changed: list[CaseOrRecipe] = [replace(case, gradients=True) for case in cases]
    return tuple(dict.fromkeys(changed))
