"""Measures the words: short first lines of docstrings, a short glossary, and no private dialect in names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("lstm_xcheck", "tests", "benchmarks", "docs", "examples")

#: Words that a newcomer cannot look up; ARCHITECTURE.md has the field's own.
DIALECT = {"held", "said", "strange", "beside", "turned", "alike", "crowd", "lanes"}
MOST_WORDS = 14
MEDIAN_WORDS = 10
MOST_TERMS = 40


def words_of(identifier: str) -> list[str]:
    """The words of `snake_case`, `CamelCase` and `UPPER_CASE`."""
    separate = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", identifier)
    return [word for word in separate.lower().split("_") if word]


def identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, name) of everything a file defines: modules aside, classes, functions, parameters, variables, fields."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def dialect(root: Path) -> list[str]:
    """Every name with a word of the dialect, as `file:line: name`."""
    found = []
    for file in sorted(file for folder in FOLDERS for file in (root / folder).rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        where = file.relative_to(root).as_posix()
        names = [(1, file.stem), *identifiers(tree)]
        found += [f"{where}:{line}: {name}" for line, name in names if DIALECT & set(words_of(name))]
    return found


def first_lines(folder: Path) -> dict[str, str]:
    """The first line of every docstring, by `file:line`."""
    found = {}
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node)
                if text:
                    where = f"{file.relative_to(folder).as_posix()}:{getattr(node, 'lineno', 1)}"
                    found[where] = text.partition("\n")[0]
    return found


def too_long(folder: Path) -> dict[str, str]:
    return {where: line for where, line in first_lines(folder).items() if len(line.split()) > MOST_WORDS}


def test_names_are_of_the_field() -> None:
    assert dialect(ROOT) == []


def test_first_lines_of_docstrings_are_short() -> None:
    lines = first_lines(ROOT / "lstm_xcheck")
    assert len(lines) > 1000
    assert too_long(ROOT / "lstm_xcheck") == {}
    assert median(len(line.split()) for line in lines.values()) <= MEDIAN_WORDS


def test_the_glossary_is_short_and_sorted() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    terms = re.findall(r"^\| \*\*([^*]+)\*\* \|", text, re.MULTILINE)
    assert 20 <= len(terms) <= MOST_TERMS
    assert terms == sorted(terms)


@pytest.mark.parametrize(
    "source",
    ["held = 1", "def is_said(): ...", "class CrowdOf: ...", "def f(beside): ...", "a.HELD_BY = 1", "LanesOfOne = 1"],
)
def test_a_word_of_the_dialect_is_found(tmp_path: Path, source: str) -> None:
    (tmp_path / "lstm_xcheck").mkdir()
    (tmp_path / "lstm_xcheck" / "m.py").write_text(f"withheld = 1\n{source}\n", encoding="utf-8")
    assert [entry.partition(": ")[0] for entry in dialect(tmp_path)] == ["lstm_xcheck/m.py:2"]


def test_a_module_of_the_dialect_is_found(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_said.py").touch()
    assert dialect(tmp_path) == ["tests/test_said.py:1: test_said"]


def test_a_long_first_line_is_found(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(f'"""{"word " * 14}"""\ndef f():\n    """{"word " * 15}\n\n    more\n    """\n')
    assert list(too_long(tmp_path)) == ["m.py:2"]
