"""The reference is whole: tables are current, and every public name, verb and option of pytest is on a page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import lstm_xcheck
from lstm_xcheck.adapters.table import BUILT_IN
from lstm_xcheck.cli.main import VERBS
from lstm_xcheck.layouts import TABLE

from ..helpers import ROOT, load_file

tables = load_file(ROOT / "docs" / "tables.py", "docs_tables")
notebooks = load_file(ROOT / "docs" / "notebooks.py", "docs_notebooks")
built = load_file(ROOT / "docs" / "built_pages.py", "docs_built_pages")

PLUGIN = (ROOT / "lstm_xcheck" / "pytest_plugin.py").read_text(encoding="utf-8")
NAVIGATION = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]


@pytest.mark.parametrize("page", tables.PAGES, ids=lambda page: page.stem)
def test_a_table_is_current(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == tables.PAGES[page](), "the page is stale; run: python docs/tables.py"


def test_every_adapter_and_layout_has_a_row() -> None:
    support, layouts = tables.support_page(), tables.layouts_page()
    assert [entry.name for entry in BUILT_IN if support.count(f"\n| `{entry.name}` |") != 2] == []
    assert [row.name for row in TABLE if f"\n## {row.name}\n" not in layouts] == []


def test_every_verb_has_its_options() -> None:
    page = built.command_line()
    assert re.findall(r"^### (\S+)$", page, re.MULTILINE) == list(VERBS)
    assert page.count("--help` | Show this message and exit. |") == len(VERBS)
    assert "| `--preset NAME` |" in page
    assert '| `preset = "quick"` | `--preset` |' in built.settings()


def test_every_public_name_has_a_directive() -> None:
    page = built.python()
    public = {name for name in dir(lstm_xcheck) if name not in lstm_xcheck._MODULES and not name.startswith("__")}
    assert set(re.findall(r'<a id="lx\.(\w+)">', page)) == public
    assert page.count("::: lstm_xcheck.diagnose.search.diagnose\n") == 1


def test_what_functions_return_is_there() -> None:
    returned = built.python().partition("## What functions return")[2]
    assert {"Verdict", "Diagnosis", "ParameterCount"} <= set(re.findall(r'<a id="(\w+)">', returned))


def test_every_option_and_fixture_of_pytest_is_on_its_page() -> None:
    page = (ROOT / "docs" / "reference" / "pytest.md").read_text(encoding="utf-8")
    names = {*re.findall(r'"(--xcheck-\w+)"', PLUGIN), *re.findall(r'addini\(\s*"(\w+)"', PLUGIN), "xcheck_adapter"}
    assert len(names) >= 5
    assert [name for name in names if name not in page] == []


def test_every_page_is_in_the_navigation_once() -> None:
    docs = ROOT / "docs"
    pages = sorted(path.relative_to(docs).as_posix() for path in docs.rglob("*.md"))
    assert sorted(re.findall(r": ((?!source/)\S+\.md)$", NAVIGATION, re.MULTILINE)) == pages


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ({"output_type": "stream", "text": ["\x1b[31mred\x1b[0m\n"]}, "~~~~~~~~text\nred\n~~~~~~~~"),
        ({"data": {"text/plain": ["7"]}}, "~~~~~~~~text\n7\n~~~~~~~~"),
        ({"data": {"text/plain": ["7"], "text/html": ["<p>\n", "\n", "7</p>"]}}, "<div>\n<p>\n7</p>\n</div>"),
        ({"data": {"text/plain": ["7"], "image/png": "AAAA\n"}}, 'src="data:image/png;base64,AAAA">'),
    ],
    ids=["stream", "text", "html", "picture"],
)
def test_a_notebook_becomes_a_page(output: dict[str, Any], shown: str) -> None:
    cells = [{"cell_type": "markdown", "source": ["# Title"]}]
    cells += [{"cell_type": "code", "source": ["x = 1"], "outputs": [output]}]
    page = notebooks.markdown_of(json.dumps({"cells": cells}))
    assert page.startswith("# Title\n\n~~~~~~~~python\nx = 1\n~~~~~~~~\n\n")
    assert page.endswith(f"{shown}\n")
