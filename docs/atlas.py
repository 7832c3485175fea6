"""Writes docs/reference/atlas.md from atlas.json, which holds what was run.

Parts of an atlas, each of some adapters, are put into the file first and replace what it has of them:

    lstm-xcheck atlas --adapters torch,jax --json > part.json
    python docs/atlas.py part.json
    python docs/atlas.py                  the page alone
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lstm_xcheck.adapters.table import BUILT_IN
from lstm_xcheck.atlas import Atlas
from lstm_xcheck.atlas.page import page
from lstm_xcheck.model.features import FEATURES

DATA = Path(__file__).parent / "reference" / "atlas.json"
PAGE = DATA.with_suffix(".md")

_NOTE = """
<!-- Written by docs/atlas.py from atlas.json, which `lstm-xcheck atlas --json` writes. -->

Each wrong cell of a current release is a [divergence](../divergences/README.md) with a script that shows it. Where no
cause is named, the catalogue of mistakes has none that explains the outputs; the divergence says what is known. Columns
such as jax0.4.30-jax are older releases, run by another Python.
"""


def atlas_of(path: Path) -> Atlas:
    """The atlas in a file."""
    return Atlas.from_dict(json.loads(path.read_text(encoding="utf-8")))


def in_order(atlas: Atlas) -> Atlas:
    """Adapters as in their table, other versions after them; features as in theirs."""
    names = [entry.name for entry in BUILT_IN]
    adapters = {name: k for k, name in enumerate((*names, *sorted(set(atlas.adapters) - set(names))))}
    features = {feature.name: k for k, feature in enumerate(FEATURES)}
    cells = sorted(atlas.cells, key=lambda cell: (adapters[cell.adapter], features[cell.feature]))
    versions = {name: dict(sorted(atlas.versions[name].items())) for name in adapters if name in atlas.versions}
    return Atlas(tuple(cells), versions)


def text(atlas: Atlas) -> str:
    """The JSON with one entry of each list on a line, so that a difference shows what changed."""
    data = {key: value if isinstance(value, int) else _lines(value) for key, value in atlas.to_dict().items()}
    return "{\n" + ",\n".join(f'"{key}": {value}' for key, value in data.items()) + "\n}\n"


def page_of(atlas: Atlas) -> str:
    """The page with a note on where it comes from before its first table."""
    head, table, rest = page(atlas).partition("\n| runtime | versions |")
    return head + _NOTE + table + rest


def _lines(entries: dict[str, object] | list[object]) -> str:
    written = [json.dumps(entry, ensure_ascii=False) for entry in (entries if isinstance(entries, list) else [])]
    if isinstance(entries, dict):
        written = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in entries.items()]
    start, end = "[]" if isinstance(entries, list) else "{}"
    return f"{start}\n" + ",\n".join(written) + f"\n{end}"


def main(parts: list[str]) -> None:
    """Put the parts into the file, and write the page."""
    atlas = atlas_of(DATA) if DATA.exists() else Atlas(())
    for part in parts:
        atlas = atlas.with_others(atlas_of(Path(part)))
    atlas = in_order(atlas)
    DATA.write_text(text(atlas), encoding="utf-8")
    PAGE.write_text(page_of(atlas), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
