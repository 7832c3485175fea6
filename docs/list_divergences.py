"""Writes docs/divergences/README.md: a line for each divergence, from tests/divergences.toml and the scripts.

python docs/list_divergences.py
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent / "divergences"
DATA = Path(__file__).parents[1] / "tests" / "divergences.toml"
PAGE = FOLDER / "README.md"

_HEAD = """# Divergences: what current releases get wrong, nearly all in silence

<!-- Written by docs/list_divergences.py; change tests/divergences.toml or the scripts. -->

Each was seen by running, and each has a script of at most 25 lines that needs the framework alone, prints the wrong and
the right value, and fails once the divergence is gone; a test runs them all. The cells are those of the
[atlas](../reference/atlas.md). Not listed, since litert-torch asks for an older typing_extensions than is installed
here, and it was not run: that its import turns JAX to float64.
"""


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """One entry of the file, which says what its fields are."""

    reproducer: str
    package: str
    version: str
    needs: list[str]
    cause: str
    effect: str
    adapters: tuple[str, ...] | list[str] = ()
    features: tuple[str, ...] | list[str] = ()
    not_in_atlas: str = ""

    @property
    def script(self) -> Path:
        """The reproducer."""
        return FOLDER / f"{self.reproducer}.py"

    @property
    def title(self) -> str:
        """The docstring of the reproducer."""
        return (ast.get_docstring(ast.parse(self.script.read_text(encoding="utf-8"))) or "").strip()

    def has(self, adapter: str, feature: str) -> bool:
        """Whether it makes a cell of the atlas wrong."""
        return adapter in self.adapters and feature in self.features


def divergences() -> list[Divergence]:
    """The entries in order."""
    return [Divergence(**entry) for entry in tomllib.loads(DATA.read_text(encoding="utf-8"))["divergence"]]


def page() -> str:
    """The whole page as it should be."""
    return "\n".join([_HEAD, *_rows(), ""])


def _rows() -> Iterator[str]:
    yield "| what | version | cause | effect: what the script prints | cells |\n|---|---|---|---|---|"
    for entry in divergences():
        cells = f"{', '.join(entry.adapters)}: {', '.join(entry.features)}"
        shown = f"`{entry.effect}`"
        what = f"[{entry.title.rstrip('.')}]({entry.script.name})"
        where = f"none: {entry.not_in_atlas}" if entry.not_in_atlas else cells
        yield f"| {what} | {entry.package} {entry.version} | {entry.cause} | {shown} | {where} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
