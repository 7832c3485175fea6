"""Properties of every entry of the catalogue."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from lstm_xcheck.diagnose import CATALOGUE, Mistake
from lstm_xcheck.diagnose.catalogue import mistake_named
from lstm_xcheck.diagnose.mistake import applicable_mistakes, gives_shapes

from .cases import CASES, HONEST, where_it_shows

FAMILIES = {
    "gates", "orientation", "bias", "activation", "state", "direction", "lengths", "axes", "layers", "variant",
    "precision",
}  # fmt: skip
OF_CELLS = [mistake for mistake in CATALOGUE if mistake.cell is not None]
WITH_UNDO = [mistake for mistake in CATALOGUE if mistake.outputs is not None and mistake.undo is not None]


def by_id(mistake: Mistake) -> str:
    return mistake.id


def test_there_are_many_of_every_family() -> None:
    assert len(CATALOGUE) >= 110
    assert {mistake.family for mistake in CATALOGUE} == FAMILIES


def test_ids_are_unique_and_words_with_dashes() -> None:
    ids = [mistake.id for mistake in CATALOGUE]
    assert len(set(ids)) == len(ids)
    assert [id for id in ids if not re.fullmatch(r"[a-z0-9.]+(-[a-z0-9.]+)*", id)] == []
    assert all(mistake_named(id).id == id for id in ids)


def test_titles_are_unique() -> None:
    titles = [mistake.title for mistake in CATALOGUE]
    assert sorted({title for title in titles if titles.count(title) > 1}) == []


@pytest.mark.parametrize("mistake", CATALOGUE, ids=by_id)
def test_each_has_a_title_an_explanation_a_fix_and_a_change(mistake: Mistake) -> None:
    assert mistake.title and not mistake.title.endswith(".")
    for sentence in (mistake.explanation, mistake.fix):
        assert sentence.endswith(".") and len(sentence.split()) > 1
    changes = (mistake.cell, mistake.weights, mistake.case, mistake.outputs)
    assert any(change is not None for change in changes)
    assert mistake.cell is None or mistake.weights is None


@pytest.mark.parametrize("mistake", CATALOGUE, ids=by_id)
def test_each_shows_somewhere(mistake: Mistake) -> None:
    assert where_it_shows(mistake) is not None, f"{mistake.id} makes no difference on any of {', '.join(CASES)}"


@pytest.mark.parametrize("mistake", OF_CELLS, ids=by_id)
def test_a_changed_cell_keeps_names_shapes_types_and_finite_numbers(mistake: Mistake) -> None:
    assert mistake.cell is not None
    changed_somewhere = 0
    for case in CASES.values():
        for _, _, cell in case.weights.cells():
            before = {name: np.array(array) for name, array in cell.items()}
            changed = mistake.cell(cell)
            assert all(np.array_equal(before[name], array) for name, array in cell.items()), "the cell itself changed"
            if changed is None:
                continue
            after = dict(changed.items())
            assert {n: (a.shape, a.dtype) for n, a in after.items()} == {
                n: (a.shape, a.dtype) for n, a in before.items()
            }
            assert all(np.isfinite(array).all() for array in after.values())
            changed_somewhere += any(not np.array_equal(before[name], array) for name, array in after.items())
    assert changed_somewhere


@pytest.mark.parametrize("mistake", [m for m in OF_CELLS if m.permutes is not None], ids=by_id)
def test_a_declared_reordering_is_one(mistake: Mistake) -> None:
    assert mistake.cell is not None and mistake.permutes is not None
    order, names = mistake.permutes
    cell = CASES["plain"].weights.layers[0][0]
    changed = mistake.cell(cell)
    assert changed is not None
    for name, array in cell.items():
        expected = np.asarray(array)[list(order)] if name in names else np.asarray(array)
        assert np.array_equal(getattr(changed, name), expected)


@pytest.mark.parametrize("mistake", WITH_UNDO, ids=by_id)
def test_undo_restores_the_outputs_it_knows(mistake: Mistake) -> None:
    assert mistake.outputs is not None and mistake.undo is not None
    known = 0
    for name, case in CASES.items():
        wrong = mistake.outputs(HONEST[name], case)
        if wrong is None:
            continue
        back = mistake.undo(wrong, case)
        assert back is not None
        for quantity, array in back.items():
            finite = np.isfinite(array)
            assert np.array_equal(array[finite], HONEST[name][quantity][finite]), (case.id, quantity)
            known += int(finite.sum())
    assert known or mistake.id == "nothing-written"


@pytest.mark.parametrize("mistake", [m for m in CATALOGUE if m.outputs is not None and m.undo is None], ids=by_id)
def test_without_undo_valid_outputs_are_unchanged(mistake: Mistake) -> None:
    """The search takes valid observed steps as outputs of cells."""
    assert mistake.outputs is not None
    for name, case in CASES.items():
        wrong = mistake.outputs(HONEST[name], case)
        for quantity in () if wrong is None else [n for n in HONEST[name] if n.endswith("y")]:
            assert wrong is not None
            assert np.array_equal(wrong[quantity][case.valid], HONEST[name][quantity][case.valid])


@pytest.mark.parametrize("mistake", [m for m in CATALOGUE if m.outputs is not None], ids=by_id)
def test_changes_of_outputs_are_linear(mistake: Mistake) -> None:
    """They are also applied to bounds."""
    assert mistake.outputs is not None
    for name, case in CASES.items():
        outputs = HONEST[name]
        one, two = mistake.outputs(outputs, case), mistake.outputs({n: 2.0 * a for n, a in outputs.items()}, case)
        if one is None or two is None:
            assert one is two
            continue
        assert all(np.array_equal(two[n], 2.0 * one[n]) for n in one)


@pytest.mark.parametrize("name", CASES)
def test_applicable_mistakes_give_the_observed_shapes(name: str) -> None:
    case, observed = CASES[name], HONEST[name]
    found = applicable_mistakes(CATALOGUE, observed, case)
    assert len(found) > 100
    for mistake, (changed, outputs) in found:
        assert gives_shapes((mistake,), observed, case)
        assert changed.x.shape == case.x.shape
        assert set(outputs) <= set(observed)


def test_a_mistake_without_a_change_of_its_own_changes_nothing() -> None:
    case = CASES["plain"]
    idle = replace(CATALOGUE[0], cell=None)
    assert idle.change_case(case) is case
    assert idle.change_cell(case.weights, 0, 0) is None
