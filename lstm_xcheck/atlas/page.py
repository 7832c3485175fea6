"""The atlas as a page: features by runtimes, what is wrong, what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..adapters import known
from ..model.features import FEATURES
from .model import Atlas, Cell, State, totals

SYMBOLS: dict[State, str] = {"right": "✓", "refuses": "-", "wrong": "✗", "not run": "·"}

_HEAD = """# Atlas: what each runtime does with each feature

Every cell is a run of the feature's case in the runtime, judged by the rounding bound; nothing is taken from a manual.
✓ right, - refuses with a reason, ✗ wrong in silence, · not run or not decided, with the reason below.
"""


def page(atlas: Atlas) -> str:
    """The whole page."""
    parts = (_versions, _matrix, _wrong, _between_versions, _reasons)
    return "\n".join([_HEAD, *(line for part in parts for line in part(atlas)), ""])


def newest(label: str) -> str:
    """The adapter of a label: jax for `old-jax`, "" for an adapter itself."""
    names = known()
    return "" if label in names else max((name for name in names if label.endswith(f"-{name}")), key=len, default="")


def _versions(atlas: Atlas) -> Iterator[str]:
    yield "| runtime | versions | ✓ | - | ✗ | · |\n|---|---|---|---|---|---|"
    for adapter in atlas.adapters:
        counted = " | ".join(map(str, totals(atlas.of(adapter)).values()))
        yield f"| {adapter} | {_version(atlas, adapter)} | {counted} |"
    yield ""


def _version(atlas: Atlas, adapter: str) -> str:
    return ", ".join(f"{name} {version}" for name, version in atlas.versions.get(adapter, {}).items())


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


def _between_versions(atlas: Atlas) -> Iterator[str]:
    """The cells in which another version is not like the newest one."""
    cells = {cell.key: cell for cell in atlas.cells}
    others = [label for label in atlas.adapters if newest(label) in atlas.adapters]
    yield from ["## Between versions\n"] if others else []
    for label in others:
        now = newest(label)
        yield f"- {label} ({_version(atlas, label)}) and {now} ({_version(atlas, now)}):"
        pairs = [(before, cells[now, before.feature]) for before in atlas.of(label)]
        changed = [(old, new) for old, new in pairs if (old.state, old.cause) != (new.state, new.cause)]
        yield from (f"    - {old.feature}: {_words(old)}; now {_words(new)}" for old, new in changed)
        if not changed:
            yield "    - no cell differs"
    yield ""


def _words(cell: Cell) -> str:
    return cell.state + (f" ({cell.cause or cell.reason})" if cell.cause or cell.reason else "")


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
