"""The page of other suites is what its figures say."""

from __future__ import annotations

import json

from ..helpers import ROOT, load_file

SCRIPT = load_file(ROOT / "docs" / "other_suites.py")


def test_the_page_is_written_from_its_figures() -> None:
    figures = json.loads(SCRIPT.DATA.read_text(encoding="utf-8"))
    assert SCRIPT.PAGE.read_text(encoding="utf-8") == SCRIPT.page(figures)
    assert len(figures) >= 5


def test_every_survivor_of_the_page_has_a_reason() -> None:
    for name, found in json.loads(SCRIPT.DATA.read_text(encoding="utf-8")).items():
        assert sum(found["reasons"].values()) == found["survived"], name
        assert sum(row["caught"] for row in found["families"].values()) == found["caught"], name
        assert sum(row["of"] for row in found["families"].values()) == found["caught"] + found["survived"], name
