"""The atlas is whole and current: its page, its table of adapters and features, and what a run gives today."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from lstm_xcheck.adapters.entry import Entry
from lstm_xcheck.adapters.table import BUILT_IN
from lstm_xcheck.atlas import Atlas, Cell, draw, plan_of
from lstm_xcheck.atlas.page import newest, page
from lstm_xcheck.engine import run
from lstm_xcheck.events import Outcome
from lstm_xcheck.model.features import FEATURES

from ..conftest import needs
from ..helpers import ROOT, load_file

docs = load_file(ROOT / "docs" / "atlas.py", "docs_atlas")
ATLAS: Atlas = docs.atlas_of(docs.DATA)

#: What compiles for seconds at each shape is run by hand.
QUICK = [entry for entry in BUILT_IN if not entry.compiles]


def changed(before: Atlas, after: Atlas) -> list[tuple[Cell, Cell | None]]:
    """The cells of an atlas that another one has otherwise, by state and cause."""
    others: Mapping[tuple[str, str], Cell] = {cell.key: cell for cell in after.cells}
    pairs = [(cell, others.get(cell.key)) for cell in before.cells]
    return [(cell, now) for cell, now in pairs if now is None or (cell.state, cell.cause) != (now.state, now.cause)]


def test_the_page_is_that_of_the_data() -> None:
    assert docs.PAGE.read_text(encoding="utf-8") == docs.page_of(ATLAS), "the page is stale; run: python docs/atlas.py"
    assert docs.DATA.read_text(encoding="utf-8") == docs.text(docs.in_order(ATLAS))


def test_every_adapter_has_a_cell_for_each_feature() -> None:
    labels = [label for label in ATLAS.adapters if newest(label)]
    names = [*(entry.name for entry in BUILT_IN), *labels]
    assert [cell.key for cell in ATLAS.cells] == [(name, feature.name) for name in names for feature in FEATURES]
    assert set(names) == set(ATLAS.versions)
    assert len(labels) >= 6


def test_no_cell_is_without_a_run_or_a_reason() -> None:
    assert [cell for cell in ATLAS.cells if cell.state in ("refuses", "not run") and not cell.reason] == []
    assert [cell for cell in ATLAS.cells if cell.state == "wrong" and not (cell.effect or cell.cause)] == []
    assert [cell for cell in ATLAS.cells if 'File "' in cell.reason] == []


@pytest.mark.framework
@pytest.mark.slow
@pytest.mark.parametrize("entry", QUICK, ids=lambda entry: entry.name)
def test_a_run_today_gives_the_cells_of_the_file(entry: Entry) -> None:
    """State and cause of each; numbers may differ from one processor to the next."""
    needs(*entry.requires)
    fresh = draw(event for event in run(plan_of([entry])) if isinstance(event, Outcome))
    if fresh.versions[entry.name] != ATLAS.versions[entry.name]:
        pytest.skip(f"other versions: {fresh.versions[entry.name]}")
    assert changed(Atlas(ATLAS.of(entry.name)), fresh) == [], "run again: lstm-xcheck atlas --json; docs/atlas.py"


def test_a_stale_cell_is_found() -> None:
    right, wrong = Cell("a", "lengths", "right"), Cell("a", "lengths", "wrong", "", "lengths ignored", 0.5)
    assert changed(Atlas((right,)), Atlas((wrong,))) == [(right, wrong)]
    assert changed(Atlas((wrong,)), Atlas(())) == [(wrong, None)]
    assert changed(Atlas((wrong,)), Atlas((Cell("a", "lengths", "wrong", "", "lengths ignored", 0.6),))) == []


def test_what_differs_between_versions_is_told() -> None:
    cells = (Cell("torch", "lengths", "right"), Cell("old-torch", "lengths", "wrong", "", "lengths ignored", 0.5))
    told = page(Atlas(cells, {"torch": {"torch": "2"}, "old-torch": {"torch": "1"}}))
    assert "- old-torch (torch 1) and torch (torch 2):\n    - lengths: wrong (lengths ignored); now right" in told
    assert "no cell differs" in page(Atlas((cells[0], Cell("old-torch", "lengths", "right"))))


@pytest.mark.parametrize(("label", "name"), [("tf2.12-keras-tensorflow", "keras-tensorflow"), ("keras-jax", "")])
def test_a_label_names_the_newest(label: str, name: str) -> None:
    assert newest(label) == name


def test_other_runtimes_are_put_in_and_replaced() -> None:
    old, new, other = Cell("a", "lengths", "right"), Cell("a", "lengths", "wrong"), Cell("b", "lengths", "right")
    assert Atlas((old, other)).with_others(Atlas((new,))).cells == (other, new)
