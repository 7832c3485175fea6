"""Every block of commands on a page of docs/ is run or says why not, and every command can be parsed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from lstm_xcheck.cli.main import VERBS, cli

from ..helpers import ROOT

PAGES = sorted((ROOT / "docs").rglob("*.md"))
BENCHMARKS = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "benchmarks").glob("*.py")))

#: What a block may have above it: `generate.py` runs the first two, other tests the third, none the last.
MARKS = ("<!-- output", "<!-- run", "<!-- from: ", "<!-- checked: ")

_BLOCK = re.compile(r"^(?P<mark>\S[^\n]*)?\n(?P<indent> *)```(?P<language>bash|console|python)\n", re.MULTILINE)
_COMMAND = re.compile(
    r"^ *(?:- run: |\$ )?(?P<block>(?:lstm-xcheck |python benchmarks/)[^\n]*)|`(?P<inline>lstm-xcheck [^`]+)`",
    re.MULTILINE,
)
#: Written for any value, and the rest of a line of shell.
_ELSE = re.compile(r" (?:\.\.\.|>>|&&|\||>).*$")


def unmarked(text: str) -> Iterator[str]:
    """The blocks without a mark in the line above."""
    for match in _BLOCK.finditer(text):
        if not (match["mark"] or "").startswith(MARKS):
            yield text[match.end() :].partition("\n")[0]


def commands(text: str) -> Iterator[list[str]]:
    """The words of every command of a page, in blocks and in sentences."""
    for match in _COMMAND.finditer(text):
        line = _ELSE.sub("", (match["block"] or match["inline"]).replace("\n", " "))
        yield shlex.split(line, comments=True)


def fault(words: list[str]) -> str:
    """Why a command cannot be parsed, or ""."""
    program, *arguments = words
    if program == "python":
        assert (ROOT / arguments[0]).is_file()
        options = [word for word in arguments if word.startswith("--")]
        return ", ".join(word for word in options if not re.search(rf'"(?:--)?{word[2:]}"', BENCHMARKS))
    if not arguments or arguments[0] not in VERBS:
        return "" if arguments in (["VERB"], ["--help"], []) else f"no verb {arguments[0]}"
    verb, *rest = arguments
    top = click.Context(cli, info_name=program)
    command = cli.get_command(top, verb)
    assert command is not None
    try:
        command.make_context(verb, rest, parent=top)
    except click.MissingParameter:  # a sentence may speak of a verb without its files
        return ""
    except click.UsageError as error:
        return error.format_message()
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    assert list(unmarked(page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.stem)
def test_every_command_can_be_parsed(page: Path) -> None:
    found = [(shlex.join(words), why) for words in commands(page.read_text(encoding="utf-8")) if (why := fault(words))]
    assert found == []


def test_a_block_without_a_mark_is_found() -> None:
    block = "```bash\nlstm-xcheck verify\n```\n"
    assert list(unmarked(f"Then\n\n{block}")) == ["lstm-xcheck verify"]
    assert list(unmarked(f"Then\n\n<!-- run -->\n{block}")) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("so `lstm-xcheck verify --shards 2` does", "No such option"),
        ("```bash\nlstm-xcheck verfy model.pt   # all of it\n```", "no verb verfy"),
        ("      - run: lstm-xcheck verify --seeds none > report", "'none' is not a valid integer"),
        ("python benchmarks/port_large.py --gigabytes 1", "--gigabytes"),
    ],
)
def test_a_wrong_command_is_found(text: str, why: str) -> None:
    ((words),) = commands(text)
    assert why in fault(words)
