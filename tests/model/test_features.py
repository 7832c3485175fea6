"""The table of features: rows that differ, and cases that need what they name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from lstm_xcheck.compare import judge
from lstm_xcheck.compare.judge import judged_quantities
from lstm_xcheck.engine import Recipe, grid
from lstm_xcheck.errors import SpecError
from lstm_xcheck.model import Case
from lstm_xcheck.model.features import FEATURES, Feature, feature_named
from lstm_xcheck.oracle import forward


def test_rows_have_names_of_their_own_and_lie_in_groups() -> None:
    assert len(FEATURES) >= 40
    names = [feature.name for feature in FEATURES]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9.-]+", name) for name in names)
    assert all(feature.meaning and "\n" not in feature.meaning for feature in FEATURES)
    groups = [feature.group for feature in FEATURES]
    assert sum(a != b for a, b in pairwise(groups)) == len(set(groups)) - 1


def test_no_two_rows_ask_the_same() -> None:
    asked: dict[str, str] = {}
    for feature in FEATURES:
        case = feature.case()
        key = f"{case.fingerprint} {case.spec} {case.precision} {case.returns} {case.gradients} {case.options}"
        assert asked.setdefault(key, feature.name) in (feature.name, "one-layer", "given-states", "split-bias")


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_the_oracle_answers_every_row(feature: Feature) -> None:
    case = feature.case()
    rows, _ = judged_quantities(replace(forward(case), computed_in="float64"), case)
    assert {row.verdict for row in rows} == {"match"}


#: Name -> what its case must have, or the row would test something else.
NEEDED: dict[str, Callable[[Case], bool]] = {
    "h0-only": lambda case: case.h0 is not None and case.c0 is None,
    "c0-only": lambda case: case.h0 is None and case.c0 is not None,
    "length-0": lambda case: case.lengths is not None and case.lengths.min() == 0 and case.lengths.max() == case.steps,
    "left-mask": lambda case: not case.valid[:, 0].all() and bool(case.valid[:, -1].all()),
    "interior-mask": lambda case: bool(case.valid[:, [0, -1]].all()) and not case.valid.all(),
    "empty-row": lambda case: case.mask is not None and not case.mask.any(axis=1).all(),
    "halves-of-lengths": lambda case: case.lengths is not None and case.lengths.min() <= case.steps // 2,
    "many-rows-and-steps": lambda case: case.batch * case.steps > 65_536,
    "gate-clip": lambda case: forward(case).y is not None and _differs(case, gate_clip=None),
    "cell-clip": lambda case: _differs(case, cell_clip=None),
    "projection-clip": lambda case: _differs(case, proj_clip=None),
    "linear-candidate": lambda case: bool(np.isfinite(forward(case).y).all()),
}


def _differs(case: Case, **spec: object) -> bool:
    """Whether the outputs show the option."""
    other = Case(
        weights=replace(case.weights, spec=replace(case.spec, **spec)),  # type: ignore[arg-type]
        x=case.x, h0=case.h0, c0=case.c0,
    )  # fmt: skip
    return judge(forward(other), case).verdict == "mismatch"


@pytest.mark.parametrize("name", NEEDED)
def test_a_case_needs_its_feature(name: str) -> None:
    assert NEEDED[name](feature_named(name).case())


def test_a_recipe_has_a_feature_by_name() -> None:
    recipe = Recipe(hidden=3, ragged=True, feature="left-mask")
    case = recipe.case()
    assert recipe.id == "h3-x5-t7-b3-split-states-ragged-left-mask-float32-s0"
    assert (case.lengths, case.mask is None) == (None, False)
    assert "feature" not in Recipe().fields()
    assert Recipe(**recipe.fields()) == recipe
    assert [made.impossible for made in grid(feature=["", "merge-sum"], directions=1)] == ["", ""]
    assert "only a forward LSTM" in Recipe(directions=2, feature="single-steps").impossible
    with pytest.raises(SpecError, match="feature is 'none such', but should be one of"):
        grid(feature="none such")
    with pytest.raises(SpecError, match="unknown feature 'none such'"):
        feature_named("none such")
