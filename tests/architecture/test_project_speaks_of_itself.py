"""No file names a machine, a registry or unfinished business, and no exception is swallowed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("lstm_xcheck", "tests", "docs", "examples", "benchmarks", "constraints", ".ci")
SUFFIXES = {"", ".py", ".md", ".toml", ".ini", ".txt", ".cfg", ".yml", ".yaml", ".json", ".html", ".css", ".js", ".sh"}

#: What must not be written anywhere, by the reason.
FORBIDDEN = {
    "an absolute path of some machine": re.compile(r"(?<![\w.$}/])/(?:work|opt|root|home|Users|mnt)/\w"),
    "notes that are not part of the project": re.compile(r"\bfacts/\w+\.md"),
    "a package registry or index": re.compile(
        r"pypi\.org|pythonhosted|download\.pytorch|--(?:extra-)?index-url|--find-links"
    ),
    "unfinished business": re.compile(r"\b(?:TODO|FIXME|XXX)\b"),
}


def texts(root: Path) -> Iterator[Path]:
    """The project's own text files: top level and the listed folders, caches left out; not this file."""
    below = (file for folder in FOLDERS for file in (root / folder).rglob("*"))
    for file in (*root.iterdir(), *below):
        hidden = any(part.startswith(".") and part != ".ci" for part in file.relative_to(root).parts)
        cached = "__pycache__" in file.parts
        if file.is_file() and not hidden and not cached and file.suffix in SUFFIXES and file != Path(__file__):
            yield file


def forbidden_words(root: Path) -> list[str]:
    found = []
    for file in texts(root):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            found += [
                f"{file.relative_to(root).as_posix()}:{number}: {reason}"
                for reason, pattern in FORBIDDEN.items()
                if pattern.search(line)
            ]
    return found


def swallowed(source: str) -> list[int]:
    """Lines of handlers that catch everything, or anything, and do nothing about it."""
    handlers = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ExceptHandler))
    return [node.lineno for node in handlers if node.type is None or all(map(_does_nothing, node.body))]


def _does_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def test_no_forbidden_words() -> None:
    assert forbidden_words(ROOT) == []


def test_no_exception_is_swallowed() -> None:
    files = sorted(file for folder in ("lstm_xcheck", "tests") for file in (ROOT / folder).rglob("*.py"))
    found = {file.relative_to(ROOT).as_posix(): swallowed(file.read_text(encoding="utf-8")) for file in files}
    assert len(found) > 10
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "see /home/somebody/notes",
        "PATH=/opt/tool/bin",
        "as facts/numbers.md says",
        "pip install --index-url elsewhere",
        "# TODO: later",
    ],
    ids=["home", "opt", "notes", "registry", "todo"],
)
def test_a_forbidden_word_is_found(tmp_path: Path, line: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text(f"fine\n{line}\n", encoding="utf-8")
    assert [entry.rpartition(": ")[0] for entry in forbidden_words(tmp_path)] == ["docs/page.md:2"]


@pytest.mark.parametrize("line", ["docs/how-to/page.md", "https://example.org/work/page", "net/root/x"])
def test_a_harmless_line_is_not(tmp_path: Path, line: str) -> None:
    (tmp_path / "page.md").write_text(line, encoding="utf-8")
    assert forbidden_words(tmp_path) == []


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ("except Exception:\n    pass", [3]),
        ("except OSError:\n    '''nothing'''", [3]),
        ("except:\n    print('x')", [3]),
        ("except OSError as error:\n    raise ValueError from error", []),
    ],
    ids=["pass", "string", "bare", "handled"],
)
def test_a_swallowed_exception_is_found(body: str, lines: list[int]) -> None:
    assert swallowed(f"try:\n    f()\n{body}\n") == lines
