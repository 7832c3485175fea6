"""Impossible outputs are refused in one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lstm_xcheck.diagnose import diagnose
from lstm_xcheck.errors import SpecError, UserError
from lstm_xcheck.model import Result
from lstm_xcheck.oracle import forward

from .cases import CASES

CASE = CASES["plain"]
RIGHT = forward(CASE)
Y = np.asarray(RIGHT.y)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"y": Y[:, :-1]}, r"y has shape \(3, 5, 7\), but should be \(3, 6, 7\) for this case"),
        ({"y": Y[..., :3]}, r"y has shape \(3, 6, 3\), but should be \(3, 6, 7\)"),
        ({"y": Y[0]}, r"y has shape \(6, 7\), but should be"),
        ({"y": np.zeros((0, 6, 7))}, r"y has shape \(0, 6, 7\), but should be"),
        ({"h_n": np.zeros((2, 3, 7))}, r"h_n has shape \(2, 3, 7\), but should be \(1, 3, 7\)"),
        (
            {"y": np.full_like(Y, np.nan)},
            "y holds 126 of 126 numbers that are not finite; nothing can be told from them",
        ),
        ({"c_n": np.full((1, 3, 7), np.inf)}, "c_n holds 21 of 21 numbers that are not finite"),
        ({"y": Y, "layer_outputs": (Y,)}, r"layer0.y has shape \(3, 6, 7\), but should be absent for this case"),
    ],
    ids=["steps", "width", "rank", "empty", "rows", "all-nan", "infinity", "layer"],
)
def test_it_is_refused_in_one_sentence(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence) as refusal:
        diagnose(Result(**wrong), CASE)
    assert isinstance(refusal.value, UserError)
    assert "\n" not in str(refusal.value)


def test_nothing_at_all_is_refused() -> None:
    with pytest.raises(SpecError, match="holds none of y, h_n, c_n, last"):
        Result()


def test_merged_width_is_refused_for_a_single_direction() -> None:
    case = CASES["coupled"]
    half = np.asarray(forward(case).y)[..., :3]
    with pytest.raises(SpecError, match="y has shape"):
        diagnose(Result(y=half), case)


def test_outputs_of_another_case_are_unexplained_and_not_guessed() -> None:
    other = forward(CASES["peepholes"])
    found = diagnose(Result(y=other.y), CASE, pairs=False)
    assert found.cause is None
