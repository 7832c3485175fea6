"""The site: a strict build, every public name and verb on a page, and nothing that a browser would fetch elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

import lstm_xcheck
from lstm_xcheck.cli.main import VERBS

from ..helpers import ROOT

pytestmark = pytest.mark.framework("mkdocs", "material", "mkdocstrings", "latex2mathml")

#: Attributes that make a browser fetch something, by element; links of text are none.
FETCHED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}


class Fetches(HTMLParser):
    """Addresses with a scheme that a page fetches, and the ids in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elsewhere: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids.add(values.get("id") or "")
        address = values.get(FETCHED.get(tag, "")) or ""
        if re.match(r"(?:\w+:)?//", address):
            self.elsewhere.append(address)


def build(folder: Path, config: Path = ROOT / "mkdocs.yml") -> subprocess.CompletedProcess[str]:
    """Never with -q, which hides warnings from --strict too."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def pages(site: Path) -> Iterator[tuple[str, Fetches]]:
    for path in sorted(site.rglob("*.html")):
        yield path.relative_to(site).as_posix(), Fetches(path.read_text(encoding="utf-8"))


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    assert {name: page.elsewhere for name, page in pages(site) if page.elsewhere} == {}
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert [address for style in styles for address in re.findall(r"url\(\"?(https?:[^)]*)", style)] == []


def test_a_fetch_is_found() -> None:
    assert Fetches('<script src="https://example.org/a.js"></script><a href="https://example.org">').elsewhere != []
    assert Fetches('<img src="//example.org/a.png"><a href="https://example.org">').elsewhere == ["//example.org/a.png"]


def test_every_public_name_and_verb_is_on_a_page(site: Path) -> None:
    python = Fetches((site / "reference" / "python.html").read_text(encoding="utf-8"))
    public = {name: getattr(lstm_xcheck, name) for name in lstm_xcheck.__all__ if not name.startswith("__")}
    defined = {f"{value.__module__}.{value.__qualname__}" for value in public.values()}
    assert ({f"lx.{name}" for name in public} | defined | {"lstm_xcheck.strategies.lstm_cases"}) - python.ids == set()
    command_line = Fetches((site / "reference" / "command_line.html").read_text(encoding="utf-8"))
    assert set(VERBS) - command_line.ids == set()


def test_formulas_are_drawn_without_a_script(site: Path) -> None:
    text = (site / "explanation" / "the_bound.html").read_text(encoding="utf-8")
    assert text.count("<math") > 30
    assert "\\(" not in text and "\\[" not in text


def test_a_file_that_a_page_links_to_is_shown(site: Path) -> None:
    page = site / "source" / "examples" / "custom_lstm.py.html"
    assert "mistaken" in page.read_text(encoding="utf-8")
    tutorial = (site / "tutorial" / "find_a_mistake.html").read_text(encoding="utf-8")
    assert 'href="../source/examples/custom_lstm.py.html"' in tutorial


@pytest.mark.parametrize(
    ("text", "fault"),
    [("[gone](gone.md)", "gone.md"), ("[part](#no-such-part)", "no-such-part"), ("[key](../setup.cfg)", "setup.cfg")],
    ids=["page", "anchor", "file"],
)
def test_a_broken_link_ends_the_build(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# A page\n\n{text}\n", encoding="utf-8")
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    validation = settings[settings.index("validation:") : settings.index("nav:\n  - Home")]
    (tmp_path / "mkdocs.yml").write_text(f"site_name: small\nstrict: true\n{validation}", encoding="utf-8")
    done = build(tmp_path / "site", tmp_path / "mkdocs.yml")
    assert done.returncode == 1
    assert fault in done.stderr
