"""Options of a case: which exclude each other, how they are drawn, and that names of other cases stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lstm_xcheck.engine import Recipe
from lstm_xcheck.errors import SpecError
from lstm_xcheck.model import Case, LSTMSpec
from lstm_xcheck.runs.identity import case_key

PLAIN = LSTMSpec(3, 4)
BOTH = LSTMSpec(3, 4, bidirectional=True)

REFUSED: dict[str, tuple[LSTMSpec, dict[str, Any], str]] = {
    "unknown": (PLAIN, {"padding": "kept"}, "padding is 'kept', but should be 'zero' or 'held'"),
    "merge": (PLAIN, {"merge": "sum"}, "merge is 'sum', but only a bidirectional LSTM has two halves to merge"),
    "rows": (PLAIN, {"call": "unbatched"}, "call is 'unbatched', so batch should be 1, without lengths and mask"),
    "padded": (PLAIN, {"call": "unbatched", "batch": 1, "ragged": True}, "call is 'unbatched', so batch should be 1"),
    "both": (BOTH, {"chunks": "halves"}, "chunks is 'halves', but only a forward LSTM of one direction can carry"),
    "reverse": (LSTMSpec(3, 4, reverse=True), {"chunks": "steps"}, "chunks is 'steps', but only a forward LSTM"),
    "held": (PLAIN, {"chunks": "steps", "padding": "held"}, "chunks is 'steps', so padding should be 'zero'"),
    "one step": (PLAIN, {"chunks": "halves", "steps": 1}, "chunks is 'halves', but there is a single step"),
    "gradients": (PLAIN, {"chunks": "rows", "gradients": True}, "gradients are of one call with zeros at padding, not"),
    "held gradients": (PLAIN, {"padding": "held", "gradients": True}, "gradients are of one call"),
    "states": (PLAIN, {"states": "h"}, "states is 'h', but should be True, False, 'h0' or 'c0'"),
    "mask": (PLAIN, {"mask": "right"}, "mask is 'right', but should be 'left', 'interior' or 'empty'"),
    "interior": (PLAIN, {"mask": "interior", "steps": 2}, "mask is 'interior', but 2 steps have no interior"),
}


@pytest.mark.parametrize(("spec", "options", "sentence"), REFUSED.values(), ids=REFUSED)
def test_impossible_options_are_refused(spec: LSTMSpec, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError) as refusal:
        Case.random(spec, **options)
    assert str(refusal.value).startswith(sentence)


def test_names_and_keys_of_cases_without_options_stay() -> None:
    case = Case.random(LSTMSpec(3, 4, num_layers=2), ragged=True, seed=3)
    assert case.id == "h4-x3-t7-b3-l2-split-states-ragged-float32-baa9f2b5"
    assert case.options == {}
    assert case_key(case) == "2f3323eb1e8771545f178531f7419657"
    assert case_key(Recipe(hidden=3)) == "5b8d007dde9296b94a742e0cfba5f8d1"


def test_options_are_in_the_name_and_in_the_key() -> None:
    plain = Case.random(BOTH, id="same")
    others = [
        Case.random(BOTH, id="same", **option)  # type: ignore[arg-type]
        for option in ({"padding": "held"}, {"merge": "ave"}, {"call": "time-major"}, {"chunks": "twice"})
    ]
    assert len({case_key(case) for case in (plain, *others)}) == 5
    assert "-ave-twice-" in Case.random(BOTH, merge="ave", chunks="twice").id


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("steps", [3, 4, 9])
def test_masks_are_what_they_are_called(batch: int, steps: int) -> None:
    for seed in range(5):
        left, interior, empty = (
            Case.random(PLAIN, batch=batch, steps=steps, seed=seed, mask=kind).valid
            for kind in ("left", "interior", "empty")  # type: ignore[arg-type]
        )
        assert (np.diff(left.astype(int), axis=1) >= 0).all() and left[:, -1].all()
        assert interior[:, [0, -1]].all() and not interior[0].all()
        assert not empty[0].any() and empty[1:].any(axis=1).all()
        assert Case.random(PLAIN, batch=batch, steps=steps, seed=seed, ragged="zero").lengths[0] == 0  # type: ignore[index]
