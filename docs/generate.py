"""Fills the marked blocks of README.md and docs/ with what the commands really print, and runs the others.

A block is a comment followed by a fenced block:

    <!-- output: lstm-xcheck layouts -->
    ```console
    ```

Between `output` and the colon may stand `needs=torch,keras` (modules the command needs), `tools=cc` (programs),
`exit=1` (the exit code it ends with, 0 otherwise) and `lines=5` (how many are shown). Commands joined by `&&` run in
one empty folder per page, with `examples/` in it; the output of the last one is shown.

A block of `bash` or `python` below `<!-- run -->` is run as it stands, in the same folder; `run: A => B; C => D` puts B
for A in commands that would take too long. Python with tests in it is run by pytest. What no test runs is marked
`<!-- checked: reason -->`.

    python docs/generate.py            rewrite every block
    python docs/generate.py --check    change nothing, exit 1 when a block is stale
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_BLOCK = re.compile(
    r"^<!-- (?P<kind>output|run)(?P<options>[^:\n]*?)(?:: (?P<text>[^\n]+?))? -->\n"
    r"```(?P<language>\w+)\n(?P<body>.*?)^```$",
    re.M | re.S,
)

#: What differs from run to run: durations, versions and process ids.
_VOLATILE = re.compile(r"\d+(?:\.\d+)? ?(?:ms|s|min)\b|\b\d+\.\d+\.\d+\S*")
#: What may differ from one processor to the next in the output of a framework.
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+(?:e[-+]?\d+)?|e[-+]\d+)")

_ENVIRONMENT = {"COLUMNS": "110", "NO_COLOR": "1", "TERM": "dumb", "PYTHONIOENCODING": "utf-8"}


@dataclass(frozen=True)
class Block:
    """One marked block of a page: the commands, what they need, and what the page shows.

    Attributes:
        command: commands joined by `&&`; "" for a block that is run as it stands.
        language: `console` for what is shown, `bash` or `python` for what is run.
        lines: shown of what is printed; 0 for all.
        stand_ins: texts of commands, each with what is run in its place.
    """

    command: str
    body: str
    needs: tuple[str, ...] = ()
    exit_code: int = 0
    language: str = "console"
    tools: tuple[str, ...] = ()
    lines: int = 0
    stand_ins: tuple[tuple[str, str], ...] = ()

    @property
    def missing(self) -> list[str]:
        """Modules and programs it needs and this machine lacks."""
        modules = [name for name in self.needs if importlib.util.find_spec(name) is None]
        return modules + [name for name in self.tools if shutil.which(name) is None]

    def fresh(self, folder: Path) -> str:
        """The body as it should be: the command and what it prints now."""
        if not self.command:
            _run_all(self, folder)
            return self.body
        return f"$ {self.command}\n{_output(self, folder)}\n"

    def is_current(self, folder: Path) -> bool:
        """Does the page show what the command prints, apart from what no two runs share?"""
        return _comparable(self.body, self) == _comparable(self.fresh(folder), self)


def pages() -> list[Path]:
    """README.md and every page below docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(text: str) -> Iterator[Block]:
    """The marked blocks of a page, in order."""
    return (_block(match) for match in _BLOCK.finditer(text))


def rewritten(text: str, folder: Path) -> str:
    """The page with every block that can run here filled anew."""

    def fill(match: re.Match[str]) -> str:
        block = _block(match)
        if block.missing:
            return match[0]
        start, end = match.start("body") - match.start(), match.end("body") - match.start()
        return match[0][:start] + block.fresh(folder) + match[0][end:]

    return _BLOCK.sub(fill, text)


def working_folder(parent: str) -> Path:
    """The folder commands run in: empty but for `examples/`."""
    folder = Path(parent)
    (folder / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
    return folder


def _block(match: re.Match[str]) -> Block:
    options = dict(option.split("=", 1) for option in match["options"].split())
    needs, tools = (tuple(filter(None, options.pop(name, "").split(","))) for name in ("needs", "tools"))
    exit_code, lines = (int(options.pop(name, "0")) for name in ("exit", "lines"))
    if options:
        unknown = ", ".join(options)
        raise SystemExit(
            f"{match[0].splitlines()[0]}: unknown option {unknown}; expected needs=, tools=, exit= or lines="
        )
    text, language, shown = match["text"] or "", match["language"], match["kind"] == "output"
    if (language == "console") != shown:
        raise SystemExit(f"{match[0].splitlines()[0]}: output is of console, run of bash or python, not {language}")
    pairs = (pair.split(" => ") for pair in ("" if shown else text).split("; ") if pair)
    stand_ins = tuple((old, new) for old, new in pairs)
    return Block(text if shown else "", match["body"], needs, exit_code, language, tools, lines, stand_ins)


def _run_all(block: Block, folder: Path) -> None:
    """The lines of a bash block one by one, or a Python block as a whole."""
    body = block.body
    for old, new in block.stand_ins:
        body = body.replace(old, new)
    if block.language == "python":
        (folder / "test_block.py").write_text(body, encoding="utf-8")
        by = "pytest" if "\ndef test_" in body else "python"
        _run_program([by, "test_block.py"], folder, block.exit_code)
        return
    for line in body.replace("\\\n", " ").splitlines():
        words = [name for word in shlex.split(line, comments=True) for name in _expanded(word, folder)]
        if words:
            _run_program(words, folder, block.exit_code)


def _expanded(word: str, folder: Path) -> list[str]:
    """The files that a pattern stands for, as a shell has it."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.glob(word)) if "*" in word else [word]


def _output(block: Block, folder: Path) -> str:
    *before, last = block.command.split(" && ")
    for command in before:
        _run_program(shlex.split(command), folder, 0)
    lines = _run_program(shlex.split(last), folder, block.exit_code).splitlines()
    shown = [*lines[: block.lines], "..."] if 0 < block.lines < len(lines) else lines
    return "\n".join(line.rstrip() for line in shown).strip("\n")


#: Program -> how it is started: this Python's own, and compilers.
_STARTS = {
    "lstm-xcheck": [sys.executable, "-m", "lstm_xcheck"],
    "pytest": [sys.executable, "-m", "pytest", "-q", "-p", "lstm_xcheck.pytest_plugin", "-p", "no:cacheprovider"],
    "python": [sys.executable],
    "cc": ["cc"],
}


def _run_program(words: list[str], folder: Path, exit_code: int) -> str:
    program, *arguments = words
    if program not in _STARTS:
        raise SystemExit(f"{shlex.join(words)}: commands start with {' or '.join(_STARTS)}")
    run = subprocess.run(
        [*_STARTS[program], *arguments],
        cwd=folder,
        env={**os.environ, **_ENVIRONMENT, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if run.returncode != exit_code:
        told = f"exit code {run.returncode}, but should be {exit_code}"
        raise SystemExit(f"{shlex.join(words)}: {told}\n{run.stdout[-2000:]}{run.stderr}")
    return run.stdout


def _comparable(body: str, block: Block) -> list[str]:
    """Lines without what may differ; widths of table columns depend on that, so runs of blanks and rules shrink."""
    masked = _VOLATILE.sub("#", body)
    if block.needs:
        masked = _NUMBER.sub("#", masked)
    return [re.sub(r"[\s─━═-]+", " ", line).strip() for line in masked.splitlines()]


def main() -> int:
    """Rewrite or check every page; the exit code says whether one was stale."""
    parser = argparse.ArgumentParser(description="Fill or check the generated blocks of the documentation.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when a block is stale")
    check = parser.parse_args().check
    stale = 0
    for page in pages():
        text = page.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as parent:
            stale += _check(page, text, parent) if check else _rewrite(page, text, parent)
    return 1 if check and stale else 0


def _check(page: Path, text: str, parent: str) -> int:
    folder = working_folder(parent)
    runnable = [block for block in blocks(text) if not block.missing]
    old = [block.command for block in runnable if not block.is_current(folder)]
    for command in old:
        print(f"{page.relative_to(ROOT)}: stale: {command}; run: python docs/generate.py")
    return len(old)


def _rewrite(page: Path, text: str, parent: str) -> int:
    for block in blocks(text):
        if block.missing:
            print(f"{page.relative_to(ROOT)}: left as it is, needs {', '.join(block.missing)}: {block.command}")
    new = rewritten(text, working_folder(parent))
    if new != text:
        page.write_text(new, encoding="utf-8")
        print(f"{page.relative_to(ROOT)}: rewritten")
    return int(new != text)


if __name__ == "__main__":
    sys.exit(main())
