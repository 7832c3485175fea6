"""The output shown in README.md and docs/ is what the commands print today."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from ..helpers import ROOT, load_file

generate = load_file(ROOT / "docs" / "generate.py", "docs_generate")

PAGES = [page for page in generate.pages() if list(generate.blocks(page.read_text(encoding="utf-8")))]

HELLO = "<!-- output: python -c 'print(1.5)' -->\n```console\n{body}```\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(generate.working_folder(str(tmp_path)))


@pytest.mark.framework
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_outputs_on_a_page_are_current(page: Path, folder: Path) -> None:
    """In the order of the page and in one folder, since a command may read what an earlier one wrote."""
    blocks = list(generate.blocks(page.read_text(encoding="utf-8")))
    here = [block for block in blocks if not block.missing]
    if not here:
        pytest.skip(f"{page.name} needs {', '.join(sorted({name for block in blocks for name in block.missing}))}")
    stale = [block.command for block in here if not block.is_current(folder)]
    assert stale == [], "the page is stale; run: python docs/generate.py"


def verbs(pages: Iterable[Path]) -> set[str]:
    """The verbs whose output is shown."""
    shown = [block.command for page in pages for block in generate.blocks(page.read_text(encoding="utf-8"))]
    return {command.split("lstm-xcheck ")[-1].split()[0] for command in shown if "lstm-xcheck " in command}


def test_the_readme_and_the_pages_show_output() -> None:
    assert verbs([ROOT / "README.md"]) >= {"verify", "diagnose", "port"}
    assert verbs(PAGES) >= {"params", "trace", "layouts", "inspect", "compare", "recheck", "record", "replay", "fuzz"}


def test_a_stale_block_is_found_and_rewritten(folder: Path) -> None:
    stale = HELLO.format(body="$ python -c 'print(1.5)'\n2.5\n")
    (block,) = generate.blocks(stale)
    assert not block.is_current(folder)
    fresh = generate.rewritten(stale, folder)
    assert fresh == HELLO.format(body="$ python -c 'print(1.5)'\n1.5\n")
    (block,) = generate.blocks(fresh)
    assert block.is_current(folder)
    assert generate.rewritten(fresh, folder) == fresh


def test_an_empty_block_is_filled(folder: Path) -> None:
    assert "1.5\n" in generate.rewritten(HELLO.format(body=""), folder)


@pytest.mark.parametrize(
    ("printed", "options", "current"),
    [
        ("took 3 s with torch 2.13.0", "", True),
        ("took 0.25 s with torch 2.9.1+cpu", "", True),
        ("took 1 h with torch 2.13.0", "", False),
    ],
    ids=["same", "other-time-and-version", "other-word"],
)
def test_durations_and_versions_may_differ(folder: Path, printed: str, options: str, current: bool) -> None:
    command = "python -c \"print('took 3 s with torch 2.13.0')\""
    (block,) = generate.blocks(f"<!-- output{options}: {command} -->\n```console\n$ {command}\n{printed}\n```\n")
    assert block.is_current(folder) is current


def test_a_framework_block_may_differ_in_decimals_only(folder: Path) -> None:
    command = "python -c \"print('score 0.25, 12 match')\""
    page = f"<!-- output needs=json: {command} -->\n```console\n$ {command}\n{{}}\n```\n"
    (same,) = generate.blocks(page.format("score 0.31, 12 match"))
    (other,) = generate.blocks(page.format("score 0.25, 11 match"))
    assert same.is_current(folder)
    assert not other.is_current(folder)


def test_a_missing_module_leaves_the_block_alone(folder: Path) -> None:
    page = "<!-- output needs=no_such_module: python -c 'print(1)' -->\n```console\nold\n```\n"
    (block,) = generate.blocks(page)
    assert block.missing == ["no_such_module"]
    assert generate.rewritten(page, folder) == page


@pytest.mark.parametrize(
    ("marker", "fault"),
    [
        ("output: python -c 'raise SystemExit(3)'", "exit code 3, but should be 0"),
        ("output: rm -r x", "commands start with"),
        ("output neds=torch: python -c 1", "unknown option neds"),
    ],
    ids=["exit-code", "program", "option"],
)
def test_a_wrong_block_stops_the_generator(folder: Path, marker: str, fault: str) -> None:
    with pytest.raises(SystemExit, match=fault):
        generate.rewritten(f"<!-- {marker} -->\n```console\n```\n", folder)


def test_a_failing_command_can_be_on_a_page(folder: Path) -> None:
    page = "<!-- output exit=1: python -c 'print(7); raise SystemExit(1)' -->\n```console\n```\n"
    assert "\n7\n" in generate.rewritten(page, folder)
