"""The atlas as a page: features and runtimes, what is wrong, what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..model.features import FEATURES
from .model import Atlas, Cell, State, totals

SYMBOLS: dict[State, str] = {"right": "✓", "refuses": "-", "wrong": "✗", "not run": "·"}

_HEAD = """# Atlas: what each runtime does with each feature

Every cell is a run of the feature's case in the runtime, judged by the rounding bound; nothing is taken from a manual.
✓ right, - refuses with a reason, ✗ wrong in silence, · not run, with the reason below.
"""


def page(atlas: Atlas) -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_versions(atlas), *_matrix(atlas), *_wrong(atlas), *_reasons(atlas), ""])


def _versions(atlas: Atlas) -> Iterator[str]:
    yield "| runtime | versions | ✓ | - | ✗ | · |\n|---|---|---|---|---|---|"
    for adapter in atlas.adapters:
        found = ", ".join(f"{name} {version}" for name, version in atlas.versions.get(adapter, {}).items())
        counted = " | ".join(map(str, totals(atlas.of(adapter)).values()))
        yield f"| {adapter} | {found} | {counted} |"
    yield ""


def _matrix(atlas: Atlas) -> Iterator[str]:
    """A row for each feature; runtimes are numbered, since their names are long."""
    yield "## Features\n\nColumns: " + ", ".join(f"{k} {name}" for k, name in enumerate(atlas.adapters, 1)) + "\n"
    yield "| feature | meaning |" + "".join(f" {k} |" for k in range(1, len(atlas.adapters) + 1))
    yield "|---|---|" + "---|" * len(atlas.adapters)
    states = {cell.key: cell.state for cell in atlas.cells}
    for feature in FEATURES:
        cells = (SYMBOLS[states.get((adapter, feature.name), "not run")] for adapter in atlas.adapters)
        yield f"| {feature.name} | {feature.meaning} | " + " | ".join(cells) + " |"
    yield ""


def _wrong(atlas: Atlas) -> Iterator[str]:
    yield "## Wrong in silence\n\n| runtime | feature | cause | effect | first sign |\n|---|---|---|---|---|"
    for cell in atlas.cells:
        if cell.state == "wrong":
            effect = "" if cell.effect is None else f"{cell.effect:.2g}"
            words = (cell.adapter, cell.feature, cell.cause or "not named", effect, _in_table(cell.reason))
            yield f"| {' | '.join(words)} |"
    yield ""


def _reasons(atlas: Atlas) -> Iterator[str]:
    """What is refused or was not run, each reason once for a runtime."""
    yield "## Refused or not run\n"
    for adapter in atlas.adapters:
        for reason, cells in _by_reason(atlas.of(adapter, "refuses", "not run")):
            yield f"- {adapter}: {', '.join(cell.feature for cell in cells)}: {reason}"


def _by_reason(cells: Iterable[Cell]) -> Iterable[tuple[str, list[Cell]]]:
    grouped: dict[str, list[Cell]] = {}
    for cell in cells:
        grouped.setdefault(cell.reason, []).append(cell)
    return grouped.items()


def _in_table(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
