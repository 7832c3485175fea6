"""Which copy of the package is under test: under tox the installed wheel, elsewhere this checkout."""

from __future__ import annotations

import os
from pathlib import Path

import lstm_xcheck

ROOT = Path(__file__).parents[2]


def test_the_package_under_test_is_the_right_copy() -> None:
    where = Path(str(lstm_xcheck.__file__)).resolve().parent
    environment = os.environ.get("TOX_ENV_DIR")
    if environment:
        assert where.is_relative_to(Path(environment).resolve())
        assert "site-packages" in where.parts
    else:
        assert where == ROOT / "lstm_xcheck"


def test_every_room_is_a_package() -> None:
    """A folder without `__init__.py` is importable from a checkout but left out of the wheel."""
    folders = {file.parent for file in (ROOT / "lstm_xcheck").rglob("*.py")}
    assert len(folders) > 5
    assert [folder.name for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []
