"""`--layout` of verbs that take several files: `NAME` for all of them, `FILE=NAME` for one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError

HELP = "The layout of files whose names do not say it; FILE=NAME for one file alone."


def layouts_for(texts: Sequence[str], files: Sequence[Path]) -> list[str | None]:
    """The layout that is said of each file, None where there is none.

    Raises:
        UserError: for a FILE that is not among them, and two layouts of one file.
    """
    layouts: list[str | None] = [None] * len(files)
    for text in texts:
        file, _, name = text.rpartition("=")
        places = [place for place, path in enumerate(files) if not file or file in (str(path), path.name)]
        if not places:
            raise UserError(f"--layout {text!r} should name one of {', '.join(map(str, files)) or 'the files given'}")
        for place in places:
            if layouts[place] is not None:
                raise UserError(f"--layout {text!r}: {files[place]} has --layout {layouts[place]} already; give one")
            layouts[place] = name
    return layouts
