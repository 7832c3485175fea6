"""Fills the marked blocks of README.md and docs/ with what the commands really print.

A block is a comment followed by a fenced block:

    <!-- output: lstm-xcheck layouts -->
    ```console
    ```

Between `output` and the colon may stand `needs=torch,keras` (modules the command needs) and `exit=1` (the exit code
it ends with, 0 otherwise). Commands joined by `&&` run in one empty folder per page, with `examples/` in it; the
output of the last one is shown.

    python docs/generate.py            rewrite every block
    python docs/generate.py --check    change nothing, exit 1 when a block is stale
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_BLOCK = re.compile(
    r"^<!-- output(?P<options>[^:\n]*): (?P<command>.+?) -->\n```console\n(?P<body>.*?)^```$", re.M | re.S
)

#: What differs from run to run: durations, versions and process ids.
_VOLATILE = re.compile(r"\d+(?:\.\d+)? ?(?:ms|s|min)\b|\b\d+\.\d+\.\d+\S*")
#: What may differ from one processor to the next in the output of a framework.
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+(?:e[-+]?\d+)?|e[-+]\d+)")

_ENVIRONMENT = {"COLUMNS": "110", "NO_COLOR": "1", "TERM": "dumb", "PYTHONIOENCODING": "utf-8"}


@dataclass(frozen=True)
class Block:
    """One marked block of a page: the command, what it needs, and what the page shows."""

    command: str
    body: str
    needs: tuple[str, ...] = ()
    exit_code: int = 0

    @property
    def missing(self) -> list[str]:
        """Modules it needs and this Python lacks."""
        return [name for name in self.needs if importlib.util.find_spec(name) is None]

    def fresh(self, folder: Path) -> str:
        """The body as it should be: the command and what it prints now."""
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
    needs = tuple(name for name in options.pop("needs", "").split(",") if name)
    exit_code = int(options.pop("exit", "0"))
    if options:
        raise SystemExit(f"{match[0].splitlines()[0]}: unknown option {', '.join(options)}; expected needs= or exit=")
    return Block(match["command"], match["body"], needs, exit_code)


def _output(block: Block, folder: Path) -> str:
    *before, last = block.command.split(" && ")
    for command in before:
        _run(command, folder, 0)
    lines = _run(last, folder, block.exit_code).splitlines()
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def _run(command: str, folder: Path, exit_code: int) -> str:
    program, *arguments = shlex.split(command)
    starts = {"lstm-xcheck": [sys.executable, "-m", "lstm_xcheck"], "python": [sys.executable]}
    if program not in starts:
        raise SystemExit(f"{command}: commands start with {' or '.join(starts)}")
    environment = {**os.environ, **_ENVIRONMENT, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [*starts[program], *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if run.returncode != exit_code:
        raise SystemExit(f"{command}: exit code {run.returncode}, but should be {exit_code}\n{run.stderr}")
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
