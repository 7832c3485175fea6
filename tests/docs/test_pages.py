"""The pages a newcomer reads: examples run, links lead somewhere, the commands are where they are looked for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..helpers import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [*sorted(ROOT.glob("*.md")), ROOT / "lstm_xcheck" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]+\]\(([^)#:]+)(?:#[^)]*)?\)")
#: A link of the README into this repository: on a package index, relative links lead nowhere.
_OWN = re.compile(r"https://example\.org/OWNER/lstm-xcheck/(?:blob|raw)/main/")


@pytest.mark.framework
def test_the_python_examples_of_the_readme_run() -> None:
    names: dict[str, Any] = {}
    examples = _PYTHON.findall(README)
    assert len(examples) >= 2
    for example in examples:
        for module in _needs(example):
            pytest.importorskip(module)
        exec(compile(example, "README.md", "exec"), names)
    assert names["verdict"].verdict == "match"


def _needs(example: str) -> list[str]:
    """The modules of a first line such as `# needs torch, jax`."""
    first = example.partition("\n")[0]
    return first.removeprefix("# needs ").split(", ") if first.startswith("# needs ") else []


def broken_links(page: Path) -> Iterator[str]:
    text = page.read_text(encoding="utf-8")
    root = os.path.relpath(ROOT, page.parent)
    for target in _LINK.findall(_OWN.sub(f"{root}/", text)):
        if not (page.parent / target).exists():
            yield target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_link_is_broken(page: Path) -> None:
    assert list(broken_links(page)) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("[here](page.md) [there](gone.md#part) [away](https://example.org)", encoding="utf-8")
    assert list(broken_links(page)) == ["gone.md"]


@pytest.mark.parametrize(("name", "last"), [("verify", "lstm-xcheck verify"), ("test", "-n 2 --dist loadfile")])
def test_the_two_commands_are_one_line_each(name: str, last: str) -> None:
    (block,) = re.findall(rf"^<!-- command: {name} -->\n```bash\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert block.count("\n") == 1
    assert block.startswith("python3.11 -m venv .venv && ")
    assert block.strip().endswith(last)


def test_contributing_opens_with_six_commands() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (first, *_) = re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert text.startswith("# Contributing\n\n```bash\n")
    assert len(first.splitlines()) == 6
