"""The oracle against numbers from other projects' tests, to 1e-6 or half a unit of the last printed place.

The tables of `known` apply where their file is in the folder; other files follow the rules of `corpus` and `limits`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from lstm_xcheck.arrays import Array
from lstm_xcheck.oracle import forward

from .corpus import UNSET, VARIABLE, Golden, Inexpressible, Quantity, folder, golden_names, load
from .expectations import answers
from .known import INEXPRESSIBLE, KNOWN_BAD, OTHER_ACTIVATIONS, ROUNDED, is_known_corpus, of_present, present
from .limits import STRICT, beyond

pytestmark = pytest.mark.skipif(folder() is None, reason=UNSET)


def test_the_folder_holds_cases() -> None:
    assert golden_names(), f"{VARIABLE}={folder()} holds no golden case; it should be a folder with *.json files"


@pytest.mark.parametrize("name", golden_names())
def test_every_number_agrees(name: str) -> None:
    """What no case can say is skipped with its reason."""
    try:
        golden = load(name)
    except Inexpressible as reason:
        pytest.skip(str(reason))
    compared, reasons = 0, []
    for quantity, computed in answers(golden, forward):
        label = f"{name}/{quantity.label}"
        if isinstance(computed, Inexpressible):
            reasons.append(f"{quantity.label}: {computed}")
            continue
        assert computed.shape == quantity.values.shape, f"{label}: shape {computed.shape}"
        outside = beyond(quantity, computed)
        if outside and golden.erratum and label not in KNOWN_BAD:
            reasons.append(f"{quantity.label}: the file says itself: {golden.erratum}")
            continue
        wrong = {index: (float(computed[index]), float(quantity.values[index])) for index in outside}
        assert outside == KNOWN_BAD.get(label, []), f"{label}: (computed, expected) at {wrong}"
        compared += 1
    if not compared:
        pytest.skip("; ".join(reasons) or "the file expects no number")


def test_inexpressible_cases_are_listed_with_their_reason() -> None:
    found = {}
    for name in golden_names():
        try:
            golden = load(name)
        except Inexpressible as reason:
            found[name] = str(reason)
            continue
        for quantity, answer in answers(golden, forward):
            if isinstance(answer, Inexpressible):
                found[f"{name}/{quantity.label}"] = str(answer)
    listed = {label: INEXPRESSIBLE[label] for label in of_present(INEXPRESSIBLE)}
    unlisted = {label: reason for label, reason in found.items() if label not in listed}
    assert {label: found.get(label) for label in listed} == listed
    assert all(unlisted.values()), "each has a reason"
    if is_known_corpus():
        assert unlisted == {}


@pytest.mark.parametrize("label", of_present(ROUNDED))
def test_rounded_numbers_need_their_exemption(label: str) -> None:
    quantity, computed = _one(label)
    assert quantity.printed.digits == ROUNDED[label]
    assert np.abs(computed - quantity.values).max() > STRICT, f"{label} agrees to {STRICT}; take it out of ROUNDED"


def test_the_oracle_runs_nearly_the_whole_corpus() -> None:
    if not is_known_corpus():
        pytest.skip("the folder is another corpus: it may hold whatever no case can say")
    run = [name for name in golden_names() if any(_computed_of(name))]
    assert len(run) >= 0.95 * len(golden_names())


def test_no_other_number_of_the_known_corpus_needs_one() -> None:
    if not is_known_corpus():
        pytest.skip("the folder is another corpus: printed digits count in every file")
    computed = (found for name in golden_names() for found in _computed_of(name))
    off = {label for label, quantity, array in computed if (np.abs(array - quantity.values) > STRICT).any()}
    assert off == {*ROUNDED, *KNOWN_BAD}


@pytest.mark.parametrize("label", [label for label in of_present(KNOWN_BAD) if present(OTHER_ACTIVATIONS)])
def test_known_bad_numbers_come_from_the_other_activations(label: str) -> None:
    """The wrong number is that of activations tanh, sigmoid, tanh."""
    quantity, _ = _one(label)
    other, _ = _one(f"{OTHER_ACTIVATIONS}/y")
    assert [quantity.values[index] for index in KNOWN_BAD[label]] == [other.values[1, 1, 0, 0]]


def _computed_of(name: str) -> Iterator[tuple[str, Quantity, Array]]:
    try:
        yield from _computed(load(name))
    except Inexpressible:
        return


def _computed(golden: Golden) -> Iterator[tuple[str, Quantity, Array]]:
    for quantity, answer in answers(golden, forward):
        if not isinstance(answer, Inexpressible):
            yield f"{golden.name}/{quantity.label}", quantity, answer


def _one(label: str) -> tuple[Quantity, Array]:
    golden = load(label.partition("/")[0])
    return next((quantity, array) for found, quantity, array in _computed(golden) if found == label)
