"""Files stay small enough to be read at one sitting."""

from __future__ import annotations

from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
CEILING = 400
MEDIAN = 150


def line_counts(folder: Path) -> dict[str, int]:
    """Lines of every Python file below a folder that holds any code."""
    counts = {
        file.relative_to(folder).as_posix(): len(file.read_text(encoding="utf-8").splitlines())
        for file in sorted(folder.rglob("*.py"))
    }
    return {name: lines for name, lines in counts.items() if lines}


def too_long(folder: Path) -> dict[str, int]:
    return {name: lines for name, lines in line_counts(folder).items() if lines > CEILING}


def test_no_file_of_the_package_is_above_the_ceiling() -> None:
    assert too_long(ROOT / "lstm_xcheck") == {}


def test_no_test_file_is_above_the_ceiling() -> None:
    assert too_long(ROOT / "tests") == {}


def test_the_median_file_is_short() -> None:
    assert median(line_counts(ROOT / "lstm_xcheck").values()) <= MEDIAN


def test_a_long_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "short.py").write_text("x = 1\n" * CEILING, encoding="utf-8")
    (tmp_path / "long.py").write_text("x = 1\n" * (CEILING + 1), encoding="utf-8")
    assert too_long(tmp_path) == {"long.py": CEILING + 1}
