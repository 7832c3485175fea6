"""Every wrong cell of the atlas is a listed divergence, and every divergence is still there."""

from __future__ import annotations

import re
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.version import Version

from lstm_xcheck.adapters.table import BUILT_IN

from ..conftest import needs
from ..helpers import ROOT, load_file, run_python

listed = load_file(ROOT / "docs" / "list_divergences.py", "docs_list_divergences")
atlas = load_file(ROOT / "docs" / "atlas.py", "docs_atlas")

ENTRIES = listed.divergences()
WRONG = {cell.key for cell in atlas.atlas_of(atlas.DATA).cells if cell.state == "wrong"}
#: Cells of current releases; other columns are older ones.
CURRENT = sorted(key for key in WRONG if key[0] in {entry.name for entry in BUILT_IN})

_NUMBER = re.compile(r"-?\d+\.?\d*(?:e[-+]\d+)?")
_LINES = 25


def unlisted(cells: list[tuple[str, str]], entries: list[object]) -> list[tuple[str, str]]:
    """Wrong cells that no entry explains."""
    return [cell for cell in cells if not any(entry.has(*cell) for entry in entries)]  # type: ignore[attr-defined]


def two_digits(text: str) -> str:
    """The line that a script prints, with what may differ from one processor to the next left out."""
    return re.sub(r"\s+", " ", _NUMBER.sub(lambda number: f"{float(number[0]):.2g}", text)).strip()


def installed_version(package: str) -> str:
    """Of a package or of its build for the CPU."""
    found = {(one.metadata["Name"] or "").lower().replace("_", "-"): one.version for one in distributions()}
    return found.get(package) or found[f"{package}-cpu"]


def test_every_wrong_cell_is_listed() -> None:
    assert unlisted(CURRENT, ENTRIES) == []


def test_a_wrong_cell_that_is_not_listed_is_found() -> None:
    assert unlisted([("torch", "lengths"), *CURRENT], ENTRIES) == [("torch", "lengths")]
    assert unlisted(CURRENT, ENTRIES[1:]) == [("onnx-openvino", "peepholes")]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.reproducer)
def test_an_entry_has_wrong_cells_or_says_why_not_and_a_short_script(entry: listed.Divergence) -> None:  # type: ignore[name-defined]
    cells = [(adapter, feature) for adapter in entry.adapters for feature in entry.features]
    assert [cell for cell in cells if cell not in WRONG] == []
    assert bool(entry.adapters) == bool(entry.features) != bool(entry.not_in_atlas)
    assert all(any(adapter == cell[0] for cell in CURRENT) for adapter in entry.adapters)
    lines = entry.script.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= _LINES
    assert not [line for line in lines if "xcheck" in line]
    assert lines[0].startswith('"""') and lines[0].endswith('."""')


def test_every_script_has_its_entry() -> None:
    assert {path.stem for path in listed.FOLDER.glob("*.py")} == {entry.reproducer for entry in ENTRIES}
    assert len(ENTRIES) >= 20


def test_the_page_is_current() -> None:
    assert listed.PAGE.read_text(encoding="utf-8") == listed.page(), "run: python docs/list_divergences.py"


@pytest.mark.framework
@pytest.mark.slow
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.reproducer)
def test_the_divergence_is_still_there(entry: listed.Divergence, tmp_path: Path) -> None:  # type: ignore[name-defined]
    """As it was: a newer release that mends or changes it fails here, and an older one proves nothing."""
    needs(*entry.needs)
    installed = installed_version(entry.package)
    if Version(installed) < Version(entry.version):
        pytest.skip(f"{entry.package} {installed} is older than {entry.version}")
    printed = [line for line in run_python(entry.script, KERAS_HOME=str(tmp_path)).splitlines() if "right:" in line]
    if not printed:
        pytest.skip("not to be seen on this processor")
    assert two_digits(printed[-1]) == two_digits(entry.effect)


def test_a_script_fails_once_the_divergence_is_gone(tmp_path: Path) -> None:
    mended = tmp_path / "mended.py"
    mended.write_text('assert 1.0 != 1.0, "the divergence is gone"\n', encoding="utf-8")
    with pytest.raises(AssertionError, match="the divergence is gone"):
        run_python(mended)


@pytest.mark.parametrize(("text", "same"), [("found: 0.1234 [1. 2.]", True), ("found: 0.13  [1. 2.]", False)])
def test_a_changed_number_is_seen_in_two_digits(text: str, same: bool) -> None:
    assert (two_digits(text) == two_digits("found: 0.12345  [1. 2.]")) is same
