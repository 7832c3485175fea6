"""Writes docs/reference/layouts.md and support.md from the tables of layouts and adapters, and from atlas.json.

python docs/tables.py
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lstm_xcheck.adapters.entry import Entry
from lstm_xcheck.adapters.table import BUILT_IN
from lstm_xcheck.atlas import Atlas
from lstm_xcheck.atlas.model import totals
from lstm_xcheck.cli.layouts import describe
from lstm_xcheck.layouts import TABLE
from lstm_xcheck.model.features import FEATURES

FOLDER = Path(__file__).parent / "reference"

_LAYOUTS = """# Layouts

<!-- Written by docs/tables.py from lstm_xcheck/layouts/table.py. -->

How each framework stores an LSTM. These rows are what conversions run on; `lstm-xcheck layouts NAME` shows one, also
for a stack. A row was established by running the framework, unless its source says that it was only read.

Gates: i input, f forget, g cell candidate, o output. Sizes: x inputs, h hidden units. `4h` is all four gates, one
after the other in blocks of h rows or columns; *interleaved* are four rows for each unit; *by name* is an array for
each gate. A *split* bias is two vectors that are added at run time.
"""

_SUPPORT = """# Support

<!-- Written by docs/tables.py from lstm_xcheck/adapters/table.py and atlas.json. -->

What each adapter runs, what installs it, and how many of the {features} features of the [atlas](atlas.md) its framework
computes right, refuses, or gets wrong in silence. Counts are of runs with the versions that the atlas names; a
[divergence](../divergences/README.md) explains each wrong one. `lstm-xcheck adapters` says the same of the versions
that are installed.
"""

_MATRIX = """## By kind of feature

How many features of a kind each adapter's framework computes right; the rest is refused or was not run, unless it says
*wrong*. The [atlas](atlas.md#features) has every feature by name.
"""

#: Kinds of features, with their number.
GROUPS = Counter(feature.group for feature in FEATURES)

_GATES = {"blocks": "blocks", "units": "interleaved", "names": "by name"}
_PARTS = {"b": "bias", "b_r": "second bias", "peephole": "peepholes", "projection": "projection"}


def layouts_page() -> str:
    """A table of all layouts, then a section for each."""
    rows = [describe(row) for row in TABLE]
    head = ("layout", "gate order", "gates lie", "input weights", "bias", "added to f at run time", "states")
    lines = [_LAYOUTS, *_table(head, map(_layout, rows))]
    for row in rows:
        lines += ["", f"## {row['name']}", "", f"Source: {row['source']}", ""]
        lines += _table(("array", "holds"), ([f"`{one['name']}`", _holds(one["parts"])] for one in row["tensors"]))
        arrays = (f"`{name}` {tuple(shape)}" for name, shape in row["examples"]["one layer"]["arrays"].items())
        lines += ["", f"One layer with 3 inputs and 2 units: {', '.join(arrays)}"]
    return "\n".join(lines) + "\n"


def _layout(row: dict[str, Any]) -> list[str]:
    name, forget = row["name"], row["forget_bias"]
    states = ", ".join(row["state_order"])
    added = f"{forget:+g}" if forget else ""
    orders = ", ".join(row["order"])
    return [f"[{name}](#{name})", orders, _GATES[row["gates"]], f"`{row['orientation']}`", row["bias"], added, states]


def _holds(parts: Sequence[str]) -> str:
    return ", ".join(_PARTS.get(part, part) for part in parts)


def support_page() -> str:
    """A table of all adapters, then what each refuses and gets wrong."""
    atlas = Atlas.from_dict(json.loads((FOLDER / "atlas.json").read_text(encoding="utf-8")))
    head = ("adapter", "runs", "layout", "`pip install`", "right", "refused", "wrong", "not run", "runs by default")
    lines = [_SUPPORT.format(features=len(FEATURES))]
    lines += _table(head, (_adapter(entry, atlas) for entry in BUILT_IN))
    groups = ("adapter", *(f"{group} ({count})" for group, count in GROUPS.items()))
    lines += ["", _MATRIX, *_table(groups, (_groups(entry.name, atlas) for entry in BUILT_IN))]
    return "\n".join(lines) + "\n"


def _adapter(entry: Entry, atlas: Atlas) -> list[str]:
    counts = map(str, totals(atlas.of(entry.name)).values())
    default = f"by name: {entry.by_name}" if entry.by_name else "in the preset quick" if entry.compiles else "yes"
    layout = f"[{entry.layout}](layouts.md#{entry.layout})"
    return [f"`{entry.name}`", entry.summary, layout, f"`{entry.install}`", *counts, default]


def _groups(name: str, atlas: Atlas) -> list[str]:
    """For each group of features how many are right, and how many wrong."""
    states = {cell.feature: cell.state for cell in atlas.of(name)}
    counts = [Counter(states.get(one.name) for one in FEATURES if one.group == group) for group in GROUPS]
    shown = (f"{count['right']}" + (f", **{count['wrong']} wrong**" if count["wrong"] else "") for count in counts)
    return [f"`{name}`", *shown]


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    titles = list(head)
    return [f"| {' | '.join(cells)} |" for cells in (titles, ["---"] * len(titles), *rows)]


#: Path -> what is written there.
PAGES = {FOLDER / "layouts.md": layouts_page, FOLDER / "support.md": support_page}

if __name__ == "__main__":
    for path, page in PAGES.items():
        path.write_text(page(), encoding="utf-8")
